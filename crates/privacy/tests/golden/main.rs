//! The crate against the golden tables of `tests/vectors/dp`: one binary, so that the reader of the tables is built once.

#[cfg(test)]
mod accountant;
#[cfg(test)]
mod sampler;
#[cfg(test)]
mod tables;
