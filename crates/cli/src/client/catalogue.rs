//! A catalogue from a table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use chorus_client::{About, Catalogue, Category, Client};
use chorus_model::ItemId;

use crate::exit::{self, OrExit, stop};
use crate::progress;

/// Bytes of the largest table that is read.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What a table says of each item.
pub struct Listed {
    about: BTreeMap<ItemId, About>,
    /// As the table has them.
    order: Vec<ItemId>,
}

impl Listed {
    /// Reads a table with a header: `item`, `title`, `topics` (or `genres`) with `|` between, `sensitive`; the items that most people
    /// touch first, where that is known. Other columns are left out. Columns are apart by tabs where the header has one, and otherwise by commas.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display();
        let metadata = std::fs::metadata(file)
            .map_err(|error| anyhow::anyhow!("cannot read {name}: {error}"))
            .or_exit(exit::DATA)?;
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return stop(
                exit::DATA,
                format!("{name} is not a file of at most {MAX_BYTES} bytes"),
            );
        }
        let text = progress::read(file, exit::DATA)?;
        let delimiter = match text
            .lines()
            .next()
            .is_some_and(|header| header.contains('\t'))
        {
            true => b'\t',
            false => b',',
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(delimiter == b',')
            .from_reader(text.as_bytes());
        let header = reader.headers().or_exit(exit::DATA)?.clone();
        let column = |names: &[&str]| header.iter().position(|column| names.contains(&column));
        let Some(item) = column(&["item"]) else {
            return stop(
                exit::DATA,
                format!("{name} has no column `item` in its first line"),
            );
        };
        let (title, topics) = (column(&["title"]), column(&["topics", "genres"]));
        let sensitive = column(&["sensitive"]);
        let (mut items, mut order) = (BTreeMap::new(), Vec::new());
        for (line, row) in (2u64..).zip(reader.records()) {
            let row = row.or_exit(exit::DATA)?;
            let cell =
                |column: Option<usize>| column.and_then(|column| row.get(column)).unwrap_or("");
            let fault =
                |expected: &str| anyhow::anyhow!("{name}, line {line}: expected {expected}");
            let number: u32 = cell(Some(item))
                .parse()
                .map_err(|_| fault("an item number in the column `item`"))
                .or_exit(exit::DATA)?;
            let category = match cell(sensitive) {
                "" => None,
                text => Some(
                    category(text)
                        .map_err(|expected| {
                            anyhow::anyhow!(
                                "{name}, line {line}, the column `sensitive`: {expected}, or nothing"
                            )
                        })
                        .or_exit(exit::DATA)?,
                ),
            };
            let topics = cell(topics).split('|').filter(|topic| !topic.is_empty());
            let about = About {
                title: cell(title).to_owned(),
                topics: topics.map(str::to_owned).collect(),
                sensitive: category,
                ..About::default()
            };
            if items.insert(ItemId(number), about).is_some() {
                return Err(fault("each item once")).or_exit(exit::DATA);
            }
            order.push(ItemId(number));
        }
        Ok(Self {
            about: items,
            order,
        })
    }
}

impl Catalogue for Listed {
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>> {
        self.about.get(&item).map(Cow::Borrowed)
    }

    fn items(&self) -> Vec<ItemId> {
        self.order.clone()
    }
}

/// A sensitive category by its name, or what was expected.
pub fn category(text: &str) -> Result<Category, String> {
    let mut all = Category::ALL.into_iter();
    all.find(|category| category.name() == text).ok_or_else(|| {
        let names = Category::ALL.map(Category::name);
        format!("expected one of {}", names.join(", "))
    })
}

/// What an item is called, for people: its title where one is known.
pub fn title(client: &Client, item: ItemId) -> String {
    let about = client.about(item);
    let title = about
        .map(|about| about.title)
        .filter(|title| !title.is_empty());
    title.unwrap_or_else(|| item.0.to_string())
}

/// Its number, and its title where one is known.
pub fn numbered(client: &Client, item: ItemId) -> String {
    let (number, title) = (item.0.to_string(), title(client, item));
    match title == number {
        true => number,
        false => format!("{number}\t{title}"),
    }
}
