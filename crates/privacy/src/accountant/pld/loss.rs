//! The distribution of the privacy loss of one step, on a grid.
//!
//! Upper bound: connect the dots (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022, arXiv 2207.04380). The part of both laws whose
//! loss lies between two grid points is split between them so that its weight under P and under Q stay what they are. delta is
//! then the chord between its true values at the grid points, never below them, and the error falls with the grid squared.
//!
//! Lower bound: the part of both laws in one cell is merged into one value, which only hides something, and its loss ln(P/Q),
//! near the middle of the cell, is rounded down to a grid that is moved by half a cell or so. The error falls with the grid
//! squared too, where rounding every loss down would cost half a cell a step.

use crate::accountant::lattice::Law;

/// Whether the true loss is bounded from above or from below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// delta is nowhere below the truth.
    Upper,
    /// delta is nowhere above the truth.
    Lower,
}

impl Side {
    /// How far cells reach below their grid points, in steps. Cells around the grid points, because most losses of a small sample are
    /// close to 0: a cell that ends there would have its merged loss at its end instead of in its middle.
    fn back(self) -> f64 {
        match self {
            Self::Upper => 0.0,
            Self::Lower => 0.5,
        }
    }
}

/// Which law a client belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// P has the client, Q does not.
    Removed,
    /// Q has the client, P does not.
    Added,
}

/// A loss with weight ln p at each of (first + i + offset) times the grid, and weight `infinite` at infinity.
#[derive(Clone, Debug)]
pub struct Loss {
    pub first: i64,
    pub offset: f64,
    pub ln_mass: Vec<f64>,
    pub infinite: f64,
}

/// The part of both laws in one cell of the grid: weight under P, how much of it goes to the upper end, and its merged loss in
/// cells above the lower end.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    weight: f64,
    above: f64,
    merged: f64,
}

/// Losses this close to a grid point (in cells) are on it.
const ON_THE_POINT: f64 = 1e-9;

/// A Gaussian on a Poisson sample: q and z; q = 1 is no sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    pub rate: f64,
    pub multiplier: f64,
}

impl Sampled {
    /// u at a loss: ln of N(1, z^2) over N(0, z^2); minus infinity where the loss does not reach.
    fn ratio_at(&self, loss: f64) -> f64 {
        let q = self.rate;
        if q == 1.0 {
            return loss;
        }
        if loss > 30.0 {
            return loss - q.ln() + (-(1.0 - q) * (-loss).exp()).ln_1p();
        }
        let over = loss.exp_m1() / q;
        if over <= -1.0 {
            f64::NEG_INFINITY
        } else {
            over.ln_1p()
        }
    }

    /// ln of the mixture over N(0, z^2) at u.
    fn loss_at(&self, ratio: f64) -> f64 {
        if ratio > 30.0 {
            return ratio
                + self.rate.ln()
                + ((1.0 - self.rate) / self.rate * (-ratio).exp()).ln_1p();
        }
        if self.rate == 1.0 {
            return ratio;
        }
        if ratio < -1.0 {
            return (1.0 - self.rate + self.rate * ratio.exp()).ln();
        }
        (self.rate * ratio.exp_m1()).ln_1p()
    }

    /// The lowest and the highest loss within `reach` deviations.
    pub fn range(&self, direction: Direction, reach: f64) -> (f64, f64) {
        let z = self.multiplier;
        let ratio = |x: f64| (2.0 * x - 1.0) / (2.0 * z * z);
        match direction {
            Direction::Removed => (
                self.loss_at(ratio(-reach * z)),
                self.loss_at(ratio(1.0 + reach * z)),
            ),
            Direction::Added => (
                -self.loss_at(ratio(reach * z)),
                -self.loss_at(ratio(-reach * z)),
            ),
        }
    }

    /// The loss on the grid `step`. What lies more than `reach` deviations out goes to the lowest point or to infinity.
    pub fn loss(&self, direction: Direction, reach: f64, step: f64, side: Side) -> Loss {
        let (lowest, highest) = self.range(direction, reach);
        let back = side.back();
        let first = (lowest / step + back).floor() as i64;
        let last = ((highest / step + back).ceil() as i64).max(first + 1);
        let edge = |index: i64| {
            let loss = (index as f64 - back) * step;
            let ratio = match direction {
                Direction::Removed => self.ratio_at(loss),
                Direction::Added => self.ratio_at(-loss),
            };
            Edge::new(ratio, self.multiplier)
        };
        let mut before = edge(first);
        let mut cells = Vec::with_capacity((last - first) as usize);
        for index in first..last {
            let after = edge(index + 1);
            cells.push(self.cell(direction, &before, &after, (index as f64 - back, step)));
            before = after;
        }
        // P beyond the ends of the grid.
        let (start, end) = (edge(first), edge(last));
        let (under, over) = match direction {
            Direction::Removed => (start.below(self.rate), end.above(self.rate)),
            Direction::Added => (start.above(0.0), end.below(0.0)),
        };
        assemble(first, &cells, under, over, side)
    }

