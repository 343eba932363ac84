use std::path::Path;

use chorus_model::ItemId;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::lines::{find, for_each_line};
use crate::marks::Marks;
use crate::ncf::only_tested;
use crate::negatives::{SEED, negatives};
use crate::read::folder_name;
use crate::{DataError, Dataset, Held, Split};

/// Reads a split in the layout of LightGCN (He et al. 2020), if there is one in `dir`: `train.txt` and `test.txt`, a line
/// a user, its number and those of its items. All items of a test line are held out.
pub(crate) fn read(dir: &Path) -> Result<Option<Dataset>, DataError> {
    let (Some(train), Some(test)) = (find(dir, "train.txt"), find(dir, "test.txt")) else {
        return Ok(None);
    };
    let histories = lists(&train, true)?;
    let mut held = lists(&test, false)?;
    if histories.is_empty() {
        return Err(DataError::Empty { file: train });
    }
    let users = histories.len().max(held.len());
    let mut histories = histories;
    histories.resize(users, Vec::new());
    held.resize(users, Vec::new());
    let pairs = histories.iter().zip(&held);
    let tested = pairs.filter(|(history, held)| history.is_empty() && !held.is_empty());
    let tested = tested.count();
    let all = histories.iter().flatten().chain(held.iter().flatten());
    let items = all.map(|item| item.0 as usize + 1).max().unwrap_or(0);
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let mut seen = Marks::new(items);
    let mut repaired = 0;
    let cases = histories
        .iter_mut()
        .zip(held)
        .map(|(history, mut held)| {
            seen.clear();
            history.retain(|item| seen.mark(*item));
            let listed = held.len();
            held.retain(|item| seen.mark(*item));
            repaired += listed - held.len();
            let (positive, also) = held.split_first()?;
            let touched: Vec<ItemId> = history.iter().chain(also).copied().collect();
            Some(Held {
                positive: *positive,
                also: also.to_vec(),
                negatives: negatives(&touched, *positive, items, &mut rng),
                times: Vec::new(),
            })
        })
        .collect();
    Ok(Some(Dataset {
        name: folder_name(dir),
        items,
        titles: None,
        item_ids: None,
        user_ids: None,
        features: None,
        split: Split::Published,
        copies: 1,
        histories,
        times: None,
        cases,
        repaired,
        notes: only_tested(&test, tested),
    }))
}

/// One list of items a user; in a file to learn from, none may be empty.
fn lists(file: &Path, is_train: bool) -> Result<Vec<Vec<ItemId>>, DataError> {
    const EXPECTED: &str = "a user number and item numbers, separated by spaces";
    let mut lists: Vec<Vec<ItemId>> = Vec::new();
    for_each_line(file, |line| {
        let mut fields = line.text()?.split_ascii_whitespace();
        let user = line.user(fields.next(), EXPECTED)?;
        let items = fields
            .map(|field| line.item(Some(field), EXPECTED).map(ItemId))
            .collect::<Result<Vec<_>, _>>()?;
        if is_train && items.is_empty() {
            return Err(line.malformed(format!(
                "{EXPECTED}; this history is empty, so nothing can be learned from it: take the line out"
            )));
        }
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
