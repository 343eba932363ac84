//! What one core of this machine can do at most: generate keystream, and add up vectors.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::Aes128;
use chorus_secagg::{Generator, Kernel, MaskKey, RoundDigest, Sign, expand};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use serde::Serialize;

use super::clock::Began;

/// Time for each measurement; the best of its repetitions counts, so that a busy machine does not lower a limit.
const PATIENCE: Duration = Duration::from_millis(400);

/// Keystream rates of one core, bytes per second.
#[derive(Clone, Debug, Serialize)]
pub struct Keystream {
    /// Own kernels, expanding and adding, by name.
    pub kernels: Vec<(String, f64)>,
    /// The `aes` and `ctr` crates, 16 KiB at a time.
    pub aes_ctr_crates: f64,
    /// `aws-lc-rs`, 16 KiB at a time; nothing when the command was built without it.
    pub aws_lc_rs: Option<f64>,
    /// ChaCha12 of the `chacha20` crate, expanding and adding.
    pub chacha12: f64,
}

impl Keystream {
    /// Measures them all.
    pub fn measure() -> Self {
        let kernels = Kernel::available().into_iter();
        Self {
            kernels: kernels
                .map(|kernel| {
                    let rate = fused(kernel, Generator::Aes128Ctr);
                    (kernel.name().to_owned(), rate)
                })
                .collect(),
            aes_ctr_crates: crates(),
            aws_lc_rs: aws(),
            chacha12: fused(Kernel::detect(), Generator::ChaCha12),
        }
    }

    /// The best of them all.
    pub fn best(&self) -> f64 {
        let own = self.kernels.iter().map(|(_, rate)| *rate);
        own.chain([self.aes_ctr_crates])
            .chain(self.aws_lc_rs)
            .fold(0.0, f64::max)
    }
}

/// The best rate at which `work` does `bytes`.
fn best(bytes: usize, mut work: impl FnMut()) -> f64 {
    let end = Instant::now() + PATIENCE;
    let mut least = f64::INFINITY;
    while Instant::now() < end {
        let began = Began::now();
        work();
        least = least.min(began.seconds());
    }
    bytes as f64 / least
}

/// 256 masks over 64 KiB, which stay in the caches.
fn fused(kernel: Kernel, generator: Generator) -> f64 {
    let digest = RoundDigest([1; 32]);
    let masks: Vec<(MaskKey, Sign)> = (0..=255u8)
        .map(|seed| {
            let key = MaskKey::own(&[seed; 32], &digest, 0, generator);
            (
                key,
                if seed % 2 == 0 {
                    Sign::Add
                } else {
                    Sign::Subtract
                },
            )
        })
        .collect();
    let mut lanes = vec![0u32; 16 << 10];
    best(masks.len() * lanes.len() * 4, || {
        expand(kernel, &masks, 0, black_box(&mut lanes));
    })
}

fn crates() -> f64 {
    let mut cipher = Ctr128BE::<Aes128>::new(&[7; 16].into(), &[0; 16].into());
    let mut buffer = vec![0u8; 16 << 10];
    best(256 * buffer.len(), || {
        for _ in 0..256 {
            cipher.apply_keystream(black_box(&mut buffer));
        }
    })
}

#[cfg(feature = "aws-lc")]
fn aws() -> Option<f64> {
    use aws_lc_rs::cipher::{AES_128, EncryptingKey, UnboundCipherKey};

    let mut buffer = vec![0u8; 16 << 10];
    let key = || {
        let unbound = UnboundCipherKey::new(&AES_128, &[7; 16]).ok()?;
        EncryptingKey::ctr(unbound).ok()
    };
    let key = key()?;
    Some(best(256 * buffer.len(), || {
        for _ in 0..256 {
            black_box(key.encrypt(black_box(&mut buffer)).is_ok());
        }
    }))
}

#[cfg(not(feature = "aws-lc"))]
fn aws() -> Option<f64> {
    None
}

/// Bytes that are summed for [`sum`]: far more than the caches hold, as the uploads of a round are.
const STREAMED: usize = 512 << 20;

/// Bytes of input per second when vectors of `length` 32-bit values, which no cache holds, are added up eight at a time.
pub fn sum(length: usize) -> f64 {
    let length = length.max(1);
    let groups = STREAMED.div_ceil(8 * 4 * length).max(1);
    // Written, so that every vector has memory of its own.
    let inputs: Vec<Vec<u32>> = (0..8 * groups as u32)
        .map(|seed| (0..length as u32).map(|place| place ^ seed).collect())
        .collect();
    let mut total = vec![0u32; length];
    best(groups * 8 * 4 * length, || {
        for group in inputs.as_chunks::<8>().0 {
            add(group, black_box(&mut total));
        }
    })
}

fn add([a, b, c, d, e, f, g, h]: &[Vec<u32>; 8], total: &mut [u32]) {
    let first = a.iter().zip(b).zip(c).zip(d);
    let second = e.iter().zip(f).zip(g).zip(h);
    for (total, (first, second)) in total.iter_mut().zip(first.zip(second)) {
        let (((a, b), c), d) = first;
        let (((e, f), g), h) = second;
        let left = a.wrapping_add(*b).wrapping_add(*c).wrapping_add(*d);
        let right = e.wrapping_add(*f).wrapping_add(*g).wrapping_add(*h);
        *total = total.wrapping_add(left).wrapping_add(right);
    }
}
