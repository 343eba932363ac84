#![doc = include_str!("../README.md")]

mod arrays;
mod asked;
mod dataset;
mod hooks;
mod progress;
mod rounds;
mod run;

/// Federated recommenders, simulated on the code that ships.
#[pyo3::pymodule(name = "chorus")]
mod chorus {
    #[pymodule_export]
    use crate::dataset::{Dataset, read, synthesise};
    #[pymodule_export]
    use crate::rounds::Rounds;
    #[pymodule_export]
    use crate::run::{Run, simulate};
}
