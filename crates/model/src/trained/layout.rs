use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::plan::{AdaptiveClip, ModelPlan};
use crate::{Delta, Parameters, ParametersError, Step};

/// Words of the report: the mean loss, its square and 1, each at most 1 before they are brought to the report's bound.
const REPORT: usize = 3;
/// A mean loss an example beyond this counts as this much: nobody's report can weigh more. A model that knows nothing has
/// 0.7 for the binary loss.
pub const LARGEST_LOSS: f64 = 8.0;

/// Neighbouring words of a contribution that are clipped together (McMahan et al. 2018, "Learning differentially private
/// recurrent language models", per-layer clipping): the norm of the whole is at most the root of the sum of the squared
/// bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipGroup {
    /// How many words.
    pub length: usize,
    /// Their L2 bound, in the units of the contribution.
    pub bound: f64,
}

/// Where one trained tensor lies in an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub name: String,
    /// Its shape in this catalogue.
    pub shape: Vec<usize>,
    /// Its words.
    pub words: Range<usize>,
    /// The number of its clip group.
    pub group: usize,
}

/// The words of an update of one plan over one catalogue.
///
/// The trained tensors in the order of the plan, row-major: local minus published, with adaptive clipping over the
/// published bound of their group. Then, in [`Step::Update`] alone, the report on the published model: three words. Then,
/// with adaptive clipping, one word a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    tensors: Vec<Placed>,
    /// Words and plan bound of each group.
    groups: Vec<(Range<usize>, f64)>,
    adaptive: Option<AdaptiveClip>,
}

impl Layout {
    /// The layout of `plan`, which must be valid, in a catalogue of `items`.
    pub fn new(plan: &ModelPlan, items: usize) -> Self {
        let mut tensors: Vec<Placed> = Vec::new();
        let mut groups: Vec<(Range<usize>, f64)> = Vec::new();
        let mut last: Option<&str> = None;
        let mut end = 0;
        for tensor in &plan.tensors {
            let Some(group) = tensor.group.as_deref() else {
                continue;
            };
            let shape = tensor.resolved(items);
            let length = shape.iter().copied().fold(1, usize::saturating_mul);
            let words = end..usize::saturating_add(end, length);
            end = words.end;
            match groups.last_mut() {
                Some((open, _)) if last == Some(group) => open.end = end,
                _ => {
                    let bound = plan.groups.get(group).copied().unwrap_or_default();
                    groups.push((words.clone(), bound));
                }
            }
            last = Some(group);
            tensors.push(Placed {
                name: tensor.name.clone(),
                shape,
                words,
                group: groups.len() - 1,
            });
        }
        Self {
            tensors,
            groups,
            adaptive: plan.adaptive,
        }
    }

    /// The trained tensors, in order.
    pub fn tensors(&self) -> &[Placed] {
        &self.tensors
    }

    /// Where the tensor `name` lies.
    pub fn words_of(&self, name: &str) -> Option<Range<usize>> {
        let placed = self.tensors.iter().find(|placed| placed.name == name)?;
        Some(placed.words.clone())
    }

    /// Words of the trained tensors alone.
    pub fn trained(&self) -> usize {
        self.tensors.last().map_or(0, |placed| placed.words.end)
    }

    /// Words of a contribution to `step`, one of the three that a plan lays out.
    pub fn length(&self, step: Step) -> usize {
        self.clip_groups(step)
            .iter()
            .fold(0, |sum, group| sum.saturating_add(group.length))
    }

    /// The clip groups of a contribution to `step`; nothing for a step that no plan lays out.
    pub fn clip_groups(&self, step: Step) -> Vec<ClipGroup> {
        let report = ClipGroup {
            length: REPORT,
            bound: self.report_bound(),
        };
        let mut groups = match step {
            Step::Check => return vec![report],
            Step::Update | Step::NoisedUpdate => self.update_groups(),
            _ => return Vec::new(),
        };
        if step == Step::Update {
            groups.push(report);
        }
        if let Some(adaptive) = self.adaptive {
            let bit = ClipGroup {
                length: 1,
                bound: adaptive.weight / 2.0,
            };
            groups.extend(std::iter::repeat_n(bit, self.groups.len()));
        }
        groups
    }

    /// L2 norm of a contribution to `step` at most.
    pub fn clip(&self, step: Step) -> f64 {
        let groups = self.clip_groups(step);
        groups
            .iter()
            .map(|group| group.bound * group.bound)
            .sum::<f64>()
            .sqrt()
    }

    fn update_groups(&self) -> Vec<ClipGroup> {
        let group = |(words, bound): &(Range<usize>, f64)| ClipGroup {
            length: words.len(),
            bound: if self.adaptive.is_some() { 1.0 } else { *bound },
        };
        self.groups.iter().map(group).collect()
    }

