use thiserror::Error;

/// Why something that would weaken or falsify the guarantee was refused.
///
/// Every message names the field and says what to do. None carries a value of a person's update.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// The privacy budget is not a positive finite number.
    #[error(
        "epsilon is {0}, but must be a positive finite number: give the epsilon of the whole task, for example 8"
    )]
    Epsilon(f64),
    /// The failure probability is not a probability.
    #[error(
        "delta is {0}, but must lie strictly between 0 and 1: give at most 1 / (10 x population), for example 1e-6"
    )]
    Delta(f64),
    /// There is nothing to calibrate.
    #[error("weights is empty: give clip^2 of each release of the task, one number per release")]
    NoWeights,
    /// There is nothing to guarantee.
    #[error("releases is empty: give every sum of the task that one client takes part in")]
    NoReleases,
    /// A weight is not a squared clip.
    #[error(
        "weights contains {0}, but each weight is the squared clip of a release: give positive finite numbers"
    )]
    Weight(f64),
    /// No noise level this program can represent reaches the epsilon.
    #[error(
        "epsilon {0} is too small for these releases: ask for a larger epsilon or for fewer releases"
    )]
    Unreachable(f64),
    /// A noise multiplier is zero, negative or not a number.
    #[error(
        "noise_multiplier is {0}, but must be a positive finite number: calibrate it from epsilon, or turn noise off by name"
    )]
    NoiseMultiplier(f64),
    /// The distance of the discrete mechanism from the continuous one is not a number the accountant can add.
    #[error(
        "tau_times_length is {0}, but must be zero or a positive finite number: take the release from LocalNoise::release"
    )]
    TauTimesLength(f64),
    /// Numbers of a Skellam sum that the accountant cannot use.
    #[error(
        "skellam has variance {variance} and sensitivity_l1 {sensitivity_l1}, but both must be positive finite numbers: take the release from LocalNoise::release"
    )]
    SkellamNumbers {
        /// Variance of the sum, grid units squared.
        variance: f64,
        /// L1 sensitivity, grid units.
        sensitivity_l1: f64,
    },
    /// An update whose values have no place.
    #[error(
        "the spans of an update overlap, lie outside of its length or do not hold as many values as there are: give them ascending, apart and complete"
    )]
    Spans,
    /// A clip norm that bounds nothing.
    #[error("clip is {0}, but must be a positive finite L2 norm in parameter units")]
    Clip(f64),
    /// A grid that cannot hold the clipped update.
    #[error(
        "scale is {scale} at clip {clip}, but scale x clip must be positive and at most 2^({bits} - 2), a quarter of the ring: choose a smaller scale"
    )]
    Scale {
        /// Grid steps per parameter unit.
        scale: f64,
        /// L2 norm in parameter units.
        clip: f64,
        /// log2 of the ring.
        bits: u32,
    },
    /// A ring that nobody can add in.
    #[error(
        "bits is {0}, but a sum is taken modulo 2^16, 2^18, 2^20, 2^24 or 2^32: give 16, 18, 20, 24 or 32"
    )]
    Bits(u32),
    /// An update without coordinates, or with more than one message can carry.
    #[error("length is {0}, but an update has between 1 and 2^28 coordinates")]
    Length(usize),
    /// The sum of all clients could leave the ring.
    #[error(
        "clients is {clients}: the sum of so many updates wraps around 2^{bits} on every usable grid; use smaller cohorts or a ring of more bits"
    )]
    Wraps {
        /// Clients in one sum.
        clients: usize,
        /// log2 of the ring.
        bits: u32,
    },
    /// An update that is not of the planned length.
    #[error(
        "the update has {found} coordinates, the encoding expects {expected}: train on the model of this round"
    )]
    UpdateLength {
        /// Coordinates of the encoding.
        expected: usize,
        /// Coordinates of the update.
        found: usize,
    },
    /// One client's share is so narrow that the sum of shares no longer behaves like one discrete Gaussian.
    #[error(
        "variance is {0} grid units^2 for one client, but must be at least 16 (deviation 4): use a finer scale or fewer clients"
    )]
    NoiseTooNarrow(u64),
    /// One client's share is wider than the exact sampler can draw.
    #[error(
        "variance is {0:e} grid units^2 for one client, but must be at most 2^46: take fewer bits, which makes a coarser grid, or \
         less noise, by a larger epsilon"
    )]
    NoiseTooWide(f64),
    /// One client's share is wider than the exact Skellam sampler can draw.
    #[error(
        "variance is {0:e} grid units^2 for one client, but Skellam noise is drawn up to 2^32: take fewer bits, which makes a coarser \
         grid, or discrete Gaussian noise, which is drawn up to 2^46"
    )]
    SkellamTooWide(f64),
    /// Skellam noise is the difference of two Poisson draws of a whole mean.
    #[error(
        "variance is {0} grid units^2 for one client, but Skellam noise needs an even one: add 1 to it"
    )]
    OddVariance(u64),
    /// Noise that was drawn for an update of another length.
    #[error(
        "the noise share has {found} coordinates, the update {expected}: draw the share for the encoding of this round"
    )]
    ShareLength {
        /// Coordinates of the update on the grid.
        expected: usize,
        /// Coordinates of the share.
        found: usize,
    },
    /// Not the seeds with which exactly the planned noise is left.
    #[error(
        "{found} layer seeds came for {vanished} vanished clients, with {planned} planned for: give those of the layers above the vanished, in order"
    )]
    LayerSeeds {
        /// Clients that vanished.
        vanished: usize,
        /// Clients that the layers were planned for.
        planned: usize,
        /// Seeds that came.
        found: usize,
    },
    /// More layers than a coordinator could take off.
    #[error(
        "{0} clients may vanish, and noise has at most 64 layers: plan for fewer dropouts, or leave the surplus noise on"
    )]
    Layers(usize),
    /// Layers that were planned for other survivors than the round.
    #[error(
        "the layers of the noise are planned for {fewest} survivors, {honest} of them honest, and the round for others"
    )]
    OtherLayers {
        /// Survivors that the layers are planned for.
        fewest: usize,
        /// Honest ones among them.
        honest: usize,
    },
    /// There is no noise to account for.
    #[error(
        "noise is off, so there is no epsilon: choose noise, or report the task as not private against its result"
    )]
    NoiseOff,
    /// A share of clients that is not a share.
    #[error(
        "dropout is {0}, but must be at least 0 and below 1: give the largest share of clients that may vanish"
    )]
    Dropout(f64),
    /// A share of clients that is not a share.
    #[error(
        "corrupt is {0}, but must be at least 0 and below 1: give the largest share of clients that may collude"
    )]
    Corrupt(f64),
    /// Nobody is left whose noise protects anyone.
    #[error(
        "honest is {honest} of {invited} invited clients, but must be at least 1: invite more clients, or plan for fewer dropouts"
    )]
    TooFewHonest {
        /// Clients invited to the sum.
        invited: usize,
        /// Surviving clients that add their noise and do not collude.
        honest: usize,
    },
    /// Cohorts that nobody is in.
    #[error(
        "cohorts is {cohorts} for {clients} clients, but must be at least 1 and at most their number"
    )]
    Cohorts {
        /// Clients in all.
        clients: usize,
        /// Cohorts asked for.
        cohorts: usize,
    },
    /// The random number generator repeats itself. Nothing may be uploaded.
    #[error(
        "the random number generator repeats itself: nothing was encoded; give a working cryptographic generator"
    )]
    BrokenRandomness,
    /// A share of the population that is not a share.
    #[error(
        "sampling_rate is {0}, but must be above 0 and at most 1: give the probability that a client is in one step"
    )]
    SamplingRate(f64),
    /// There is nothing to account for.
    #[error("steps is {0}, but must lie between 1 and 10^12: give how often the mechanism runs")]
    Steps(u64),
    /// A change of a sum that is no change.
    #[error("sensitivity is {0}, but must be a positive finite number of grid units")]
    Sensitivity(f64),
    /// No theorem gives the exact epsilon of these events.
    #[error(
        "no theorem gives the exact epsilon of this: ask for the accountant `best`, which names the bound it used"
    )]
    NotExact,
    /// Zero-concentrated DP knows no sampling.
    #[error(
        "zero-concentrated DP gains nothing from sampling: ask for the accountant rdp, pld or best"
    )]
    NotConcentrated,
    /// A mechanism of which only a bound on the Renyi divergence is known.
    #[error(
        "the loss of this mechanism has no known distribution: ask for the accountant rdp or best, or give the one integer that a client changes (shift)"
    )]
    NoLossDistribution,
    /// A discrete law with more values than can be listed.
    #[error(
        "a discrete noise of deviation {0} has too many values to list: ask for the accountant rdp or best"
    )]
    NoiseTooWideToList(f64),
    /// A matrix whose sensitivity has no formula.
    #[error(
        "coefficients must start above 0, never rise and never be negative: only then is the sensitivity known"
    )]
    Coefficients,
    /// A pattern of participation that does not exist.
    #[error(
        "min_separation and max_participations must be at least 1, and rounds between 1 and 2^20"
    )]
    Participation,
    /// Counts of an audit that cannot have been observed.
    #[error(
        "the counts of the audit contradict each other: a count of successes is above the count of trials, or there are no trials"
    )]
    AuditCounts,
    /// A confidence that is not a probability.
    #[error("confidence is {0}, but must lie strictly between 0 and 1, for example 0.95")]
    Confidence(f64),
    /// A statistic that is not a law.
    #[error("deviation is {0}, but must be a positive finite number")]
    Deviation(f64),
}
