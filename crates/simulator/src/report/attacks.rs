//! The page of the attacks: what each reached, and what the guarantee leaves to it.

use std::fmt::Write;

use super::text::{count, epsilon, escape, place};
use super::{Page, page};
use crate::{AttackRow, Attacks};

impl Attacks {
    /// The page: self-contained, no request, no script.
    pub fn to_html(&self) -> String {
        let main = [
            notes(self),
            section(self, true),
            section(self, false),
            reading(),
        ];
        page(&Page {
            title: &format!("{}, attacked", self.data),
            headline: self.headline(),
            lead: &format!(
                "Attacks on a task that claims ε\u{a0}=\u{a0}{} (δ\u{a0}=\u{a0}{:e}), and on the same task without noise.",
                epsilon(self.epsilon),
                self.delta
            ),
            main: &main.join("\n"),
            command: &self.command,
            seed: Some(self.seed),
            holds: "It holds means over many people; of single people it shows nothing.",
        })
    }

    /// One sentence that answers "does the guarantee hold against these attacks".
    pub fn headline(&self) -> &'static str {
        match (self.above().next(), self.open().next()) {
            (Some(_), _) => "An attack did better than the guarantee allows",
            (None, Some(_)) => {
                "With noise, no attack did better than the guarantee allows by more than chance, but chance may hide one that did"
            }
            (None, None) => {
                "With noise, no attack did better than the guarantee allows, to the end of its 95\u{a0}% interval"
            }
        }
    }
}

fn notes(attacks: &Attacks) -> String {
    let mut out = String::new();
    for row in attacks.above() {
        let _ = write!(
            out,
            "<div class=\"note warn\"><p><strong>Above its ceiling:</strong> {} from {}.</p></div>",
            escape(&row.question),
            escape(&row.adversary)
        );
    }
    for row in attacks.open() {
        let _ = write!(
            out,
            "<div class=\"note\"><p><strong>Not decided:</strong> {} from {}. Its 95\u{a0}% interval reaches beyond its ceiling; \
             more people tell.</p></div>",
            escape(&row.question),
            escape(&row.adversary)
        );
    }
    for skipped in &attacks.skipped {
        let _ = write!(out, "<div class=\"note\"><p>{}</p></div>", escape(skipped));
    }
    out
}

fn section(attacks: &Attacks, noise: bool) -> String {
    let rows: Vec<&AttackRow> = attacks
        .rows
        .iter()
        .filter(|row| row.noise == noise)
        .collect();
    let (heading, caption) = match noise {
        true => (
            "With noise",
            "The circle is what the attack reached; it should not stand right of its ceiling (line), which the guarantee \
             implies. The dashes are popularity, which needs no attack.",
        ),
        false => (
            "Without noise, to compare",
            "Nothing limits these: sums are exact, and no guarantee is claimed.",
        ),
    };
    let areas: String = rows.iter().map(|row| area(row)).collect();
    let rates: String = rows.iter().map(|row| rates(row)).collect();
    format!(
        "<section><h2>{heading}</h2><figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>\
         <figcaption>{caption}</figcaption></figure><details><summary>The figures</summary><table><thead><tr>\
         <th scope=\"col\">attack</th><th scope=\"col\">AUC</th><th scope=\"col\">ceiling</th>\
         <th scope=\"col\">popularity</th><th scope=\"col\">without them</th></tr></thead><tbody>{areas}</tbody></table>\
         <table><thead><tr><th scope=\"col\">attack</th><th scope=\"col\">found at 1\u{a0}% false alarms</th>\
         <th scope=\"col\">found at 0.1\u{a0}%</th><th scope=\"col\">people</th></tr></thead><tbody>{rates}</tbody></table>\
         </details></section>",
        drawing(&rows, 912.0),
        drawing(&rows, 380.0),
    )
}

fn name(row: &AttackRow) -> String {
    let text = format!("{}, from {}", row.question, row.adversary);
    format!("<th scope=\"row\">{}</th>", escape(&text))
}

fn area(row: &AttackRow) -> String {
    let maybe = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
    format!(
        "<tr>{}<td>{:.3}\u{a0}±\u{a0}{:.3}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        name(row),
        row.auc,
        row.error,
        maybe(row.ceiling),
        maybe(row.popularity),
        maybe(row.without),
    )
}

