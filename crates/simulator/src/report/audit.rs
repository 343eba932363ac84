//! The page of a canary audit: claimed, measured and proven on one line.

use std::fmt::Write;

use super::summary::paragraphs;
use super::text::{count, epsilon, escape, place, ticks};
use super::{Page, page};
use crate::{Measured, PrivacyAudit, Verdict};

/// What an audit can say and what it cannot; printed wherever one is shown.
const MEANING: &str = "Only the claim is a guarantee. It is an upper limit, proven on paper for the mechanism as it is written down, \
    and this audit asks whether the program does what the paper says.
The estimate is what a clever adversary measured in this one run (Andrew and others, 2023). It proves nothing: another \
    adversary can do better.
The proven minimum is what no program that keeps a smaller epsilon could have shown, wrong in at most 5 of 100 audits \
    (Steinke, Nasr and Jagielski, 2023). When it lies above the claim, program or claim is wrong. When it lies below, \
    nothing contradicts the claim; that is not a proof that the claim holds.";

impl PrivacyAudit {
    /// The page: self-contained, no request, no script. `guarantee`: what the task promises, in its own words.
    pub fn to_html(&self, guarantee: &str) -> String {
        let main = [
            answers(self),
            bars(self),
            sums(self),
            format!(
                "<section><h2>What this proves</h2>{}</section>",
                paragraphs(MEANING)
            ),
            format!(
                "<section><h2>The claim</h2><div class=\"note\">{}</div></section>",
                paragraphs(guarantee)
            ),
        ];
        page(&Page {
            title: &format!("{}, audited", self.data),
            headline: self.headline(),
            lead: &format!(
                "{} canaries among {} people: participants that are nobody, each there by a fair coin. Every sum was the \
                 worst that its plan allows.",
                count(self.canaries),
                count(self.people)
            ),
            main: &main.join("\n"),
            command: &self.command,
            seed: Some(self.seed),
            holds: "It holds figures about canaries, which are nobody; of real people it shows nothing.",
        })
    }

    /// One sentence that answers "does it keep its promise".
    pub fn headline(&self) -> &'static str {
        match self.verdict() {
            Verdict::Agrees => "What was measured agrees with what is claimed",
            Verdict::Unclear => {
                "Nothing above the claim is proven, but the estimate does not lie below it"
            }
            Verdict::CannotRefute => {
                "Too few canaries: this audit could not have contradicted the claim"
            }
            Verdict::Broken => "More is given away than was claimed",
        }
    }
}

/// Each adversary with what it found.
fn adversaries(audit: &PrivacyAudit) -> Vec<(&'static str, &'static str, Measured)> {
    let strong = (
        "sees every sum",
        "Strong adversary: sees every sum, and knows what every real person sent",
        audit.strong,
    );
    let realistic = audit.realistic.map(|found| {
        (
            "sees the model",
            "Realistic adversary: sees the final model alone",
            found,
        )
    });
    [Some(strong), realistic].into_iter().flatten().collect()
}

fn answers(audit: &PrivacyAudit) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, text: String| {
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
            escape(name),
            escape(&text)
        );
    };
    row(
        "Claimed upper limit",
        format!(
            "ε\u{a0}=\u{a0}{} (δ\u{a0}=\u{a0}{:e}), {}.",
            epsilon(audit.claimed),
            audit.delta,
            match audit.looks.len() == audit.sums {
                true => format!("for all {} sums together", audit.sums),
                false => format!(
                    "until it was stopped, after {} of {} sums",
                    audit.looks.len(),
                    audit.sums
                ),
            }
        ),
    );
    for (_, name, found) in adversaries(audit) {
        row(
            name,
            format!(
                "estimate {:.2} (95\u{a0}% interval {:.2} to {:.2}); proven minimum {:.2}, from {} right of {} guesses.",
                found.estimate,
                found.estimate_low,
                found.estimate_high,
                found.minimum,
                count(found.correct),
                count(found.guesses)
            ),
        );
    }
    row(
        "What could be seen",
        format!(
            "So many guesses could prove at most {:.2}, if every one were right. A perfect adversary's estimate tends to {:.2}.",
            audit.strong.provable, audit.expected
        ),
    );
    let warning = match audit.verdict() {
        Verdict::CannotRefute => {
            "<div class=\"note warn\"><p><strong>This is no pass.</strong> Even without any noise, so few canaries could not \
             have proven more than is claimed. Take more of them, or claim less.</p></div>"
        }
        Verdict::Broken => {
            "<div class=\"note warn\"><p><strong>Stop this task.</strong> Program or claim is wrong: the proven minimum lies \
             above the claimed upper limit.</p></div>"
        }
        Verdict::Agrees => {
            "<div class=\"note good\"><p>Proven minimum, estimate and claim stand in this order.</p></div>"
        }
        Verdict::Unclear => {
            "<div class=\"note\"><p>The estimate lies above the claim, and nothing above the claim is proven. That happens by \
             chance; more canaries or another seed tell.</p></div>"
        }
    };
    format!(
        "<section aria-label=\"Answers\">{warning}<table class=\"answer\"><tbody>{rows}</tbody></table></section>"
    )
}

