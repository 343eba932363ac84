//! How fast masks, sums, key agreements and shares are, next to the limits of this machine measured in the same run:
//! `cargo bench -p chorus-secagg`, or one group of it with `cargo bench -p chorus-secagg -- keystream`.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark may panic, and criterion writes its main function"
)]

use std::hint::black_box;
use std::num::NonZeroUsize;

use chorus_secagg::*;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The numbers the targets are set for: a cohort of 1,000 with 10 % corrupt and 30 % vanishing.
const NEIGHBOURS: usize = 114;
const THRESHOLD: usize = 41;
const LENGTH: usize = 1_000_000;
const DIGEST: RoundDigest = RoundDigest([7; 32]);

fn masks(count: usize, generator: Generator) -> Vec<(MaskKey, Sign)> {
    (0..count as u32)
        .map(|i| {
            let key = MaskKey::own(&[9; 32], &DIGEST, i, generator);
            (key, Sign::of(i % 2, 1))
        })
        .collect()
}

/// Keystream expanded and added, by kernel, generator and number of keys.
fn keystream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keystream");
    let mut wide = vec![0_u32; LENGTH];
    let mut narrow = vec![0_u16; 2 * LENGTH];
    for keys in [1, 16, 256] {
        group.throughput(Throughput::Bytes((4 * LENGTH * keys) as u64));
        let aes = masks(keys, Generator::Aes128Ctr);
        for kernel in Kernel::available() {
            group.bench_function(format!("{kernel}/{keys} keys/u32"), |bencher| {
                bencher.iter(|| expand(kernel, &aes, 0, black_box(&mut wide)));
            });
            group.bench_function(format!("{kernel}/{keys} keys/u16"), |bencher| {
                bencher.iter(|| expand(kernel, &aes, 0, black_box(&mut narrow)));
            });
        }
        let chacha = masks(keys, Generator::ChaCha12);
        group.bench_function(format!("chacha12/{keys} keys/u32"), |bencher| {
            bencher.iter(|| expand(Kernel::detect(), &chacha, 0, black_box(&mut wide)));
        });
    }
    group.finish();
}

/// One client's upload.
fn masking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for ring in Ring::ALL {
        let bytes = ring.lane_bytes() * LENGTH * (NEIGHBOURS + 1);
        group.throughput(Throughput::Bytes(bytes as u64));
        for kernel in Kernel::available() {
            group.bench_function(format!("{kernel}/{} bits", ring.bits()), |bencher| {
                bencher.iter_batched(
                    || (vec![1; LENGTH], masks(NEIGHBOURS + 1, Generator::Aes128Ctr)),
                    |(values, mut masks)| {
                        let (own, _) = masks.pop().unwrap();
                        mask_with(kernel, values, ring, &own, masks)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

/// The sum of eight vectors of 32-bit words in one pass, which memory limits; the sum of eight uploads; and of one that
/// has just arrived, with the memory given back.
fn adding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("add");
    let words: Vec<Vec<u32>> = (0..8).map(|i| vec![i; LENGTH]).collect();
    let mut sum = vec![0_u32; LENGTH];
    group.throughput(Throughput::Bytes((8 * 4 * LENGTH) as u64));
    group.bench_function("limit: 8 vectors of u32", |bencher| {
        bencher.iter(|| sum_of_eight(black_box(&words), &mut sum));
    });
    for ring in Ring::ALL {
        let (own, _) = masks(1, Generator::Aes128Ctr).pop().unwrap();
        let upload = mask(vec![1; LENGTH], ring, &own, []);
        let uploads = vec![upload.clone(); 8];
        let mut sum = Aggregate::new(ring, LENGTH);
        let bytes = ring.upload_bytes(LENGTH);
        group.throughput(Throughput::Bytes((8 * bytes) as u64));
        group.bench_function(format!("8 uploads of {} bits", ring.bits()), |bencher| {
            bencher.iter(|| sum.add_all(black_box(&uploads)));
        });
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(
            format!("1 upload of {} bits, owned", ring.bits()),
            |bencher| {
                bencher.iter_batched(
                    || upload.clone(),
                    |upload| sum.add(upload),
                    BatchSize::PerIteration,
                );
            },
        );
    }
    group.finish();
}

fn sum_of_eight(inputs: &[Vec<u32>], sum: &mut [u32]) {
    let [a, b, c, d, e, f, g, h] = inputs else {
        return;
    };
    let inputs = a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(g).zip(h);
    for (sum, (((((((a, b), c), d), e), f), g), h)) in sum.iter_mut().zip(inputs) {
        let four = a.wrapping_add(*b).wrapping_add(*c).wrapping_add(*d);
        let more = e.wrapping_add(*f).wrapping_add(*g).wrapping_add(*h);
        *sum = sum.wrapping_add(four).wrapping_add(more);
    }
}

/// The coordinator's unmasking of 256 masks, on one thread and on all.
fn unmasking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("remove");
    let masks = masks(256, Generator::Aes128Ctr);
    let threads = std::thread::available_parallelism().unwrap();
    for ring in [Ring::Bits16, Ring::Bits32] {
        let mut sum = Aggregate::new(ring, LENGTH);
        group.throughput(Throughput::Bytes((ring.lane_bytes() * LENGTH * 256) as u64));
        for kernel in Kernel::available() {
            for threads in [NonZeroUsize::MIN, threads] {
                group.bench_function(
                    format!("{kernel}/{} bits/{threads} threads", ring.bits()),
                    |bencher| bencher.iter(|| sum.remove_with(kernel, threads, &masks)),
                );
            }
        }
    }
    group.finish();
}

/// The coordinator's key agreements for one survivor with many dropped neighbours.
fn recovering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recover_pairs");
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut keys = || RoundKeys::generate(Generator::Aes128Ctr, &mut rng);
    let survivor = keys().public();
    let clients: Vec<RoundKeys> = (0..NEIGHBOURS).map(|_| keys()).collect();
    let secrets: Vec<_> = clients.iter().map(RoundKeys::mask_secret).collect();
    let public: Vec<PublicKeys> = clients.iter().map(RoundKeys::public).collect();
    for count in [1, 2, 4, 8, 34, 114] {
        let dropped: Vec<Dropped<'_>> = (0..count)
            .map(|i| Dropped {
                index: i as u32,
                mask_secret: &secrets[i],
                public: &public[i],
            })
            .collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(count),
            &dropped,
            |bencher, dropped| {
                bencher.iter(|| recover_pairs(999, &survivor, dropped, &DIGEST));
            },
        );
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("one at a time", |bencher| {
        bencher.iter(|| MaskKey::pair(&clients[0], &survivor, &DIGEST, 0, 999));
    });
    group.finish();
}

/// One client's shares of both its secrets; one secret put together.
fn sharing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shamir");
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let name = format!("split both secrets, {THRESHOLD} of {NEIGHBOURS}");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let one = split(black_box(&[3; 32]), THRESHOLD, NEIGHBOURS, &mut rng);
            let other = split(black_box(&[4; 32]), THRESHOLD, NEIGHBOURS, &mut rng);
            (one, other)
        });
    });
    let shares = split(&[5; 32], THRESHOLD, NEIGHBOURS, &mut rng)
        .ok()
        .unwrap();
    group.bench_function(format!("combine {THRESHOLD}"), |bencher| {
        bencher.iter(|| combine(THRESHOLD, black_box(&shares)));
    });
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = keystream, masking, adding, unmasking, recovering, sharing
}
criterion_main!(all);
