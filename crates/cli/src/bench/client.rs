//! `chorus bench client`: what contributing takes of a device. A small federation of real processes, each client in one of its own.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::time::Duration;

use chorus_data::Dataset;
use chorus_protocol::{Privacy, Task};
use chorus_simulator::DEFAULT_EPSILON;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::demo::processes::{Guarded, Processes, run, spawn, text};
use crate::exit;
use crate::json::Json;
use crate::learning::Learning;
use crate::progress;
use crate::ranges::within;
use crate::words::bytes;

/// Flags of `chorus bench client`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Client {
    /// A data set, as of `chorus simulate`: its first users are the clients, its items the catalogue.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How many clients.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = within(10, 200))]
    clients: usize,
    #[command(flatten)]
    learning: Learning,
    #[command(flatten)]
    json: Json,
}

/// Gradient rounds: the second finds everything that the first one left behind.
const ROUNDS: usize = 2;

/// What `--json` prints.
#[derive(Serialize)]
struct Figures {
    data: String,
    items: usize,
    clients: usize,
    /// Rounds that every client took part in.
    rounds: usize,
    engine: &'static str,
    /// What the largest of the clients' processes held at most, from its start to the end of the last round.
    peak_rss_bytes: Option<u64>,
    /// The same of the one in the middle.
    median_peak_rss_bytes: Option<u64>,
    /// Bytes of the longest upload.
    upload_bytes: u64,
}

/// What `chorus client run --json` prints, as far as it is wanted here.
#[derive(Deserialize)]
struct Session {
    end: String,
    peak_rss_bytes: Option<u64>,
}

/// What `chorus client activity --json` prints of one message, as far as it is wanted here.
#[derive(Deserialize)]
struct Sent {
    what: String,
    bytes: u64,
}

impl Client {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::check_files(self.json.file(), [self.data.as_path()])?;
        let dataset = crate::data::read(&self.data)?;
        let task = self.task(&dataset)?;
        let folder = tempfile::Builder::new()
            .prefix("chorus-bench-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()?;
        let mut processes = Processes::start(folder.path(), &task, self.learning.seed)?;
        progress::tell(&format!("{} clients enrol", self.clients));
        let invitations = processes.invite(self.clients)?;
        let mut sessions = Vec::new();
        for (index, invitation) in invitations.iter().enumerate() {
            let home = folder.path().join(format!("client-{index}"));
            prepare(&processes, &home, &dataset, index, invitation)?;
            sessions.push(begin(&processes, &home, &task, index)?);
        }
        progress::tell(&format!("{} rounds", task.sums().len()));
        let mut peaks = Vec::new();
        for (mut guarded, output) in sessions {
            while guarded.runs()? {
                processes.check()?;
                std::thread::sleep(Duration::from_millis(50));
            }
            peaks.push(ended(&guarded, output)?.peak_rss_bytes);
        }
        processes.finish()?;
        peaks.sort_unstable();
        let figures = Figures {
            data: self.data.display().to_string(),
            items: dataset.items,
            clients: self.clients,
            rounds: task.sums().len(),
            engine: crate::engine::NAME,
            peak_rss_bytes: peaks.last().copied().flatten(),
            median_peak_rss_bytes: peaks.get(peaks.len() / 2).copied().flatten(),
            upload_bytes: longest_upload(folder.path())?,
        };
        self.json.write(&figures)?;
        if !self.json.replaces_words() {
            figures.say();
        }
        Ok(())
    }

    fn task(&self, dataset: &Dataset) -> anyhow::Result<Task> {
        if self.clients > dataset.users() {
            return exit::stop(
                exit::USAGE,
                format!("--clients: the data has {} users", dataset.users()),
            );
        }
        let mut learning = self.learning.clone();
        learning.rounds.get_or_insert(ROUNDS);
        learning.head.get_or_insert(1);
        learning.cohort.get_or_insert(1.0);
        let default = Privacy::Distributed {
            epsilon: DEFAULT_EPSILON,
            delta: learning.delta,
        };
        let privacy = learning.privacy()?.unwrap_or(default);
        learning.task("bench", self.clients, dataset, privacy)
    }
}

