//! The sum of masked updates, on the coordinator.

use core::fmt;
use core::num::NonZeroUsize;
use std::sync::Mutex;

use thiserror::Error;

use crate::expand::{BATCH, Batch, Lane, UNIT_BYTES};
use crate::kernel::Kernel;
use crate::keystream::Sign;
use crate::mask::{MalformedUpdate, MaskKey, MaskedUpdate, check_encoding};
use crate::pack::{add_narrow, add_wide, pack_narrow, pack_wide};
use crate::ring::Ring;

/// A sum of so many bytes stays in the processor's caches from one upload to the next, and uploads are best added while
/// they are there too. A longer one comes from memory for every pass, so that uploads wait to share a pass.
const CACHED_SUM: usize = 8 << 20;
/// Uploads added in one pass.
const WAITING_UPLOADS: usize = 8;
/// Bytes of uploads that may wait.
const WAITING_BYTES: usize = 96 << 20;
/// Values added at a time: their sums stay close while a part of every waiting upload is added. An even number, so that
/// the parts of an upload start at a byte.
const TILE: usize = 512;
/// Keystream, in bytes, for which it pays to start a thread.
const WORTH_A_THREAD: usize = 8 << 20;

/// The running sum of masked updates in one ring. Adding and unmasking commute, so uploads can be added as they arrive
/// and masks removed in any order.
///
/// # Privacy
/// While one mask remains the values are uniformly random. `Debug` prints the length only.
#[derive(Clone)]
pub struct Aggregate {
    ring: Ring,
    length: usize,
    /// Values, then check values; reduced to the ring only when they leave.
    lanes: Lanes,
    /// Uploads not yet added.
    waiting: Vec<MaskedUpdate>,
}

#[derive(Clone)]
enum Lanes {
    /// Modulo `2^16`.
    Narrow(Vec<u16>),
    /// Every other ring.
    Wide(Vec<u32>),
}

/// The check values of a sum were not zero after unmasking: some client masked under another round digest, or a share
/// or a mask was wrong. Nothing of the sum can be used, and nothing of it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the masks did not cancel: the check values of the sum are not zero, so the round is void")]
pub struct SpoiledSum;

/// An upload of another ring or length than the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a sum of {expected_length} values of {expected_bits} bits cannot take an upload of {found_length} values of \
     {found_bits} bits"
)]
pub struct WrongShape {
    /// Values of the sum.
    pub expected_length: usize,
    /// Bits of its ring.
    pub expected_bits: u32,
    /// Values of the upload.
    pub found_length: usize,
    /// Bits of its ring.
    pub found_bits: u32,
}

impl Aggregate {
    /// An empty sum of vectors of `length` values, check values not counted.
    pub fn new(ring: Ring, length: usize) -> Self {
        let values = ring.masked_values(length);
        let lanes = match ring {
            Ring::Bits16 => Lanes::Narrow(zeros(values)),
            Ring::Bits20 | Ring::Bits24 | Ring::Bits32 => Lanes::Wide(zeros(values)),
        };
        Self {
            ring,
            length,
            lanes,
            waiting: Vec::new(),
        }
    }

    /// The ring of its values.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// Number of values in the sum, check values not counted.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the sum has no values but check values.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds one upload. When the sum is longer than 8 MiB, up to eight uploads or 96 MiB of them wait for each other and are
    /// added in one pass.
    ///
    /// # Errors
    /// [`WrongShape`] when the upload has another ring or length; the sum is then unchanged.
    pub fn add(&mut self, update: MaskedUpdate) -> Result<(), WrongShape> {
        self.check_shape(&update)?;
        let bytes = update.bytes().len();
        self.waiting.push(update);
        // They all have the same number of bytes.
        let waiting = self.waiting.len();
        if self.lane_bytes() <= CACHED_SUM
            || waiting >= WAITING_UPLOADS
            || bytes.saturating_mul(waiting + 1) > WAITING_BYTES
        {
            self.flush();
        }
        Ok(())
    }

    fn lane_bytes(&self) -> usize {
        match &self.lanes {
            Lanes::Narrow(lanes) => size_of_val(lanes.as_slice()),
            Lanes::Wide(lanes) => size_of_val(lanes.as_slice()),
        }
    }

    /// Adds uploads that the caller keeps, eight in one pass.
    ///
    /// # Errors
    /// [`WrongShape`] when one has another ring or length; the sum is then unchanged.
    pub fn add_all(&mut self, updates: &[MaskedUpdate]) -> Result<(), WrongShape> {
        updates
            .iter()
            .try_for_each(|update| self.check_shape(update))?;
        for updates in updates.chunks(WAITING_UPLOADS) {
            let uploads: Vec<&[u8]> = updates.iter().map(MaskedUpdate::bytes).collect();
            add_packed(self.ring, &uploads, &mut self.lanes);
        }
        Ok(())
    }

    fn check_shape(&self, update: &MaskedUpdate) -> Result<(), WrongShape> {
        if (update.ring(), update.length()) == (self.ring, self.length) {
            return Ok(());
        }
        Err(WrongShape {
            expected_length: self.length,
            expected_bits: self.ring.bits(),
            found_length: update.length(),
            found_bits: update.ring().bits(),
        })
    }

    /// Adds the uploads that wait.
    fn flush(&mut self) {
        let uploads: Vec<&[u8]> = self.waiting.iter().map(MaskedUpdate::bytes).collect();
        add_packed(self.ring, &uploads, &mut self.lanes);
        self.waiting.clear();
    }

