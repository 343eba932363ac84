use std::path::Path;

use chorus_model::ItemId;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::lines::{find, for_each_line};
use crate::read::folder_name;
use crate::split::{SEED, negatives};
use crate::{DataError, Dataset, Held};

/// Reads a split in the layout of LightGCN (He et al. 2020), if there is one in `dir`: `train.txt` and `test.txt`, a line
/// a user, its number and those of its items. All items of a test line are held out.
pub(crate) fn read(dir: &Path) -> Result<Option<Dataset>, DataError> {
    let (Some(train), Some(test)) = (find(dir, "train.txt"), find(dir, "test.txt")) else {
        return Ok(None);
    };
    let histories = lists(&train)?;
    let mut held = lists(&test)?;
    if histories.is_empty() {
        return Err(DataError::Empty { file: train });
    }
    let users = histories.len().max(held.len());
    let mut histories = histories;
    histories.resize(users, Vec::new());
    held.resize(users, Vec::new());
    let all = histories.iter().flatten().chain(held.iter().flatten());
    let items = all.map(|item| item.0 as usize + 1).max().unwrap_or(0);
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let cases = histories
        .iter()
        .zip(held)
        .map(|(history, mut held)| {
            held.retain(|item| !history.contains(item));
            let (positive, also) = held.split_first()?;
            let touched: Vec<ItemId> = history.iter().chain(also).copied().collect();
            Some(Held {
                positive: *positive,
                also: also.to_vec(),
                negatives: negatives(&touched, *positive, items, &mut rng),
            })
        })
        .collect();
    Ok(Some(Dataset {
        name: folder_name(dir),
        items,
        titles: None,
        features: None,
        histories,
        cases,
    }))
}

/// One list of items a user.
fn lists(file: &Path) -> Result<Vec<Vec<ItemId>>, DataError> {
    const EXPECTED: &str = "a user number and item numbers, separated by spaces";
    let mut lists: Vec<Vec<ItemId>> = Vec::new();
    for_each_line(file, |line| {
        let mut fields = line.text()?.split_ascii_whitespace();
        let user = line.user(fields.next(), EXPECTED)?;
        let items = fields
            .map(|field| line.item(Some(field), EXPECTED).map(ItemId))
            .collect::<Result<Vec<_>, _>>()?;
        if lists.len() <= user {
            lists.resize(user + 1, Vec::new());
        }
        if let Some(list) = lists.get_mut(user) {
            list.extend(items);
        }
        Ok(())
    })?;
    Ok(lists)
}
