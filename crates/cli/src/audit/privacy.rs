//! `chorus audit privacy`.

use std::path::PathBuf;

use chorus_data::Dataset;
use chorus_protocol::Task;
use chorus_simulator::{
    AuditOptions, Control, Effort, Measured, PrivacyAudit, Verdict, audit_privacy, self_test,
};
use clap::Args;

use crate::exit::{self, OrExit, stop};
use crate::learning::Learning;
use crate::progress;
use crate::ranges::within;
use crate::simulate::command_line;

/// Flags of `chorus audit privacy`.
#[derive(Args)]
pub struct Privacy {
    /// Folder of a data set.
    #[arg(long, value_name = "DIR", required_unless_present = "self_test")]
    data: Option<PathBuf>,
    #[command(flatten)]
    learning: Learning,
    /// Participants that are nobody. More prove more, and disturb the model more. [default: 500, or twice the people where
    /// that is fewer]
    #[arg(long, value_name = "K", value_parser = within(2, 1_000_000))]
    canaries: Option<usize>,
    /// A fault, to see the audit fail: no client adds the noise that the plan asks for.
    #[arg(long)]
    forget_noise: bool,
    /// Go on after the monitor has asked to stop.
    #[arg(long)]
    run_on: bool,
    /// Instead of a task: build faults into a small round, and say which check finds which.
    #[arg(long, conflicts_with_all = ["data", "out"])]
    self_test: bool,
    /// With --self-test: runs of the white-box audit with a client, and as many without.
    #[arg(long, value_name = "N", default_value_t = Effort::FULL.runs, requires = "self_test", value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    trials: u64,
    /// Write a report, one HTML page.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// The private task of these flags for `population` clients, or a sentence about what is missing.
pub(super) fn private_task(
    learning: &Learning,
    population: usize,
    dataset: &Dataset,
) -> anyhow::Result<Task> {
    match learning.privacy()? {
        Some(privacy @ chorus_protocol::Privacy::Distributed { .. }) => {
            learning.task("audited", population, dataset, privacy)
        }
        _ => stop(
            exit::USAGE,
            "only a task whose clients share the noise is audited: give `--epsilon E`, without `--noise`",
        ),
    }
}

impl Privacy {
    pub fn run(&self) -> anyhow::Result<()> {
        let Some(data) = self.data.as_ref().filter(|_| !self.self_test) else {
            return self.controls();
        };
        progress::check_files(self.out.as_deref(), [])?;
        let dataset = crate::data::read(data)?;
        let canaries = self.canaries.unwrap_or(500.min(2 * dataset.users()));
        let population = dataset.users() + canaries;
        let task = private_task(&self.learning, population, &dataset)?;
        let options = AuditOptions {
            seed: self.learning.seed,
            canaries,
            forget_noise: self.forget_noise,
            run_on: self.run_on,
        };
        let bar = progress::bar(task.sums().len() as u64, "sums");
        let engine = crate::engine::engine();
        let mut audit = audit_privacy(&task, &dataset, &engine, options, &mut |index, look| {
            bar.set_position(index as u64 + 1);
            bar.set_message(look.sum.clone());
        })
        .or_exit(exit::FAILED)?;
        bar.finish_and_clear();
        audit.command = command_line();
        let guarantee = task.guarantee()?;
        if let Some(path) = &self.out {
            progress::write(path, audit.to_html(&guarantee).as_bytes())?;
        }
        match self.json {
            true => progress::say_json(&Said::of(&audit))?,
            false => {
                progress::say(&words(&audit));
                progress::say(&guarantee);
            }
        }
        match audit.verdict() {
            Verdict::Agrees | Verdict::Unclear => Ok(()),
            Verdict::CannotRefute => stop(
                exit::UNDECIDED,
                format!(
                    "cannot refute: {} canaries can prove at most epsilon {:.2}, and {:.2} is claimed; even a task without any noise \
                     would not be found out, so this is no pass: take more with `--canaries`, in data with more people, or claim less",
                    audit.canaries,
                    audit.most_provable(),
                    audit.claimed
                ),
            ),
            Verdict::Broken => stop(
                exit::REFUSED,
                "the proven minimum lies above the claimed upper limit: program or claim is wrong, do not run this task",
            ),
        }
    }

