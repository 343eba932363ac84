use std::sync::{Mutex, PoisonError};

use chorus_model::{
    Block, Bounded, Cause, Delta, ItemId, LENGTH_UNIT, Mixing, ParametersError, PersonVector,
    Serving, Step, TrainError, Trainer, TrainingSet,
};
use rand_core::Rng;
use tch::{Kind, TchError, Tensor};

use crate::solve::{Ridge, Solved, numeric};

/// What a trainer knows besides its tensors.
pub(crate) struct Parts {
    pub items: usize,
    pub factors: usize,
    /// lambda.
    pub regularisation: f64,
    pub serving: Serving,
    /// What the head sums need besides the table, while they are taken.
    pub mixing: Option<Mixing>,
    /// What the private sums need besides the person vector.
    pub bounded: Bounded,
    /// What an empty history is scored by.
    pub popularity: Result<Vec<f32>, ParametersError>,
}

/// One opened model.
///
/// A libtorch tensor may move between threads but not be shared by them: each call takes handles of its own under
/// the lock, for a microsecond, and computes outside of it. Nothing writes to the shared values.
pub(crate) struct TorchTrainer {
    parts: Parts,
    ridge: Mutex<Ridge>,
}

impl Trainer for TorchTrainer {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        if history.is_empty() {
            return Ok(PersonVector(vec![0.0; self.parts.factors]));
        }
        let person = self.solve(history)?.person;
        Ok(PersonVector(values(&person).map_err(numeric)?))
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        if history.is_empty() {
            return Ok(self.parts.popularity.clone()?);
        }
        let solved = self.solve_to_serve(history)?;
        let linear = self.linear(&solved.person).map_err(numeric)?;
        self.parts.serving.scores(linear, history)
    }

    /// Exact: the causes add up to the score.
    fn explain(&self, history: &TrainingSet, item: ItemId) -> Result<Vec<Cause>, TrainError> {
        if item.0 as usize >= self.parts.items {
            return Err(self.outside());
        }
        if history.is_empty() {
            return Ok(Vec::new());
        }
        let solved = self.solve_to_serve(history)?;
        let adds = self.adds(&solved, item).map_err(numeric)?;
        Ok(self.parts.serving.causes(&adds, history, item))
    }

    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        _: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        let rows = step.rows(self.parts.items, block)?;
        let length = match step {
            Step::Projection => self.parts.bounded.projection_length()?,
            _ => step.length(self.parts.items, self.parts.factors, block),
        };
        if history.is_empty() {
            return Ok(Delta::zeros(length));
        }
        self.within_catalogue(history)?;
        Ok(match step {
            Step::Counts => history.marks(rows, 1.0 / (history.len() as f64).sqrt()),
            Step::History => history.marks(rows, 1.0),
            Step::Gram => Delta::new(self.parts.bounded.gram(self.taste(history)?)),
            Step::Projection => {
                let taste = self.taste(history)?;
                Delta::new(self.parts.bounded.projection(&taste, history)?)
            }
            Step::Gradient => self.gradient(history, rows, length)?,
            Step::Head => {
                let missing = || ParametersError::Missing("mixing".to_owned());
                let mixing = self.parts.mixing.as_ref().ok_or_else(missing)?;
                let owned = self
                    .handles()
                    .rows(history)
                    .and_then(|owned| doubles(&owned));
                mixing.contribution(history, &owned.map_err(numeric)?, rows)
            }
            Step::Update | Step::NoisedUpdate | Step::Check | Step::Ranks => {
                return Err(TrainError::Step(step));
            }
        })
    }
}

impl TorchTrainer {
    pub(crate) fn new(parts: Parts, ridge: Ridge) -> Self {
        let ridge = Mutex::new(ridge);
        Self { parts, ridge }
    }

    fn handles(&self) -> Ridge {
        let ridge = self.ridge.lock().unwrap_or_else(PoisonError::into_inner);
        ridge.handles()
    }

    fn within_catalogue(&self, history: &TrainingSet) -> Result<(), TrainError> {
        // Ascending, so the last one is the largest.
        match history.items().last() {
            Some(item) if item.0 as usize >= self.parts.items => Err(self.outside()),
            _ => Ok(()),
        }
    }

    fn outside(&self) -> TrainError {
        let items = self.parts.items;
        TrainError::Numeric(format!(
            "the history holds items outside the catalogue of {items}"
        ))
    }

    fn solve(&self, history: &TrainingSet) -> Result<Solved, TrainError> {
        self.solve_with(history, self.parts.regularisation)
    }

    fn solve_to_serve(&self, history: &TrainingSet) -> Result<Solved, TrainError> {
        self.solve_with(history, self.parts.serving.regularisation())
    }

