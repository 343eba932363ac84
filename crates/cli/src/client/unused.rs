//! What was kept under a grant that is gone: it stays, unused, until its person removes it.

use chorus_client::{Client, Event, Purpose, Source};

use super::explain;
use crate::words;

/// What is kept of a purpose that is off, and how it goes; nothing where nothing is known to be.
pub fn unused(client: &Client, purpose: Purpose) -> anyhow::Result<Option<String>> {
    let (items, what, remove) = match purpose {
        Purpose::Sensitive(category) => {
            let items = client.items_of(category).map_err(explain)?.len();
            let remove = format!("remove --sensitive {}", category.name());
            (items, format!("of `{purpose}`"), remove)
        }
        Purpose::ThirdPartySource => {
            let kept = client.items().map_err(explain)?;
            let is_foreign = |event: &Event| event.source == Source::ThirdParty;
            let items = kept
                .iter()
                .filter(|item| item.events.iter().any(is_foreign));
            let remove = "remove --source third-party".to_owned();
            (items.count(), "from third parties".to_owned(), remove)
        }
        _ => return Ok(None),
    };
    if items == 0 {
        return Ok(None);
    }
    let items = words::counted(items as u64, "item");
    Ok(Some(format!(
        "{items} {what} of before stay here, and nothing uses them while {purpose} is off: `{remove}` removes them, `erase --yes` erases \
         everything"
    )))
}
