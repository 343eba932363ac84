//! Addresses, dates and names: words that stand beside each other.

use super::{Found, Pii};

/// A word of a text, without the punctuation around it.
pub(super) struct Word<'a> {
    pub text: &'a str,
    pub start: usize,
    /// What stands directly before it.
    before: &'a str,
    /// What stands directly behind it.
    behind: &'a str,
}

impl Word<'_> {
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub fn found(&self, what: Pii) -> Found {
        Found {
            what,
            range: self.start..self.end(),
        }
    }

    fn is_capital(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }

    /// A number of a house: 5, 221b, 12/3, 4-6.
    fn is_house(&self) -> bool {
        let digits = self.text.len()
            - self
                .text
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let rest = self.text.get(digits..).unwrap_or_default();
        (1..=5).contains(&digits)
            && rest.len() <= 5
            && !matches!(rest, "st" | "nd" | "rd" | "th")
            && (rest.len() <= 1 || rest.starts_with(['/', '-']))
            && rest
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '/' || c == '-')
    }

    fn has(&self, length: usize, of: impl Fn(u8) -> bool) -> bool {
        self.text.len() == length && self.text.bytes().all(of)
    }

    /// Nothing stands between it and the word behind it but a space.
    pub fn is_open(&self) -> bool {
        self.behind.is_empty()
    }

    fn ends_clause(&self) -> bool {
        self.behind.contains(['.', '!', '?', ':', ';', ')', '('])
    }
}

/// The words of a text.
pub(super) fn split(text: &str) -> Vec<Word<'_>> {
    let edge = |letter: char| {
        !letter.is_alphanumeric() && !matches!(letter, '$' | '#' | '*' | '+' | '_' | ':')
    };
    let mut words = Vec::new();
    let mut start = 0;
    for piece in text.split(|letter: char| letter.is_whitespace() || letter == '=') {
        let lead = piece.len() - piece.trim_start_matches(edge).len();
        let trimmed = piece.trim_matches(edge);
        if !trimmed.is_empty() {
            words.push(Word {
                text: trimmed,
                start: start + lead,
                before: piece.get(..lead).unwrap_or_default(),
                behind: piece.get(lead + trimmed.len()..).unwrap_or_default(),
            });
        }
        start += piece.len();
        start += text
            .get(start..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
    }
    words
}

fn push(found: &mut Vec<Found>, what: Pii, from: &Word<'_>, to: &Word<'_>) {
    found.push(Found {
        what,
        range: from.start..to.end(),
    });
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    let lower = word.to_lowercase();
    known.contains(&lower.as_str())
}

/// English: behind a number and a name.
const STREETS: [&str; 36] = [
    "street",
    "st",
    "road",
    "rd",
    "avenue",
    "ave",
    "lane",
    "ln",
    "drive",
    "dr",
    "court",
    "ct",
    "boulevard",
    "blvd",
    "way",
    "place",
    "pl",
    "terrace",
    "square",
    "sq",
    "close",
    "crescent",
    "highway",
    "hwy",
    "parkway",
    "pkwy",
    "circle",
    "cir",
    "trail",
    "row",
    "gardens",
    "grove",
    "mews",
    "hill",
    "broadway",
    "walk",
];
/// German, Dutch and Nordic: the end of a name that a number follows.
const ENDS: [&str; 18] = [
    "straße", "strasse", "str", "weg", "platz", "allee", "gasse", "damm", "ufer", "chaussee",
    "ring", "straat", "laan", "plein", "gatan", "vägen", "vej", "gade",
];
/// Romance: before a name, with a number before or behind.
const BEFORE: [&str; 20] = [
    "rue",
    "avenue",
    "av",
    "boulevard",
    "bd",
    "chemin",
    "allée",
    "quai",
    "impasse",
    "via",
    "viale",
    "piazza",
    "corso",
    "calle",
    "avenida",
    "plaza",
    "paseo",
    "rua",
    "praça",
    "straße",
];
const STATES: [&str; 51] = [
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA",
    "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM",
    "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA",
    "WV", "WI", "WY",
];
const BOXES: [&str; 10] = [
    "box",
    "postfach",
    "postbus",
    "apt",
    "apartment",
    "flat",
    "suite",
    "unit",
    "casella",
    "apartado",
];

