use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;

use crate::DataError;

/// Numbers from 0 for ids, in the order in which they are first seen.
pub(crate) struct Numbering<K> {
    numbers: HashMap<K, u32>,
    ids: Vec<K>,
    /// Files are often sorted by user: the id of the last row is likely the id of this one.
    last: Option<(K, u32)>,
    /// `users` or `items`.
    what: &'static str,
    /// As many ids are numbered.
    most: u32,
}

impl<K: Eq + Hash + Clone> Numbering<K> {
    pub(crate) fn new(what: &'static str, most: u32) -> Self {
        Self {
            numbers: HashMap::new(),
            ids: Vec::new(),
            last: None,
            what,
            most,
        }
    }

    /// The number of an id, a new one if it is new.
    pub(crate) fn number<Q>(&mut self, id: &Q, file: &Path) -> Result<u32, DataError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if let Some((last, number)) = &self.last
            && last.borrow() == id
        {
            return Ok(*number);
        }
        let number = match self.numbers.get(id) {
            Some(number) => *number,
            None => self.add(id.to_owned(), file)?,
        };
        self.last = Some((id.to_owned(), number));
        Ok(number)
    }

    fn add(&mut self, id: K, file: &Path) -> Result<u32, DataError> {
        let number = u32::try_from(self.ids.len()).ok();
        let number = number.filter(|number| *number < self.most);
        let number = number.ok_or_else(|| DataError::TooMany {
            file: file.to_owned(),
            what: self.what,
            most: self.most,
        })?;
        self.numbers.insert(id.clone(), number);
        self.ids.push(id);
        Ok(number)
    }

    /// The number of an id that was seen.
    pub(crate) fn get<Q>(&self, id: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.numbers.get(id).copied()
    }

    /// How many ids.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids by number.
    pub(crate) fn ids(&self) -> &[K] {
        &self.ids
    }

    /// Where each number goes when the ids are put in order; and the ids in that order.
    pub(crate) fn sorted(&self) -> (Vec<u32>, Vec<K>)
    where
        K: Ord,
    {
        let mut order: Vec<(&K, usize)> = self.ids.iter().zip(0..).collect();
        order.sort_unstable();
        let mut places = vec![0; order.len()];
        for (place, (_, number)) in (0u32..).zip(&order) {
            if let Some(slot) = places.get_mut(*number) {
                *slot = place;
            }
        }
        (
            places,
            order.into_iter().map(|(id, _)| id.clone()).collect(),
        )
    }
}
