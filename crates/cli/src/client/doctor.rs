//! `chorus client doctor`: what is wrong with a client, and what to do.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chorus_client::{
    Ask, Choice, Client, Consent, EnrolmentStatus, Error, Order, Protection, Purpose, Settings,
    State, Status, StoreError, Subject, TaskStatus,
};
use chorus_model::Everything;
use chorus_wire::Clock;
use clap::Args;
use serde::Serialize;

use super::explain;
use super::home::Home;
use super::unused::unused;
use crate::exit::{self, OrExit, stop};
use crate::{engine, progress};

#[derive(Args)]
pub struct Doctor {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Move a store that cannot be opened out of the way, whole, into a folder beside it, so that a new one can be made. This
    /// gives up its history and its record of what was contributed.
    #[arg(long, conflicts_with = "json")]
    set_aside: bool,
}

/// Bytes that the disk must have room for.
const PROBE_BYTES: usize = 1024 * 1024;
/// Seconds that clocks may differ by.
const MINUTES: i64 = 5 * 60;
const HOUR: i64 = 60 * 60;
/// Share of a limit from which on a person is told.
const NEARLY_SPENT: f64 = 0.9;

/// How one thing stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    /// As it should be.
    Well,
    /// It works; the person may want to know.
    Note,
    /// Something does not work until it is mended.
    Ill,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    health: Health,
    says: String,
}

impl Doctor {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        if self.set_aside {
            return set_store_aside(home);
        }
        let findings = examine(home)?;
        if self.json {
            progress::say_json(&findings)?;
        } else {
            for finding in &findings {
                let health = match finding.health {
                    Health::Well => "well",
                    Health::Note => "note",
                    Health::Ill => "ILL",
                };
                progress::say(&format!(
                    "{health:<5} {:<10} {}",
                    finding.what, finding.says
                ));
            }
        }
        let is_ill = |finding: &&Finding| finding.health == Health::Ill;
        match findings.iter().filter(is_ill).count() {
            0 => Ok(()),
            ill => stop(
                exit::FAILED,
                format!("{ill} of {} things need mending", findings.len()),
            ),
        }
    }
}

fn set_store_aside(home: &Home) -> anyhow::Result<()> {
    let (keys, now) = (home.keys()?, Clock::system().now());
    match Client::open(home.folder(), keys.as_ref(), Settings::default(), now) {
        Ok(_) => {
            let says = "the store opens: there is no need to set it aside";
            return stop(exit::REFUSED, says);
        }
        Err(Error::Store(
            StoreError::Damaged { .. }
            | StoreError::Missing { .. }
            | StoreError::Behind { .. }
            | StoreError::Foreign { .. }
            | StoreError::KeyMissing { .. }
            | StoreError::WrongKey { .. },
        )) => {}
        // What can be mended: the disk, the passphrase, the version.
        Err(error) => return Err(explain(error)),
    }
    let aside = chorus_client::set_aside(home.folder(), now);
    let aside = aside.or_exit(exit::ENVIRONMENT)?;
    progress::say(&format!("the store is in {} now", aside.display()));
    Ok(())
}

fn finding(what: &'static str, health: Health, says: impl Into<String>) -> Finding {
    let says = says.into();
    Finding { what, health, says }
}

/// Writes as much as a session may need, and takes it away again.
fn disk(folder: &Path) -> Finding {
    let write = || -> std::io::Result<()> {
        let mut probe = tempfile::tempfile_in(folder)?;
        probe.write_all(&vec![0; PROBE_BYTES])?;
        probe.sync_all()
    };
    let folder = folder.display();
    match write() {
        Ok(()) => finding("disk", Health::Well, "has room"),
        Err(error) => {
            let says = format!(
                "nothing can be written to {folder} ({error}): make room on its disk, or let yourself write there"
            );
            finding("disk", Health::Ill, says)
        }
    }
}

/// Whether others on this machine can read the file of the key.
fn rights(folder: &Path) -> Option<Finding> {
    let file = folder.join("client.key");
    let mode = std::fs::metadata(&file).ok()?.permissions().mode();
    let file = file.display();
    let says = format!(
        "others on this machine can read {file}: `chmod 600 {file}`, and `rotate-key` if somebody may have"
    );
    (mode & 0o077 != 0).then(|| finding("key", Health::Ill, says))
}

