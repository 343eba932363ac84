//! The server step of stage A: ials.md.

use super::IalsRecipe;
use super::guard::{self, Seen};
use super::state::{average, wide};
use crate::algebra::{dot, norm, triangle_length};
use crate::possible::{are_owners, little};
use crate::recipe::{values_of, values_of_mut};
use crate::sum::LENGTH_UNIT;
use crate::table::{Table, add_scaled, eigen};
use crate::{LearnError, Learning, MeanDelta};

/// Eigenvalues of the preconditioner's W are at least this share of the mean's own.
const FLOOR: f64 = 0.05;

/// The parts of one gradient sum, in the units of the histories.
pub(super) struct Heard<'a> {
    /// Which round of gradients, from 0.
    pub round: usize,
    /// Which pass over the catalogue, from 0.
    pub pass: usize,
    /// Which block, from 0.
    pub block: usize,
    pub clients: usize,
    /// n, clients in the population.
    pub population: f64,
    /// `[rows, factors]`.
    gradient: &'a [f64],
    /// `[factors (factors + 1) / 2]`: the sum of u u'.
    gram: &'a [f64],
    /// The sum of k u u', over the unit.
    weighted: &'a [f64],
    /// `[rows]`: the sum of u.v_i over the owners of i.
    scores: &'a [f64],
    /// `[rows]`: how many they are.
    owners: &'a [f64],
    /// The clients' summed loss.
    pub loss: f64,
    /// Their summed history lengths.
    pub length: f64,
}

impl<'a> Heard<'a> {
    pub fn of(recipe: &IalsRecipe, round: usize, delta: &'a MeanDelta, population: f64) -> Self {
        let (pass, block) = (round / recipe.blocks(), round % recipe.blocks());
        let rows = recipe.rows(block).items;
        let triangle = triangle_length(recipe.factors);
        let (gradient, rest) = delta.sum.split_at(rows * recipe.factors);
        let (gram, rest) = rest.split_at(triangle);
        let (weighted, rest) = rest.split_at(triangle);
        let (scores, rest) = rest.split_at(rows);
        let (owners, rest) = rest.split_at(rows);
        let unit = |value: Option<&f64>| LENGTH_UNIT * value.copied().unwrap_or(0.0);
        Self {
            round,
            pass,
            block,
            clients: delta.clients,
            population,
            gradient,
            gram,
            weighted,
            scores,
            owners,
            loss: unit(rest.first()),
            length: unit(rest.last()),
        }
    }

    /// Whether any clients could have this. An item has at most as many owners as there are clients; lengths, losses and squares
    /// are not under zero, a loss is at most the length, and that is at most the whole catalogue for everyone. The person vector
    /// is at least as good as zeros, so lambda (k + a0 m) |u|^2 <= k, which bounds the sums of |u|^2 and k |u|^2. A vector of
    /// random ring words is found out here.
    fn could_be(&self, recipe: &IalsRecipe, alpha0: f64) -> bool {
        let (d, items) = (recipe.factors, recipe.items as f64);
        let (clients, little) = (self.clients as f64, little(self.clients));
        let longest = LENGTH_UNIT * little;
        let could_be = |triangle: &[f64], most: f64| {
            let diagonal = (0..d).map(|row| row * d - row * row.saturating_sub(1) / 2);
            let squares = diagonal.filter_map(|cell| triangle.get(cell).copied());
            let (least, sum) = squares.fold((0.0f64, 0.0), |(least, sum), square| {
                (least.min(square), sum + square)
            });
            least >= -little && sum <= most + d as f64 * little
        };
        // k / (k + a0 m) is concave in k: the mean length bounds its sum.
        let unit = clients / (recipe.regularisation * (1.0 + alpha0 * items / self.mean()));
        let weighted = self.length / recipe.regularisation / LENGTH_UNIT;
        are_owners(self.owners, self.clients)
            && (-longest..=clients * items + longest).contains(&self.length)
            && (-longest..=self.length + longest).contains(&self.loss)
            && could_be(self.gram, unit)
            && could_be(self.weighted, weighted)
    }

    /// The mean history length of these clients.
    fn mean(&self) -> f64 {
        (self.length / self.clients as f64).max(1.0)
    }

    /// Its number among the sums of the task.
    fn sum_index(&self) -> usize {
        self.round + 1
    }

    /// n / cohort: what makes a sum over the cohort one over the population.
    fn scale(&self) -> f64 {
        self.population / self.clients as f64
    }
}

/// The part of the exact matrices that all items share, in the coordinates in which both of its terms are diagonal:
/// H_i = Z^-T (c_i W + a0 n I) Z^-1 + c_i b_i b_i', with W diagonal here.
struct Preconditioner {
    /// Z, `[d, d]`.
    coordinates: Table,
    /// Z', `[d, d]`.
    back: Table,
    /// W + lambda I in these coordinates, `[d]`.
    owned: Vec<f64>,
    /// |b_i|^2 is at most this.
    longest: f64,
}

