use std::ffi::c_char;

use chorus_client::{End, Loop, News};
use chorus_model::Direct;
use chorus_protocol::TaskName;
use chorus_wire::Clock;
use chorus_wire::client::Target;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use crate::code::{CHORUS_FAULT, CHORUS_NOT_GRANTED, Failure};
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::random::generator;
use crate::text::{Place, read, text};

/// What to take part in, and for how long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    /// `host:port`.
    coordinator: String,
    task: TaskName,
    /// What of the settings' budget is another one this time.
    max_ms: Option<u64>,
    max_bytes: Option<u64>,
    max_threads: Option<usize>,
}

/// What came of it.
#[derive(Serialize)]
struct Done {
    /// `finished`: the task is over and its last model is here. `spent`: the budget is. `stopped`: by the app.
    end: &'static str,
    /// Rounds that were completed.
    rounds: usize,
    /// The last thing that did not work, if it did not since.
    later: Option<String>,
}

/// Takes part in the rounds of a task until it is finished, its budget is spent, or `chorus_stop` is called. Blocks this thread,
/// which does all the work; other calls with the same client go on meanwhile, from other threads. The app may end at any
/// moment: the next contribution takes up the round.
///
/// `work`: `{"coordinator": "host:port", "task": "films"}`; besides, where this time's budget is not that of the settings,
/// `"max_ms": 600000`, `"max_bytes": 2000000` that are sent (the message that passes it is the last one), and `"max_threads": 2` that
/// an engine may learn with; this library's own learns with the thread that calls, whatever it may.
/// `report`: `{"end": "finished" | "spent" | "stopped", "rounds": 3, "later": null}`.
///
/// What passes (no network, a refusal) is waited out. Codes: `CHORUS_NOT_GRANTED`, `CHORUS_NOT_ENROLLED`,
/// `CHORUS_ENROL_AGAIN`, `CHORUS_DISTRUST`, `CHORUS_STORE`, `CHORUS_BUSY` where this client contributes already.
///
/// # Safety
/// `work` is text that ends with a zero; `report` is a place for one pointer. The report is to be freed with
/// `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_contribute(
    client: ChorusClient,
    work: *const c_char,
    report: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (report, work) = unsafe {
            let report = Place::at(report, std::ptr::null_mut(), "report")?;
            (report, text(work, "work")?)
        };
        let work: Work = read(work, "work")?;
        let target = Target::new(&work.coordinator)
            .map_err(|error| Failure::misuse(format!("work: coordinator: {error}")))?;
        let handle = Handle::of(client)?;
        let mut budget = handle.settings().budget;
        budget.max_ms = work.max_ms.unwrap_or(budget.max_ms);
        budget.max_bytes = work.max_bytes.unwrap_or(budget.max_bytes);
        budget.max_threads = work.max_threads.unwrap_or(budget.max_threads);
        let done = handle.contribute(budget, |mut client, mut stop| {
            let clock = Clock::system();
            let (mut rounds, mut later) = (0, None);
            let mut news = |news: News<'_>| match news {
                News::Joined(_) => later = None,
                News::Over(..) => rounds += 1,
                News::Later(error) => later = Some(error.to_string()),
            };
            let mut rng = generator()?;
            let end = runtime()?.block_on(async {
                let mut connection = client.connect(target, &clock)?;
                let stopped = async {
                    // It fails when the client was closed, which stops it as well.
                    let _closed = stop.changed().await;
                };
                let work = Loop {
                    task: &work.task,
                    engine: &Direct,
                    clock: &clock,
                    news: &mut news,
                };
                client.run(&mut connection, work, &mut rng, stopped).await
            })?;
            let end = match end {
                End::Finished => "finished",
                End::Spent => "spent",
                End::Shutdown => "stopped",
                End::Withdrawn => {
                    let sentence = "the person withdrew their leave to contribute";
                    return Err(Failure::new(CHORUS_NOT_GRANTED, sentence));
                }
            };
            Ok(Done { end, rounds, later })
        })?;
        report.tell(&done)
    })
}

/// Ends the contribution that is under way with this client, from any thread. Nothing is lost by it.
#[unsafe(no_mangle)]
pub extern "C" fn chorus_stop(client: ChorusClient) -> i32 {
    entry(|| {
        Handle::of(client)?.stop();
        Ok(())
    })
}

/// What drives a call that needs the network: on the thread that calls, and no other.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(CHORUS_FAULT, format!("no runtime: {error}")))
}
