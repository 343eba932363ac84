/// What one client learned in one step: a dense vector, the same length for everyone.
///
/// Neither `Clone` nor serialisable, so that it has one way to go: through clip, noise and mask.
///
/// ```compile_fail
/// fn twice(delta: chorus_model::Delta) { let _copy = delta.clone(); }
/// ```
///
/// # Privacy
/// Says much about a person. It must not leave the client in this form.
pub struct Delta {
    values: Vec<f32>,
}

impl Delta {
    /// `values`: the layout of the step it belongs to (see [`crate::Sum`]).
    pub fn new(values: Vec<f32>) -> Self {
        Self { values }
    }

    /// Gives the values to the next step of the road, and ends this form of them.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

/// What the coordinator learned in one round: the sum over `clients` clients, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanDelta {
    /// The sum, in parameter units, in the layout of the step.
    pub sum: Vec<f64>,
    /// How many clients are in it.
    pub clients: usize,
    /// Standard deviation of the privacy noise in each coordinate of `sum`, in parameter units; 0 without noise.
    pub noise: f64,
}
