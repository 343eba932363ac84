//! `chorus client verify-receipt`: whether a receipt is what was given.

use std::path::PathBuf;

use chorus_client::ErasureReceipt;
use clap::Args;
use serde_json::Value;

use super::explain;
use super::home::Home;
use crate::exit::{self, OrExit, stop};
use crate::progress;

#[derive(Args)]
pub struct VerifyReceipt {
    /// The receipt, JSON: of an erasure, which is checked by itself, without a client in the folder; or of a decision, which is compared
    /// with the ledger of the client in the folder.
    file: PathBuf,
    /// As JSON: what the receipt says.
    #[arg(long)]
    json: bool,
}

impl VerifyReceipt {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let name = self.file.display();
        let text = progress::read(&self.file, exit::DATA)?;
        let receipt: Value = serde_json::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{name} is no receipt: {error}"))
            .or_exit(exit::DATA)?;
        match receipt.get("statement") {
            Some(_) => self.erasure(receipt),
            None => self.decision(&receipt, home),
        }
    }

    /// By its signature.
    fn erasure(&self, receipt: Value) -> anyhow::Result<()> {
        let name = self.file.display();
        let receipt: ErasureReceipt = serde_json::from_value(receipt)
            .map_err(|error| anyhow::anyhow!("{name} is no receipt of an erasure: {error}"))
            .or_exit(exit::DATA)?;
        let Ok(erasure) = receipt.verify() else {
            let says = format!(
                "{name}: the signature does not fit what it says: it was changed, or is not whole"
            );
            return stop(exit::REFUSED, says);
        };
        if self.json {
            return progress::say_json(&erasure);
        }
        let records: u64 = erasure.gone.values().sum();
        let key = receipt.key.map(|byte| format!("{byte:02x}")).concat();
        progress::say(&format!(
            "the receipt is whole, and signed with the key {key}"
        ));
        progress::say(&match erasure.unread {
            true => "everything is gone; the store did not open, so nobody can say what was in it"
                .to_owned(),
            false => format!("{records} records are gone, and the key that they were sealed under"),
        });
        let sums = erasure.remaining.len();
        progress::say(&match (erasure.unread, sums, erasure.epsilon) {
            (true, ..) => "what was contributed before cannot be taken back".to_owned(),
            (_, 0, _) => "nothing was contributed, so nothing remains anywhere".to_owned(),
            (_, sums, Some(epsilon)) => format!(
                "{sums} contributions are in sums that others have; together they tell at most epsilon {epsilon:.3} at delta {}",
                erasure.delta
            ),
            (_, sums, None) => format!(
                "{sums} contributions are in sums that others have; one had no noise, so no epsilon bounds what they tell"
            ),
        });
        Ok(())
    }

    /// By the ledger that it came from.
    fn decision(&self, receipt: &Value, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        match client.gave(receipt).map_err(explain)? {
            true if self.json => progress::say_json(receipt),
            true => {
                progress::say(
                    "the ledger of this client holds this decision, just as the receipt says it",
                );
                Ok(())
            }
            false => stop(
                exit::REFUSED,
                format!(
                    "{}: the ledger of this client gave no such receipt: it was changed, or is of another client",
                    self.file.display()
                ),
            ),
        }
    }
}