/// Nothing was written in the future, where clocks are right.
fn clock(client: &Client, now: i64) -> anyhow::Result<Finding> {
    let decided = client.receipts().map_err(explain)?;
    let sent = client.activity().map_err(explain)?;
    let did = client.items().map_err(explain)?;
    let decided = decided.iter().map(chorus_client::Receipt::at);
    let sent = sent.iter().map(|sent| sent.at);
    let did = did.iter().map(|item| item.last);
    let newest = decided.chain(sent).chain(did).max().unwrap_or(now);
    Ok(match newest - now {
        ..=MINUTES => finding("clock", Health::Well, "goes with what is kept"),
        ahead => {
            let says = format!(
                "what was kept last is {} hours after the time of this device: set its clock; if it was wrong before, \
                 `remove` or `correct` what it dated",
                (ahead + HOUR - 1) / HOUR
            );
            finding("clock", Health::Ill, says)
        }
    })
}

/// Whether muted topics leave anything to show.
fn muted(client: &mut Client, status: &Status, now: i64) -> anyhow::Result<Vec<Finding>> {
    let choices = client.choices().map_err(explain)?.into_iter();
    let topics = choices.filter_map(|control| match (control.what, control.choice) {
        (Subject::Topic(topic), Choice::Mute | Choice::NotInterested) => Some(topic),
        _ => None,
    });
    let (topics, known): (Vec<String>, _) = (topics.collect(), client.topics());
    let Some(first) = topics.first() else {
        return Ok(Vec::new());
    };
    let undo = format!("`control undo --topic '{first}'`");
    if known.is_empty() {
        let says = format!(
            "the topic `{first}` is muted, and no catalogue says which items that is: nothing is shown and nothing is learned from; name \
             the catalogue with --catalogue, or take the mute back: {undo}"
        );
        return Ok(vec![finding("choices", Health::Ill, says)]);
    }
    let mut findings = Vec::new();
    for topic in topics.iter().filter(|topic| !known.contains(*topic)) {
        let says = format!(
            "the topic `{topic}` is muted, and the catalogue names none of it any more: if it has another name now, mute that"
        );
        findings.push(finding("choices", Health::Note, says));
    }
    for task in status.tasks.iter().filter(|task| task.version.is_some()) {
        let model = client
            .model(&task.task, &engine::engine())
            .map_err(explain)?;
        let ask = Ask::best(Order::Popular(&model), 1);
        let list = client.rank(&ask, &Everything, &mut rand::rng(), now);
        if list.map_err(explain)?.places.is_empty() {
            let says = format!(
                "nothing of task `{}` may be shown: each of its items is of a muted topic, or the catalogue gives it none; add what is \
                 missing to the catalogue, or take a mute back: {undo}",
                task.task
            );
            findings.push(finding("choices", Health::Ill, says));
        }
    }
    Ok(findings)
}

