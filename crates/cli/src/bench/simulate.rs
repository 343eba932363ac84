//! `chorus bench simulate`: how many clients a second a simulated federation trains, engine by engine.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chorus_data::Dataset;
use chorus_model::{Direct, Engine, ModelPlan, Recipe, Step, TrainedRecipe};
use chorus_protocol::{Consistency, NoiseMaking, Privacy, Task};
use chorus_simulator::{Options, Progress, simulate};
use clap::{Args, ValueEnum};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::exit::{self, OrExit};
use crate::json::Json;
use crate::learning::task_name;
use crate::memory;
use crate::progress;
use crate::ranges::{positive, within};
use crate::words::bytes;

/// The workload that simulators are compared on.
const W1: &str = include_str!("../../../../models/w1/model.toml");

/// Who learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineChoice {
    /// Plain Rust: the touched rows only.
    Rust,
    /// libtorch, where the command was built with it.
    #[cfg(feature = "torch")]
    Torch,
}

/// Flags of `chorus bench simulate`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Simulate {
    /// A data set, as of `chorus simulate`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Clients of one round.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = within(1, 1 << 22))]
    clients: usize,
    /// Rounds in which they train; all after the first are timed.
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = within(2, 100_000))]
    rounds: usize,
    /// Measure this one alone [default: every engine of this build].
    #[arg(long, value_enum, value_name = "E")]
    engine: Option<EngineChoice>,
    /// Seconds since 1970 when the process was asked for: it measures one engine and says it in one line.
    #[arg(long, hide = true, value_name = "SECONDS", requires = "engine", value_parser = positive)]
    asked_at: Option<f64>,
    #[command(flatten)]
    json: Json,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Figures {
    workload: &'static str,
    data: String,
    clients: usize,
    rounds: usize,
    threads: usize,
    engines: Vec<Measured>,
}

/// What one engine did, in a process of its own.
#[derive(Serialize, Deserialize)]
struct Measured {
    engine: EngineChoice,
    /// Median over the rounds after the first: clients of a round by its seconds, server step included.
    client_updates_per_second: f64,
    /// The same by the seconds that all processors spent on it.
    client_updates_per_cpu_second: f64,
    /// From the start of the process to the end of the first round of training; data is read and histories are summed before.
    first_round_seconds: f64,
    /// Up to the end of the last round.
    peak_rss_bytes: Option<u64>,
}

/// One round: wall seconds, processor seconds, clients.
type Timed = (f64, f64, usize);

impl Simulate {
    pub fn run(&self) -> anyhow::Result<()> {
        if let (Some(engine), Some(asked_at)) = (self.engine, self.asked_at) {
            return progress::say_json(&self.measure(engine, asked_at)?);
        }
        progress::check_files(self.json.file(), [self.data.as_path()])?;
        let every = EngineChoice::value_variants();
        let chosen = every.iter().copied();
        let chosen = chosen.filter(|engine| self.engine.is_none_or(|asked| asked == *engine));
        let mut engines = Vec::new();
        for engine in chosen {
            progress::tell(&format!("measuring {}", engine.name()));
            engines.push(self.alone(engine)?);
        }
        let figures = Figures {
            workload: "w1",
            data: self.data.display().to_string(),
            clients: self.clients,
            rounds: self.rounds,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            engines,
        };
        self.json.write(&figures)?;
        if !self.json.replaces_words() {
            figures.engines.iter().for_each(Measured::say);
        }
        Ok(())
    }