    /// The report weighs as much as the whole update: without noise that costs half a bit of the grid and nothing else.
    fn report_bound(&self) -> f64 {
        let squares = self.update_groups();
        squares
            .iter()
            .map(|group| group.bound * group.bound)
            .sum::<f64>()
            .sqrt()
    }

    /// Words and first bound of each group.
    pub(crate) fn groups(&self) -> &[(Range<usize>, f64)] {
        &self.groups
    }

    /// The published bounds that updates are measured against, one a group; nothing where they do not move.
    ///
    /// # Errors
    /// When the model has none, another number of them, or one that is not above 0.
    pub fn bounds(&self, parameters: &Parameters) -> Result<Option<Vec<f64>>, ParametersError> {
        if self.adaptive.is_none() {
            return Ok(None);
        }
        let clip = parameters.require("clip")?;
        if clip.values.len() != self.groups.len() || clip.values.iter().any(|bound| *bound <= 0.0) {
            return Err(ParametersError::Shape {
                name: "clip".to_owned(),
                shape: vec![self.groups.len()],
                found: clip.values.len(),
            });
        }
        Ok(Some(clip.values.iter().copied().map(f64::from).collect()))
    }

    /// A contribution to `step`, complete. `update`: over the trained tensors, local minus published, in parameter units; it is not
    /// read for [`Step::Check`]. `bounds`: of [`Layout::bounds`]. `loss`: the mean loss of the published model on examples of this client
    /// that its person was not rebuilt from; nothing from a client that does not report.
    pub fn contribution(
        &self,
        step: Step,
        update: Delta,
        loss: Option<f64>,
        bounds: Option<&[f64]>,
    ) -> Delta {
        let (mut delta, mut end) = match step {
            Step::Check => (Delta::zeros(self.length(step)), 0),
            _ => (update.lengthened(self.length(step)), self.trained()),
        };
        let bounds = bounds.filter(|_| step != Step::Check).unwrap_or_default();
        let mut within = Vec::with_capacity(bounds.len());
        for ((words, _), bound) in self.groups.iter().zip(bounds) {
            let cells = delta.within(words);
            let squares = cells.iter().map(|cell| f64::from(*cell).powi(2));
            let norm = squares.sum::<f64>().sqrt();
            within.push(norm <= *bound);
            // What is not finite stays so: the whole contribution then becomes zeros where it is clipped.
            if norm.is_finite() {
                let cells = cells.iter_mut();
                cells.for_each(|cell| *cell = (f64::from(*cell) / bound) as f32);
            }
        }
        if step != Step::NoisedUpdate {
            let size = self.report_bound() / (REPORT as f64).sqrt();
            let words = loss.map_or([0.0; REPORT], |loss| {
                let loss = (loss / LARGEST_LOSS).clamp(0.0, 1.0);
                [loss, loss * loss, 1.0]
            });
            delta.write(end, words.map(|word| (size * word) as f32));
            end += REPORT;
        }
        if let Some(adaptive) = self.adaptive {
            let bit = |within: bool| if within { 0.5 } else { -0.5 };
            let bits = within
                .into_iter()
                .map(|within| adaptive.weight * bit(within));
            delta.write(end, bits.map(|bit| bit as f32));
        }
        delta
    }

    /// What the words after the tensors say in a sum over `clients`: the report, and the share of clients within each bound.
    pub(crate) fn after(
        &self,
        step: Step,
        sum: &[f64],
        clients: usize,
    ) -> (Option<Report>, Vec<f64>) {
        let start = if step == Step::Check {
            0
        } else {
            self.trained()
        };
        let rest = sum.get(start..).unwrap_or_default();
        let (report, rest) = match step {
            Step::NoisedUpdate => (None, rest),
            _ => {
                let (words, rest) = rest.split_at_checked(REPORT).unwrap_or((rest, &[]));
                (Some(self.report(words)), rest)
            }
        };
        let weight = self.adaptive.map_or(1.0, |adaptive| adaptive.weight);
        let share = |word: &f64| word / weight / clients as f64 + 0.5;
        (report, rest.iter().map(share).collect())
    }

    fn report(&self, words: &[f64]) -> Report {
        let size = self.report_bound() / (REPORT as f64).sqrt();
        let word = |place: usize| words.get(place).copied().unwrap_or_default() / size;
        Report {
            loss: word(0),
            squares: word(1),
            clients: word(2),
        }
    }
}

/// The sum of the clients' reports, with losses as shares of [`LARGEST_LOSS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    /// Sum of the mean losses.
    pub loss: f64,
    /// Sum of their squares.
    pub squares: f64,
    /// Clients that had something to report.
    pub clients: f64,
}