/// Streets with numbers, boxes, postcodes.
pub(super) fn addresses(words: &[Word<'_>], found: &mut Vec<Found>) {
    let address = |found: &mut Vec<Found>, from: &Word<'_>, to: &Word<'_>| {
        push(found, Pii::Address, from, to);
    };
    for (place, word) in words.iter().enumerate() {
        let rest = words.get(place + 1..).unwrap_or_default();
        let next = rest.first();
        if word.is_house() && !word.ends_clause() {
            // 12 Main Street; 12, rue de la Paix.
            let named = rest.iter().take(4).enumerate();
            let mut named = named.take_while(|(place, _)| {
                let before = place.checked_sub(1).and_then(|place| rest.get(place));
                before.is_none_or(|word| word.is_capital() && !word.ends_clause())
            });
            let street = named.find(|(place, word)| *place > 0 && is_one_of(word.text, &STREETS));
            if let Some((_, street)) = street {
                address(found, word, street);
            }
            let romance = next.filter(|next| is_one_of(next.text, &BEFORE));
            if let (Some(_), Some(name)) = (romance, rest.get(1)) {
                address(found, word, name);
            }
        }
        let lower = word.text.to_lowercase();
        let numbered = next.filter(|next| next.is_house() && next.before.is_empty());
        if let Some(house) = numbered {
            let is_street = ENDS
                .iter()
                .any(|end| lower.ends_with(end) && (word.is_capital() || lower != *end))
                && (word.behind.is_empty() || word.behind == ".");
            if is_street || is_one_of(word.text, &BOXES) {
                address(found, word, house);
            }
        }
        if is_one_of(word.text, &BEFORE) && word.behind.len() < 2 {
            // Via Roma 5; Calle Mayor, 3.
            let house = rest
                .iter()
                .take(6)
                .position(|word| word.is_house() && word.before.is_empty());
            if let Some(house) = house.filter(|place| *place > 0).and_then(|at| rest.get(at)) {
                address(found, word, house);
            }
        }
        let Some(next) = next else { continue };
        let digits = |word: &Word<'_>, length| word.has(length, |byte| byte.is_ascii_digit());
        let capitals = |word: &Word<'_>, length| word.has(length, |byte| byte.is_ascii_uppercase());
        let zip = digits(next, 5) || next.text.len() == 10 && next.text.contains('-');
        let british = {
            let (outer, inner) = (word.text.as_bytes(), next.text.as_bytes());
            (2..=4).contains(&outer.len())
                && word
                    .text
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                && outer.first().is_some_and(u8::is_ascii_uppercase)
                && outer.iter().any(u8::is_ascii_digit)
                && matches!(inner, [a, b, c] if a.is_ascii_digit() && b.is_ascii_uppercase() && c.is_ascii_uppercase())
        };
        let german = digits(word, 5) || word.text.len() == 7 && word.text.starts_with("D-");
        let town =
            german && next.is_capital() && word.behind.is_empty() && next.text.chars().count() > 2;
        let dutch = digits(word, 4) && capitals(next, 2) && !word.text.starts_with("19");
        if STATES.contains(&word.text) && zip || british || town || dutch {
            address(found, word, next);
        }
    }
}

/// English, German, French, Spanish and Italian, by their first letters.
const MONTHS: [&str; 30] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mär",
    "mai", "okt", "dez", "fév", "avr", "juin", "juil", "aoû", "déc", "ene", "abr", "ago", "dic",
    "gen", "mag", "giu", "lug",
];

fn is_month(word: &Word<'_>) -> bool {
    let lower = word.text.to_lowercase();
    let letters = lower.chars().count();
    (3..=10).contains(&letters)
        && lower.chars().all(char::is_alphabetic)
        && MONTHS.iter().any(|month| lower.starts_with(month))
}

