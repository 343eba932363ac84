//! The report of a federation: one self-contained HTML page, for `chorus simulate` and `chorus demo` alike.

mod attacks;
mod audit;
mod bars;
mod charts;
mod columns;
mod dots;
mod lines;
mod marks;
mod picture;
mod runs;
mod summary;
mod tables;
mod text;

use chorus_model::Quality;

use crate::{Figures, RoundRow};
pub use picture::Picture;
pub use runs::{Comparison, InOnePlace, ShownRun, drawn};
use text::escape;

/// Everything the page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was done, in a few words: `ml-100k, simulated`.
    pub title: String,
    /// How it was done, in a sentence or two: `Everything ran in one process.`
    pub setting: String,
    /// What was measured; its `command` stands at the foot of the page.
    pub figures: Figures,
    /// The quality of ranking by popularity, with the number of people it was measured on.
    pub popularity: Quality,
    /// One row a round, in order.
    pub rounds: Vec<RoundRow>,
    /// What protects the clients, in the words of the task.
    pub guarantee: String,
    /// Against whom, in the words of the task.
    pub trust: String,
    /// One upload beside one sum; left out where nothing was uploaded.
    pub picture: Option<Picture>,
}

/// Says to the browser what the page keeps to anyway: no script, nothing from elsewhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

impl Report {
    /// The page. It makes no request and needs no script; every text in it is escaped.
    pub fn to_html(&self) -> String {
        let parts = [
            summary::answers(self),
            charts::quality(self),
            charts::cohorts("<h2>Who took part</h2>", &self.rounds),
            charts::cost(self),
            charts::pictures(self),
            summary::protection(self),
            summary::reading(self),
        ];
        let figures = &self.figures;
        page(&Page {
            title: &self.title,
            headline: &summary::headline(self),
            lead: &self.setting,
            main: &parts.join("\n"),
            command: &figures.command,
            seed: Some(figures.seed),
            holds: "It holds counts, sums and figures; of single clients it shows nothing but one masked upload, where \
                    there was one.",
        })
    }
}

/// What every page is made of. `main` is HTML; everything else is text, and escaped here.
struct Page<'a> {
    title: &'a str,
    headline: &'a str,
    lead: &'a str,
    main: &'a str,
    command: &'a str,
    /// Nothing where each run has its own.
    seed: Option<u64>,
    holds: &'a str,
}

fn page(page: &Page<'_>) -> String {
    let title = escape(page.title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <title>{title} · Chorus</title><style>{}</style></head>\n<body>{}\n\
         <header><p class=\"kicker\">Chorus · {title}</p><h1>{}</h1><p class=\"lead\">{}</p></header>\n\
         <main>{}</main>\n<footer><p>Made by <code>{}</code>{}.</p>\
         <p>This page makes no request and runs no script. {}</p></footer></body></html>\n",
        include_str!("style.css").trim(),
        charts::PATTERNS,
        escape(page.headline),
        escape(page.lead),
        page.main,
        escape(page.command),
        page.seed
            .map_or_else(String::new, |seed| format!(", seed {seed}")),
        escape(page.holds),
    )
}

#[cfg(test)]
pub(crate) mod tests;