    /// Removes masks: survivors' own ones, which were added with [`Sign::Add`], and those that survivors share with
    /// dropped clients, from [`recover_pairs`](crate::recover_pairs). The sign is the one a mask was *added* with.
    ///
    /// Every thread the process may use takes a range of the vector, when there is enough to do.
    pub fn remove(&mut self, masks: &[(MaskKey, Sign)]) {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.remove_with(Kernel::detect(), threads, masks);
    }

    /// [`remove`](Self::remove), with a kernel and a number of threads of the caller's choice: the result is the same.
    pub fn remove_with(
        &mut self,
        kernel: Kernel,
        threads: NonZeroUsize,
        masks: &[(MaskKey, Sign)],
    ) {
        match &mut self.lanes {
            Lanes::Narrow(lanes) => remove(kernel, threads, masks, lanes),
            Lanes::Wide(lanes) => remove(kernel, threads, masks, lanes),
        }
    }

    /// The sum of the survivors' values, each below `2^b`, once every mask is removed.
    ///
    /// # Errors
    /// [`SpoiledSum`] when a check value is not zero. That is decided before any value is given out.
    pub fn finish(mut self) -> Result<Vec<u32>, SpoiledSum> {
        self.flush();
        let mut values = match self.lanes {
            Lanes::Narrow(lanes) => lanes.into_iter().map(u32::from).collect(),
            Lanes::Wide(mut lanes) => {
                for lane in &mut lanes {
                    *lane = self.ring.reduce(*lane);
                }
                lanes
            }
        };
        if values.len() != self.ring.masked_values(self.length) {
            return Err(SpoiledSum);
        }
        let check_values = values.split_off(self.length);
        if check_values.iter().any(|value| *value != 0) {
            return Err(SpoiledSum);
        }
        Ok(values)
    }

    /// The sum as it stands, masks and all, in the encoding of an upload: for a checkpoint.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        self.flush();
        let values = self.lane_bytes() / self.ring.lane_bytes();
        let mut bytes = vec![0; self.ring.packed_bytes(values)];
        match &self.lanes {
            Lanes::Narrow(lanes) => pack_narrow(lanes, &mut bytes),
            Lanes::Wide(lanes) => pack_wide(self.ring, lanes, &mut bytes),
        }
        bytes
    }

    /// The sum that [`to_bytes`](Self::to_bytes) wrote down.
    ///
    /// # Errors
    /// [`MalformedUpdate`] when the bytes are not such a sum of this ring and length.
    pub fn from_bytes(bytes: &[u8], ring: Ring, length: usize) -> Result<Self, MalformedUpdate> {
        check_encoding(bytes, ring, length)?;
        let mut sum = Self::new(ring, length);
        add_packed(ring, &[bytes], &mut sum.lanes);
        Ok(sum)
    }
}

/// Adds uploads of the same length, tile by tile.
fn add_packed(ring: Ring, uploads: &[&[u8]], lanes: &mut Lanes) {
    let tile_bytes = ring.packed_bytes(TILE);
    let mut rest = uploads.to_vec();
    let next_tile = |rest: &mut Vec<&[u8]>| {
        for upload in rest {
            (_, *upload) = upload.split_at(tile_bytes.min(upload.len()));
        }
    };
    match lanes {
        Lanes::Narrow(lanes) => {
            for lanes in lanes.chunks_mut(TILE) {
                add_narrow(&rest, lanes);
                next_tile(&mut rest);
            }
        }
        Lanes::Wide(lanes) => {
            for lanes in lanes.chunks_mut(TILE) {
                add_wide(ring, &rest, lanes);
                next_tile(&mut rest);
            }
        }
    }
}

/// Removes masks from all ranges of a vector, which the threads take one after another.
fn remove<L: Lane>(
    kernel: Kernel,
    threads: NonZeroUsize,
    masks: &[(MaskKey, Sign)],
    lanes: &mut [L],
) {
    let keystream = size_of_val(lanes).saturating_mul(masks.len());
    let threads = threads.get().min(keystream / WORTH_A_THREAD).max(1);
    // A few ranges for each thread, so that none has to wait long for a slower one. Each starts at a unit.
    let ranges = if threads == 1 { 1 } else { 4 * threads };
    let units = size_of_val(lanes).div_ceil(UNIT_BYTES);
    let units_each = units.div_ceil(ranges).max(1);
    let ranges = lanes.chunks_mut(units_each.saturating_mul(UNIT_BYTES / L::BYTES));
    let ranges = Mutex::new(ranges.enumerate());
    let next = || ranges.lock().ok().and_then(|mut ranges| ranges.next());
    let work = || {
        while let Some((number, lanes)) = next() {
            remove_range(kernel, masks, (number * units_each) as u64, lanes);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system has no thread to give, the others do its part.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

fn remove_range<L: Lane>(
    kernel: Kernel,
    masks: &[(MaskKey, Sign)],
    first_unit: u64,
    lanes: &mut [L],
) {
    let mut batch = Batch::new(kernel, masks.len());
    for masks in masks.chunks(BATCH) {
        for (key, sign) in masks {
            batch.push(key, sign.opposite());
        }
        batch.apply(first_unit, lanes);
        batch.clear();
    }
}

/// Empty when no memory can hold that many: no upload can have such a length either, and no sum comes of it.
fn zeros<L: Clone + Default>(length: usize) -> Vec<L> {
    let mut lanes = Vec::new();
    if lanes.try_reserve_exact(length).is_ok() {
        lanes.resize(length, L::default());
    }
    lanes
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Self) -> bool {
        // Uploads may wait in one and not in the other; and the lanes are not reduced.
        (self.ring, self.length) == (other.ring, other.length)
            && self.clone().to_bytes() == other.clone().to_bytes()
    }
}

impl Eq for Aggregate {}

impl fmt::Debug for Aggregate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Aggregate({} values)", self.len())
    }
}

#[cfg(test)]
mod tests;
