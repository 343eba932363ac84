use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::table::Table;

/// Feature names, at most.
const MOST_NAMES: usize = 4_096;
/// Entries, at most: a task is kept as one text, and this many make some 60 MB of it.
const MOST_ENTRIES: usize = 4_000_000;
/// Products of two features that a prior may use, at most: the heaviest are kept.
const MOST_PRODUCTS: usize = 512;
/// Features of one item that are paired, at most: of an item with more, the first ones.
const MOST_PAIRED: usize = 64;
/// A product of two features is used when it is worth so many items that have both in full.
const LEAST_PRODUCT: f64 = 10.0;
/// What products weigh beside the features themselves (ials-private.md, section 1).
const PRODUCT_WEIGHT: f64 = 0.7;

/// What is publicly known about the items of a catalogue: genres, years, prices; a sparse table.
///
/// It belongs to the task, like the number of items: it never comes from a client, and no privacy is spent on it.
///
/// ```
/// let features = chorus_model::ItemFeatures::from_csv("item,feature,weight\n0,comedy,1\n2,comedy,0.7\n")?;
/// assert_eq!((features.names().len(), features.entries().len()), (1, 2));
/// # Ok::<(), chorus_model::FeaturesError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawFeatures", into = "RawFeatures")]
pub struct ItemFeatures {
    names: Vec<String>,
    entries: Vec<(u32, u32, f32)>,
}

/// One product of two features.
struct Product {
    /// Items that have both in full, as many as it is worth.
    worth: f64,
    /// Item and weight.
    values: Vec<(usize, f64)>,
}

/// The form in a stored task.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeatures {
    names: Vec<String>,
    entries: Vec<(u32, u32, f32)>,
}

/// A table of features that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FeaturesError {
    /// A line that is no entry.
    #[error("line {line} of the features: expected {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// Two entries for one item and feature.
    #[error("item {item} has the feature `{name}` twice: leave one of the two entries")]
    Twice {
        /// The item.
        item: u32,
        /// The feature.
        name: String,
    },
    /// A weight that is not a finite number between -1000 and 1000, or an entry of a feature without a name.
    #[error(
        "the entry of item {item} is not a weight between -1000 and 1000 of one of the named features"
    )]
    Entry {
        /// The item.
        item: u32,
    },
    /// Weights that are all 0.
    #[error(
        "features: every weight is 0, which is the weight of what an item does not have: give weights, such as 1"
    )]
    Nothing,
    /// No entries, or more than a task can hold.
    #[error(
        "features: {entries} entries of {names} features; there must be at least one, at most 4000000 entries and at most 4096 features"
    )]
    Size {
        /// Entries.
        entries: usize,
        /// Features.
        names: usize,
    },
}

impl ItemFeatures {
    /// `entries`: item, number of the feature in `names`, weight.
    ///
    /// # Errors
    /// A weight that is not finite or not within 1000, a feature without a name, an item that has a feature twice, no
    /// entries or too many.
    pub fn new(
        names: Vec<String>,
        mut entries: Vec<(u32, u32, f32)>,
    ) -> Result<Self, FeaturesError> {
        let fits = (1..=MOST_ENTRIES).contains(&entries.len()) && names.len() <= MOST_NAMES;
        if !fits {
            let (entries, names) = (entries.len(), names.len());
            return Err(FeaturesError::Size { entries, names });
        }
        entries.sort_by_key(|(item, feature, _)| (*item, *feature));
        for (item, feature, weight) in &entries {
            if *feature as usize >= names.len() || !(-1000.0..=1000.0).contains(weight) {
                return Err(FeaturesError::Entry { item: *item });
            }
        }
        for (one, next) in entries.iter().zip(entries.iter().skip(1)) {
            if (one.0, one.1) == (next.0, next.1) {
                let name = names.get(one.1 as usize).cloned().unwrap_or_default();
                return Err(FeaturesError::Twice { item: one.0, name });
            }
        }
        Ok(Self { names, entries })
    }

