//! The page of one run folder or many: what came out, and what made the difference.

mod answers;
mod choice;
mod cost;
mod overview;
mod people;
mod rounds;
mod settings;
mod sweep;

use chorus_model::Quality;
use chorus_protocol::Privacy;
use serde::Serialize;

use super::{Page, page};
use crate::run::differing;
use crate::{Content, Evaluation, Record};
pub use choice::drawn;

/// One run as the page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRun {
    /// What tells it from the others: the name of its folder.
    pub name: String,
    /// Where it is, as a command names it.
    pub folder: String,
    /// What was asked for and what came out, as far as it came.
    pub record: Record,
    /// The quality of ranking by popularity on its data.
    pub popularity: Quality,
    /// Its yardstick, where that was asked for.
    pub central: Option<InOnePlace>,
    /// What is measured of its model besides; nothing of runs that are not drawn.
    pub evaluation: Option<Evaluation>,
}

/// A quality that runs stand beside, and what it is called.
type Baselines = Vec<(f64, String)>;

/// The yardstick: a model that was learned from every history in the open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InOnePlace {
    /// How it was learned.
    pub words: String,
    /// How good it is.
    #[serde(flatten)]
    pub quality: Quality,
}

/// Runs beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The runs, in the order in which they are shown.
    pub runs: Vec<ShownRun>,
    /// The command that made the page.
    pub command: String,
}

/// The runs on one data set: only they can be compared.
struct Set<'a> {
    runs: Vec<&'a ShownRun>,
    /// Those of which every round is drawn.
    drawn: Vec<&'a ShownRun>,
    /// What stands behind each title; nothing where there is one set.
    suffix: String,
}

impl Comparison {
    /// The page. It makes no request and needs no script; every text in it is escaped.
    pub fn to_html(&self) -> String {
        let sets = self.sets();
        let mut parts = vec![answers::questions(&sets)];
        for set in &sets {
            parts.extend([
                overview::table(set),
                sweep::section(set),
                rounds::quality(set),
                rounds::privacy(set),
                cost::section(set),
                people::groups(set),
                people::lists(set),
                settings::section(set),
            ]);
        }
        parts.push(answers::reading(&sets));
        page(&Page {
            title: &answers::title(&sets),
            headline: &self.headline(),
            lead: &answers::lead(&sets),
            main: &parts.join("\n"),
            command: &self.command,
            seed: None,
            holds: "It holds counts, sums and figures; of single people it shows nothing.",
        })
    }

    /// One sentence: which run is best, how good, how private, at what cost.
    pub fn headline(&self) -> String {
        answers::headline(&self.sets())
    }

    fn sets(&self) -> Vec<Set<'_>> {
        let drawn = drawn(self.runs.iter().map(|run| &run.record));
        let mut sets: Vec<Set<'_>> = Vec::new();
        for (number, run) in self.runs.iter().enumerate() {
            let digest = run.record.data.digest;
            let is_of = |set: &&mut Set<'_>| set.data().is_some_and(|data| data.digest == digest);
            let set = match sets.iter_mut().find(is_of) {
                Some(set) => set,
                None => {
                    sets.push(Set {
                        runs: Vec::new(),
                        drawn: Vec::new(),
                        suffix: String::new(),
                    });
                    let Some(set) = sets.last_mut() else { continue };
                    set
                }
            };
            set.runs.push(run);
            if drawn.contains(&number) {
                set.drawn.push(run);
            }
        }
        if sets.len() > 1 {
            for set in &mut sets {
                set.suffix = set
                    .data()
                    .map_or(String::new(), |data| format!(" · {}", data.name));
            }
        }
        sets
    }
}

