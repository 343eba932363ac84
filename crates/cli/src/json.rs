use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::progress;

/// Where the figures of a command go besides.
#[derive(Args)]
pub struct Json {
    /// Write the figures as JSON: to a file, or without one to standard output, in place of the words.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

impl Json {
    /// The file, where one is named.
    pub fn file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|_| !self.replaces_words())
    }

    /// Whether standard output is to have nothing but the figures.
    pub fn replaces_words(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }

    /// Writes the figures where they are asked for.
    pub fn write(&self, figures: &impl Serialize) -> anyhow::Result<()> {
        match self.file() {
            Some(file) => progress::write(file, &serde_json::to_vec_pretty(figures)?),
            None if self.replaces_words() => progress::say_json(figures),
            None => Ok(()),
        }
    }
}