    /// `place`: the lower end in steps, and the step.
    fn cell(&self, direction: Direction, before: &Edge, after: &Edge, place: (f64, f64)) -> Cell {
        let (index, step) = place;
        let (low, high) = match direction {
            Direction::Removed => (before, after),
            Direction::Added => (after, before),
        };
        let (still, moved) = low.to(high);
        let q = self.rate;
        let (low_loss, high_loss) = (index * step, (index + 1.0) * step);
        // Beyond the losses that there are, u says nothing: there the weights under P and Q decide directly.
        let clipped = low.ratio == f64::NEG_INFINITY;
        let mixture = (1.0 - q) * still + q * moved;
        let change = moved / still - 1.0;
        let (weight, above, merged) = match direction {
            Direction::Removed => {
                let above = if clipped {
                    (mixture - low_loss.exp() * still) / -(-step).exp_m1()
                } else {
                    split(low.ratio, high.ratio, still, moved) * high_loss.exp()
                };
                let merged = if q == 1.0 {
                    (moved / still).ln()
                } else {
                    (q * change).ln_1p()
                };
                (mixture, above, merged)
            }
            Direction::Added => {
                let below = if clipped {
                    (mixture - still * (-high_loss).exp())
                        / ((-low_loss).exp() - (-high_loss).exp())
                } else {
                    split(low.ratio, high.ratio, still, moved)
                };
                (still, still - below, -(q * change).ln_1p())
            }
        };
        Cell {
            weight,
            // Where the arithmetic overflows, the safe end.
            above: if above.is_nan() {
                weight
            } else {
                above.clamp(0.0, weight)
            },
            // Where a weight underflows, the lower end.
            merged: if merged.is_finite() {
                merged / step - index
            } else {
                0.0
            },
        }
    }
}

/// Of the weight `still` of N(0, z^2) between u = `low` and `high`, what goes to the upper end, so that the weight `moved` of
/// N(1, z^2) stays what it is too.
fn split(low: f64, high: f64, still: f64, moved: f64) -> f64 {
    let wide = high - low;
    let share = if wide > 1.0 {
        (moved * (-high).exp() - still * (-wide).exp()) / -(-wide).exp_m1()
    } else {
        (moved * (-low).exp() - still) / wide.exp_m1()
    };
    share.clamp(0.0, still)
}

/// A point of the real line, by u, with the tails of both normal laws there.
struct Edge {
    ratio: f64,
    still: Tail,
    moved: Tail,
}

impl Edge {
    fn new(ratio: f64, multiplier: f64) -> Self {
        let at = multiplier * ratio + 0.5 / multiplier;
        Self {
            ratio,
            still: Tail::new(at),
            moved: Tail::new(at - 1.0 / multiplier),
        }
    }

    /// Weights of N(0, z^2) and of N(1, z^2) between two points.
    fn to(&self, above: &Edge) -> (f64, f64) {
        (self.still.to(&above.still), self.moved.to(&above.moved))
    }

    /// Weight of the mixture with `rate` below this point.
    fn below(&self, rate: f64) -> f64 {
        (1.0 - rate) * self.still.below() + rate * self.moved.below()
    }

    fn above(&self, rate: f64) -> f64 {
        (1.0 - rate) * self.still.above() + rate * self.moved.above()
    }
}

/// The smaller tail of the standard normal law at a point: it keeps its digits.
struct Tail {
    at: f64,
    smaller: f64,
}

impl Tail {
    fn new(at: f64) -> Self {
        Self {
            at,
            smaller: 0.5 * libm::erfc(at.abs() * std::f64::consts::FRAC_1_SQRT_2),
        }
    }

    fn below(&self) -> f64 {
        if self.at < 0.0 {
            self.smaller
        } else {
            1.0 - self.smaller
        }
    }

    fn above(&self) -> f64 {
        if self.at < 0.0 {
            1.0 - self.smaller
        } else {
            self.smaller
        }
    }