    fn solve_with(&self, history: &TrainingSet, regularisation: f64) -> Result<Solved, TrainError> {
        self.within_catalogue(history)?;
        let solved = self.handles().solve(history, regularisation)?;
        let finite = solved
            .person
            .f_isfinite()
            .and_then(|finite| finite.f_all())
            .and_then(|all| all.f_int64_value(&[]));
        match finite.map_err(numeric)? {
            0 => Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            )),
            _ => Ok(solved),
        }
    }

    /// z of the private sums: of a start the sum of the history's rows, else the person vector.
    fn taste(&self, history: &TrainingSet) -> Result<Vec<f64>, TrainError> {
        match self.parts.bounded.start(history) {
            Some(start) => Ok(start),
            None => doubles(&self.solve(history)?.person).map_err(numeric),
        }
    }

    /// V u', `[items]`.
    fn linear(&self, person: &Tensor) -> Result<Vec<f64>, TchError> {
        let person = person.f_to_kind(Kind::Float)?;
        doubles(&self.handles().table.f_mv(&person)?)
    }

    /// What each item of the history adds to the linear part of the score of `item`.
    fn adds(&self, solved: &Solved, item: ItemId) -> Result<Vec<f64>, TchError> {
        let row = values(&self.handles().table.f_select(0, i64::from(item.0))?)?;
        let linear = self.linear(&solved.person)?;
        let question = self.parts.serving.question(&linear, &row);
        let answer = solved.solve(&Tensor::f_from_slice(&question)?)?;
        doubles(&solved.rows.f_mv(&answer)?)
    }

    fn gradient(
        &self,
        history: &TrainingSet,
        block: Block,
        length: usize,
    ) -> Result<Delta, TrainError> {
        let factors = self.parts.factors;
        let solved = self.solve(history)?;
        let parts = GradientParts::of(&solved).map_err(numeric)?;
        let triangle = factors * (factors + 1) / 2;
        let grams = block.items * factors;
        let [scores, owners] = [grams + 2 * triangle, grams + 2 * triangle + block.items];
        let items = history.items().iter().enumerate();
        let owned = items.filter_map(|(place, item)| {
            let position = block.position(item.0 as usize);
            position.map(|position| (position, place))
        });
        let mut delta = Delta::zeros(length);
        for (position, place) in owned.clone() {
            let row = parts.rows.iter().skip(place * factors).take(factors);
            delta.write(position * factors, row.copied());
        }
        let weight = history.len() as f64 / LENGTH_UNIT;
        delta.write(grams, upper(&parts.product, factors, 1.0));
        delta.write(grams + triangle, upper(&parts.product, factors, weight));
        for (position, place) in owned.clone() {
            delta.write(scores + position, parts.scores.get(place).copied());
        }
        for (position, _) in owned {
            delta.write(owners + position, [1.0]);
        }
        let loss = parts.loss / LENGTH_UNIT;
        delta.write(owners + block.items, [loss as f32, weight as f32]);
        Ok(delta)
    }
}

/// The upper triangle, row by row, of a `[factors, factors]` matrix times `scale`.
fn upper(matrix: &[f64], factors: usize, scale: f64) -> impl Iterator<Item = f32> {
    let rows = matrix.chunks_exact(factors).enumerate();
    let cells = rows.flat_map(|(place, row)| row.iter().skip(place));
    cells.map(move |value| (scale * value) as f32)
}

/// What a gradient is made of.
struct GradientParts {
    /// (u.v_i - 1) u of the history, `[k, factors]`.
    rows: Vec<f32>,
    /// u.v_i, `[k]`.
    scores: Vec<f32>,
    /// u u', `[factors, factors]`.
    product: Vec<f64>,
    /// k - sum u.v_i.
    loss: f64,
}

impl GradientParts {
    fn of(solved: &Solved) -> Result<Self, TchError> {
        let scores = solved.rows.f_mv(&solved.person)?;
        let residuals = scores.f_sub_scalar(1.0)?;
        Ok(Self {
            rows: values(&residuals.f_outer(&solved.person)?)?,
            scores: values(&scores)?,
            product: doubles(&solved.person.f_outer(&solved.person)?)?,
            loss: -residuals.f_sum(Kind::Double)?.f_double_value(&[])?,
        })
    }
}

/// Every value of a tensor, row-major, as f32.
fn values(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    let length = values.len();
    flat.f_copy_data(&mut values, length)?;
    Ok(values)
}

/// Every value of a tensor, row-major, as f64.
fn doubles(tensor: &Tensor) -> Result<Vec<f64>, TchError> {
    let flat = tensor.f_to_kind(Kind::Double)?.f_contiguous()?;
    let mut values = vec![0.0; flat.numel()];
    let length = values.len();
    flat.f_copy_data(&mut values, length)?;
    Ok(values)
}
