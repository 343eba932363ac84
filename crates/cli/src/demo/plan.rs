//! What the processes of a demo tell each other: one file in the folder of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chorus_data::{Dataset, Synthesis, read, synthesise};
use serde::{Deserialize, Serialize};

use crate::exit::{self, OrExit};

/// Where the people of the demo come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    /// Made up, with planted tastes.
    Synthetic {
        users: usize,
        items: usize,
        seed: u64,
    },
    /// A folder.
    Folder(PathBuf),
}

impl Source {
    /// The data set; the same in every process.
    pub fn open(&self) -> anyhow::Result<Dataset> {
        match self {
            Source::Synthetic { users, items, seed } => Ok(synthesise(&Synthesis {
                users: *users,
                items: *items,
                seed: *seed,
                ..Synthesis::default()
            })),
            Source::Folder(folder) => read(folder).or_exit(exit::DATA),
        }
    }
}

/// What a host of clients needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DemoPlan {
    pub source: Source,
    pub task: String,
    pub seed: u64,
    /// Share of all clients that vanish in each round.
    pub vanish: f64,
    /// Nothing: the people of this demo agreed to a task without noise.
    pub epsilon: Option<f64>,
    pub delta: f64,
    pub authority: String,
    pub coordinator: String,
    /// DER.
    pub authority_certificate: Vec<u8>,
    /// One for each client.
    pub invitations: Vec<String>,
}

impl DemoPlan {
    const FILE: &str = "demo.json";

    pub fn write(&self, run: &Path) -> anyhow::Result<()> {
        crate::progress::write(&run.join(Self::FILE), &serde_json::to_vec(self)?)
    }

    pub fn read(run: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(
            run.join(Self::FILE),
        )?)?)
    }
}

/// What a host measured on its clients.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HostFigures {
    /// Contributions that were learned.
    pub learned: usize,
    /// Of those, how many were cut down to the norm bound, by round.
    pub clipped: BTreeMap<u64, usize>,
    /// Rounds that a client ended because its floor or its checks said so, with the reason.
    pub refusals: Vec<String>,
    /// Requests that the coordinator did not take, with the reason.
    pub rejections: Vec<String>,
    /// Bytes that all connections sent, everything included.
    pub sent: u64,
    /// Bytes that all connections received.
    pub received: u64,
}

impl HostFigures {
    /// Adds what another process measured.
    pub fn merge(&mut self, other: Self) {
        self.learned += other.learned;
        for (round, clipped) in other.clipped {
            *self.clipped.entry(round).or_default() += clipped;
        }
        self.sent += other.sent;
        self.received += other.received;
        self.refusals.extend(other.refusals);
        self.rejections.extend(other.rejections);
    }
}
