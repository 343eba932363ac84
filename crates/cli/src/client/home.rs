//! Where a client lives, what opens it, and what is known about its items.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chorus_client::{Client, Error, FileKey, KeyStore, PassphraseKey, Settings};
use chorus_protocol::TaskName;
use chorus_wire::Clock;
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use super::catalogue::Listed;
use super::explain;
use crate::exit::{self, OrExit, stop};
use crate::{learning, progress};

/// Flags that every action has.
#[derive(Args)]
pub struct Home {
    /// Folder that holds everything this client knows: its key, its events, its models.
    #[arg(long, env = "CHORUS_CLIENT_HOME", value_name = "DIR")]
    home: PathBuf,
    /// What keeps the key: a file beside the store, or that file locked with the passphrase in CHORUS_PASSPHRASE.
    #[arg(long, value_enum, default_value_t = Key::File)]
    key: Key,
    /// What the app knows of its items: a table with a header, tabs or commas: item, title, topics (with | between), sensitive.
    #[arg(long, value_name = "FILE", env = "CHORUS_CATALOGUE")]
    catalogue: Option<PathBuf>,
    /// What the app decided for its client, as JSON: {"floor": {"epsilon": 4}, "durability": "power-loss"}, ... What is left out is
    /// the careful choice.
    #[arg(long, value_name = "FILE", env = "CHORUS_CLIENT_SETTINGS")]
    settings: Option<PathBuf>,
    /// A private session: nothing of what is done or shown in it is kept. What the person chooses or decides is. It begins no client.
    #[arg(long)]
    private: bool,
}

/// What keeps the key of a store.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// A file beside the store.
    File,
    /// The same, locked with a passphrase.
    Passphrase,
}

impl Home {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.home
    }

    /// Refuses a file inside the folder: what lies there under a name of the client's own would be taken for its own.
    pub fn keep_out(&self, file: &Path) -> anyhow::Result<()> {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.canonicalize(),
            _ => std::env::current_dir(),
        };
        let is_inside = |home: PathBuf| folder.is_ok_and(|folder| folder.starts_with(home));
        match self.home.canonicalize().is_ok_and(is_inside) {
            false => Ok(()),
            true => stop(
                exit::USAGE,
                format!(
                    "{} would be in the client's own folder {}: write it elsewhere",
                    file.display(),
                    self.home.display()
                ),
            ),
        }
    }

    /// What keeps the key.
    pub fn keys(&self) -> anyhow::Result<Box<dyn KeyStore + Send + Sync>> {
        key_store(&self.home, self.key, "CHORUS_PASSPHRASE")
    }

    /// What the app decided.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let Some(file) = &self.settings else {
            return Ok(Settings::default());
        };
        let text = progress::read(file, exit::USAGE)?;
        serde_json::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
            .or_exit(exit::USAGE)
    }

    /// The client, made when there is none.
    pub fn open(&self) -> anyhow::Result<Client> {
        self.open_with(self.settings()?)
    }

    /// A client that is there already.
    pub fn open_known(&self) -> anyhow::Result<Client> {
        self.open_known_with(self.settings()?)
    }

    /// A client that is there already: a mistyped folder must not become a new one.
    pub fn open_known_with(&self, settings: Settings) -> anyhow::Result<Client> {
        self.known()?;
        self.open_with(settings)
    }

    /// There is something in the folder.
    pub fn known(&self) -> anyhow::Result<()> {
        let is_empty = |mut files: std::fs::ReadDir| files.next().is_none();
        if std::fs::read_dir(&self.home).map_or(true, is_empty) {
            let home = self.home.display();
            return stop(
                exit::DATA,
                format!(
                    "there is no client in {home}: begin with `consent grant`, `import` or `enrol`"
                ),
            );
        }
        Ok(())
    }

    /// A private session leaves nothing behind, so it begins no client either.
    fn begun(&self) -> anyhow::Result<()> {
        match self.home.join("client.db").exists() {
            true => Ok(()),
            false => stop(
                exit::DATA,
                format!(
                    "there is no client in {}, and a private session begins none: leave out --private to begin one",
                    self.home.display()
                ),
            ),
        }
    }

    fn open_with(&self, settings: Settings) -> anyhow::Result<Client> {
        let open = self.opening(settings)?;
        open(Clock::system().now()).map_err(explain)
    }

    /// What opens the client at a time, seconds since 1970 UTC, as often as it is wished.
    pub fn opening(
        &self,
        settings: Settings,
    ) -> anyhow::Result<impl Fn(i64) -> Result<Client, Error> + Send + Sync + 'static> {
        let (home, keys, private) = (self.home.clone(), self.keys()?, self.private);
        let catalogue = self.catalogue.as_deref().map(Listed::read).transpose()?;
        let catalogue = catalogue.map(Arc::new);
        if private {
            self.begun()?;
        }
        Ok(move |now| {
            let mut client = Client::open(&home, keys.as_ref(), settings.clone(), now)?;
            if let Some(catalogue) = &catalogue {
                client.set_catalogue(catalogue.clone());
            }
            client.private(private);
            Ok(client)
        })
    }
}

/// The key store of a folder; a passphrase comes from the environment variable `name`, so that it is in no list of processes.
pub fn key_store(
    home: &Path,
    key: Key,
    name: &str,
) -> anyhow::Result<Box<dyn KeyStore + Send + Sync>> {
    match key {
        Key::File => Ok(Box::new(FileKey::beside(home))),
        Key::Passphrase => match std::env::var(name).map(Zeroizing::new) {
            Ok(passphrase) if !passphrase.is_empty() => {
                Ok(Box::new(PassphraseKey::new(home, passphrase)))
            }
            _ => stop(
                exit::USAGE,
                format!("put the passphrase into the environment variable {name}"),
            ),
        },
    }
}

/// The task that was named, or the only one that there is a model of.
pub fn task(client: &Client, named: Option<&str>) -> anyhow::Result<TaskName> {
    if let Some(name) = named {
        return learning::task_name(name);
    }
    let status = client.status(Clock::system().now()).map_err(explain)?;
    let with_model = status.tasks.iter().filter(|task| task.version.is_some());
    let names: Vec<&TaskName> = with_model.map(|task| &task.task).collect();
    match names.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(anyhow::anyhow!("there is no model here yet: `run` takes part in a task, and fetches its model when a round is over")).or_exit(exit::DATA),
        names => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            stop(exit::USAGE, format!("name the task with --task: there are models of {}", names.join(", ")))
        }
    }
}
