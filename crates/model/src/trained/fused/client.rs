use super::super::examples::Examples;
use super::super::plan::{ClientPlan, Loss};
use super::rows::{LANES, Row, add, dot, minus, sigmoid, zeros};

/// What one client needs while it learns; kept from client to client, so that nothing is allocated for an example.
pub(super) struct Scratch<const B: usize> {
    pub examples: Examples,
    /// The published row of each example; of a pair, their difference.
    gathered: Vec<Row<B>>,
    /// Scores of the examples, then what the gradient multiplies their rows with.
    errors: Vec<f32>,
    /// The arena: the rows that the client touched, in the order in which it did.
    pub rows: Vec<Row<B>>,
    /// The item of each of them.
    pub touched: Vec<u32>,
    /// For each item of the catalogue its place in the arena, from 1; 0 for one that was not touched.
    places: Vec<u32>,
    /// For each example the place of its item, from 0; then in pairs that of its negative.
    at: Vec<u32>,
    at_other: Vec<u32>,
}

/// The published rows of a model of factors.
pub(super) struct Published<const B: usize> {
    /// `[items]`: the row of the item table, then the bias of the item where there is one, then zeros.
    pub rows: Vec<Row<B>>,
    /// Zero in the columns of a person that do not learn, 1 in the others: the bias meets a constant 1.
    pub learns: Row<B>,
    /// The person before the first step: zeros, and 1 beside the bias.
    pub person: Row<B>,
}

impl<const B: usize> Scratch<B> {
    pub fn new(items: usize) -> Self {
        Self {
            examples: Examples::default(),
            gathered: Vec::new(),
            errors: Vec::new(),
            rows: Vec::new(),
            touched: Vec::new(),
            places: vec![0; items],
            at: Vec::new(),
            at_other: Vec::new(),
        }
    }

    /// Takes the person's steps over the drawn examples, the shared rows fixed.
    #[inline(always)]
    fn take_steps(
        &mut self,
        published: &Published<B>,
        plan: &ClientPlan,
        loss: Loss,
        person: &mut Row<B>,
    ) {
        let Some(steps) = plan.person else {
            return;
        };
        self.gather(published, loss);
        let examples = self.gathered.len();
        if examples == 0 {
            return;
        }
        let rate = -(steps.step_size as f32) / examples as f32;
        let shrink = -(steps.step_size * steps.regularisation) as f32;
        for _ in 0..steps.steps {
            for (score, row) in self.errors.iter_mut().zip(&self.gathered) {
                *score = dot(row, person);
            }
            to_errors(loss, &mut self.errors, &self.examples.labels);
            let mut gradient = zeros();
            for (error, row) in self.errors.iter().zip(&self.gathered) {
                add(&mut gradient, *error, row);
            }
            let before = *person;
            for ((cells, gradient), (before, learns)) in person
                .iter_mut()
                .zip(&gradient)
                .zip(before.iter().zip(&published.learns))
            {
                for lane in 0..LANES {
                    cells[lane] += learns[lane] * (rate * gradient[lane] + shrink * before[lane]);
                }
            }
        }
    }

    /// The mean loss of this person on the drawn examples.
    pub fn loss(&mut self, published: &Published<B>, loss: Loss, person: &Row<B>) -> f64 {
        self.gather(published, loss);
        for (score, row) in self.errors.iter_mut().zip(&self.gathered) {
            *score = dot(row, person);
        }
        mean_loss(loss, &self.errors, &self.examples.labels)
    }

    /// Copies the published row of each example, of a pair the difference, so that the steps read them in order.
    #[inline(always)]
    fn gather(&mut self, published: &Published<B>, loss: Loss) {
        let row = |item: &u32| {
            published
                .rows
                .get(*item as usize)
                .unwrap_or(&published.person)
        };
        self.gathered.clear();
        match loss {
            Loss::Bpr => {
                let pairs = self.examples.items.iter().zip(&self.examples.others);
                self.gathered
                    .extend(pairs.map(|(item, other)| minus(row(item), row(other))));
            }
            _ => self.gathered.extend(self.examples.items.iter().map(row)),
        }
        self.errors.resize(self.gathered.len(), 0.0);
    }

    /// The epochs over the drawn examples, the person fixed: afterwards the arena holds what the touched rows became, minus
    /// what was published. [`Scratch::forget`] must follow. Ends early where `go_on` says no.
    #[inline(always)]
    fn take_epochs(
        &mut self,
        published: &Published<B>,
        plan: &ClientPlan,
        loss: Loss,
        person: &Row<B>,
        go_on: &dyn Fn() -> bool,
    ) {
        self.touch(published);
        let proximal = (plan.step_size * plan.proximal) as f32;
        for _ in 0..plan.epochs {
            if !go_on() {
                break;
            }
            let (items, others) = (self.at.chunks(plan.batch), self.at_other.chunks(plan.batch));
            // Without pairs there are no others.
            let others = others.map(Some).chain(std::iter::repeat(None));
            let labels = self.examples.labels.chunks(plan.batch);
            for ((items, others), labels) in items.zip(others).zip(labels) {
                let errors = self.errors.get_mut(..items.len()).unwrap_or_default();
                batch(
                    &mut self.rows,
                    items,
                    others,
                    labels,
                    errors,
                    (plan, loss),
                    person,
                );
                if proximal > 0.0 {
                    let rows = self.rows.iter_mut().zip(&self.touched);
                    for (row, item) in rows {
                        if let Some(first) = published.rows.get(*item as usize) {
                            let away = minus(row, first);
                            add(row, -proximal, &away);
                        }
                    }
                }
            }
        }
        for (row, item) in self.rows.iter_mut().zip(&self.touched) {
            if let Some(first) = published.rows.get(*item as usize) {
                *row = minus(row, first);
            }
        }
    }

