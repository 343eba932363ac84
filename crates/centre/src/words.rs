//! The words of the pages, one file a language.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chorus_client::Language;

/// What its speakers call a language.
pub(crate) fn name(language: Language) -> &'static str {
    match language {
        Language::English => "English",
        Language::German => "Deutsch",
    }
}

/// The language of a code, if the pages are written in it.
pub(crate) fn from_code(code: &str) -> Option<Language> {
    Language::ALL
        .into_iter()
        .find(|language| language.code() == code)
}

/// The first language of an `Accept-Language` header (RFC 9110, section 12.5.4) that the pages are written in. Browsers list the
/// preferred one first; weights are not compared.
pub(crate) fn accepted(header: &str) -> Option<Language> {
    header.split(',').find_map(|range| {
        let tag = range.split(';').next()?.trim();
        from_code(tag.split('-').next()?)
    })
}

/// The words of a language.
pub(crate) fn of(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

static ENGLISH: LazyLock<Words> = LazyLock::new(|| Words::read(include_str!("../locales/en.toml")));
static GERMAN: LazyLock<Words> = LazyLock::new(|| Words::read(include_str!("../locales/de.toml")));

/// The sentences of one language, by name.
pub(crate) struct Words(BTreeMap<String, String>);

impl Words {
    /// A test reads both files, so nothing is missing here.
    fn read(text: &str) -> Self {
        Self(toml::from_str(text).unwrap_or_default())
    }

    /// The sentence called `name`; a name without one stands for itself.
    pub fn get<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }

    /// The sentence called `name` with its gap `{}` filled.
    pub fn with(&self, name: &str, value: impl std::fmt::Display) -> String {
        self.get(name).replacen("{}", &value.to_string(), 1)
    }

    /// The sentence called `name` with its two gaps filled in turn.
    pub fn with_both(
        &self,
        name: &str,
        first: impl std::fmt::Display,
        second: impl std::fmt::Display,
    ) -> String {
        let whole = self.with(name, first);
        whole.replacen("{}", &second.to_string(), 1)
    }
}

impl Words {
    /// A number with just so many digits behind the point, for columns.
    pub fn digits(&self, value: f64, digits: usize) -> String {
        format!("{value:.digits$}").replace('.', self.get("number.point"))
    }

    /// A number with one digit behind the point, or none where it says nothing: `1.4`, `4`.
    pub fn number(&self, value: f64) -> String {
        let whole = (value * 10.0).round() % 10.0 == 0.0;
        self.digits(value, usize::from(!whole))
    }

    /// A small chance: `1 in 100,000`.
    pub fn chance(&self, chance: f64) -> String {
        // A chance of nothing is that of something too small to count.
        let all = (1.0 / chance.max(f64::MIN_POSITIVE)).round() as u64;
        let digits = all.to_string();
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped += self.get("number.group");
            }
            grouped.push(digit);
        }
        self.with("number.one_in", grouped)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn read(language: Language) -> BTreeMap<String, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("locales");
        let text = fs::read_to_string(folder.join(format!("{}.toml", language.code()))).unwrap();
        toml::from_str(&text).unwrap()
    }

    /// The texts of all files below a folder.
    fn texts(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let path = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path();
        let mut found = Vec::new();
        for path in entries.map(path) {
            match path.is_dir() {
                true => found.extend(texts(&path)),
                false => found.push(fs::read_to_string(path).unwrap()),
            }
        }
        found
    }

    #[test]
    fn every_language_says_the_same_with_the_same_gaps() {
        let english = read(Language::English);
        let german = read(Language::German);
        let names =
            |words: &BTreeMap<String, String>| words.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&english), names(&german));
        for (name, sentence) in &english {
            assert!(
                !sentence.trim().is_empty() && !german[name].trim().is_empty(),
                "{name}"
            );
            let gaps = |sentence: &str| sentence.matches("{}").count();
            assert_eq!(gaps(sentence), gaps(&german[name]), "{name}");
        }
    }

    #[test]
    fn every_sentence_is_said_somewhere() {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut said = texts(&crate_folder.join("templates"));
        said.extend(texts(&crate_folder.join("src")));
        let is_said = |name: &str| {
            let quoted = format!("\"{name}\"");
            said.iter().any(|text| text.contains(&quoted))
        };
        // Made of a part that is known when the program runs: kinds of events and messages, and levels.
        let is_made = |name: &str| {
            ["kind.", "upload.", "level."]
                .iter()
                .any(|part| name.starts_with(part))
        };
        let silent: Vec<String> = read(Language::English)
            .into_keys()
            .filter(|name| !is_said(name) && !is_made(name))
            .collect();
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn nothing_asks_for_more_than_eight_years_of_school() {
        for language in Language::ALL {
            let words = read(language);
            // The measure is one of sentences: labels are read together.
            let is_label = |text: &&String| text.split_whitespace().count() < 5;
            let (labels, sentences): (Vec<&String>, Vec<&String>) =
                words.values().partition(is_label);
            assert!(sentences.len() > 50, "{}", sentences.len());
            let labels = labels
                .into_iter()
                .map(|label| format!("{label}.\n"))
                .collect();
            let said = sentences.into_iter().map(|text| text.replace("{}", "this"));
            let years = |text: &String| chorus_client::grade(text, language);
            let hard: Vec<String> = said
                .chain([labels])
                .filter(|text| years(text) > 8.0)
                .collect();
            assert!(hard.is_empty(), "{hard:#?}");
        }
        let hard =
            "Interactions are aggregated cryptographically to prevent individual attribution.";
        assert!(chorus_client::grade(hard, Language::English) > 12.0);
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let both = |say: fn(&Words) -> String| Language::ALL.map(|language| say(of(language)));
        assert_eq!(both(|words| words.number(1.44)), ["1.4", "1,4"]);
        assert_eq!(both(|words| words.number(4.0)), ["4", "4"]);
        assert_eq!(both(|words| words.number(0.04)), ["0", "0"]);
        assert_eq!(both(|words| words.digits(1.4, 2)), ["1.40", "1,40"]);
        let chance = both(|words| words.chance(1e-5));
        assert_eq!(chance, ["1 in 100,000", "1 zu 100.000"]);
    }

    #[test]
    fn a_browser_is_answered_in_its_language_where_there_is_one() {
        assert_eq!(accepted("de-AT,de;q=0.9,en;q=0.5"), Some(Language::German));
        assert_eq!(accepted("fr, en-GB;q=0.8"), Some(Language::English));
        assert_eq!(accepted("fr"), None);
        assert_eq!(accepted(""), None);
    }
}