const HEIGHT: f64 = 86.0;

/// One bar an adversary, in two widths: a phone needs larger letters.
fn bars(audit: &PrivacyAudit) -> String {
    let wide = drawing(audit, 912.0);
    let narrow = drawing(audit, 380.0);
    format!(
        "<section><h2>Claimed, measured, proven</h2><figure><div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div>\
         <figcaption>The estimate (circle, with its 95\u{a0}% interval) and the proven minimum (square) should stand left of the \
         claimed upper limit (line). The shaded side is more than was claimed.</figcaption></figure></section>"
    )
}

fn drawing(audit: &PrivacyAudit, width: f64) -> String {
    let found = adversaries(audit);
    let largest = found
        .iter()
        .map(|(_, _, found)| {
            found
                .estimate_high
                .min(3.0 * audit.claimed)
                .max(found.minimum)
        })
        .fold(audit.claimed, f64::max);
    let ticks = ticks(1.08 * largest, if width > 500.0 { 8 } else { 4 });
    let top = ticks.last().copied().unwrap_or(1.0);
    let x = |value: f64| 8.0 + (width - 16.0) * value.clamp(0.0, top) / top;
    let height = HEIGHT * found.len() as f64 + 34.0;
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Claimed, measured and proven epsilon\"><desc>"
    );
    let _ = write!(out, "Claimed upper limit {}.", epsilon(audit.claimed));
    for (name, _, found) in &found {
        let _ = write!(
            out,
            " Adversary that {name}: estimate {:.2}, proven minimum {:.2}.",
            found.estimate, found.minimum
        );
    }
    out.push_str("</desc>");
    let (claim, foot) = (x(audit.claimed), HEIGHT * found.len() as f64);
    let _ = write!(
        out,
        "<rect class=\"beyond\" x=\"{}\" y=\"0\" width=\"{}\" height=\"{}\"/>",
        place(claim),
        place(x(top) - claim),
        place(foot)
    );
    for tick in &ticks {
        let _ = write!(
            out,
            "<path class=\"rule\" d=\"M{at} 0V{}\"/><text class=\"tick\" text-anchor=\"middle\" x=\"{at}\" y=\"{}\">{}</text>",
            place(foot),
            foot + 16.0,
            place(*tick),
            at = place(x(*tick))
        );
    }
    let _ = write!(
        out,
        "<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">ε</text>",
        place(width / 2.0),
        height - 3.0
    );
    for (row, (name, _, found)) in found.iter().enumerate() {
        let middle = HEIGHT * row as f64 + 48.0;
        marks(&mut out, name, found, middle, &x);
    }
    let (side, text) = match claim > 180.0 {
        true => ("end", claim - 6.0),
        false => ("start", claim + 6.0),
    };
    let _ = write!(
        out,
        "<path class=\"claim\" d=\"M{at} 0V{}\"/><text class=\"end\" text-anchor=\"{side}\" x=\"{}\" y=\"12\">claimed {}</text></svg>",
        place(foot),
        place(text),
        epsilon(audit.claimed),
        at = place(claim)
    );
    out
}

