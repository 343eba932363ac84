use chorus_model::{ItemId, Mean, Trainer, TrainingSet, top};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::evaluation::SHOWN;
use crate::EvaluateError;

/// People who are asked, at most: a model without a sum over the history is run once for every item of it.
const ASKED: usize = 200;
/// Causes that a person is shown.
const NAMED: usize = 3;

/// Whether the reasons that a person is given are the reasons: recommender.md section 5. Of the first item of the lists of up to 200
/// people, evenly over the data, with more than three items in their history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanations {
    /// How many were asked.
    pub people: usize,
    /// Fidelity: by how many places the item falls without the three largest causes, on average.
    pub fall: f64,
    /// Fidelity: the share of these items that leaves the list of ten.
    pub left: f64,
    /// Sparsity: what the three carry of all that speaks for the item, on average.
    pub carried: f64,
    /// Completeness: how far the causes add up from the score, on average, by the size of the score. 0 but for rounding
    /// where the score is a sum over the history.
    pub remainder: f64,
}

/// Nothing where nobody can be asked.
pub(super) fn explanations(
    histories: &[TrainingSet],
    trainer: &dyn Trainer,
) -> Result<Option<Explanations>, EvaluateError> {
    let longer: Vec<&TrainingSet> = histories.iter().filter(|h| h.len() > NAMED).collect();
    let every = longer.len().div_ceil(ASKED).max(1);
    let asked: Vec<&TrainingSet> = longer.into_iter().step_by(every).collect();
    let found: Vec<Option<[f64; 4]>> = asked
        .par_iter()
        .map(|history| explanation(history, trainer))
        .collect::<Result<_, EvaluateError>>()?;
    let mut means = [Mean::default(); 4];
    for figures in found.into_iter().flatten() {
        means
            .iter_mut()
            .zip(figures)
            .for_each(|(mean, figure)| mean.add(figure));
    }
    let [fall, left, carried, remainder] = means;
    Ok((fall.count() > 0).then(|| Explanations {
        people: fall.count(),
        fall: fall.value(),
        left: left.value(),
        carried: carried.value(),
        remainder: remainder.value(),
    }))
}

/// The figures of one person: fall, whether it left, carried, remainder.
fn explanation(
    history: &TrainingSet,
    trainer: &dyn Trainer,
) -> Result<Option<[f64; 4]>, EvaluateError> {
    let scores = trainer.scores(history)?;
    let Some(first) = top(&scores, history, 1).first().copied() else {
        return Ok(None);
    };
    let mut causes = trainer.explain(history, first)?;
    let adds = |adds: f32| f64::from(adds);
    let score = scores.get(first.0 as usize).copied().map_or(0.0, adds);
    let sum: f64 = causes.iter().map(|cause| adds(cause.adds)).sum();
    causes.sort_unstable_by(|a, b| b.adds.total_cmp(&a.adds).then(a.item.cmp(&b.item)));
    let speaking = causes.iter().map(|cause| adds(cause.adds).max(0.0));
    let (all, named) = (
        speaking.clone().sum::<f64>(),
        speaking.take(NAMED).sum::<f64>(),
    );
    let causes = causes.iter().take(NAMED);
    let less = causes.fold(history.clone(), |less, cause| less.without(cause.item));
    let fall = place(&trainer.scores(&less)?, history, first);
    Ok(Some([
        fall as f64,
        f64::from(u8::from(fall >= SHOWN)),
        named / all.max(f64::MIN_POSITIVE),
        (sum - score).abs() / score.abs().max(f64::MIN_POSITIVE),
    ]))
}

/// How many unseen items are before `item`, in the order of [`top`].
fn place(scores: &[f32], seen: &TrainingSet, item: ItemId) -> usize {
    let order = top(scores, seen, scores.len());
    order.iter().take_while(|other| **other != item).count()
}

#[cfg(test)]
mod tests {
    use chorus_model::{Block, Cause, Delta, PersonVector, Step, TrainError};
    use rand::Rng;

    use super::*;

    const ITEMS: usize = 30;

    /// Item 29 has 8, 4, 2 and 2 from items 0 to 3 of a history, and all that it ever tells is true; or it names them the
    /// other way round.
    struct Told {
        truly: bool,
    }

    fn told(item: ItemId) -> f32 {
        [8.0, 4.0, 2.0, 2.0]
            .get(item.0 as usize)
            .copied()
            .unwrap_or(0.0)
    }

    impl Trainer for Told {
        fn person(&self, _: &TrainingSet) -> Result<PersonVector, TrainError> {
            Ok(PersonVector(Vec::new()))
        }
        fn scores(&self, history: &TrainingSet) -> Result<Vec<f32>, TrainError> {
            // Items 4 to 28 have 0, 0.5, ... 12.
            let mut scores: Vec<f32> = (0..ITEMS).map(|item| (item as f32 - 4.0) / 2.0).collect();
            scores[ITEMS - 1] = history.items().iter().copied().map(told).sum();
            Ok(scores)
        }
        fn explain(&self, history: &TrainingSet, _: ItemId) -> Result<Vec<Cause>, TrainError> {
            let cause = |item: &ItemId| Cause {
                item: *item,
                adds: if self.truly {
                    told(*item)
                } else {
                    9.0 - told(*item)
                },
            };
            Ok(history.items().iter().map(cause).collect())
        }
        fn contribution(
            &self,
            step: Step,
            _: Option<Block>,
            _: &TrainingSet,
            _: &mut dyn Rng,
        ) -> Result<Delta, TrainError> {
            Err(TrainError::Step(step))
        }
    }

    #[test]
    fn true_reasons_are_told_from_false_ones() {
        let person = TrainingSet::of((0..4).map(ItemId), ITEMS);
        let shorter = TrainingSet::of((0..3).map(ItemId), ITEMS);
        let people = [person.clone(), shorter, person];
        let found = explanations(&people, &Told { truly: true })
            .unwrap()
            .unwrap();
        // 16 is first; 2 is left, and the lower numbers that have 2, 2.5, ... 12 come before it.
        let expected = Explanations {
            people: 2,
            fall: 21.0,
            left: 1.0,
            carried: 14.0 / 16.0,
            remainder: 0.0,
        };
        assert_eq!(found, expected);
        // Of these the three that matter least are named: 8 is left, behind 8, 8.5, ... 12.
        let found = explanations(&people, &Told { truly: false })
            .unwrap()
            .unwrap();
        assert_eq!((found.fall, found.left), (9.0, 0.0));
        assert_eq!(found.remainder, 4.0 / 16.0);
        assert_eq!(
            explanations(&people[1..2], &Told { truly: true }).unwrap(),
            None
        );
    }
}
