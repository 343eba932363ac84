//! `chorus client activity`: the log of all that left.

use chorus_client::Sent;
use clap::Args;
use serde_json::{Value, json};

use super::explain;
use super::home::Home;
use crate::{progress, words};

#[derive(Args)]
pub struct Activity {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Activity {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        let sent = client.activity().map_err(explain)?;
        if self.json {
            return progress::say_json(&sent.iter().map(full).collect::<Vec<Value>>());
        }
        if sent.is_empty() {
            progress::tell("nothing has left this device");
            return Ok(());
        }
        progress::say("when\twhat\tmessages\tbytes\tpurpose\tround\tepsilon so far");
        for line in &sent {
            progress::say(&columns(line));
        }
        let bytes = sent.iter().map(|line| line.bytes).sum();
        progress::tell(&format!(
            "{} in all, as a packet capture counts them below TLS",
            words::bytes(bytes)
        ));
        Ok(())
    }
}

/// A line with what is counted anew from the ledger.
fn full(line: &Sent) -> Value {
    json!({
        "at": line.at,
        "what": line.what,
        "messages": line.messages,
        "bytes": line.bytes,
        "purpose": line.purpose,
        "round": line.round,
        "epsilon": line.epsilon,
    })
}

fn columns(line: &Sent) -> String {
    let round = line.round.map(|round| round.0.to_string());
    let epsilon = line.epsilon.map(|epsilon| format!("{epsilon:.3}"));
    [
        words::moment(line.at),
        line.what.name().to_owned(),
        line.messages.to_string(),
        line.bytes.to_string(),
        line.purpose.to_string(),
        round.unwrap_or_default(),
        epsilon.unwrap_or_default(),
    ]
    .join("\t")
}