    /// Weight between two points.
    fn to(&self, above: &Tail) -> f64 {
        let between = if self.at >= 0.0 {
            self.smaller - above.smaller
        } else if above.at <= 0.0 {
            above.smaller - self.smaller
        } else {
            1.0 - self.smaller - above.smaller
        };
        between.max(0.0)
    }
}

/// The grid on which the losses of a discrete Gaussian lie exactly, if it is not finer than `step`; otherwise `step`.
pub fn lattice_step(spacing: f64, shift: u32, step: f64) -> f64 {
    let exact = if shift.is_multiple_of(2) {
        spacing
    } else {
        spacing / 2.0
    };
    if exact >= step { exact } else { step }
}

/// The loss of one integer that a client moves by `shift`.
pub fn loss_of_law(law: &Law, shift: u32, step: f64, side: Side) -> Loss {
    let index = |loss: f64| {
        let cells = loss / step + side.back();
        let nearest = cells.round();
        if (cells - nearest).abs() < ON_THE_POINT {
            (nearest as i64, 0.0)
        } else {
            (cells.floor() as i64, cells - cells.floor())
        }
    };
    let bounds = law.losses(shift).fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(low, high), (loss, _)| (low.min(loss), high.max(loss)),
    );
    let first = index(bounds.0).0;
    let last = index(bounds.1).0;
    let count = usize::try_from(last - first + 1).unwrap_or(1);
    let mut cells = vec![Cell::default(); count];
    let mut others = vec![0.0; count];
    for (loss, ln_mass) in law.losses(shift) {
        let (at, part) = index(loss);
        let slot = usize::try_from(at - first).unwrap_or(0);
        let mass = ln_mass.exp();
        if let (Some(cell), Some(other)) = (cells.get_mut(slot), others.get_mut(slot)) {
            cell.weight += mass;
            cell.above += mass * (-part * step).exp_m1() / (-step).exp_m1();
            // Under Q, in units of e^-(loss of the lower end).
            *other += mass * (-part * step).exp();
        }
    }
    for (cell, other) in cells.iter_mut().zip(others) {
        if cell.weight > 0.0 {
            cell.merged = (cell.weight / other).ln() / step;
        }
    }
    assemble(first, &cells, 0.0, law.unlisted(shift), side)
}

/// Puts cells on grid points. `under` and `over`: the weight under P with losses below and above the cells.
fn assemble(first: i64, cells: &[Cell], under: f64, over: f64, side: Side) -> Loss {
    let mut mass = vec![0.0; cells.len() + 1];
    let (offset, infinite) = match side {
        Side::Upper => {
            for (at, cell) in cells.iter().enumerate() {
                let above = cell.above.clamp(0.0, cell.weight);
                add(&mut mass, at, cell.weight - above);
                add(&mut mass, at + 1, above);
            }
            add(&mut mass, 0, under);
            (0.0, over)
        }
        Side::Lower => {
            let offset = best_offset(cells);
            for (at, cell) in cells.iter().enumerate() {
                let reached = cell.merged + ON_THE_POINT >= offset;
                // What falls below the grid loses nothing that counts.
                if reached || at > 0 {
                    add(&mut mass, if reached { at } else { at - 1 }, cell.weight);
                }
            }
            // Above the cells: at least the last point.
            add(&mut mass, cells.len().saturating_sub(1), over);
            (offset - ON_THE_POINT - side.back(), 0.0)
        }
    };
    Loss {
        first,
        offset,
        ln_mass: mass.into_iter().map(f64::ln).collect(),
        infinite,
    }
}

fn add(mass: &mut [f64], at: usize, weight: f64) {
    if let Some(slot) = mass.get_mut(at) {
        *slot += weight;
    }
}

/// The offset in [0, 1) at which rounding down to offset + whole cells loses least.
fn best_offset(cells: &[Cell]) -> f64 {
    let tried = 16384;
    let mut weights = vec![0.0; tried + 1];
    let mut sum = 0.0;
    let mut total = 0.0;
    for cell in cells {
        let merged = cell.merged.clamp(0.0, 1.0 - ON_THE_POINT);
        add(&mut weights, (merged * tried as f64) as usize, cell.weight);
        sum += merged * cell.weight;
        total += cell.weight;
    }
    // Loss of an offset: what lies below it falls a whole cell further.
    let mut below = 0.0;
    let mut best = (f64::INFINITY, 0.0);
    for (at, weight) in weights.iter().enumerate() {
        let offset = at as f64 / tried as f64;
        let loss = sum - offset * total + below;
        if loss < best.0 {
            best = (loss, offset);
        }
        below += weight;
    }
    best.1
}
