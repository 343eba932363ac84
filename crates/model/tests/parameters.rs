//! A model file survives a round trip bit for bit, and a damaged one is an error, never a panic.
#![allow(clippy::unwrap_used)]

use chorus_model::{Parameters, ParametersError, Tensor};
use proptest::prelude::*;

fn sample(rows: usize, columns: usize, values: &[f32]) -> Parameters {
    let mut parameters = Parameters::default();
    let values: Vec<f32> = values
        .iter()
        .copied()
        .cycle()
        .take(rows * columns)
        .collect();
    parameters.set(
        "items",
        Tensor::new("items", &[rows, columns], values).unwrap(),
    );
    parameters.set_scalar("alpha0", 0.3);
    parameters
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_round_trip(rows in 1usize..9, columns in 1usize..9,
                        values in prop::collection::vec(-1e30f32..1e30, 1..80)) {
        let parameters = sample(rows, columns, &values);
        let bytes = parameters.to_bytes().unwrap();
        let again = Parameters::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&again, &parameters);
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Parameters::from_bytes(&bytes);
    }

    #[test]
    fn a_flipped_byte_is_refused_or_gives_finite_values(place in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = sample(4, 3, &[1.0, -2.0, 0.5]).to_bytes().unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(parameters) = Parameters::from_bytes(&bytes) {
            prop_assert!(parameters.iter().all(|(_, tensor)| tensor.values.iter().all(|value| value.is_finite())));
        }
    }

    #[test]
    fn a_truncated_file_is_refused(keep in any::<prop::sample::Index>()) {
        let bytes = sample(4, 3, &[1.0]).to_bytes().unwrap();
        prop_assert!(Parameters::from_bytes(&bytes[..keep.index(bytes.len())]).is_err());
    }
}

#[test]
fn values_that_are_not_finite_are_refused() {
    let mut parameters = Parameters::default();
    parameters.set_scalar("alpha0", f32::NAN);
    let bytes = parameters.to_bytes().unwrap();
    assert_eq!(
        Parameters::from_bytes(&bytes),
        Err(ParametersError::NotFinite("alpha0".to_owned()))
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let error = Parameters::default().require("items").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model has no tensor `items`, which this step needs"
    );
}