fn rates(row: &AttackRow) -> String {
    let rate = |rate: Option<f64>, ceiling: Option<f64>| match (rate, ceiling) {
        (None, _) => "–".to_owned(),
        (Some(rate), None) => format!("{:.1}\u{a0}%", 100.0 * rate),
        (Some(rate), Some(ceiling)) => format!(
            "{:.1}\u{a0}%, ceiling {:.1}\u{a0}%",
            100.0 * rate,
            100.0 * ceiling
        ),
    };
    format!(
        "<tr>{}<td>{}</td><td>{}</td><td>{}</td></tr>",
        name(row),
        rate(row.tpr_at_1_percent, row.tpr_ceiling_at_1_percent),
        rate(row.tpr_at_01_percent, row.tpr_ceiling_at_01_percent),
        count(row.people)
    )
}

const ROW: f64 = 46.0;

fn drawing(rows: &[&AttackRow], width: f64) -> String {
    // From just under a coin toss to certainty.
    let x = |auc: f64| 8.0 + (width - 24.0) * (auc.clamp(0.4, 1.0) - 0.4) / 0.6;
    let foot = ROW * rows.len() as f64;
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"Area under the curve of each attack\"><desc>",
        foot + 34.0
    );
    for row in rows {
        let _ = write!(
            out,
            "{}, from {}: {:.3}. ",
            escape(&row.question),
            escape(&row.adversary),
            row.auc
        );
    }
    out.push_str("</desc>");
    for tick in [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] {
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{at} 0V{}\"/><text class=\"tick\" text-anchor=\"middle\" x=\"{at}\" y=\"{}\">{tick}</text>",
            place(foot),
            place(foot + 16.0),
            at = place(x(tick))
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">AUC: 0.5 is a coin, 1 is certainty</text>",
        place(width / 2.0),
        place(foot + 31.0)
    );
    for (number, row) in rows.iter().enumerate() {
        let (top, middle) = (ROW * number as f64 + 12.0, ROW * number as f64 + 27.0);
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"8\" y=\"{}\">{}, from {}</text>",
            place(top),
            escape(&row.question),
            escape(&row.adversary)
        );
        for (value, class) in [(row.popularity, "known"), (row.ceiling, "ceiling")] {
            if let Some(value) = value {
                let _ = write!(
                    out,
                    "<path class=\"{class}\" d=\"M{} {}v18\"/>",
                    place(x(value)),
                    place(middle - 9.0)
                );
            }
        }
        let _ = write!(
            out,
            "<path class=\"reach\" d=\"M{} {y}H{}\"/><circle class=\"mark us\" cx=\"{}\" cy=\"{y}\" r=\"5\"><title>AUC {:.3}</title></circle>",
            place(x(row.auc - 2.0 * row.error)),
            place(x(row.auc + 2.0 * row.error)),
            place(x(row.auc)),
            row.auc,
            y = place(middle),
        );
    }
    out.push_str("</svg>");
    out
}

fn reading() -> String {
    "<section><h2>How to read this</h2><p>AUC is how often the attack ranks something true above something false. What \
     popularity alone reaches is no leak: everyone knows that popular items are popular. “Without them” is the same attack on \
     people whose contributions were zeros: what a model knows about people like them, whether they took part or not.</p>\
     <p>The ceiling is what Gaussian differential privacy of the claimed size leaves to any attacker, the best included. \
     What a person's own screen shows is outside the guarantee: whoever sees it can guess, as from any recommender. The \
     guarantee says that taking part adds little to that.</p>\
     <p>An attack that fails proves nothing: another may succeed. The ceiling holds for all of them.</p></section>"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone_and_names_what_is_above() {
        let row = AttackRow {
            question: "which <items>".into(),
            adversary: "the sums alone".into(),
            noise: true,
            auc: 0.62,
            error: 0.01,
            popularity: Some(0.85),
            ceiling: Some(0.6),
            people: 100,
            ..AttackRow::default()
        };
        let bare = AttackRow {
            noise: false,
            ceiling: None,
            auc: 1.0,
            ..row.clone()
        };
        let mut attacks = Attacks {
            rows: vec![row, bare],
            skipped: vec!["synthetic says nothing of its people.".into()],
            epsilon: 8.0,
            delta: 1e-5,
            mu: 1.57,
            people: 6_040,
            absent: 1_000,
            data: "ml-1m".into(),
            seed: 1,
            command: "chorus audit attack --data ml-1m --epsilon 8".into(),
        };
        let page = attacks.to_html();
        crate::report::tests::stands_alone(&page);
        crate::report::tests::show("attacks", &page);
        // 0.62 with its standard error of 0.01 is above 0.6, but not by three of them.
        assert!(page.contains("chance may hide one") && page.contains("Not decided:"));
        attacks.rows[0].auc = 0.57;
        assert!(attacks.to_html().contains("no attack did better"));
        assert!(!attacks.to_html().contains("chance"));
        attacks.rows[0].auc = 0.64;
        assert_eq!(attacks.above().count(), 1);
        assert!(attacks.to_html().contains("Above its ceiling"));
    }
}
