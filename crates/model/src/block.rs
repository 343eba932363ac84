use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Step;

/// Neighbouring rows of the item table, the same for a whole cohort: the part that one sum trains.
///
/// A catalogue of a million items would make every upload a hundred megabytes; a block of it makes a small one
/// (recommender.md 4.3, point 2).
///
/// # Privacy
/// Public, and a function of the round's number alone, so it says nothing about any client. What a client sends is
/// dense over the block, whether it holds items of it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Number of its first item, from 0.
    pub first: usize,
    /// How many items; at least 1.
    pub items: usize,
}

/// A block that cannot be trained.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// No items, or items that are not in the catalogue.
    #[error(
        "a block of {} items from item {} on is not in a catalogue of {catalogue}",
        .block.items,
        .block.first
    )]
    Outside {
        /// The block.
        block: Block,
        /// Items in the catalogue.
        catalogue: usize,
    },
    /// The step is always over the whole catalogue.
    #[error("only gradients and heads are summed over a block of items, not the step {0:?}")]
    Step(Step),
}

impl Block {
    /// The whole of a catalogue of `items` items.
    pub fn whole(items: usize) -> Self {
        Self { first: 0, items }
    }

    /// The numbers of its items.
    pub fn range(self) -> Range<usize> {
        self.first..self.first.saturating_add(self.items)
    }

    /// Where in the block an item lies, from 0; nothing for an item outside of it.
    pub fn position(self, item: usize) -> Option<usize> {
        item.checked_sub(self.first)
            .filter(|position| *position < self.items)
    }
}

impl Step {
    /// The item rows that a sum of this step is about: the block, or without one all `items` of the catalogue.
    ///
    /// # Errors
    /// A block that is empty or not inside the catalogue, or any block for another step than a gradient or a head.
    pub fn rows(self, items: usize, block: Option<Block>) -> Result<Block, BlockError> {
        let Some(block) = block else {
            return Ok(Block::whole(items));
        };
        if !matches!(self, Step::Gradient | Step::Head) {
            return Err(BlockError::Step(self));
        }
        match block.first.checked_add(block.items) {
            Some(end) if block.items > 0 && end <= items => Ok(block),
            _ => Err(BlockError::Outside {
                block,
                catalogue: items,
            }),
        }
    }
}