impl IalsRecipe {
    /// One round of gradients: counts, the guard, the moving averages, and V_i <- V_i - f eta_t H_i^-1 g_i for the items of
    /// the block.
    pub(super) fn descend(
        &self,
        learning: &mut Learning,
        heard: &Heard<'_>,
    ) -> Result<(), LearnError> {
        let alpha0 = f64::from(learning.parameters.scalar("alpha0")?);
        if !heard.could_be(self, alpha0) {
            guard::tell(&mut learning.state, "left_out", heard.sum_index());
            return Ok(());
        }
        let block = heard.block..heard.block + 1;
        self.count(
            learning,
            block,
            heard.owners,
            heard.clients,
            heard.population,
        )?;
        let seen = self.watch(learning, heard)?;
        if let Seen::Rise = seen {
            return Ok(guard::restore(learning, heard.sum_index())?);
        }
        let eta = 1.0 / (1.0 + self.kappa * heard.pass as f64);
        self.mix_averages(learning, heard, eta)?;
        if let Seen::Best = seen {
            guard::remember(learning)?;
        }
        let factor = f64::from(learning.state.scalar("step_factor")?);
        self.step(learning, heard, factor * eta)
    }

    /// S, M and p of the population into their moving averages. `eta`: the weight of a whole pass over the catalogue.
    fn mix_averages(
        &self,
        learning: &mut Learning,
        heard: &Heard<'_>,
        eta: f64,
    ) -> Result<(), LearnError> {
        // Whole histories are heard in every round of a pass, so there each weighs less: as many rounds as there are blocks
        // leave of the old about what one round without blocks leaves.
        let weight = eta / (eta + self.blocks() as f64 * (1.0 - eta));
        let (scale, first) = (heard.scale(), self.rows(heard.block).first);
        let state = &mut learning.state;
        let triangle = triangle_length(self.factors);
        let gram = heard.gram.iter().map(|value| scale * value);
        average(state, "gram", triangle, 0, gram, weight)?;
        let weighted = heard
            .weighted
            .iter()
            .map(|value| scale * LENGTH_UNIT * value);
        average(state, "weighted_gram", triangle, 0, weighted, weight)?;
        let scores = heard.scores.iter().copied();
        average(state, "scores", self.items, first, scores, eta)?;
        let owners = heard.owners.iter().copied();
        average(state, "owners", self.items, first, owners, eta)?;
        Ok(())
    }

    /// V_i <- V_i - eta H_i^-1 g_i with g = s R + a0 V G + lambda (c_i + a0 n) V; all of it shorter where it is far longer than
    /// the steps before it.
    fn step(&self, learning: &mut Learning, heard: &Heard<'_>, eta: f64) -> Result<(), LearnError> {
        let (d, n, scale) = (self.factors, heard.population, heard.scale());
        let alpha0 = f64::from(learning.parameters.scalar("alpha0")?);
        let triangle = [triangle_length(d)];
        let gram = Table::symmetric(wide(&learning.state, "gram", &triangle)?, d);
        let counts = wide(&learning.parameters, "counts", &[self.items])?;
        let lengths = self.lengths(learning)?;
        let preconditioner = self.preconditioner(learning, &gram, &counts, &lengths, n)?;
        let rows = self.rows(heard.block);
        let table = values_of_mut(&mut learning.parameters, "items", &[self.items, d])?;
        let own = rows.first * d..(rows.first + rows.items) * d;
        let table = table.get_mut(own).unwrap_or_default();
        let (mut row, mut gradient) = (vec![0.0; d], vec![0.0; d]);
        let mut changes = Table::zeros(rows.items, d);
        let parts = counts.iter().zip(&lengths).skip(rows.first);
        let parts = parts.zip(heard.gradient.chunks_exact(d));
        let parts = table.chunks_exact(d).zip(changes.iter_mut()).zip(parts);
        for ((cells, change), ((count, length), sum)) in parts {
            row.iter_mut()
                .zip(cells)
                .for_each(|(row, cell)| *row = f64::from(*cell));
            let ridge = self.regularisation * (count + alpha0 * n);
            gradient
                .iter_mut()
                .zip(sum.iter().zip(&row))
                .for_each(|(gradient, (sum, value))| *gradient = scale * sum + ridge * value);
            for (value, others) in row.iter().zip(gram.iter()) {
                add_scaled(&mut gradient, alpha0 * value, others);
            }
            let size = preconditioner.size(&row, *length);
            let solved = preconditioner.solve(&gradient, &row, size, *count, alpha0 * n);
            change.copy_from_slice(&solved);
        }
        let factor = guard::cut(
            &mut learning.state,
            norm(&changes.norms()),
            heard.sum_index(),
        )?;
        if factor == 0.0 {
            return Ok(());
        }
        for (cell, change) in table.iter_mut().zip(changes.iter().flatten()) {
            *cell = (f64::from(*cell) - factor * eta * change) as f32;
        }
        Ok(())
    }

    /// The mean score of each item's owners, between 0 and 1, `[items]`; shrunk towards 0 where few were heard.
    fn lengths(&self, learning: &Learning) -> Result<Vec<f64>, LearnError> {
        let scores = wide(&learning.state, "scores", &[self.items])?;
        let owners = wide(&learning.state, "owners", &[self.items])?;
        let mean = |(scores, owners): (f64, f64)| (scores / (owners + 1.0)).clamp(0.0, 1.0);
        Ok(scores.into_iter().zip(owners).map(mean).collect())
    }

