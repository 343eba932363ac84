//! `chorus client`: one client, driven by hand.

mod activity;
mod catalogue;
mod centre;
mod consent;
mod doctor;
mod history;
mod home;
mod receipt;
mod run;
mod taste;
mod unused;

use chorus_client::Purpose;
use chorus_wire::Clock;
use clap::{Args, Subcommand};

use crate::exit::{self, stop};
use crate::{progress, words};

/// Flags of `chorus client`.
#[derive(Args)]
pub struct Client {
    #[command(flatten)]
    home: home::Home,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say what may be done: every purpose is off until it is granted.
    ///
    /// Example: chorus client --home me consent grant local-personalisation
    #[command(subcommand)]
    Consent(consent::Action),
    /// What a browser or a system says for the person: Global Privacy Control, TCF, GPP.
    ///
    /// Example: chorus client --home me signal hear gpc.json
    #[command(subcommand)]
    Signal(consent::SignalAction),
    /// Add events from a file: a table with a header (item, kind, at, ...), JSON lines, or lines `item` or `item<TAB>seconds since
    /// 1970`. They stay in the folder.
    ///
    /// Example: chorus client --home me import events.tsv
    Import(history::Import),
    /// Everything that is kept here.
    ///
    /// Example: chorus client --home me view --json
    View(history::View),
    /// Take everything along, as JSON, as a table, or as a page to read.
    ///
    /// Example: chorus client --home me export --json mine.json --html mine.html
    Export(history::Export),
    /// Change what an event says: the lists are then as if it had always been so.
    ///
    /// Example: chorus client --home me correct 17 --at 1800000000 --kind purchase
    Correct(history::Correct),
    /// Remove an item of the history, one event, or all that came from one source: the lists are then as if it had never been.
    ///
    /// Example: chorus client --home me remove --source third-party
    Remove(history::Remove),
    /// Forget the whole history and start over; choices and the record of what was contributed stay.
    ///
    /// Example: chorus client --home me reset --yes
    Reset(history::Reset),
    /// Erase everything: the key first. Works without a network, and gives a signed receipt.
    ///
    /// Example: chorus client --home me erase --yes
    Erase(history::Erase),
    /// Check a receipt of an erasure by its signature, or one of a decision by the ledger it came from. Works without a network.
    ///
    /// Example: chorus client --home me verify-receipt receipt.json
    VerifyReceipt(receipt::VerifyReceipt),
    /// Recommend from the newest model that is here. Works without a network. Before there is one, in the order of the catalogue.
    ///
    /// Example: chorus client --home me recommend --task films --count 10
    Recommend(taste::Recommend),
    /// Say why an item is recommended: what of the own history speaks for it. Works without a network.
    ///
    /// Example: chorus client --home me explain 12 --task films
    Explain(taste::Explain),
    /// The list with and without one item of the history. Nothing is kept of it.
    ///
    /// Example: chorus client --home me what-if 12 --task films
    WhatIf(taste::WhatIf),
    /// Mute, pin or hide an item or a topic.
    ///
    /// Example: chorus client --home me control mute --topic Horror
    #[command(subcommand)]
    Control(taste::Controls),
    /// What decides the order of lists, and how to change it.
    Parameters(taste::Parameters),
    /// Exchange an invitation for a certificate. The key is made here and never leaves.
    ///
    /// Example: chorus client --home me enrol --authority localhost:7444 --certificate authority.pem --invitation -
    Enrol(run::Enrol),
    /// Take part in a task until it is finished or Ctrl-C ends it; nothing is lost either way.
    ///
    /// Example: chorus client --home me run --coordinator localhost:7443 --task films --max-ms 60000
    Run(run::Run),
    /// What this client is, has contributed and has spent.
    ///
    /// Example: chorus client --home me status --json
    Status(Status),
    /// The log of all that left this device: when, what, how many bytes, for which purpose, in which round, and the epsilon that was
    /// spent by then.
    ///
    /// Example: chorus client --home me activity --json
    Activity(activity::Activity),
    /// Open the privacy centre in a browser of this machine.
    ///
    /// Example: chorus client --home me centre
    Centre(centre::Show),
    /// Say what is wrong and what to do.
    Doctor(doctor::Doctor),
    /// Make a new key and seal everything anew; with --to, move it to another key store.
    ///
    /// Example: chorus client --home me rotate-key
    RotateKey(history::RotateKey),
}

#[derive(Args)]
struct Status {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// How a command that changes something says that it did.
#[derive(Args)]
struct Told {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Told {
    /// `is_done`: false where there was nothing to change.
    fn tell(&self, is_done: bool, sentence: &str) -> anyhow::Result<()> {
        if self.json {
            return progress::say_json(&serde_json::json!({ "done": is_done }));
        }
        progress::say(sentence);
        Ok(())
    }
}

impl Client {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        let home = &self.home;
        match &self.action {
            Action::Consent(action) => action.run(home),
            Action::Signal(action) => action.run(home),
            Action::Import(action) => action.run(home),
            Action::View(action) => action.run(home),
            Action::Export(action) => action.run(home),
            Action::Correct(action) => action.run(home),
            Action::Remove(action) => action.run(home),
            Action::Reset(action) => action.run(home),
            Action::Erase(action) => action.run(home),
            Action::VerifyReceipt(action) => action.run(home),
            Action::Recommend(action) => action.run(home),
            Action::Explain(action) => action.run(home),
            Action::WhatIf(action) => action.run(home),
            Action::Control(action) => action.run(home),
            Action::Parameters(action) => action.run(home),
            Action::Enrol(action) => action.run(home),
            Action::Run(action) => action.run(home),
            Action::Status(action) => action.run(home),
            Action::Activity(action) => action.run(home),
            Action::Centre(action) => action.run(home),
            Action::Doctor(action) => action.run(home),
            Action::RotateKey(action) => action.run(home),
        }
    }
}

impl Status {
    fn run(&self, home: &home::Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        let status = client.status(Clock::system().now()).map_err(explain)?;
        if self.json {
            return progress::say_json(&status);
        }
        if let Ok(id) = client.id() {
            progress::say(&format!("client {}", words::id(&id)));
        }
        progress::say(&words::client(&status));
        Ok(())
    }
}

/// What there is to do where something is not kept because these were not allowed.
fn not_granted(purposes: impl IntoIterator<Item = Purpose>) -> anyhow::Result<()> {
    let names: Vec<String> = purposes.into_iter().map(String::from).collect();
    stop(
        exit::REFUSED,
        format!(
            "nothing is kept that needs what the person has not allowed: `{}`; `consent grant {}` does",
            names.join("`, `"),
            names.join(" ")
        ),
    )
}

/// A runtime for one command.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// An error of the client library with its exit code.
fn explain(error: chorus_client::Error) -> anyhow::Error {
    use chorus_client::Error;
    let code = match &error {
        Error::Unreachable { .. } | Error::Store(_) => exit::ENVIRONMENT,
        Error::Refused(_)
        | Error::Rejected { .. }
        | Error::Enrol { .. }
        | Error::Log(_)
        | Error::NotGranted { .. }
        | Error::Decision(_)
        | Error::Ledger { .. } => exit::REFUSED,
        Error::NoModel { .. }
        | Error::NoCandidates
        | Error::Model { .. }
        | Error::Import { .. }
        | Error::UnknownTopic { .. } => exit::DATA,
        _ => exit::FAILED,
    };
    exit::with(code, error)
}
