//! `chorus simulate`: a federation in one process.

mod beside;
mod forecast;
mod interruption;
mod keys;
mod prepared;
mod several;
mod sweep;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use chorus_data::Dataset;
use chorus_model::{Engine, Parameters};
use chorus_simulator::{
    Attack, Company, Folder, FolderError, Keys, Run, Sampling, Settings, differences,
};
use clap::{ArgMatches, Args, ValueEnum};

use crate::exit::{self, OrExit, stop};
use crate::json::Json;
use crate::learning::Learning;
use crate::ranges::{bearable, phases, share, within};
use crate::{company, progress, words};
use interruption::Interruption;
pub use keys::{is_asked_for, spelt_out};
use prepared::{Prepared, Shelf, Watch};

/// How cohorts are drawn.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SamplingChoice {
    Turns,
    Uniform,
    Poisson,
}

impl From<SamplingChoice> for Sampling {
    fn from(choice: SamplingChoice) -> Self {
        match choice {
            SamplingChoice::Turns => Self::Turns,
            SamplingChoice::Uniform => Self::Uniform,
            SamplingChoice::Poisson => Self::Poisson,
        }
    }
}

/// What attackers send.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AttackChoice {
    Random,
    SignFlip,
    Scaled,
    Promotion,
}

impl From<AttackChoice> for Attack {
    fn from(choice: AttackChoice) -> Self {
        match choice {
            AttackChoice::Random => Self::Random,
            AttackChoice::SignFlip => Self::SignFlip,
            AttackChoice::Scaled => Self::Scaled,
            AttackChoice::Promotion => Self::Promotion,
        }
    }
}

/// Flags of `chorus simulate`.
#[derive(Args)]
#[command(after_help = exit::HELP, args_override_self = true)]
pub struct Simulate {
    /// A data set. A folder with NAME.train.rating[.gz], NAME.test.rating, NAME.test.negative[.gz]; or train.txt[.gz] and
    /// test.txt[.gz], a line a user; or raw GroupLens files; or events.csv, .tsv or .parquet with the columns user, item
    /// and time. Or one such file of events.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    learning: Learning,
    /// Share of a round's clients that vanish before they contribute.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = bearable)]
    dropout: f64,
    /// What those that vanish do not send any more, in parts: keys, shares, confirmations, updates, help with the unmasking.
    #[arg(long, value_name = "A:B:C:D:E", default_value = "1:1:1:1:0", value_parser = phases)]
    dropout_phases: [u8; 5],
    /// Share of a round's clients whose update comes too late for the sum.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = bearable)]
    stragglers: f64,
    /// How cohorts are drawn. `turns`: nobody is heard twice before everybody was once, as in the product. `uniform`: so many of
    /// everyone. `poisson`: each with the same probability.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = SamplingChoice::Turns)]
    sampling: SamplingChoice,
    /// When clients can be reached, a CSV with the columns client, from and until: clients from 0, rounds from 0, `until` the first
    /// in which the client is gone. The trace begins anew after its last round.
    #[arg(long, value_name = "FILE")]
    availability: Option<PathBuf>,
    /// Share of the clients that attack.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    malicious: Option<f64>,
    /// What they send. `random`: a random direction as long as the clip. `sign-flip`: the opposite of what they learned. `scaled`:
    /// ten times what they learned. `promotion`: what they learn from a made-up history.
    #[arg(long, value_enum, value_name = "ATTACK")]
    attack: Option<AttackChoice>,
    /// The sum holds so many times what attackers send: masks hide that they left their clip out [default: 10 for `scaled`, else 1].
    #[arg(long, value_name = "TIMES", value_parser = within(1, 10_000))]
    strength: Option<usize>,
    /// The item that attackers promote; figures then say in how many lists of ten it is.
    #[arg(long, value_name = "ITEM", value_parser = within(0, 1 << 24))]
    promote: Option<usize>,
    /// Take a server step over every so many updates, each as it comes, instead of rounds (FedBuff): a cohort learns at a time, and
    /// what comes late counts 1 / sqrt(1 + steps). Of a --model, without masks: the coordinator sees each update by itself.
    #[arg(long, value_name = "UPDATES", conflicts_with = "masks", value_parser = within(1, 100_000))]
    buffer: Option<usize>,
    /// With --buffer, throw away what comes later than so many server steps.
    #[arg(long, value_name = "STEPS", default_value_t = 20, value_parser = within(0, 100_000))]
    staleness: usize,
    /// Run keys, shares and masks too. The sums are the same, bit for bit; it takes longer.
    #[arg(long)]
    masks: bool,
    /// Draw the noise of each sum in one piece instead of a share a client. The law of the sum is the same, it takes a
    /// fraction of the time; for large populations and catalogues.
    #[arg(long, conflicts_with = "masks")]
    noise_at_once: bool,
    /// Have one party add the noise to each sum, exactly as much as the bound needs. It would see exact sums: a comparison for
    /// research, which the product does not offer.
    #[arg(long, conflicts_with = "masks")]
    central_noise: bool,
    /// Simulate a population so many times as large: every user is there so often, and measured once.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = within(1, 1 << 22))]
    copies: usize,
    /// People that quality is measured on after each round; 0 measures the last model alone, which is always over everyone.
    #[arg(long, value_name = "PEOPLE", default_value_t = 1_000, value_parser = within(0, 1 << 22))]
    measured: usize,
    /// Have clients evaluate the model themselves, after so many rounds each time (sweeps with noise) and at the end: everyone leaves
    /// the newest item out of training and adds its rank to a sum, as in a task with `evaluate`.
    #[arg(long, value_name = "ROUNDS", value_parser = within(1, 100_000))]
    evaluate: Option<usize>,
    #[command(flatten)]
    json: Json,
    /// Write every user's score for every item: raw little-endian f32, [users, items].
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write the learned model: a safetensors file, for `chorus evaluate`.
    #[arg(long, value_name = "FILE")]
    save_model: Option<PathBuf>,
    /// Write a report, one HTML page.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Take keys from a TOML file: the long flags of this command, such as `epsilon = 8` or `masks = true`. Flags win over it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "repeat"])]
    config: Option<PathBuf>,
    /// Keep the run in a new folder: run.json, rounds.parquet, TensorBoard events, report.html, model.safetensors, and until it
    /// is finished a checkpoint. Ctrl-C ends it after the round under way.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["resume", "repeat"])]
    out: Option<PathBuf>,
    /// With --out, write a checkpoint after every so many sums.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1, 100_000))]
    checkpoint: usize,
    /// Go on with the run in this folder: it ends with the same bits as if it had not been interrupted.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["repeat", "sweep"])]
    resume: Option<PathBuf>,
    /// Run again what this folder holds, and end with 1 unless model and figures are the same.
    #[arg(long, value_name = "DIR", conflicts_with = "sweep")]
    repeat: Option<PathBuf>,
    /// Run once for each value of a key; given several times, once for each combination. With --out each run has a folder of its own
    /// in it, and those that are finished are not run again.
    #[arg(long, value_name = "KEY=A,B,C", conflicts_with_all = ["scores", "save_model", "report"])]
    sweep: Vec<String>,
    /// Learn another task beside this one, from the same people, with these keys of its own; given several times, several. A round of
    /// each in turn, as a client is in one round at a time; each learns what it would learn alone. `epsilon=` leaves a key out. With --out each has a folder in it.
    #[arg(long, value_name = "KEY=A,KEY=B", conflicts_with_all = ["sweep", "resume", "repeat", "scores", "save_model", "report"])]
    beside: Vec<String>,
    /// Learn nothing, and say what the run would take: whether there are enough clients for this epsilon, what each uploads, how long
    /// a round takes here. A few clients are tried for each kind of sum.
    #[arg(long, conflicts_with_all = ["out", "resume", "repeat", "sweep", "beside", "masks", "buffer", "scores", "report", "save_model"])]
    plan: bool,
    /// Compute with so many threads [default: one a core]. No result depends on it.
    #[arg(long, value_name = "N", value_parser = within(1, 1_024))]
    threads: Option<usize>,
}

