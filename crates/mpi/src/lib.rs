#![doc = include_str!("../README.md")]

use chorus_simulator::Company;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::{Universe, initialize_with_threading, processor_name};
use mpi::traits::{Communicator, CommunicatorCollectives};
use thiserror::Error;

/// What launchers set for the processes that they start: Open MPI, PMIx (Slurm), and PMI (MPICH, Slurm).
const LAUNCHERS: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"];

/// Numbers that travel at a time: what is received needs room beside what is sent.
const AT_ONCE: usize = 1 << 20;

/// Why processes cannot work together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MpiError {
    /// MPI was begun before.
    #[error("MPI was begun before in this process")]
    Twice,
    /// An MPI that allows no threads beside the one that calls it.
    #[error(
        "this MPI allows no threads beside the one that calls it: take one that was built for MPI_THREAD_FUNNELED"
    )]
    Threads,
}

/// All processes that one launcher started. They part when the last of them drops it.
pub struct Launched(Universe);

impl Launched {
    /// Meets the others; nothing where no launcher started this process. Call it and all that follows from one thread.
    ///
    /// # Errors
    /// When MPI cannot be begun.
    pub fn join() -> Result<Option<Self>, MpiError> {
        if !LAUNCHERS
            .iter()
            .any(|name| std::env::var_os(name).is_some())
        {
            return Ok(None);
        }
        let (universe, threading) =
            initialize_with_threading(Threading::Funneled).ok_or(MpiError::Twice)?;
        match threading >= Threading::Funneled {
            true => Ok(Some(Self(universe))),
            false => Err(MpiError::Threads),
        }
    }
}

impl Company for Launched {
    fn rank(&self) -> usize {
        self.0.world().rank().unsigned_abs() as usize
    }

    fn size(&self) -> usize {
        self.0.world().size().unsigned_abs() as usize
    }

    fn place(&self) -> String {
        processor_name().unwrap_or_else(|_| "a machine without a name".to_owned())
    }

    fn sum(&self, numbers: &mut [i64]) {
        let world = self.0.world();
        let mut sums = vec![0; numbers.len().min(AT_ONCE)];
        for numbers in numbers.chunks_mut(AT_ONCE) {
            if let Some(sums) = sums.get_mut(..numbers.len()) {
                world.all_reduce_into(&*numbers, sums, SystemOperation::sum());
                numbers.copy_from_slice(sums);
            }
        }
    }
}

impl Drop for Launched {
    /// The others wait for who panics: they are ended too.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.world().abort(101);
        }
    }
}