fn examine(home: &Home) -> anyhow::Result<Vec<Finding>> {
    let now = Clock::system().now();
    let mut findings = Vec::new();
    if home.folder().is_dir() {
        findings.push(disk(home.folder()));
        findings.extend(rights(home.folder()));
    }
    let mut client = match home.open_known() {
        Ok(client) => client,
        Err(error) => {
            findings.push(finding("store", Health::Ill, exit::sentence(&error)));
            if home.known().is_ok() {
                let says = "what cannot be mended: `doctor --set-aside` keeps it whole beside a new one; `erase --yes` and \
                            the `centre` erase it, also where nothing opens it any more";
                findings.push(finding("erasure", Health::Note, says));
            }
            return Ok(findings);
        }
    };
    findings.push(finding("store", Health::Well, "opens, and is whole"));
    findings.push(clock(&client, now)?);
    if let Some(receipt) = client.erased().map_err(explain)? {
        let receipt = serde_json::to_string(&receipt)?;
        let says =
            format!("one of this folder broke off and was finished later; its receipt: {receipt}");
        findings.push(finding("erasure", Health::Note, says));
    }
    let protection = home.keys()?.protects();
    let health = match protection {
        Protection::File => Health::Note,
        Protection::Passphrase | Protection::Platform => Health::Well,
    };
    findings.push(finding("key", health, protection.to_string()));
    let consents = client.consents(now).map_err(explain)?;
    let is_on = |purpose: Purpose| {
        let mut consents = consents.iter();
        consents.any(|consent| consent.purpose == purpose && consent.state == State::Granted)
    };
    findings.extend(consent(&consents, is_on(Purpose::LocalPersonalisation)));
    for purpose in Purpose::all().filter(|purpose| !is_on(*purpose)) {
        let says = unused(&client, purpose)?;
        findings.extend(says.map(|says| finding("history", Health::Note, says)));
    }
    let status = client.status(now).map_err(explain)?;
    if is_on(Purpose::ContributeTraining) {
        findings.push(enrolment(&status.enrolment, now));
    }
    let limit = client.settings().floor.epsilon;
    findings.extend(status.tasks.iter().flat_map(|task| privacy(task, limit)));
    findings.push(models(&status));
    findings.extend(muted(&mut client, &status, now)?);
    Ok(findings)
}

/// What waits for a choice, and whether anything is kept.
fn consent(consents: &[Consent], personal: bool) -> Vec<Finding> {
    let pending = consents
        .iter()
        .filter(|consent| consent.state == State::Pending);
    let changed = |consent: &Consent| {
        let purpose = consent.purpose;
        let says = format!(
            "`{purpose}` is off until it is granted again: its notice changed; `consent show {purpose}` shows what, \
             `consent grant {purpose}` says yes to it"
        );
        finding("consent", Health::Note, says)
    };
    let mut findings: Vec<Finding> = pending.map(changed).collect();
    let (health, says) = match personal {
        true => (Health::Well, "local-personalisation is on"),
        false => (
            Health::Note,
            "local-personalisation is off: nothing is kept, and lists are the same for everybody; \
             `consent grant local-personalisation` turns it on",
        ),
    };
    findings.push(finding("consent", health, says));
    findings
}

fn enrolment(enrolment: &EnrolmentStatus, now: i64) -> Finding {
    let (health, says) = match enrolment {
        EnrolmentStatus::None => (
            Health::Ill,
            "contribute-training is on, but this client is not enrolled: `enrol` it with an invitation; \
             `--invitation -` reads it from standard input"
                .to_owned(),
        ),
        EnrolmentStatus::Over { reason } => (
            Health::Ill,
            format!("{reason}, with a new invitation of the authority"),
        ),
        EnrolmentStatus::Valid { until } => (
            Health::Well,
            format!("valid for {} more days", (until - now) / (24 * HOUR)),
        ),
    };
    finding("enrolment", health, says)
}

/// What a task has used up, and whether the log shows all of it.
fn privacy(task: &TaskStatus, limit: f64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = &task.task;
    if let (Some(epsilon), true) = (task.epsilon, task.contributions > 0) {
        let (health, then) = match epsilon > NEARLY_SPENT * limit {
            true => (
                Health::Note,
                "; a round that would pass the limit is not joined",
            ),
            false => (Health::Well, ""),
        };
        let says = format!("task `{name}` has used {epsilon:.1} of {limit:.1}{then}");
        findings.push(finding("privacy", health, says));
    }
    let missing = task.contributions - task.sent.min(task.contributions);
    if missing > 0 {
        let says = format!(
            "task `{name}`: {} of {} counted contributions are not in the log: they broke off before they left, or are older \
             than the log; `activity` shows it",
            missing, task.contributions
        );
        findings.push(finding("activity", Health::Note, says));
    }
    findings
}

fn models(status: &Status) -> Finding {
    let all = status.tasks.iter();
    match all.filter(|task| task.version.is_some()).count() {
        0 => finding(
            "model",
            Health::Note,
            "there is no model here yet: it comes with the first round, or at the end of a task",
        ),
        models => finding("model", Health::Well, format!("{models} here")),
    }
}