/// What was given for this run, but for where it goes.
pub fn given(matches: &ArgMatches) -> Keys {
    let simulate = matches.subcommand_matches("simulate");
    simulate.map(keys::given).unwrap_or_default()
}

impl Simulate {
    /// The same as settings, which other surfaces take too.
    pub fn settings(&self) -> Settings {
        Settings {
            data: Some(self.data.clone()),
            dropout: self.dropout,
            dropout_phases: self.dropout_phases,
            stragglers: self.stragglers,
            sampling: self.sampling.into(),
            availability: self.availability.clone(),
            malicious: self.malicious,
            attack: self.attack.map(Into::into),
            strength: self.strength,
            promote: self.promote,
            buffer: self.buffer,
            staleness: self.staleness,
            masks: self.masks,
            noise_at_once: self.noise_at_once,
            central_noise: self.central_noise,
            copies: self.copies,
            measured: self.measured,
            evaluate: self.evaluate,
            threads: self.threads,
            ..self.learning.settings()
        }
    }

    pub fn run(&self, keys: Keys, company: &dyn Company) -> anyhow::Result<()> {
        if company.size() > 1 {
            self.refuse_shared()?;
        }
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().or_exit(exit::ENVIRONMENT)?;
        }
        if !self.sweep.is_empty() {
            return sweep::run(self, &keys);
        }
        if !self.beside.is_empty() {
            return beside::run(self, &keys);
        }
        let files = [&self.scores, &self.report, &self.save_model];
        let files = files.into_iter().flatten().map(PathBuf::as_path);
        if company.is_first() {
            progress::check_files(files.chain(self.json.file()), [self.data.as_path()])?;
        }
        let mut prepared = Prepared::new(self, keys, &mut Shelf::default())?;
        company::compare(company, &prepared.record)?;
        prepared.tell();
        if self.plan {
            return forecast::say(&prepared, &self.json);
        }
        if let Some(folder) = &self.repeat {
            return self.repeat(&prepared, folder, company);
        }
        let folder = match (&self.out, &self.resume) {
            _ if !company.is_first() => None,
            (Some(out), _) => Some(prepared.begin(out)?),
            (None, Some(folder)) => Some(prepared.go_on(folder)?),
            (None, None) => None,
        };
        let kept = self.out.as_ref().or(self.resume.as_ref());
        let interruption = kept.map(|_| Interruption::heard()).transpose()?;
        let mut watch = Watch::new(prepared.rounds());
        let run = prepared.run_in(company, folder.as_ref(), interruption.as_ref(), &mut watch);
        watch.end();
        let Some(run) = run? else {
            let folder = kept.map(PathBuf::as_path).unwrap_or(Path::new(""));
            let resume = format!("chorus simulate --resume {}", folder.display());
            return stop(
                exit::INTERRUPTED,
                format!("interrupted; `{resume}` goes on with it"),
            );
        };
        self.write(&prepared, &run, company)
    }

    /// Refuses what one process alone can do.
    fn refuse_shared(&self) -> anyhow::Result<()> {
        let alone = [
            ("--sweep", !self.sweep.is_empty()),
            ("--beside", !self.beside.is_empty()),
            ("--plan", self.plan),
        ];
        let Some((flag, _)) = alone.into_iter().find(|(_, is_asked)| *is_asked) else {
            return Ok(());
        };
        stop(
            exit::USAGE,
            format!(
                "{flag} is of one process: start it without a launcher of MPI, or leave {flag} out"
            ),
        )
    }

    /// Results where they are asked for, by one process for all.
    fn write(&self, prepared: &Prepared, run: &Run, company: &dyn Company) -> anyhow::Result<()> {
        if !company.is_first() {
            return Ok(());
        }
        if let Some(path) = &self.scores {
            let engine = crate::engine::engine();
            write_scores(path, &run.parameters, &prepared.dataset, &engine)?;
        }
        if let Some(path) = &self.save_model {
            progress::write(path, &run.parameters.to_bytes()?)?;
        }
        self.json.write(&run.figures)?;
        if let Some(path) = &self.report {
            let page = run.report().to_html();
            progress::write(path, page.as_bytes())?;
        }
        if self.json.replaces_words() {
            return Ok(());
        }
        progress::say(&words::figures(&run.figures));
        if run.figures.epsilon.is_some() {
            progress::say(&run.guarantee);
        }
        Ok(())
    }

    /// Runs it again, and says what is not as it was.
    fn repeat(
        &self,
        prepared: &Prepared,
        folder: &Path,
        company: &dyn Company,
    ) -> anyhow::Result<()> {
        let (_, first) = or_exit(Folder::open(folder))?;
        if !first.is_finished() {
            let resume = format!("`chorus simulate --resume {}`", folder.display());
            return stop(
                exit::USAGE,
                format!("this run is not finished: end it with {resume} first"),
            );
        }
        let other = first.other_run(&prepared.record);
        if !other.is_empty() {
            let is_data = first.data.digest != prepared.record.data.digest;
            let code = if is_data { exit::DATA } else { exit::FAILED };
            return stop(code, format!("this is another run: {}", other.join("; ")));
        }
        prepared.tell_version(&first);
        let mut watch = Watch::new(prepared.rounds());
        let run = prepared.run_in(company, None, None, &mut watch);
        watch.end();
        let Some(run) = run? else {
            return stop(exit::INTERRUPTED, "interrupted");
        };
        let second = prepared.record.clone().finished(&run)?;
        let found = differences(&first, &second);
        if !found.is_empty() {
            return stop(
                exit::FAILED,
                format!("not the same run: {}", found.join("; ")),
            );
        }
        self.write(prepared, &run, company)?;
        let digest = second
            .model
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        progress::tell(&format!(
            "the same run: model {digest}, and every figure but the times"
        ));
        Ok(())
    }
}

/// Gives an error of a run folder its exit code.
pub fn or_exit<T>(result: Result<T, FolderError>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let code = match &error {
            FolderError::Taken { .. }
            | FolderError::Held(_)
            | FolderError::NoRun(_)
            | FolderError::NoRuns(_) => exit::USAGE,
            FolderError::Unusable { .. } => exit::DATA,
            FolderError::Disk { .. } => exit::ENVIRONMENT,
            FolderError::Parameters(_) | FolderError::Checkpoint(_) | FolderError::Rows(_) => {
                exit::FAILED
            }
        };
        exit::with(code, error)
    })
}

/// Writes everyone's scores for every item.
pub fn write_scores(
    path: &Path,
    model: &Parameters,
    dataset: &Dataset,
    engine: &dyn Engine,
) -> anyhow::Result<()> {
    let file = File::create(path)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
        .or_exit(exit::ENVIRONMENT)?;
    Ok(chorus_simulator::scores(
        model,
        dataset,
        engine,
        &mut BufWriter::new(file),
    )?)
}

/// The command as it was given, to repeat it.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("chorus {}", words.join(" "))
}