    /// W + lambda I beside G/n + lambda I, in the coordinates of both (ials.md, Server, stage A, 2 and 3).
    fn preconditioner(
        &self,
        learning: &Learning,
        gram: &Table,
        counts: &[f64],
        lengths: &[f64],
        n: f64,
    ) -> Result<Preconditioner, LearnError> {
        let d = self.factors;
        let triangle = [triangle_length(d)];
        let events = counts.iter().sum::<f64>().max(1.0);
        let weighted = wide(&learning.state, "weighted_gram", &triangle)?;
        let mean = Table::symmetric(weighted.into_iter().map(|value| value / events), d);
        let longest = mean.trace();
        // A cohort smaller than the width leaves directions in which nobody was heard.
        let least = 1e-6 * longest.max(0.0) / d as f64 + 1e-12;
        let (root, inverse) = roots(&mean.plus(&Table::diagonal(d, least)), least)?;
        let table = values_of(&learning.parameters, "items", &[self.items, d])?;
        let mut along = Table::zeros(d, d);
        let mut row = vec![0.0; d];
        let items = table.chunks_exact(d).zip(counts).zip(lengths);
        for ((cells, count), length) in items {
            row.iter_mut()
                .zip(cells)
                .for_each(|(row, cell)| *row = f64::from(*cell));
            let size = size_of(&row, *length, longest);
            along.add_outer(count / events * size * size, &row);
        }
        let within = inverse.times(&along).times(&inverse.transposed());
        let (values, vectors) = eigen(Table::diagonal(d, 1.0).minus(&within).matrix())?;
        let values: Vec<f64> = values.into_iter().map(|value| value.max(FLOOR)).collect();
        // W = R V max(values, floor) V' R', R being the root of the mean.
        let half = root.times(&vectors);
        let ridge = Table::diagonal(d, self.regularisation);
        let owned = half
            .transposed()
            .weighted(&values)
            .transposed()
            .times(&half.transposed())
            .plus(&ridge);
        let shared = gram.scaled(1.0 / n).plus(&ridge);
        let (_, inverse) = roots(&shared, self.regularisation)?;
        let within = inverse.times(&owned).times(&inverse.transposed());
        let (owned, vectors) = eigen(within.matrix())?;
        let coordinates = inverse.transposed().times(&vectors);
        Ok(Preconditioner {
            back: coordinates.transposed(),
            coordinates,
            // Positive but for rounding.
            owned: owned.into_iter().map(|value| value.max(0.0)).collect(),
            longest,
        })
    }
}

/// L and L^-1 of a sum of squares L L'. A coarse grid can round it to what is none: its eigenvalues are then raised to `least`.
fn roots(squares: &Table, least: f64) -> Result<(Table, Table), LearnError> {
    squares.cholesky().or_else(|_| {
        let (values, vectors) = eigen(squares.matrix())?;
        let values: Vec<f64> = values.into_iter().map(|value| value.max(least)).collect();
        let raised = vectors.transposed().weighted(&values);
        vectors.times(&raised).cholesky()
    })
}

/// What v_i must be multiplied by to be b_i: along v_i, b_i.v_i = `length`, |b_i|^2 at most `longest`.
fn size_of(row: &[f64], length: f64, longest: f64) -> f64 {
    let square = dot(row, row);
    if square <= 0.0 {
        return 0.0;
    }
    (length / square).min((longest / square).sqrt())
}

impl Preconditioner {
    fn size(&self, row: &[f64], length: f64) -> f64 {
        size_of(row, length, self.longest)
    }

    /// H_i^-1 g_i, `[d]`; b_i = `size` times `row` by Sherman and Morrison. `unseen`: a0 n.
    fn solve(&self, gradient: &[f64], row: &[f64], size: f64, count: f64, unseen: f64) -> Vec<f64> {
        let d = self.owned.len();
        let (mut solved, mut along) = (vec![0.0; d], vec![0.0; d]);
        let both = gradient.iter().zip(row).zip(self.coordinates.iter());
        for ((gradient, value), others) in both {
            add_scaled(&mut solved, *gradient, others);
            add_scaled(&mut along, size * value, others);
        }
        let (mut left, mut own) = (0.0, 0.0);
        let mut pulled = along.clone();
        let cells = solved.iter_mut().zip(&mut pulled).zip(&along);
        for (((solved, pulled), along), owned) in cells.zip(&self.owned) {
            let matrix = count * owned + unseen;
            *solved /= matrix;
            *pulled /= matrix;
            left += along * *solved;
            own += along * *pulled;
        }
        let factor = count * left / (1.0 + count * own);
        add_scaled(&mut solved, -factor, &pulled);
        let mut change = vec![0.0; d];
        for (value, others) in solved.iter().zip(self.back.iter()) {
            add_scaled(&mut change, *value, others);
        }
        change
    }
}
