//! `chorus client doctor`: what is wrong with a client, and what to do.

use chorus_client::{EnrolmentStatus, Protection, Purpose, Settings, State};
use chorus_wire::Clock;
use clap::Args;
use serde::Serialize;

use super::explain;
use super::home::Home;
use crate::exit::{self, stop};
use crate::progress;

#[derive(Args)]
pub struct Doctor {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

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
        match findings
            .iter()
            .filter(|finding| finding.health == Health::Ill)
            .count()
        {
            0 => Ok(()),
            ill => stop(
                exit::FAILED,
                format!("{ill} of {} things need mending", findings.len()),
            ),
        }
    }
}

fn examine(home: &Home) -> anyhow::Result<Vec<Finding>> {
    let finding = |what, health, says: String| Finding { what, health, says };
    let now = Clock::system().now();
    let client = match home.open_known(Settings::default()) {
        Ok(client) => client,
        Err(error) => return Ok(vec![finding("store", Health::Ill, exit::sentence(&error))]),
    };
    let mut findings = vec![finding(
        "store",
        Health::Well,
        "opens, and is whole".to_owned(),
    )];
    let protection = home.keys()?.protects();
    let health = match protection {
        Protection::File => Health::Note,
        Protection::Passphrase | Protection::Platform => Health::Well,
    };
    findings.push(finding("key", health, protection.to_string()));
    let consents = client.consents(now).map_err(explain)?;
    for consent in &consents {
        if consent.state == State::Pending {
            let says = format!(
                "`{}` is off until it is granted again: its notice changed",
                consent.purpose
            );
            findings.push(finding("consent", Health::Note, says));
        }
    }
    let is_on = |purpose: Purpose| {
        let consent = consents.iter().find(|consent| consent.purpose == purpose);
        consent.is_some_and(|consent| consent.state == State::Granted)
    };
    let personal = is_on(Purpose::LocalPersonalisation);
    let (health, says) = match personal {
        true => (Health::Well, "local-personalisation is on"),
        false => (
            Health::Note,
            "local-personalisation is off: nothing is kept, and lists are the same for everybody",
        ),
    };
    findings.push(finding("consent", health, says.to_owned()));
    let status = client.status(now).map_err(explain)?;
    if is_on(Purpose::ContributeTraining) {
        let (health, says) = match &status.enrolment {
            EnrolmentStatus::None => (
                Health::Ill,
                "contribute-training is on, but this client is not enrolled: `enrol` it with an invitation".to_owned(),
            ),
            EnrolmentStatus::Over { reason } => (
                Health::Ill,
                format!("{reason}; ask the authority for a new invitation and `enrol` again"),
            ),
            EnrolmentStatus::Valid { until } => {
                (Health::Well, format!("valid for {} more days", (until - now) / (24 * 60 * 60)))
            }
        };
        findings.push(finding("enrolment", health, says));
    }
    let with_model = status
        .tasks
        .iter()
        .filter(|task| task.version.is_some())
        .count();
    let (health, says) = match with_model {
        0 => (
            Health::Note,
            "there is no model here yet: it comes with the first round, or at the end of a task"
                .to_owned(),
        ),
        models => (Health::Well, format!("{models} here")),
    };
    findings.push(finding("model", health, says));
    Ok(findings)
}
