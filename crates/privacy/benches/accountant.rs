//! How long the accountant thinks: ten thousand steps on samples, composed by their loss.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use chorus_privacy::account::{noise_multiplier, upper_bound};
use chorus_privacy::{Accountant, Event, Mechanism};
use criterion::{Criterion, criterion_group, criterion_main};

fn event(sampling_rate: f64, noise_multiplier: f64, steps: u64) -> Event {
    Event {
        mechanism: Mechanism::SubsampledGaussian {
            sampling_rate,
            noise_multiplier,
        },
        steps,
    }
}

fn accountant(criterion: &mut Criterion) {
    let run = [event(0.01, 1.1, 10_000)];
    for (name, accountant) in [
        ("pld", Accountant::Pld),
        ("rdp", Accountant::Rdp),
        ("best", Accountant::Best),
    ] {
        criterion.bench_function(&format!("epsilon of 10^4 sampled steps, {name}"), |bench| {
            bench.iter(|| upper_bound(black_box(&run), 1e-6, accountant).unwrap());
        });
    }
    criterion.bench_function("noise for epsilon 1 of 10^3 sampled steps, best", |bench| {
        bench.iter(|| {
            let events = |multiplier| vec![event(0.01, multiplier, 1000)];
            noise_multiplier(black_box(1.0), 1e-5, Accountant::Best, events).unwrap()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = accountant
}
criterion_main!(benches);
