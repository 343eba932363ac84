//! The sum of masked updates, on the coordinator.

use core::fmt;
use core::num::NonZeroUsize;

use thiserror::Error;

use crate::expand::expand_one;
use crate::kernel::Kernel;
use crate::keystream::Sign;
use crate::mask::{MalformedUpdate, MaskKey, MaskedUpdate, check_encoding};
use crate::pack::{pack, unpack};
use crate::ring::Ring;

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

    /// Adds one upload.
    ///
    /// # Errors
    /// [`WrongShape`] when the upload has another ring or length; the sum is then unchanged.
    pub fn add(&mut self, update: MaskedUpdate) -> Result<(), WrongShape> {
        if update.ring() != self.ring || update.length() != self.length {
            return Err(WrongShape {
                expected_length: self.length,
                expected_bits: self.ring.bits(),
                found_length: update.length(),
                found_bits: update.ring().bits(),
            });
        }
        self.add_packed(update.bytes());
        Ok(())
    }

    fn add_packed(&mut self, bytes: &[u8]) {
        match &mut self.lanes {
            Lanes::Narrow(lanes) => {
                let mut places = lanes.iter_mut();
                unpack(self.ring, bytes, |value| {
                    if let Some(lane) = places.next() {
                        *lane = lane.wrapping_add(value as u16);
                    }
                });
            }
            Lanes::Wide(lanes) => {
                let mut places = lanes.iter_mut();
                unpack(self.ring, bytes, |value| {
                    if let Some(lane) = places.next() {
                        *lane = lane.wrapping_add(value);
                    }
                });
            }
        }
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
        let _ = threads;
        for (key, sign) in masks {
            match &mut self.lanes {
                Lanes::Narrow(lanes) => expand_one(kernel, key, sign.opposite(), 0, lanes),
                Lanes::Wide(lanes) => expand_one(kernel, key, sign.opposite(), 0, lanes),
            }
        }
    }

    /// The sum of the survivors' values, each below `2^b`, once every mask is removed.
    ///
    /// # Errors
    /// [`SpoiledSum`] when a check value is not zero. That is decided before any value is given out.
    pub fn finish(self) -> Result<Vec<u32>, SpoiledSum> {
        let mut values = self.values();
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
        let mut bytes = Vec::new();
        pack(self.ring, &self.values(), &mut bytes);
        bytes
    }

    /// The sum that [`to_bytes`](Self::to_bytes) wrote down.
    ///
    /// # Errors
    /// [`MalformedUpdate`] when the bytes are not such a sum of this ring and length.
    pub fn from_bytes(bytes: &[u8], ring: Ring, length: usize) -> Result<Self, MalformedUpdate> {
        check_encoding(bytes, ring, length)?;
        let mut sum = Self::new(ring, length);
        sum.add_packed(bytes);
        Ok(sum)
    }

    /// Values and check values, reduced to the ring.
    fn values(&self) -> Vec<u32> {
        match &self.lanes {
            Lanes::Narrow(lanes) => lanes.iter().map(|lane| u32::from(*lane)).collect(),
            Lanes::Wide(lanes) => lanes.iter().map(|lane| self.ring.reduce(*lane)).collect(),
        }
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
        self.ring == other.ring && self.length == other.length && self.values() == other.values()
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
