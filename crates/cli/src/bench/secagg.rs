//! `chorus bench secagg`: one round of secure aggregation, every client of it, on one core.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use chorus_secagg::{
    Aggregate, Assumptions, Dropped, Kernel, MaskKey, MaskedUpdate, Ring, Sign, combine, plan,
    recover_pairs,
};
use clap::{Args, ValueEnum};
use serde::Serialize;
use zeroize::Zeroizing;

use super::clock::Began;
use super::cohort::Cohort;
use super::limits::{Keystream, sum};
use crate::exit::{self, OrExit, stop};
use crate::memory;
use crate::progress;
use crate::ranges::{ring_bits, share, within};
use crate::words::bytes;

/// Which code expands AES keystreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KernelChoice {
    /// The fastest that this processor runs.
    Auto,
    /// The `aes` crate alone.
    Portable,
}

/// Flags of `chorus bench secagg`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct SecAgg {
    /// Clients in the cohort.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = within(1, 100_000))]
    clients: usize,
    /// Values of one update.
    #[arg(long, value_name = "M", default_value_t = 1_000_000, value_parser = within(1, 100_000_000))]
    length: usize,
    /// Share of the clients that vanish after they shared and before they upload.
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = share)]
    dropout: f64,
    /// Bits of one value of the sum: 16, 20, 24 or 32.
    #[arg(long, value_name = "BITS", default_value_t = 32, value_parser = ring_bits)]
    bits: u32,
    /// Share of the clients that the plan takes to be corrupt.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    corrupt: f64,
    /// Which code expands AES keystreams.
    #[arg(long, value_enum, default_value_t = KernelChoice::Auto)]
    kernel: KernelChoice,
    /// Decides every key and who vanishes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Times in seconds that one thread computed, rates in bytes per second.
#[derive(Serialize)]
struct Figures {
    clients: usize,
    length: usize,
    dropout: f64,
    bits: u32,
    kernel: &'static str,
    degree: usize,
    threshold: usize,
    survivors: usize,
    /// Median over some clients: pair keys and masks.
    client_mask_seconds: f64,
    /// The same with keys, and shares split, sealed and opened.
    client_total_seconds: f64,
    client_seconds_per_neighbour: f64,
    upload_bytes: u64,
    float32_bytes: u64,
    upload_over_float32: f64,
    /// Adding up every upload, eight at a time.
    aggregate_seconds: f64,
    /// From the shares given back to the sum without masks.
    unmask_seconds: f64,
    /// Of which: secrets from shares, and pair keys from secrets.
    unmask_keys_seconds: f64,
    /// Keystream that unmasking expands.
    mask_bytes: u64,
    prg_limit_bytes_per_second: f64,
    keystream: Keystream,
    sum_limit_bytes_per_second: f64,
    unmask_over_limit: f64,
    sum_over_memory_limit: f64,
    /// Of this process, before anything of the round was there.
    baseline_rss_bytes: Option<u64>,
    peak_rss_bytes: Option<u64>,
    /// The recovered sum is the plain one, bit for bit.
    exact: bool,
}

/// Uploads that are added in one pass.
const TOGETHER: usize = 8;

/// Adds uploads that wait, and lets go of them. Gives the seconds of the adding.
fn add(aggregate: &mut Aggregate, waiting: &mut Vec<MaskedUpdate>) -> anyhow::Result<f64> {
    let began = Began::now();
    aggregate.add_all(waiting).or_exit(exit::FAILED)?;
    let seconds = began.seconds();
    waiting.clear();
    Ok(seconds)
}

/// Clients whose whole part is timed.
const TIMED: usize = 24;

