use crate::algebra::{dot, scaled_to, triangle_length};
use crate::table::{Table, add_scaled};
use crate::{ItemId, Parameters, ParametersError, TrainingSet};

/// What a client computes in the noised sums of `ials-private` once its person vector z is solved; the same for every
/// engine (ials-private.md, section 1).
///
/// Every vector that it gives has L2 norm 1, or 0 where there is nothing to say: that is what makes the sums' noise
/// enough.
pub struct Bounded {
    items: usize,
    factors: usize,
    /// The item table while it is a start that nothing was learned into: z is then V'x.
    start: Option<Vec<f32>>,
    /// `[r, factors]`: Q w^(-1/2), transposed.
    whitening: Option<Table>,
    known: Option<Known>,
}

/// The part of histories that the coordinator can foretell from what it published: not worth noise of its own.
struct Known {
    /// Qb, `[items, b]`, orthonormal columns; the first one is popularity, and zero where an item is not taught.
    basis: Table,
    /// What is left of each direction, `[b]`, in 0..=1.
    gains: Vec<f64>,
}

impl Bounded {
    /// Takes from a model what the private sums need; a model without it makes the sums that need it an error.
    ///
    /// # Errors
    /// A tensor of another shape: `whitening` must be `[r, factors]`, `known` `[items, b]` and `gains` `[b]`, `start`
    /// `[1]`.
    pub fn open(parameters: &Parameters) -> Result<Self, ParametersError> {
        let (items, factors) = shape(parameters, "items")?;
        let whitening = match parameters.get("whitening") {
            None => None,
            Some(tensor) => {
                let (rows, columns, table) = matrix(parameters, "whitening")?;
                if columns != factors {
                    let (name, found) = ("whitening".to_owned(), tensor.values.len());
                    let shape = vec![rows, factors];
                    return Err(ParametersError::Shape { name, shape, found });
                }
                Some(table)
            }
        };
        let known = match parameters.get("known") {
            None => None,
            Some(tensor) => {
                let (rows, columns, basis) = matrix(parameters, "known")?;
                let gains = parameters.require("gains")?;
                if rows != items || gains.values.len() != columns {
                    let (name, found) = ("known".to_owned(), tensor.values.len());
                    let shape = vec![items, gains.values.len()];
                    return Err(ParametersError::Shape { name, shape, found });
                }
                let gains = gains.values.iter().copied().map(f64::from).collect();
                Some(Known { basis, gains })
            }
        };
        let start = match parameters.get("start") {
            None => None,
            Some(_) => (parameters.scalar("start")? != 0.0)
                .then(|| {
                    parameters
                        .require("items")
                        .map(|items| items.values.clone())
                })
                .transpose()?,
        };
        Ok(Self {
            items,
            factors,
            start,
            whitening,
            known,
        })
    }

    /// z of a start: the sum of the history's rows. Nothing once something was learned: z is then the person vector.
    pub fn start(&self, history: &TrainingSet) -> Option<Vec<f64>> {
        let table = self.start.as_ref()?;
        let mut sum = vec![0.0; self.factors];
        for item in history.items() {
            let cells = item.0 as usize * self.factors;
            let row = table.get(cells..cells + self.factors).unwrap_or_default();
            sum.iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += f64::from(*value));
        }
        Some(sum)
    }

    /// Words of a contribution to a projection: items times the directions that the whitening keeps.
    ///
    /// # Errors
    /// When the model has no `whitening`.
    pub fn projection_length(&self) -> Result<usize, ParametersError> {
        Ok(self.items * self.whitening()?.rows())
    }

    fn whitening(&self) -> Result<&Table, ParametersError> {
        let missing = || ParametersError::Missing("whitening".to_owned());
        self.whitening.as_ref().ok_or_else(missing)
    }

    /// The upper triangle, row by row, of z z' with z normalised, cells off the diagonal times sqrt 2: norm 1.
    /// `person`: z, `[factors]`.
    pub fn gram(&self, person: Vec<f64>) -> Vec<f32> {
        let unit = scaled_to(person, 1.0);
        let mut values = Vec::with_capacity(triangle_length(unit.len()));
        for (place, left) in unit.iter().enumerate() {
            let scales = std::iter::once(1.0).chain(std::iter::repeat(std::f64::consts::SQRT_2));
            let cells = unit.iter().skip(place).zip(scales);
            values.extend(cells.map(|(right, scale)| (scale * left * right) as f32));
        }
        values
    }

    /// y omega', row-major `[items, r]`, norm 1: omega is the whitened z, normalised; y is the history over the square
    /// root of its length, its known part damped, normalised. `person`: z, `[factors]`.
    ///
    /// # Errors
    /// When the model has no `whitening` or no `known`.
    pub fn projection(
        &self,
        person: &[f64],
        history: &TrainingSet,
    ) -> Result<Vec<f32>, ParametersError> {
        let whitening = self.whitening()?;
        let missing = || ParametersError::Missing("known".to_owned());
        let known = self.known.as_ref().ok_or_else(missing)?;
        let white: Vec<f64> = whitening.iter().map(|row| dot(row, person)).collect();
        let omega = scaled_to(white, 1.0);
        let left = known.damped(history);
        let mut values = Vec::with_capacity(left.len() * omega.len());
        for factor in left {
            values.extend(omega.iter().map(|value| (factor * value) as f32));
        }
        Ok(values)
    }
}

impl Known {
    /// y: xh - Qb ((1 - g) * Qb' xh), normalised, `[items]`, of the items that are taught. Zeros where that is nothing.
    fn damped(&self, history: &TrainingSet) -> Vec<f64> {
        let is_taught = |item: &&ItemId| self.basis.row(item.0 as usize).first() != Some(&0.0);
        let taught: Vec<usize> = history
            .items()
            .iter()
            .filter(is_taught)
            .map(|item| item.0 as usize)
            .collect();
        let size = 1.0 / (taught.len().max(1) as f64).sqrt();
        let mut along = vec![0.0; self.gains.len()];
        for item in &taught {
            add_scaled(&mut along, size, self.basis.row(*item));
        }
        along
            .iter_mut()
            .zip(&self.gains)
            .for_each(|(part, gain)| *part *= 1.0 - gain);
        let mut left: Vec<f64> = self.basis.iter().map(|row| -dot(row, &along)).collect();
        for item in &taught {
            if let Some(cell) = left.get_mut(*item) {
                *cell += size;
            }
        }
        scaled_to(left, 1.0)
    }
}

/// Rows and columns of the two-dimensional tensor `name`.
fn shape(parameters: &Parameters, name: &str) -> Result<(usize, usize), ParametersError> {
    let tensor = parameters.require(name)?;
    match tensor.shape.as_slice() {
        [rows, columns] if *rows > 0 && *columns > 0 && tensor.values.len() == rows * columns => {
            Ok((*rows, *columns))
        }
        shape => Err(ParametersError::Shape {
            name: name.to_owned(),
            shape: shape.to_vec(),
            found: tensor.values.len(),
        }),
    }
}

/// The same with its values.
fn matrix(parameters: &Parameters, name: &str) -> Result<(usize, usize, Table), ParametersError> {
    let (rows, columns) = shape(parameters, name)?;
    let values = &parameters.require(name)?.values;
    let values = values.iter().copied().map(f64::from);
    Ok((rows, columns, Table::of(rows, columns, values)))
}
