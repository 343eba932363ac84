//! How fast one client draws its noise: `cargo bench -p chorus-privacy`.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark may panic, and criterion writes its main function"
)]

use std::hint::black_box;

use chorus_privacy::{fill_discrete_gaussian, fill_skellam};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// One share of the demo's noise: scale 2^16, multiplier 1.1, 600 honest clients. Deviation 2943.
const VARIANCE: u64 = 8_661_094;
/// Coordinates of one client's vector that the targets are set for.
const LENGTH: usize = 250_000;

/// One vector of noise, and what one draw of it takes.
fn vectors(criterion: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut out = vec![0; LENGTH];
    let mut group = criterion.benchmark_group("250,000 coordinates");
    group.throughput(Throughput::Elements(LENGTH as u64));
    group.sample_size(20);
    group.bench_function("discrete Gaussian", |bencher| {
        bencher.iter(|| fill_discrete_gaussian(VARIANCE, black_box(&mut out), &mut rng).unwrap());
    });
    group.bench_function("Skellam", |bencher| {
        bencher.iter(|| fill_skellam(VARIANCE, black_box(&mut out), &mut rng).unwrap());
    });
    group.finish();
}

criterion_group!(benches, vectors);
criterion_main!(benches);
