use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};

use super::ModelPlan;

/// Where a plan stands. Written as a table, or in a task file as the name of a file beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ModelSource {
    /// In a file that a task file names, to be read before the task is used.
    File(String),
    /// Here.
    Plan(Box<ModelPlan>),
}

// Derived, an unknown key of a plan would be called "data did not match any variant".
impl<'de> Deserialize<'de> for ModelSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ModelSource;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the plan of a model, or the name of a file that holds one")
            }

            fn visit_str<E: de::Error>(self, file: &str) -> Result<Self::Value, E> {
                Ok(ModelSource::File(file.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let plan = ModelPlan::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ModelSource::Plan(Box::new(plan)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Bytes as text of two digits each.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a module, which are refused beyond a mebibyte.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(high)? * 16 + digit(low)?);
    (rest.is_empty() && pairs.len() <= 1 << 20)
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}