impl SecAgg {
    pub fn run(&self) -> anyhow::Result<()> {
        let ring = Ring::try_from(self.bits).or_exit(exit::USAGE)?;
        let assumptions = Assumptions {
            corrupt: self.corrupt,
            dropout: self.dropout,
            ..Assumptions::DEFAULT
        };
        let plan = plan(self.clients, &assumptions).or_exit(exit::REFUSED)?;
        let kernel = match self.kernel {
            KernelChoice::Auto => Kernel::detect(),
            KernelChoice::Portable => Kernel::PORTABLE,
        };
        stay_on_one_core();
        progress::tell("measuring the limits of this core");
        let keystream = Keystream::measure();
        let sum_limit = sum(self.length);
        memory::forget_peak();
        let baseline = memory::now();
        progress::tell("drawing the keys of the cohort");
        let mut cohort = Cohort::draw(plan, self.dropout, self.seed);
        let clients = self.measure_clients(&mut cohort, ring, kernel)?;
        let added = self.add_up(&cohort, ring, kernel)?;
        let unmasked = unmask(&mut cohort, added.aggregate, kernel)?;
        let float32 = 4 * self.length as u64;
        let upload = ring.upload_bytes(self.length) as u64;
        let received = upload as f64 * added.survivors as f64;
        let lane = if ring == Ring::Bits16 { 2 } else { 4 };
        let mask_bytes = (unmasked.masks * (self.length + ring.check_values()) * lane) as u64;
        let figures = Figures {
            clients: self.clients,
            length: self.length,
            dropout: self.dropout,
            bits: self.bits,
            kernel: kernel.name(),
            degree: plan.degree,
            threshold: plan.threshold,
            survivors: added.survivors,
            client_mask_seconds: clients.mask,
            client_total_seconds: clients.total,
            client_seconds_per_neighbour: clients.total / plan.degree as f64,
            upload_bytes: upload,
            float32_bytes: float32,
            upload_over_float32: upload as f64 / float32 as f64,
            aggregate_seconds: added.seconds,
            unmask_seconds: unmasked.seconds,
            unmask_keys_seconds: unmasked.keys,
            mask_bytes,
            prg_limit_bytes_per_second: keystream.best(),
            unmask_over_limit: unmasked.seconds / (mask_bytes as f64 / keystream.best()),
            sum_over_memory_limit: added.seconds / (received / sum_limit),
            sum_limit_bytes_per_second: sum_limit,
            keystream,
            baseline_rss_bytes: baseline,
            peak_rss_bytes: memory::peak(),
            exact: unmasked.sum.is_some_and(|sum| sum == added.plain),
        };
        match self.json {
            true => progress::say_json(&figures)?,
            false => progress::say(&figures.words()),
        }
        match figures.exact {
            true => Ok(()),
            false => stop(exit::FAILED, "the recovered sum is not the plain one"),
        }
    }

