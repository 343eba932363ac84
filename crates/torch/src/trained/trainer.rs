use std::sync::{Mutex, PoisonError};

use chorus_model::{
    Block, Delta, Examples, GoOn, Learner, ModelPlan, Opened, Parameters, PersonVector, Step,
    TrainError, Trainer, TrainingSet, finite, within_catalogue,
};
use rand_core::Rng;
use tch::{Device, Kind, TchError, Tensor};

use super::network::{Batch, Network, network};
use super::tensors::{Tensors, values};
use crate::solve::numeric;

/// One opened model of a plan.
///
/// A libtorch tensor may move between threads but not be shared by them: each call takes handles of its own under the lock.
pub(super) struct AutogradTrainer {
    model: Opened,
    kind: Kind,
    network: Box<dyn Network>,
    published: Mutex<Tensors>,
}

impl AutogradTrainer {
    pub fn new(plan: &ModelPlan, parameters: &Parameters, kind: Kind) -> Result<Self, TrainError> {
        let model = Opened::new(plan, parameters)?;
        let mut published = Tensors::published(parameters, kind).map_err(numeric)?;
        let network = network(plan, model.items, parameters, &mut published)?;
        Ok(Self {
            model,
            kind,
            network,
            published: Mutex::new(published),
        })
    }

    fn handles(&self) -> Tensors {
        let published = self.published.lock();
        published.unwrap_or_else(PoisonError::into_inner).handles()
    }

    /// What the published model's scores are computed with.
    fn bound(&self) -> Result<Tensors, TrainError> {
        let shared = self.network.bind(self.handles(), false);
        shared.map_err(numeric)
    }

    fn batch<'a>(
        &'a self,
        history: &'a TrainingSet,
        examples: &'a Examples,
        range: std::ops::Range<usize>,
    ) -> Batch<'a> {
        Batch {
            plan: &self.model.plan,
            kind: self.kind,
            history,
            examples,
            range,
        }
    }

    /// The person's vector after its steps over all examples, the shared tensors fixed; of a model without one an empty vector.
    fn rebuild(&self, shared: &Tensors, all: &Batch<'_>) -> Result<Tensor, TchError> {
        let width = self.network.person() as i64;
        let mut person = Tensor::f_zeros([width], (self.kind, Device::Cpu))?;
        let Some(steps) = self.model.plan.client.person else {
            return Ok(person);
        };
        for _ in 0..steps.steps {
            person = person.f_set_requires_grad(true)?;
            let Some(loss) = self.network.loss(shared, &person, all)? else {
                break;
            };
            let gradients = Tensor::f_run_backward(&[&loss], &[&person], false, false)?;
            let before = person.f_detach()?;
            let shrunk = before.f_mul_scalar(1.0 - steps.step_size * steps.regularisation)?;
            person = match gradients.first().filter(|gradient| gradient.defined()) {
                Some(gradient) => shrunk.f_sub(&gradient.f_mul_scalar(steps.step_size)?)?,
                None => shrunk,
            };
        }
        person.f_detach()
    }

    /// The epochs over the examples, the person fixed; gives the trained tensors, in the order of the layout.
    fn train(&self, person: &Tensor, all: &Batch<'_>) -> Result<Tensors, TchError> {
        let names: Vec<&str> = (self.model.layout.tensors().iter())
            .map(|placed| placed.name.as_str())
            .collect();
        let published = self.handles();
        let local = published.trained(names.iter().copied())?;
        let local = self.network.bind(local, true)?;
        let plan = &self.model.plan.client;
        let examples = all.examples.items.len();
        // Groups stay together.
        let size = match self.network.is_whole() {
            true => examples.max(1),
            false => {
                let most = examples.div_ceil(self.network.least_steps());
                (plan.batch.min(most) / all.examples.group).max(1) * all.examples.group
            }
        };
        let mut leaves = names
            .iter()
            .map(|name| local.get(name).map(Tensor::shallow_clone))
            .collect::<Result<Vec<_>, _>>()?;
        'learning: for _ in 0..plan.epochs {
            for first in (0..examples).step_by(size) {
                if !self.model.goes_on() {
                    break 'learning;
                }
                let range = first..(first + size).min(examples);
                let batch = self.batch(all.history, all.examples, range);
                let Some(loss) = self.network.loss(&local, person, &batch)? else {
                    continue;
                };
                let gradients = Tensor::f_run_backward(&[&loss], &leaves, false, false)?;
                tch::no_grad(|| self.step(&mut leaves, &gradients, &published, &names))?;
            }
        }
        Ok(local)
    }

    /// One step of gradient descent, and one towards the published tensors where the plan has FedProx.
    fn step(
        &self,
        leaves: &mut [Tensor],
        gradients: &[Tensor],
        published: &Tensors,
        names: &[&str],
    ) -> Result<(), TchError> {
        let plan = &self.model.plan.client;
        for ((leaf, gradient), name) in leaves.iter_mut().zip(gradients).zip(names) {
            // A tensor that no example reached has none.
            if gradient.defined() {
                let _ = leaf.f_sub_(&gradient.f_mul_scalar(plan.step_size)?)?;
            }
            if plan.proximal > 0.0 {
                let away = leaf.f_sub(published.get(name)?)?;
                let _ = leaf.f_sub_(&away.f_mul_scalar(plan.step_size * plan.proximal)?)?;
            }
        }
        Ok(())
    }

    /// Local minus published, `[trained]`.
    fn update(&self, local: &Tensors) -> Result<Vec<f32>, TrainError> {
        let published = self.handles();
        let mut update = Vec::with_capacity(self.model.layout.trained());
        for placed in self.model.layout.tensors() {
            let name = placed.name.as_str();
            let difference = || local.get(name)?.f_detach()?.f_sub(published.get(name)?);
            update.extend(values(&difference().map_err(numeric)?)?);
        }
        Ok(update)
    }

    /// The person that a history is ranked for.
    fn rebuilt(&self, shared: &Tensors, history: &TrainingSet) -> Result<Tensor, TrainError> {
        within_catalogue(history, self.model.items)?;
        if self.network.person() == 0 {
            return Tensor::f_zeros([0], (self.kind, Device::Cpu)).map_err(numeric);
        }
        let mut examples = Examples::default();
        examples.for_ranking(
            &self.model.plan.client,
            self.model.plan.loss,
            history,
            self.model.items,
        );
        let all = self.batch(history, &examples, 0..examples.items.len());
        let person = self.rebuild(shared, &all).map_err(numeric)?;
        let all_finite = person
            .f_isfinite()
            .and_then(|finite| finite.f_all())
            .and_then(|all| all.f_int64_value(&[]));
        match all_finite.map_err(numeric)? {
            0 => Err(TrainError::Numeric(
                "a person vector is not finite".to_owned(),
            )),
            _ => Ok(person),
        }
    }
}