impl<'a> Set<'a> {
    fn data(&self) -> Option<&'a crate::Data> {
        self.runs.first().map(|run| &run.record.data)
    }

    /// The quality of popularity, the same for all.
    fn popularity(&self) -> Quality {
        self.runs
            .first()
            .map(|run| run.popularity)
            .unwrap_or_default()
    }

    /// The yardsticks that differ.
    fn central(&self) -> Vec<&'a InOnePlace> {
        let mut found: Vec<&InOnePlace> = Vec::new();
        for central in self.runs.iter().filter_map(|run| run.central.as_ref()) {
            if !found.contains(&central) {
                found.push(central);
            }
        }
        found
    }

    /// The run with the highest HR@10, of those that are finished if one is.
    fn best(&self) -> Option<&'a ShownRun> {
        best_of(self.runs.iter().copied())
    }

    /// What a figure of its runs stands beside: popularity, and the yardstick of the best of them.
    fn baselines(&self, pick: fn(&Quality) -> f64) -> Baselines {
        let mut found = vec![(pick(&self.popularity()), "popularity".to_owned())];
        let central = self.best().and_then(|best| best.central.as_ref());
        found.extend(central.map(|central| (pick(&central.quality), "in one place".to_owned())));
        found
    }

    /// Whose yardstick is drawn, where there are several.
    fn whose(&self) -> String {
        match (self.central().len(), self.best()) {
            (2.., Some(best)) => format!(
                " <em>In one place</em> is the model of {}; those of the others are in the table of all runs.",
                super::text::escape(&best.called())
            ),
            _ => String::new(),
        }
    }

    /// The keys that differ between its runs.
    fn differing(&self) -> Vec<String> {
        differing(self.runs.iter().map(|run| &run.record))
    }

    fn heading(&self, title: &str) -> String {
        let suffix = super::text::escape(&self.suffix);
        format!("<h2>{title}{suffix}</h2>")
    }

    /// Which runs are drawn, where not all are.
    fn left_out(&self) -> String {
        match self.runs.len() - self.drawn.len() {
            0 => String::new(),
            left => format!(
                " Drawn are {} of {} runs, the best among them: one of each setting, whatever its seed, and of more than {} settings \
                 some from the best to the worst. The other {left} are in the table of all runs; their rounds are in the \
                 <code>rounds.parquet</code> of their folders.",
                self.drawn.len(),
                self.runs.len(),
                choice::MOST
            ),
        }
    }
}

/// The runs that can be the best: those that are finished, if one is.
fn counting<'a>(
    runs: impl Iterator<Item = &'a ShownRun> + Clone,
) -> impl Iterator<Item = &'a ShownRun> {
    let measured = runs.filter(|run| run.quality().is_some());
    let finished = measured.clone().any(|run| run.record.is_finished());
    measured.filter(move |run| run.record.is_finished() == finished)
}

fn best_of<'a>(runs: impl Iterator<Item = &'a ShownRun> + Clone) -> Option<&'a ShownRun> {
    // The first of several that are as good.
    counting(runs).reduce(|best, run| match run.hits() > best.hits() {
        true => run,
        false => best,
    })
}

impl ShownRun {
    /// The last quality that was measured.
    fn quality(&self) -> Option<&Quality> {
        self.record.quality()
    }

    fn hits(&self) -> f64 {
        self.quality().map_or(0.0, |quality| quality.hr_at_10)
    }

    /// Rounds that it has when it is finished.
    fn rounds(&self) -> usize {
        let task = &self.record.task;
        (task.sums().len() * task.split).max(self.record.rounds.len())
    }

    /// What one client has spent so far, and its delta; nothing without noise.
    fn spent(&self) -> Option<(f64, f64)> {
        let (_, delta) = self.record.task.privacy.bound()?;
        let rows = self.record.rounds.iter().rev();
        let last = rows.filter_map(|row| row.epsilon).next();
        let figures = self.record.figures.as_ref();
        let spent = figures.and_then(|figures| figures.epsilon).or(last)?;
        Some((spent, delta))
    }

    /// Who makes the noise, where that is not every client for all of them together.
    fn caveat(&self) -> &'static str {
        let record = &self.record;
        match record.task.privacy {
            _ if record.options.central_noise => {
                "only against those who do not run the one party that adds the noise and sees exact sums"
            }
            Privacy::Local { .. } => "for each report by itself, whoever collects it",
            _ => "",
        }
    }

    /// Bytes of the longest upload.
    fn upload(&self) -> u64 {
        let uploads = self.record.rounds.iter().map(|row| row.upload_bytes);
        uploads.max().unwrap_or_default()
    }

    /// Bytes that a client sends that is in every round.
    fn uploads(&self) -> u64 {
        self.record.rounds.iter().map(|row| row.upload_bytes).sum()
    }

    fn seconds(&self) -> f64 {
        let rounds = self.record.rounds.iter().map(|row| row.seconds).sum();
        let figures = self.record.figures.as_ref();
        figures.map_or(rounds, |figures| figures.wall_seconds)
    }

    /// Invitations, and those that ended without a contribution.
    fn lost(&self) -> (usize, usize) {
        let rows = &self.record.rounds;
        let invited = rows.iter().map(|row| row.funnel.invited).sum();
        (invited, rows.iter().map(crate::RoundRow::dropouts).sum())
    }

    /// `stopped after 12 of 31 rounds`; nothing where it is finished.
    fn unfinished(&self) -> Option<String> {
        let done = self.record.rounds.len();
        (!self.record.is_finished()).then(|| match done {
            0 => format!("not one of {} rounds is done", self.rounds()),
            _ => format!("stopped after {done} of {} rounds", self.rounds()),
        })
    }

    /// `run “epsilon=8,seed=1”`.
    fn called(&self) -> String {
        format!("run “{}”", self.name)
    }

    /// What public item features and noisy counts reach alone, of a private model with them.
    fn content(&self) -> Option<&Content> {
        self.record.figures.as_ref()?.content.as_ref()
    }
}

#[cfg(test)]
mod tests;