    /// One engine in a process of its own: neither memory nor caches of another count.
    fn alone(&self, engine: EngineChoice) -> anyhow::Result<Measured> {
        let program = std::env::current_exe().or_exit(exit::ENVIRONMENT)?;
        let output = Command::new(program)
            .args(["bench", "simulate", "--data"])
            .arg(&self.data)
            .args(["--clients", &self.clients.to_string()])
            .args(["--rounds", &self.rounds.to_string()])
            .args(["--engine", engine.name()])
            .args(["--asked-at", &since_1970().to_string()])
            .stderr(Stdio::inherit())
            .output()
            .or_exit(exit::ENVIRONMENT)?;
        if !output.status.success() {
            let code = output
                .status
                .code()
                .and_then(|code| u8::try_from(code).ok());
            return exit::stop(
                code.unwrap_or(exit::FAILED),
                format!("the measurement of {} failed, as said above", engine.name()),
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn measure(&self, engine: EngineChoice, asked_at: f64) -> anyhow::Result<Measured> {
        let dataset = crate::data::read(&self.data)?;
        let task = self.task(&dataset)?;
        let sums = task.sums();
        let trains = |round: usize| {
            let sum = round.checked_sub(1).and_then(|place| sums.get(place));
            sum.is_some_and(|sum| sum.step == Step::Update)
        };
        let mut began = (Instant::now(), 0.0);
        let (mut timed, mut first, mut peak) = (Vec::<Timed>::new(), None, None);
        let options = Options {
            measured: 0,
            ..Options::default()
        };
        let mut watch = |progress: Progress<'_>| match progress {
            Progress::Began { .. } => began = (Instant::now(), processor_seconds()),
            Progress::Ended { round, row, .. } if trains(round) => {
                let cpu = processor_seconds() - began.1;
                timed.push((began.0.elapsed().as_secs_f64(), cpu, row.funnel.uploaded));
                first.get_or_insert(since_1970() - asked_at);
                peak = memory::peak();
            }
            _ => {}
        };
        simulate(&task, &dataset, engine.open().as_ref(), options, &mut watch)
            .or_exit(exit::FAILED)?;
        let later = timed.get(1..).unwrap_or_default();
        Ok(Measured {
            engine,
            client_updates_per_second: median(later, |(wall, _, clients)| clients / wall),
            client_updates_per_cpu_second: median(later, |(_, cpu, clients)| clients / cpu),
            first_round_seconds: first.unwrap_or_default(),
            peak_rss_bytes: peak,
        })
    }

    /// The workload over this data, without noise, and without the reports that the guard of other models asks for.
    fn task(&self, dataset: &Dataset) -> anyhow::Result<Task> {
        let plan: ModelPlan = toml::from_str(W1).or_exit(exit::FAILED)?;
        if self.clients > dataset.users() {
            return exit::stop(
                exit::USAGE,
                format!(
                    "--clients: the data has {} users, so a round has at most as many clients",
                    dataset.users()
                ),
            );
        }
        let task = Task {
            name: task_name("bench")?,
            population: dataset.users(),
            cohort: self.clients as f64 / dataset.users() as f64,
            split: 1,
            dropout: 0.0,
            corrupt: 0.1,
            bits: 32,
            consistency: Consistency::Witness,
            privacy: Privacy::Off,
            noise: NoiseMaking::default(),
            evaluate: None,
            recipe: Recipe::Trained(TrainedRecipe::new(dataset.items, self.rounds, plan)),
        };
        task.validate().or_exit(exit::USAGE)?;
        Ok(task)
    }
}

impl EngineChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            #[cfg(feature = "torch")]
            Self::Torch => "torch",
        }
    }

    fn open(self) -> Box<dyn Engine> {
        match self {
            Self::Rust => Box::new(Direct),
            #[cfg(feature = "torch")]
            Self::Torch => Box::new(chorus_torch::Torch),
        }
    }
}

impl Measured {
    fn say(&self) {
        let memory = self.peak_rss_bytes.map_or_else(String::new, |peak| {
            format!(", {} of memory at most", bytes(peak))
        });
        progress::say(&format!(
            "{:>5}: {:.0} client updates a second, {:.0} a second of one processor; first round after {:.2} s{memory}",
            self.engine.name(),
            self.client_updates_per_second,
            self.client_updates_per_cpu_second,
            self.first_round_seconds,
        ));
    }
}

fn median(timed: &[Timed], rate: impl Fn((f64, f64, f64)) -> f64) -> f64 {
    let rates = timed
        .iter()
        .map(|(wall, cpu, clients)| rate((*wall, *cpu, *clients as f64)));
    let mut rates: Vec<f64> = rates.collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// What all threads of this process computed so far.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
