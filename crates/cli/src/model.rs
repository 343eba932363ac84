//! `chorus model`: what was published.

use std::path::PathBuf;

use chorus_coordinator::{export_model, list_models, model_quality, rollback_model};
use chorus_protocol::Origin;
use clap::Subcommand;

use crate::coordinator::Place;
use crate::exit::{self, OrExit};
use crate::learning::task_name;
use crate::{progress, task, words};

/// Actions of `chorus model`.
#[derive(Subcommand)]
pub enum Model {
    /// Every version of a task's model.
    List {
        #[command(flatten)]
        place: Place,
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What clients' own ranks said of the versions of a task with `evaluate`: of their newest items, which nothing was trained on.
    ///
    /// Intervals are of 95 %. No cell of fewer than 50 people can be computed from what one sum of ranks shows.
    Quality {
        #[command(flatten)]
        place: Place,
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a version as a safetensors file.
    Export {
        #[command(flatten)]
        place: Place,
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// The version [default: the newest].
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// Where to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish the content of an earlier version as a new one, signed and logged as a rollback.
    Rollback {
        #[command(flatten)]
        place: Place,
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: String,
        /// The version to bring back.
        #[arg(long, value_name = "N")]
        version: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Model {
    pub fn run(&self) -> anyhow::Result<()> {
        progress::trace();
        match self {
            Model::List { place, task, json } => {
                let list = list_models(&place.store()?, &task_name(task)?).or_exit(exit::DATA)?;
                if *json {
                    return progress::say_json(&list);
                }
                progress::say("version  origin    sums  digest");
                for row in list.versions {
                    progress::say(&format!(
                        "{:>7}  {:<8}  {:>4}  {}",
                        row.version,
                        origin(row.origin),
                        row.sums,
                        row.digest
                    ));
                }
                progress::say(&list.guarantee);
            }
            Model::Quality { place, task, json } => {
                let quality =
                    model_quality(&place.store()?, &task_name(task)?).or_exit(exit::DATA)?;
                if *json {
                    return progress::say_json(&quality);
                }
                for version in &quality.versions {
                    progress::say(&words::quality(version));
                }
            }
            Model::Export {
                place,
                task,
                version,
                out,
                json,
            } => {
                let exported = export_model(&place.store()?, &task_name(task)?, *version)
                    .or_exit(exit::DATA)?;
                progress::write(out, &exported.bytes)?;
                if *json {
                    return progress::say_json(&exported);
                }
                let (version, digest) = (exported.version, exported.digest);
                progress::say(&format!(
                    "version {version} in {}, SHA-256 {digest}",
                    out.display()
                ));
                progress::say(&exported.guarantee);
            }
            Model::Rollback {
                place,
                task,
                version,
                json,
            } => {
                let identity = place.directory().identity().or_exit(exit::ENVIRONMENT)?;
                let name = task_name(task)?;
                let rolled =
                    rollback_model(&place.store()?, &identity, &name, *version, task::now())
                        .or_exit(exit::DATA)?;
                if *json {
                    return progress::say_json(&rolled);
                }
                let (restored, version) = (rolled.restored, rolled.version);
                progress::say(&format!(
                    "version {restored} is published again, as version {version}"
                ));
                if let Some(note) = rolled.note {
                    progress::say(&note);
                }
            }
        }
        Ok(())
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Start => "start",
        Origin::Round => "round",
        Origin::Rollback => "rollback",
    }
}
