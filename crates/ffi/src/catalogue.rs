use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::sync::Arc;

use chorus_client::{About, AgeBand, Catalogue, Category, Price, Region};
use chorus_model::ItemId;
use serde::Deserialize;

use crate::code::Failure;
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::text::{read, text};

/// What an app says of an item.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    item: ItemId,
    #[serde(default)]
    title: String,
    #[serde(default)]
    topics: Vec<String>,
    sensitive: Option<Category>,
    price: Option<Price>,
    #[serde(default)]
    regions: Vec<Region>,
    from_age: Option<AgeBand>,
}

/// What an app said of its items.
struct Items {
    about: BTreeMap<ItemId, About>,
    order: Vec<ItemId>,
}

impl Catalogue for Items {
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>> {
        self.about.get(&item).map(Cow::Borrowed)
    }

    fn items(&self) -> Vec<ItemId> {
        self.order.clone()
    }
}

/// Says what the app knows of its items, in the place of what it said before. Held in memory until the client is closed: an app says
/// it after each opening, before it records or asks for a list. Without it no item is sensitive, none has a topic, and nothing is shown
/// to somebody who muted a topic.
///
/// `items`: `[{"item": 17, "title": "Two Lakes", "topics": ["travel"], "sensitive": "health", "price": {"amount": 499, "currency":
/// "EUR"}, "regions": ["DE"], "from_age": "16-17"}, ...]`; all but `item` may be left out. `sensitive`: a category of the notice,
/// what follows `sensitive:` in its name; `amount`: cents, pence, yen. Their order, best sellers first, is that of a list before there
/// is a model.
///
/// # Safety
/// `items` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_catalogue(client: ChorusClient, items: *const c_char) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let said: Vec<Item> = read(unsafe { text(items, "items") }?, "items")?;
        let order = said.iter().map(|said| said.item).collect();
        let mut items = BTreeMap::new();
        for said in said {
            let about = About {
                title: said.title,
                topics: said.topics,
                sensitive: said.sensitive,
                price: said.price,
                regions: said.regions,
                from_age: said.from_age,
            };
            if items.insert(said.item, about).is_some() {
                let sentence = format!(
                    "items: expected each item once, found {} twice",
                    said.item.0
                );
                return Err(Failure::misuse(sentence));
            }
        }
        Handle::of(client)?.know(Arc::new(Items {
            about: items,
            order,
        }))
    })
}