    /// Reads `item,feature,weight` lines under that header. Items are numbers from 0; a feature's name holds no comma.
    ///
    /// # Errors
    /// The first line that is no entry, weights that are all 0, and as [`ItemFeatures::new`].
    pub fn from_csv(text: &str) -> Result<Self, FeaturesError> {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut names = Vec::new();
        let mut entries = Vec::new();
        for (line, text) in (1..)
            .zip(text.lines())
            .filter(|(_, text)| !text.trim().is_empty())
        {
            if line == 1 {
                if text.trim() != "item,feature,weight" {
                    let expected = "the header `item,feature,weight`";
                    return Err(FeaturesError::Line { line, expected });
                }
                continue;
            }
            let expected = "an item number, a feature's name and a weight, separated by commas";
            let fields: Vec<&str> = text.split(',').map(str::trim).collect();
            let [item, name, weight] = fields.as_slice() else {
                return Err(FeaturesError::Line { line, expected });
            };
            let (Ok(item), Ok(weight), false) = (item.parse(), weight.parse(), name.is_empty())
            else {
                return Err(FeaturesError::Line { line, expected });
            };
            let feature = *numbers.entry(name).or_insert_with(|| {
                names.push((*name).to_owned());
                names.len() as u32 - 1
            });
            entries.push((item, feature, weight));
        }
        if !entries.is_empty() && entries.iter().all(|(_, _, weight)| *weight == 0.0) {
            return Err(FeaturesError::Nothing);
        }
        Self::new(names, entries)
    }

    /// Writes what [`ItemFeatures::from_csv`] reads.
    pub fn to_csv(&self) -> String {
        let line = |(item, feature, weight): &(u32, u32, f32)| {
            let name = self.names.get(*feature as usize).map_or("", String::as_str);
            format!("{item},{name},{weight}\n")
        };
        let lines = self.entries.iter().map(line);
        std::iter::once("item,feature,weight\n".to_owned())
            .chain(lines)
            .collect()
    }

    /// The features' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Item, number of the feature, weight; by item and feature.
    pub fn entries(&self) -> &[(u32, u32, f32)] {
        &self.entries
    }

    /// One past the largest item number.
    pub fn items(&self) -> usize {
        self.entries
            .last()
            .map_or(0, |(item, ..)| *item as usize + 1)
    }

    /// F: `[items, features]`.
    pub(crate) fn plain(&self, items: usize) -> Table {
        let mut table = Table::zeros(items, self.names.len());
        for (item, feature, weight) in &self.entries {
            table.set(*item as usize, *feature as usize, f64::from(*weight));
        }
        table
    }

    /// R: F and beside it the products of two features that enough items share, each scaled to a largest weight of 0.7.
    pub(crate) fn rich(&self, items: usize) -> Table {
        let plain = self.plain(items);
        let mut products: BTreeMap<(u32, u32), Vec<(usize, f64)>> = BTreeMap::new();
        let mut rest = self.entries.as_slice();
        while let Some((item, ..)) = rest.first() {
            let own = rest.iter().take_while(|entry| entry.0 == *item).count();
            let (row, later) = rest.split_at(own);
            rest = later;
            let row = row.get(..MOST_PAIRED).unwrap_or(row);
            for (place, (_, one, left)) in row.iter().enumerate() {
                for (_, other, right) in row.iter().skip(place + 1) {
                    let product = f64::from(*left) * f64::from(*right);
                    products
                        .entry((*one, *other))
                        .or_default()
                        .push((*item as usize, product));
                }
            }
        }
        let mut columns: Vec<Product> = Vec::new();
        for mut values in products.into_values() {
            let largest = values
                .iter()
                .map(|(_, value)| value.abs())
                .fold(0.0, f64::max);
            let worth: f64 = values.iter().map(|(_, value)| value.abs() / largest).sum();
            if largest > 0.0 && worth >= LEAST_PRODUCT {
                values
                    .iter_mut()
                    .for_each(|(_, value)| *value *= PRODUCT_WEIGHT / largest);
                columns.push(Product { worth, values });
            }
        }
        // The sort keeps products of the same worth in the order of their features.
        columns.sort_by(|left, right| right.worth.total_cmp(&left.worth));
        columns.truncate(MOST_PRODUCTS);
        let mut products = Table::zeros(items, columns.len());
        for (column, product) in columns.iter().enumerate() {
            for (item, value) in &product.values {
                products.set(*item, column, *value);
            }
        }
        plain.beside(&products)
    }
}

impl TryFrom<RawFeatures> for ItemFeatures {
    type Error = FeaturesError;

    fn try_from(raw: RawFeatures) -> Result<Self, FeaturesError> {
        Self::new(raw.names, raw.entries)
    }
}

impl From<ItemFeatures> for RawFeatures {
    fn from(features: ItemFeatures) -> Self {
        Self {
            names: features.names,
            entries: features.entries,
        }
    }
}
