//! The crate against the golden tables of `tests/vectors/dp`: one binary, so that the reader of the tables is built once.

#[cfg(test)]
mod accountant;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod calibration;
#[cfg(test)]
mod lattice;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod others;
#[cfg(test)]
mod sampler;
#[cfg(test)]
mod subsampled;
#[cfg(test)]
mod tables;
