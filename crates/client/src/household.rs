use std::path::{Path, PathBuf};

use rand_core::CryptoRng;

use crate::{Error, StoreError};

/// The people who share one device. Each has a folder of their own below one home, and in it a client with a store and a key of its
/// own: what one did is in nobody else's lists, and one can leave without the others.
///
/// A profile is a number that chance made. What it is called on the screen, the app knows.
pub struct Household {
    home: PathBuf,
}

/// Below the home of the household.
const FOLDER: &str = "profiles";

impl Household {
    /// The household that lives in the folder `home`.
    pub fn new(home: &Path) -> Self {
        Self {
            home: home.join(FOLDER),
        }
    }

    /// The folders of everybody's clients, for [`Client::open`](crate::Client::open).
    ///
    /// # Errors
    /// When the home cannot be read.
    pub fn profiles(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match std::fs::read_dir(&self.home) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| self.unusable(&error))?,
        };
        let mut profiles = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.unusable(&error))?.path();
            if path.is_dir() {
                profiles.push(path);
            }
        }
        profiles.sort();
        Ok(profiles)
    }

    /// A folder for one more person. Opening a client there makes its store.
    ///
    /// # Errors
    /// When the home cannot be written.
    pub fn add(&self, rng: &mut impl CryptoRng) -> Result<PathBuf, Error> {
        let profile = self.home.join(format!("{:016x}", rng.next_u64()));
        crate::store::file::make_folder(&profile).map_err(|error| self.unusable(&error))?;
        Ok(profile)
    }

    /// Removes the folder of somebody who left, once their client was erased.
    ///
    /// # Errors
    /// When something is left in it: nobody's data is removed in passing.
    pub fn remove(&self, profile: &Path) -> Result<(), Error> {
        std::fs::remove_dir(profile).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &std::io::Error) -> Error {
        Error::Store(StoreError::Unusable {
            path: self.home.clone(),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use chorus_model::ItemId;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::testing::decide;
    use crate::{Answer, Client, Event, FileKey, Purpose, Settings};

    #[test]
    fn what_one_person_does_is_in_nobody_elses_client() {
        let home = tempfile::tempdir().unwrap();
        let household = Household::new(home.path());
        assert!(household.profiles().unwrap().is_empty());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let [one, other] = [(); 2].map(|()| household.add(&mut rng).unwrap());
        assert_eq!(household.profiles().unwrap().len(), 2);
        let open = |folder: &Path, keys: &Path| {
            Client::open(folder, &FileKey::beside(keys), Settings::default(), 9)
        };
        let mut first = open(&one, &one).unwrap();
        decide(&mut first, Answer::Yes, [Purpose::LocalPersonalisation]);
        first.record(Event::click(ItemId(1), 9), 9).unwrap();
        let second = open(&other, &other).unwrap();
        assert_eq!(first.history(5).unwrap().len(), 1);
        assert!(second.history(5).unwrap().is_empty());
        drop(first);
        // Nobody's key opens another one's store.
        assert!(open(&one, &other).is_err());
        assert!(household.remove(&one).is_err(), "there is something in it");
        std::fs::remove_dir_all(&one).unwrap();
        let third = household.add(&mut rng).unwrap();
        household.remove(&third).unwrap();
        assert_eq!(household.profiles().unwrap(), [other]);
    }
}