    /// Copies the rows of the examples into the arena, each once.
    #[inline(always)]
    fn touch(&mut self, published: &Published<B>) {
        let Self {
            examples,
            rows,
            touched,
            places,
            at,
            at_other,
            errors,
            ..
        } = self;
        rows.clear();
        touched.clear();
        errors.resize(examples.items.len(), 0.0);
        for (items, at) in [(&examples.items, at), (&examples.others, at_other)] {
            at.clear();
            for item in items {
                let index = *item as usize;
                let (Some(place), Some(row)) = (places.get_mut(index), published.rows.get(index))
                else {
                    continue;
                };
                if *place == 0 {
                    rows.push(*row);
                    touched.push(*item);
                    *place = rows.len() as u32;
                }
                at.push(*place - 1);
            }
        }
    }

    /// Makes the arena ready for the next client.
    pub fn forget(&mut self) {
        for item in &self.touched {
            if let Some(place) = self.places.get_mut(*item as usize) {
                *place = 0;
            }
        }
    }
}

/// The same code for several processors, of which the widest that is there runs. All give the same bits: the order of additions
/// is written down, and none is fused with a multiplication.
#[allow(
    unsafe_code,
    reason = "calls what was built for a processor that it asked for; 1.6 times as fast, see scripts/bench-peers"
)]
pub(super) mod widest {
    use multiversion::multiversion;

    use super::{ClientPlan, Loss, Published, Row, Scratch};

    /// [`Scratch::take_steps`].
    #[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
    pub fn rebuild<const B: usize>(
        scratch: &mut Scratch<B>,
        published: &Published<B>,
        plan: &ClientPlan,
        loss: Loss,
        person: &mut Row<B>,
    ) {
        scratch.take_steps(published, plan, loss, person);
    }

    /// [`Scratch::take_epochs`].
    #[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
    pub fn train<const B: usize>(
        scratch: &mut Scratch<B>,
        published: &Published<B>,
        plan: &ClientPlan,
        loss: Loss,
        person: &Row<B>,
        go_on: &dyn Fn() -> bool,
    ) {
        scratch.take_epochs(published, plan, loss, person, go_on);
    }
}

/// One step over one batch.
#[inline(always)]
fn batch<const B: usize>(
    rows: &mut [Row<B>],
    items: &[u32],
    others: Option<&[u32]>,
    labels: &[f32],
    errors: &mut [f32],
    (plan, loss): (&ClientPlan, Loss),
    person: &Row<B>,
) {
    let row = |place: &u32| rows.get(*place as usize);
    for (score, place) in errors.iter_mut().zip(items) {
        *score = row(place).map_or(0.0, |row| dot(row, person));
    }
    for (score, place) in errors.iter_mut().zip(others.unwrap_or_default()) {
        *score -= row(place).map_or(0.0, |row| dot(row, person));
    }
    to_errors(loss, errors, labels);
    let rate = -(plan.step_size as f32) / items.len() as f32;
    errors.iter_mut().for_each(|error| *error *= rate);
    for (error, place) in errors.iter().zip(items) {
        if let Some(row) = rows.get_mut(*place as usize) {
            add(row, *error, person);
        }
    }
    for (error, place) in errors.iter().zip(others.unwrap_or_default()) {
        if let Some(row) = rows.get_mut(*place as usize) {
            add(row, -*error, person);
        }
    }
}

/// The derivative of the loss by the score, of every example.
#[inline(always)]
fn to_errors(loss: Loss, scores: &mut [f32], labels: &[f32]) {
    match loss {
        Loss::Squared => {
            for (score, label) in scores.iter_mut().zip(labels) {
                *score -= label;
            }
        }
        Loss::Binary | Loss::Bpr | Loss::Softmax => {
            for (score, label) in scores.iter_mut().zip(labels) {
                *score = sigmoid(*score) - label;
            }
        }
    }
}

/// The mean loss an example.
fn mean_loss(loss: Loss, scores: &[f32], labels: &[f32]) -> f64 {
    let one = |(score, label): (&f32, &f32)| {
        let (score, label) = (f64::from(*score), f64::from(*label));
        match loss {
            Loss::Squared => (score - label).powi(2) / 2.0,
            // ln(1 + e^s) - y s, without overflow.
            Loss::Binary | Loss::Bpr | Loss::Softmax => {
                score.max(0.0) + (-score.abs()).exp().ln_1p() - label * score
            }
        }
    };
    let total: f64 = scores.iter().zip(labels).map(one).sum();
    total / scores.len().max(1) as f64
}