impl Learner for AutogradTrainer {
    fn learn(&self, history: &TrainingSet, seed: u64) -> Result<Delta, TrainError> {
        let mut examples = Examples::default();
        let (client, loss) = (&self.model.plan.client, self.model.plan.loss);
        examples.for_learning(client, loss, history, self.model.items, seed);
        let all = self.batch(history, &examples, 0..examples.items.len());
        let person = self.rebuild(&self.bound()?, &all).map_err(numeric)?;
        let local = self.train(&person, &all).map_err(numeric)?;
        Ok(Delta::new(self.update(&local)?))
    }

    /// A model without a person has seen nothing of this client: it is judged on a part as large.
    fn report(&self, history: &TrainingSet, seed: u64) -> Result<Option<f64>, TrainError> {
        let mut examples = Examples::default();
        let (plan, kind) = (&self.model.plan.client, self.model.plan.loss);
        let shared = self.bound()?;
        if !examples.for_report(plan, kind, history, self.model.items, seed, false) {
            return Ok(None);
        }
        let known = self.batch(history, &examples, 0..examples.items.len());
        let person = self.rebuild(&shared, &known).map_err(numeric)?;
        let mut examples = Examples::default();
        examples.for_report(plan, kind, history, self.model.items, seed, true);
        let part = self.batch(history, &examples, 0..examples.items.len());
        let loss = tch::no_grad(|| self.network.loss(&shared, &person, &part));
        let value = |loss: Tensor| loss.f_double_value(&[]);
        let loss = loss.and_then(|loss| loss.map(value).transpose());
        Ok(loss.map_err(numeric)?.filter(|loss| loss.is_finite()))
    }
}

impl Trainer for AutogradTrainer {
    fn person(&self, history: &TrainingSet) -> Result<PersonVector, TrainError> {
        if history.is_empty() {
            return Ok(PersonVector(vec![0.0; self.network.person()]));
        }
        let person = self.rebuilt(&self.bound()?, history)?;
        Ok(PersonVector(values(&person)?))
    }

    fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
        if history.is_empty() {
            return self.model.popularity();
        }
        let shared = self.bound()?;
        let person = self.rebuilt(&shared, history)?;
        let scores = tch::no_grad(|| {
            let everything = Tensor::f_arange(self.model.items as i64, (Kind::Int64, Device::Cpu))?;
            let network = &self.network;
            network.scores(&shared, &person, history, &everything, None)
        });
        finite(values(&scores.map_err(numeric)?)?)
    }

    fn heed(&mut self, go_on: GoOn) {
        self.model.heed(go_on);
    }

    fn contribution(
        &self,
        step: Step,
        block: Option<Block>,
        history: &TrainingSet,
        rng: &mut dyn Rng,
    ) -> Result<Delta, TrainError> {
        self.model.contribution(self, step, block, history, rng)
    }
}