/// A person says yes, brings their history along and enrols.
fn prepare(
    processes: &Processes,
    home: &Path,
    dataset: &Dataset,
    index: usize,
    invitation: &str,
) -> anyhow::Result<()> {
    let history = dataset.sequence(index).iter();
    let lines: Vec<String> = history.map(|item| item.0.to_string()).collect();
    let events = home.with_extension("tsv");
    progress::write(&events, format!("item\n{}\n", lines.join("\n")).as_bytes())?;
    let folder = processes.folder();
    let (home, events) = (text(home), text(&events));
    let certificate = text(&processes.authority_file());
    let me = ["client", "--home", &home];
    let grant = |purpose| [&me[..], &["consent", "grant", purpose]].concat();
    let steps = [
        grant("local-personalisation"),
        grant("aggregate-statistics"),
        grant("contribute-training"),
        [&me[..], &["import", &events]].concat(),
        [
            &me[..],
            &["enrol", "--authority", processes.authority_address()],
            &["--certificate", &certificate, "--invitation", invitation],
        ]
        .concat(),
    ];
    steps
        .iter()
        .try_for_each(|step| run("client", folder, step))
}

/// Its session, to the end of the task.
fn begin(
    processes: &Processes,
    home: &Path,
    task: &Task,
    index: usize,
) -> anyhow::Result<(Guarded, ChildStdout)> {
    let (home, name) = (text(home), task.name.to_string());
    let bound = task.privacy.bound();
    let (epsilon, delta) = bound.unwrap_or((DEFAULT_EPSILON, 1e-5));
    let (epsilon, delta) = (epsilon.to_string(), delta.to_string());
    let mut flags = vec!["client", "--home", &home, "run", "--json"];
    flags.extend(["--coordinator", processes.coordinator_address()]);
    flags.extend(["--task", &name, "--epsilon", &epsilon, "--delta", &delta]);
    if bound.is_none() {
        flags.push("--allow-without-noise");
    }
    spawn("client", processes.folder(), &index.to_string(), &flags)
}

/// What a session says that came to its end.
fn ended(guarded: &Guarded, mut output: ChildStdout) -> anyhow::Result<Session> {
    let mut said = String::new();
    output.read_to_string(&mut said)?;
    match serde_json::from_str::<Session>(&said) {
        Ok(session) if session.end == "finished" => Ok(session),
        _ => guarded.failed(),
    }
}

/// As the clients' own logs have it.
fn longest_upload(folder: &Path) -> anyhow::Result<u64> {
    let home = text(&folder.join("client-0"));
    let flags = ["client", "--home", &home, "activity", "--json"];
    let (mut guarded, mut output) = spawn("activity", folder, "", &flags)?;
    let mut said = String::new();
    output.read_to_string(&mut said)?;
    while guarded.runs()? {
        std::thread::sleep(Duration::from_millis(5));
    }
    let Ok(sent) = serde_json::from_str::<Vec<Sent>>(&said) else {
        return guarded.failed();
    };
    let uploads = sent.iter().filter(|sent| sent.what == "contribution");
    Ok(uploads.map(|sent| sent.bytes).max().unwrap_or_default())
}

impl Figures {
    fn say(&self) {
        let memory = |peak: Option<u64>| peak.map_or("unknown".to_owned(), bytes);
        progress::say(&format!(
            "a client that takes part in {} rounds over {} items, learning with {}, holds {} of memory at most (the median of {}: {}) \
             and uploads {} at a time",
            self.rounds,
            self.items,
            self.engine,
            memory(self.peak_rss_bytes),
            self.clients,
            memory(self.median_peak_rss_bytes),
            bytes(self.upload_bytes),
        ));
    }
}