fn marks(out: &mut String, name: &str, found: &Measured, middle: f64, x: &impl Fn(f64) -> f64) {
    let (low, high) = (x(found.estimate_low), x(found.estimate_high));
    let (estimate, minimum) = (x(found.estimate), x(found.minimum));
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"8\" y=\"{}\">{name}</text>\
         <path class=\"reach\" d=\"M{} {y}H{}\"/>\
         <circle class=\"mark us\" cx=\"{}\" cy=\"{y}\" r=\"6\"><title>estimate {:.2}</title></circle>\
         <rect class=\"proven\" x=\"{}\" y=\"{}\" width=\"10\" height=\"10\"><title>proven minimum {:.2}</title></rect>\
         <text class=\"end us\" text-anchor=\"{}\" x=\"{}\" y=\"{below}\">estimate {:.2}</text>",
        place(middle - 20.0),
        place(low),
        place(high),
        place(estimate),
        found.estimate,
        place(minimum - 5.0),
        place(middle - 5.0),
        found.minimum,
        anchor(estimate),
        place(estimate.max(6.0)),
        found.estimate,
        y = place(middle),
        below = place(middle + 22.0),
    );
    // Where the two would touch, the estimate's text is enough: the table has both.
    if (estimate - minimum).abs() > 120.0 {
        let _ = write!(
            out,
            "<text class=\"end second\" text-anchor=\"{}\" x=\"{}\" y=\"{}\">proven {:.2}</text>",
            anchor(minimum),
            place(minimum.max(6.0)),
            place(middle + 22.0),
            found.minimum
        );
    }
}

/// A label at the very left starts at its mark; elsewhere it is centred on it.
fn anchor(at: f64) -> &'static str {
    if at < 60.0 { "start" } else { "middle" }
}

/// What the monitor saw after each sum.
fn sums(audit: &PrivacyAudit) -> String {
    let rows: String = audit
        .looks
        .iter()
        .map(|look| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.2}</td><td>{:.3}\u{a0}%</td><td>{}</td></tr>",
                escape(&look.sum),
                epsilon(look.claimed),
                look.proven,
                100.0 * (1.0 - look.significance),
                if look.stop { "stop" } else { "go on" }
            )
        })
        .collect();
    format!(
        "<section><h2>Sum by sum</h2><table class=\"figures\"><thead><tr><th scope=\"col\">after the sum</th>\
         <th scope=\"col\">claimed ε so far</th><th scope=\"col\">proven minimum</th><th scope=\"col\">confidence</th>\
         <th scope=\"col\">monitor</th></tr></thead><tbody>{rows}</tbody></table><p>The monitor looks after every sum and stops \
         the task when more is proven than was claimed. All its looks together stop a sound task in at most one of 1,000 \
         tasks.</p></section>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Look;

    pub fn invented(minimum: f64, estimate: f64) -> PrivacyAudit {
        let measured = |estimate: f64, minimum: f64| Measured {
            estimate,
            estimate_low: 0.9 * estimate,
            estimate_high: 1.1 * estimate,
            minimum,
            provable: 3.7,
            guesses: 120,
            correct: 101,
            mu: 1.5,
        };
        PrivacyAudit {
            claimed: 7.999,
            delta: 1e-5,
            mu: 1.57,
            expected: 7.43,
            strong: measured(estimate, minimum),
            realistic: Some(measured(0.3, 0.0)),
            canaries: 500,
            included: 251,
            people: 6_040,
            looks: vec![Look {
                sum: "<counts>".into(),
                claimed: 2.1,
                proven: 0.4,
                provable: 2.6,
                significance: 6e-4,
                stop: minimum > 7.999,
            }],
            sums: 1,
            data: "ml-1m".into(),
            seed: 1,
            command: "chorus audit privacy --data ml-1m --epsilon 8".into(),
        }
    }

    #[test]
    fn the_page_stands_alone_and_says_which_verdict_it_is() {
        for (name, minimum, estimate, words) in [
            ("audit-agrees", 1.9, 7.2, "agrees"),
            ("audit-unclear", 1.9, 8.3, "does not lie below"),
            ("audit-broken", 9.1, 12.0, "More is given away"),
        ] {
            let audit = invented(minimum, estimate);
            let page = audit.to_html("Privacy guarantee.\nNot covered: screens.");
            crate::report::tests::stands_alone(&page);
            crate::report::tests::show(name, &page);
            assert!(page.contains(words), "{words}");
            assert!(page.contains("&lt;counts&gt;"));
            assert!(page.contains("Only the claim is a guarantee"));
            assert_eq!(
                page.contains("Stop this task"),
                audit.verdict() == Verdict::Broken
            );
        }
        let mut weak = invented(0.0, 7.2);
        weak.looks[0].provable = 2.0;
        assert_eq!(weak.verdict(), Verdict::CannotRefute);
        assert!(weak.to_html("").contains("This is no pass"));
    }
}