    /// The medians over some of the clients.
    fn measure_clients(
        &self,
        cohort: &mut Cohort,
        ring: Ring,
        kernel: Kernel,
    ) -> anyhow::Result<super::cohort::ClientCost> {
        let timed: Vec<u32> = cohort.survivors().into_iter().take(TIMED).collect();
        let bar = progress::bar(timed.len() as u64, "clients timed");
        let (mut masks, mut totals) = (Vec::new(), Vec::new());
        for client in timed {
            let cost = cohort.measure_client(client, self.values(client), ring, kernel)?;
            masks.push(cost.mask);
            totals.push(cost.total);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(super::cohort::ClientCost {
            mask: median(masks),
            total: median(totals),
        })
    }

    /// Every survivor's upload, masked one after the other and added up; only the adding is timed.
    fn add_up(&self, cohort: &Cohort, ring: Ring, kernel: Kernel) -> anyhow::Result<Added> {
        let survivors = cohort.survivors();
        let bar = progress::bar(survivors.len() as u64, "uploads added");
        let mut aggregate = Aggregate::new(ring, self.length);
        let mut plain = vec![0u32; self.length];
        let mut seconds = 0.0;
        let mut waiting = Vec::with_capacity(TOGETHER);
        for client in &survivors {
            let values = self.values(*client);
            for (total, value) in plain.iter_mut().zip(&values) {
                *total = ring.reduce(total.wrapping_add(*value));
            }
            waiting.push(cohort.upload(*client, values, ring, kernel)?);
            if waiting.len() == TOGETHER {
                seconds += add(&mut aggregate, &mut waiting)?;
            }
            bar.inc(1);
        }
        seconds += add(&mut aggregate, &mut waiting)?;
        bar.finish_and_clear();
        Ok(Added {
            aggregate,
            plain,
            seconds,
            survivors: survivors.len(),
        })
    }

    /// One client's update: numbers that differ from client to client and from place to place.
    fn values(&self, client: u32) -> Vec<u32> {
        let mut state = self.seed ^ (u64::from(client) << 32) ^ 0x9e37_79b9_7f4a_7c15;
        let next = |_| {
            // xorshift64 (Marsaglia 2003): any numbers do.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as u32
        };
        (0..self.length).map(next).collect()
    }
}

/// The sum with its masks on, and without any.
struct Added {
    aggregate: Aggregate,
    plain: Vec<u32>,
    seconds: f64,
    survivors: usize,
}

/// The sum with its masks off.
struct Unmasked {
    sum: Option<Vec<u32>>,
    seconds: f64,
    keys: f64,
    masks: usize,
}

/// What the coordinator does once enough shares were given back.
fn unmask(
    cohort: &mut Cohort,
    mut aggregate: Aggregate,
    kernel: Kernel,
) -> anyhow::Result<Unmasked> {
    let mut given = Vec::with_capacity(cohort.plan.clients);
    for client in cohort.clients() {
        given.push((client, cohort.given_back(client)?));
    }
    progress::tell("unmasking the sum");
    let began = Began::now();
    let mut masks: Vec<(MaskKey, Sign)> = Vec::new();
    let mut lost: BTreeMap<u32, Zeroizing<[u8; 32]>> = BTreeMap::new();
    for (client, shares) in &given {
        let secret = combine(cohort.plan.threshold, shares).or_exit(exit::FAILED)?;
        if cohort.is_dropped(*client) {
            lost.insert(*client, secret);
        } else {
            let generator = cohort.public(*client)?.generator;
            let key = MaskKey::own(&secret, &cohort.digest, *client, generator);
            masks.push((key, Sign::Add));
        }
    }
    let publics = (0..cohort.plan.clients as u32)
        .map(|client| cohort.public(client))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for survivor in cohort.survivors() {
        let neighbours = cohort.graph.neighbours(survivor);
        let dropped: Vec<Dropped<'_>> = neighbours
            .iter()
            .filter_map(|index| {
                Some(Dropped {
                    index: *index,
                    mask_secret: lost.get(index)?,
                    public: publics.get(*index as usize)?,
                })
            })
            .collect();
        let theirs = cohort.public(survivor)?;
        let mut pairs =
            recover_pairs(survivor, &theirs, &dropped, &cohort.digest).or_exit(exit::FAILED)?;
        masks.append(&mut pairs);
    }
    let keys = began.seconds();
    aggregate.remove_with(kernel, NonZeroUsize::MIN, &masks);
    let sum = aggregate.finish().ok();
    Ok(Unmasked {
        sum,
        seconds: began.seconds(),
        keys,
        masks: masks.len(),
    })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Two cores share their caches and their clock; one core's limits are measured on one core.
#[cfg(target_os = "linux")]
fn stay_on_one_core() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)) {
        one.set(core);
        // Where it is not allowed, the figures are those of whatever core it runs on.
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn stay_on_one_core() {}

impl Figures {
    fn words(&self) -> String {
        let gigabytes = |rate: f64| format!("{:.2} GB/s", rate / 1e9);
        let mut lines = vec![
            format!(
                "{} clients of which {} uploaded, {} values of {} bits, degree {}, threshold {}, kernel {}",
                self.clients,
                self.survivors,
                self.length,
                self.bits,
                self.degree,
                self.threshold,
                self.kernel
            ),
            format!(
                "one client: {:.1} ms, of which pair keys and masks {:.1} ms; {:.3} ms for each neighbour",
                1e3 * self.client_total_seconds,
                1e3 * self.client_mask_seconds,
                1e3 * self.client_seconds_per_neighbour
            ),
            format!(
                "upload: {} ({:.3} of 32-bit floats)",
                bytes(self.upload_bytes),
                self.upload_over_float32
            ),
            format!(
                "adding up: {:.3} s, {:.2} of the memory-bound sum ({})",
                self.aggregate_seconds,
                self.sum_over_memory_limit,
                gigabytes(self.sum_limit_bytes_per_second)
            ),
            format!(
                "unmasking: {:.2} s (keys {:.2} s) for {} of keystream, {:.2} of the limit ({})",
                self.unmask_seconds,
                self.unmask_keys_seconds,
                bytes(self.mask_bytes),
                self.unmask_over_limit,
                gigabytes(self.prg_limit_bytes_per_second)
            ),
        ];
        let own = self.keystream.kernels.iter();
        let mut rates: Vec<String> = own
            .map(|(name, rate)| format!("{name} {}", gigabytes(*rate)))
            .collect();
        rates.push(format!(
            "aes + ctr {}",
            gigabytes(self.keystream.aes_ctr_crates)
        ));
        rates.extend(
            self.keystream
                .aws_lc_rs
                .map(|rate| format!("aws-lc-rs {}", gigabytes(rate))),
        );
        rates.push(format!("ChaCha12 {}", gigabytes(self.keystream.chacha12)));
        lines.push(format!("keystream of this core: {}", rates.join(", ")));
        if let (Some(peak), Some(baseline)) = (self.peak_rss_bytes, self.baseline_rss_bytes) {
            lines.push(format!(
                "memory: {} at most, {} before the round",
                bytes(peak),
                bytes(baseline)
            ));
        }
        lines.push(match self.exact {
            true => "the recovered sum is the plain one, bit for bit".to_owned(),
            false => "the recovered sum is NOT the plain one".to_owned(),
        });
        lines.join("\n")
    }
}
