//! Ctrl-C and SIGTERM: the round under way is ended, and the run can be gone on with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{self, OrExit};
use crate::progress;

/// Whether somebody asked for the end.
pub struct Interruption {
    asked: Arc<AtomicBool>,
    /// Hears the signals; they are not heard once it is dropped.
    _runtime: Runtime,
}

impl Interruption {
    /// From now on a signal ends nothing by itself, but for the second.
    pub fn heard() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .or_exit(exit::ENVIRONMENT)?;
        let asked = Arc::new(AtomicBool::new(false));
        let (mut interrupt, mut terminate) = runtime
            .block_on(async {
                let interrupt = signal(SignalKind::interrupt())?;
                Ok::<_, std::io::Error>((interrupt, signal(SignalKind::terminate())?))
            })
            .or_exit(exit::ENVIRONMENT)?;
        let flag = Arc::clone(&asked);
        runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if flag.swap(true, Ordering::Relaxed) {
                    std::process::exit(i32::from(exit::INTERRUPTED));
                }
                progress::tell("ending the round under way; once more ends at once");
            }
        });
        Ok(Self {
            asked,
            _runtime: runtime,
        })
    }

    /// Whether a signal came.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
