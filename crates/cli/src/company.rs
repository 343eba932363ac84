//! The processes that a simulation runs in: one, unless a launcher of MPI started several.

use std::process::ExitCode;

use chorus_protocol::Digest;
use chorus_simulator::{Checkpoint, Company, Farewell, Record};

use crate::exit::{self, OrExit, code_of, sentence, with};
use crate::progress;

/// The processes that this one was started with.
#[cfg(feature = "mpi")]
fn join() -> anyhow::Result<Box<dyn Company>> {
    let launched = chorus_mpi::Launched::join().or_exit(exit::ENVIRONMENT)?;
    Ok(match launched {
        Some(launched) => Box::new(launched),
        None => Box::new(chorus_simulator::Alone),
    })
}

/// This process alone. Several that know nothing of each other would each do all of the work, and write the same files.
#[cfg(not(feature = "mpi"))]
fn join() -> anyhow::Result<Box<dyn Company>> {
    let several = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .any(|size| size.trim() != "1");
    match several {
        true => exit::stop(
            exit::ENVIRONMENT,
            "a launcher of MPI started several of this command, which was built without MPI: build it with `--features mpi`",
        ),
        false => Ok(Box::new(chorus_simulator::Alone)),
    }
}

/// Does the work of one of several processes, of which the first speaks for all, and ends them together.
pub fn together(work: impl FnOnce(&dyn Company) -> anyhow::Result<()>) -> ExitCode {
    let company = match join() {
        Ok(company) => company,
        Err(error) => return exit::ended(Err(error)),
    };
    let company = company.as_ref();
    if !company.is_first() {
        progress::hush();
    }
    let outcome = work(company);
    let outcome = match told(&outcome) {
        Some(farewell) => in_words(Err(farewell)),
        None => end(company, outcome),
    };
    let code = exit::ended(outcome);
    // A launcher ends all when one ends badly: not before the first has spoken.
    company.sum(&mut [0]);
    code
}

/// Why the others end, where that is why this one does.
fn told(outcome: &anyhow::Result<()>) -> Option<Farewell> {
    let mut causes = outcome.as_ref().err()?.chain();
    causes.find_map(|cause| cause.downcast_ref().cloned())
}

/// What all processes end with.
fn end(company: &dyn Company, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
    if company.size() == 1 {
        return outcome;
    }
    let own = outcome.map_err(|error| Farewell {
        code: code_of(&error),
        sentence: sentence(&error),
    });
    in_words(company.part(own))
}

/// Ends as all of them do.
pub fn in_words<T>(outcome: Result<T, Farewell>) -> anyhow::Result<T> {
    outcome.map_err(|farewell| with(farewell.code, farewell))
}

/// Refuses processes that would not run the same: each reads its own files, on its own machine.
pub fn compare(company: &dyn Company, record: &Record) -> anyhow::Result<()> {
    if company.size() > 1 {
        record.options.check_shared().or_exit(exit::USAGE)?;
    }
    let task = serde_json::to_vec(&record.task)?;
    let options = serde_json::to_vec(&record.options)?;
    let build = format!("{} {}", record.version, record.engine);
    let data = &record.data;
    let is_here = format!(
        "its data `{}` has {} users, {} items and the digest {}, which is not the data of process 0: put the same files on every \
         machine",
        data.name, data.users, data.items, data.digest
    );
    let is_built = format!(
        "it is chorus {build}, and process 0 is another: put the same command on every machine"
    );
    let is_asked = "it was given another task or other options than process 0: give all the same flags and files".to_owned();
    for (digest, code, sentence) in [
        (Digest::of(build.as_bytes()), exit::ENVIRONMENT, is_built),
        (data.digest, exit::DATA, is_here),
        (
            Digest::of_parts("run", &[&task, &options]),
            exit::USAGE,
            is_asked,
        ),
    ] {
        in_words(company.agree(digest, || Farewell { code, sentence }))?;
    }
    Ok(())
}

/// The checkpoint of the first process, on all of them.
pub fn checkpoint(
    company: &dyn Company,
    own: Option<Checkpoint>,
) -> anyhow::Result<Option<Checkpoint>> {
    if company.size() == 1 {
        return Ok(own);
    }
    let bytes = own.map_or(Ok(Vec::new()), |own| own.to_bytes())?;
    match in_words(company.of_first(bytes))?.as_slice() {
        [] => Ok(None),
        bytes => Ok(Some(Checkpoint::from_bytes(bytes)?)),
    }
}