    fn controls(&self) -> anyhow::Result<()> {
        let effort = Effort {
            runs: self.trials,
            ..Effort::FULL
        };
        let controls = self_test(self.learning.seed, effort).or_exit(exit::FAILED)?;
        match self.json {
            true => progress::say_json(&controls)?,
            false => progress::say(&table(&controls)),
        }
        match controls.iter().find(|control| !control.as_expected()) {
            None => Ok(()),
            Some(control) => stop(
                exit::REFUSED,
                format!("`{}`: not as it should be", control.fault.name()),
            ),
        }
    }
}

/// What `--json` prints: the verdict beside the figures.
#[derive(serde::Serialize)]
struct Said<'a> {
    verdict: Verdict,
    #[serde(flatten)]
    audit: &'a PrivacyAudit,
}

impl<'a> Said<'a> {
    fn of(audit: &'a PrivacyAudit) -> Self {
        Self {
            verdict: audit.verdict(),
            audit,
        }
    }
}

fn words(audit: &PrivacyAudit) -> String {
    let adversary = |name: &str, found: &Measured| {
        format!(
            "  {name:<34} estimate {:>6.2} ({:.2} to {:.2}), proven minimum {:.2} from {} right of {} guesses",
            found.estimate,
            found.estimate_low,
            found.estimate_high,
            found.minimum,
            found.correct,
            found.guesses
        )
    };
    let mut lines = vec![
        format!("{}.", audit.headline()),
        String::new(),
        format!(
            "  {:<34} epsilon {:.3} at delta {:e}",
            "claimed upper limit", audit.claimed, audit.delta
        ),
        adversary("sees every sum, knows all others", &audit.strong),
    ];
    if let Some(found) = &audit.realistic {
        lines.push(adversary("sees the final model", found));
    }
    lines.push(format!(
        "  {:<34} {} of {} canaries were included; so many guesses could prove {:.2} at most; a perfect estimate tends to {:.2}",
        "what could be seen", audit.included, audit.canaries, audit.strong.provable, audit.expected
    ));
    if let Some(look) = audit.looks.iter().find(|look| look.stop) {
        lines.push(format!(
            "  stopped after the sum `{}`: proven minimum {:.2}, claimed so far {:.2}",
            look.sum, look.proven, look.claimed
        ));
    }
    lines.push(String::new());
    lines.push(
        "Only the claim is a guarantee. The estimate proves nothing; the minimum is right in 95 of 100 audits, and below the \
         claim it proves nothing for the claim."
            .to_owned(),
    );
    lines.push(String::new());
    lines.join("\n")
}

fn table(controls: &[Control]) -> String {
    let mut lines = vec![format!(
        "  {:<52} {:<22} found by",
        "fault", "must be found by"
    )];
    for control in controls {
        let caught: Vec<&str> = control.caught().map(|check| check.name()).collect();
        let wanted = control
            .fault
            .found_by()
            .map_or("nothing", |check| check.name());
        let caught = match caught.is_empty() {
            true => "nothing".to_owned(),
            false => caught.join(", "),
        };
        lines.push(format!(
            "  {:<52} {wanted:<22} {caught}",
            control.fault.name()
        ));
    }
    if let Some(sound) = controls.first() {
        let proof = sound.proof;
        lines.push(String::new());
        lines.push(format!(
            "Without a fault, the white-box audit proves epsilon {:.2} at delta {}, of {:.2} that noise of this size has exactly \
             and {:.2} that is claimed.",
            proof.proven, proof.delta, proof.exact, proof.claimed
        ));
    }
    lines.join("\n")
}
