use std::collections::{BTreeMap, BTreeSet};

use chorus_model::{Dimension, ModelPlan};

use super::archive::{Entries, pack, unpack};
use super::{ModuleError, code, pickle};

/// A module that may be opened.
pub(super) struct Checked {
    /// An archive of what was checked and nothing else.
    pub archive: Vec<u8>,
    /// For each parameter of the module the tensor of the plan.
    pub tensors: BTreeMap<String, String>,
}

/// Checks a TorchScript module against the plan of its model, without libtorch: the archive, every operator that its code
/// names, and that its parameters are the plan's tensors.
///
/// # Errors
/// What is refused, and why.
pub fn check_module(bytes: &[u8], plan: &ModelPlan) -> Result<(), ModuleError> {
    checked(bytes, plan).map(|_| ())
}

pub(super) fn checked(bytes: &[u8], plan: &ModelPlan) -> Result<Checked, ModuleError> {
    let entries = unpack(bytes)?;
    let sources: BTreeMap<String, &Vec<u8>> = entries
        .iter()
        .filter_map(|(name, content)| {
            let path = name.strip_prefix("code/")?.strip_suffix(".py")?;
            Some((path.replace('/', "."), content))
        })
        .collect();
    let files: BTreeSet<String> = sources.keys().cloned().collect();
    for (file, content) in sources {
        code::check(&file, content, &files)?;
    }
    // Constants that are tensors would be parameters that nobody declared.
    match entry(&entries, "constants.pkl")? {
        b"\x80\x02)." => {}
        _ => return Err(ModuleError::Tensor("a constant of the code".to_owned())),
    }
    let parameters = pickle::parameters(entry(&entries, "data.pkl")?, &files)?;
    let mut tensors = BTreeMap::new();
    for (name, held) in parameters {
        if !held.is_trained {
            return Err(ModuleError::Tensor(format!("the buffer `{name}`")));
        }
        let plain = name.replace(['.', '_'], "-").to_ascii_lowercase();
        let declared = plan.tensors.iter().find(|tensor| tensor.name == plain);
        let declared =
            declared.ok_or_else(|| ModuleError::Tensor(format!("`{name}` (`{plain}`)")))?;
        let is_same = |(said, found): (&Dimension, &usize)| match said {
            Dimension::Fixed(number) => number == found,
            Dimension::Catalogue(_) => true,
        };
        if declared.shape.len() != held.shape.len()
            || !declared.shape.iter().zip(&held.shape).all(is_same)
        {
            let (found, name) = (held.shape, plain);
            return Err(ModuleError::Shape { name, found });
        }
        let stored = entry(&entries, &format!("data/{}", held.storage))?;
        if stored.len() != held.values.saturating_mul(4) {
            return Err(ModuleError::Archive(format!(
                "`data/{}` is not as long as its tensor",
                held.storage
            )));
        }
        if tensors.values().any(|other| *other == plain) {
            return Err(ModuleError::Tensor(format!("a second `{plain}`")));
        }
        tensors.insert(name, plain);
    }
    let is_held = |name: &String| tensors.values().any(|held| held == name);
    match plan.tensors.iter().find(|tensor| !is_held(&tensor.name)) {
        Some(tensor) => Err(ModuleError::Missing(tensor.name.clone())),
        None => Ok(Checked {
            archive: pack(&entries)?,
            tensors,
        }),
    }
}

fn entry<'a>(entries: &'a Entries, name: &str) -> Result<&'a [u8], ModuleError> {
    let entry = entries.get(name).map(Vec::as_slice);
    entry.ok_or_else(|| ModuleError::Archive(format!("it lacks `{name}`")))
}