/// 12 May 1990, May 12th, 1990, 12. Mai 1990.
pub(super) fn dates(words: &[Word<'_>], found: &mut Vec<Found>) {
    let day = |word: &Word<'_>| {
        let digits = word.text.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h']);
        digits
            .parse::<u32>()
            .is_ok_and(|day| (1..=31).contains(&day))
    };
    let year = |word: &Word<'_>| {
        let year = word.text.trim_start_matches(['\'', '’']).parse::<u32>();
        word.text.len() == 4 && year.is_ok_and(|year| (1_900..2_100).contains(&year))
    };
    for group in words.windows(3) {
        if let [one, other, last] = group
            && year(last)
            && (day(one) && is_month(other) || is_month(one) && day(other))
            && one.behind.len() + other.behind.len() <= 2
            && !other.behind.contains('(')
            && !last.before.contains('(')
        {
            push(found, Pii::Date, one, last);
        }
    }
    for group in words.windows(4) {
        if let [one, of, other, last] = group
            && day(one)
            && is_one_of(of.text, &["of", "de"])
            && is_month(other)
            && year(last)
        {
            push(found, Pii::Date, one, last);
        }
    }
}

/// A name follows directly.
const TITLES: [&str; 24] = [
    "mr",
    "mrs",
    "ms",
    "miss",
    "mister",
    "dr",
    "prof",
    "professor",
    "herr",
    "herrn",
    "frau",
    "monsieur",
    "madame",
    "mme",
    "mlle",
    "señor",
    "señora",
    "sr",
    "sra",
    "signor",
    "signora",
    "sig",
    "doña",
    "fräulein",
];
const GREETINGS: [&str; 13] = [
    "dear", "hi", "hello", "hey", "hallo", "liebe", "lieber", "cher", "chère", "querida",
    "querido", "caro", "cara",
];
/// The words before a name.
const CALLED: [&[&str]; 14] = [
    &["name", "is"],
    &["name's"],
    &["named"],
    &["called"],
    &["ich", "heiße"],
    &["ich", "heisse"],
    &["ich", "bin"],
    &["name", "ist"],
    &["m'appelle"],
    &["me", "llamo"],
    &["mi", "chiamo"],
    &["i", "am"],
    &["i'm"],
    &["name"],
];
/// Words that stand where a name would, and are none.
const NO_NAMES: [&str; 26] = [
    "i",
    "the",
    "a",
    "an",
    "everyone",
    "all",
    "world",
    "there",
    "again",
    "sir",
    "madam",
    "team",
    "alle",
    "and",
    "it",
    "you",
    "god",
    "diary",
    "no",
    "not",
    "nice",
    "wrong",
    "wonderful",
    "mom",
    "dad",
    "saturday",
];

/// Names, by what stands before them.
pub(super) fn names(words: &[Word<'_>], found: &mut Vec<Found>) {
    for (place, word) in words.iter().enumerate() {
        let is_name = |word: &&Word<'_>| {
            word.is_capital()
                && word.before.is_empty()
                && !is_one_of(word.text, &NO_NAMES)
                && !is_one_of(word.text, &TITLES)
                && word
                    .text
                    .chars()
                    .all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’' | '.'))
                && word.text.chars().any(char::is_lowercase)
        };
        let called = CALLED.iter().find(|called| {
            let said = words.get(place..place + called.len()).unwrap_or_default();
            said.len() == called.len()
                && said
                    .iter()
                    .zip(**called)
                    .all(|(word, said)| word.text.trim_end_matches(':').to_lowercase() == *said)
        });
        let length = match called {
            Some(called) => called.len(),
            None if is_one_of(word.text, &TITLES) || is_one_of(word.text, &GREETINGS) => 1,
            None => continue,
        };
        let before = words.get(place + length - 1);
        let follows = before.is_some_and(|word| !word.behind.contains(['!', '?', '(', ')', ',']));
        // "I am Legend": to say who one is takes two names.
        let least = match called {
            Some([.., "am" | "bin"] | ["i'm"] | ["named" | "called"]) => 2,
            _ => 1,
        };
        let names = words.get(place + length..).unwrap_or_default();
        let names: Vec<&Word<'_>> = names.iter().take(3).take_while(is_name).collect();
        if let (Some(last), true) = (names.last(), follows && names.len() >= least) {
            push(found, Pii::Name, word, last);
        }
    }
}
