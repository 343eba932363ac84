use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::map::Language;

const TEXTS: &str = include_str!("words.toml");

/// Words for people, in the order of `Language::ALL`.
type Said = BTreeMap<String, [String; Language::ALL.len()]>;

/// What machines call it, for people.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// Fields, by their place or their last name.
    field: Said,
    /// Values, by their field's last name and themselves, or by themselves.
    word: Said,
    /// What the page says itself.
    page: Said,
}

fn of(said: &'static Said, name: &str, language: Language) -> Option<&'static str> {
    let place = Language::ALL.iter().position(|other| *other == language)?;
    said.get(name)?.get(place).map(String::as_str)
}

impl Words {
    pub fn get() -> &'static Self {
        static WORDS: OnceLock<Words> = OnceLock::new();
        // A file that is none does not pass this crate's tests; without it things are called what machines call them.
        WORDS.get_or_init(|| toml::from_str(TEXTS).unwrap_or_default())
    }

    /// What a field is called, by its place in the record: `events.at`.
    pub fn field(&'static self, place: &str, language: Language) -> Option<&'static str> {
        let after = place.char_indices().filter(|(_, letter)| *letter == '.');
        let places =
            std::iter::once(place).chain(after.filter_map(|(dot, _)| place.get(dot + 1..)));
        places
            .filter_map(|place| of(&self.field, place, language))
            .next()
    }

    /// What a value of a field is called.
    pub fn word(
        &'static self,
        field: &str,
        value: &str,
        language: Language,
    ) -> Option<&'static str> {
        let exact = of(&self.word, &format!("{field}.{value}"), language);
        exact.or_else(|| of(&self.word, value, language))
    }

    /// What the page says.
    pub fn page(&'static self, name: &'static str, language: Language) -> &'static str {
        of(&self.page, name, language).unwrap_or(name)
    }

    /// The same with what belongs in the gaps.
    pub fn filled(&'static self, name: &'static str, gaps: &[&str], language: Language) -> String {
        let mut text = self.page(name, language).to_owned();
        for gap in gaps {
            text = text.replacen("{}", gap, 1);
        }
        text
    }
}
