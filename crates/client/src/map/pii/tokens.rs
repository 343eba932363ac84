//! Mailboxes, addresses of machines, and words that no language has.

use super::words::Word;
use super::{Found, Pii};

/// The words that people write for a sign so that machines do not find it.
const AT: [&str; 2] = ["at", "ät"];
const DOT: [&str; 2] = ["dot", "punkt"];

/// How long a word in brackets is that the text begins with: `(at)`, `[ dot ]`.
fn bracketed(text: &str, words: &[&str]) -> Option<usize> {
    let inner = text.strip_prefix(['(', '[', '{', '<'])?.trim_start();
    let rest = words.iter().find_map(|word| inner.strip_prefix(word))?;
    let rest = rest.trim_start().strip_prefix([')', ']', '}', '>'])?;
    Some(text.len() - rest.len())
}

/// The same of what the text ends with.
fn ends_bracketed(text: &str, words: &[&str]) -> Option<usize> {
    let open = text.rfind(['(', '[', '{', '<'])?;
    let last = text.get(open..)?;
    bracketed(last, words).filter(|length| *length == last.len())
}

/// Mailboxes and handles.
pub(super) fn emails(text: &str, words: &[Word<'_>], found: &mut Vec<Found>) {
    // Byte by byte as long as the text.
    let lower = text.to_ascii_lowercase();
    for (place, _) in lower.char_indices() {
        let (before, rest) = lower.split_at(place);
        let sign = ["@", "%40"].iter().find(|sign| rest.starts_with(**sign));
        let (length, spaced) = match (sign, bracketed(rest, &AT)) {
            (Some(sign), _) => (sign.len(), false),
            (None, Some(length)) => (length, true),
            (None, None) => continue,
        };
        let behind = rest.get(length..).unwrap_or_default();
        let left = if spaced { before.trim_end() } else { before };
        let right = if spaced { behind.trim_start() } else { behind };
        let (start, host) = (local(left), host(right));
        if start < left.len() && host > 0 {
            found.push(Found {
                what: Pii::Email,
                range: start..lower.len() - right.len() + host,
            });
        }
    }
    let is_one_of = |word: &Word<'_>, known: &[&str]| {
        let lower = word.text.to_lowercase();
        known.contains(&lower.as_str())
    };
    for (place, word) in words.iter().enumerate() {
        let rest = words.get(place + 1..).unwrap_or_default();
        if let [_, dot, last, ..] = rest
            && is_one_of(word, &AT)
            && is_one_of(dot, &DOT)
            && let Some(first) = place.checked_sub(1).and_then(|place| words.get(place))
        {
            found.push(Found {
                what: Pii::Email,
                range: first.start..last.end(),
            });
        }
    }
    for (place, _) in text.match_indices('@') {
        let before = text.get(..place).unwrap_or_default();
        let behind = text.get(place + 1..).unwrap_or_default();
        let length = behind.len() - behind.trim_start_matches(is_local).len();
        if length >= 3 && !before.ends_with(char::is_alphanumeric) {
            found.push(Found {
                what: Pii::Name,
                range: place..place + 1 + length,
            });
        }
    }
}

fn is_local(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '.' | '_' | '%' | '+' | '-' | '\'')
}

/// Where the name of a mailbox begins that the text ends with; the end of the text where there is none.
fn local(text: &str) -> usize {
    let mut start = text.trim_end_matches(is_local).len();
    while start < text.len() {
        let before = text.get(..start).unwrap_or_default().trim_end();
        let Some(length) = ends_bracketed(before, &DOT) else {
            break;
        };
        let before = before.get(..before.len() - length).unwrap_or_default();
        let next = before.trim_end().trim_end_matches(is_local).len();
        if next == before.trim_end().len() {
            break;
        }
        start = next;
    }
    start
}

/// Bytes of the name of a host that the text begins with: two labels or more, the last of letters.
fn host(text: &str) -> usize {
    let label = |text: &str| {
        text.len()
            - text
                .trim_start_matches(|c: char| c.is_alphanumeric() || c == '-')
                .len()
    };
    let mut length = label(text);
    let mut labels = usize::from(length > 0);
    loop {
        let rest = text.get(length..).unwrap_or_default();
        let spaced = rest.trim_start();
        let behind = match (rest.strip_prefix('.'), bracketed(spaced, &DOT)) {
            (Some(behind), _) => behind,
            (None, Some(length)) => spaced.get(length..).unwrap_or_default().trim_start(),
            (None, None) => break,
        };
        let next = Some(label(behind)).filter(|label| *label >= 2);
        match next.map(|label| rest.len() - behind.len() + label) {
            Some(more) if length > 0 => {
                length += more;
                labels += 1;
            }
            _ => break,
        }
    }
    if labels >= 2 { length } else { 0 }
}

/// IPv6 and MAC addresses; IPv4 is among the numbers.
pub(super) fn networks(words: &[Word<'_>], found: &mut Vec<Found>) {
    for word in words {
        let text = word.text.trim_start_matches('[');
        let text = text.split([']', '/', '%']).next().unwrap_or_default();
        let is_hex =
            |group: &str| group.len() <= 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        let groups: Vec<&str> = text.split(':').collect();
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        let whole = groups.len() == 8 && groups.iter().all(|group| !group.is_empty());
        let mapped = text.starts_with("::ffff:") && text.len() > 13;
        let ipv6 = mapped
            || groups.iter().all(|group| is_hex(group))
                && (whole || text.contains("::") && (3..=8).contains(&groups.len()) && digits > 0);
        let pairs = |separator| {
            let pairs: Vec<&str> = text.split(separator).collect();
            pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2 && is_hex(pair))
        };
        let dotted: Vec<&str> = text.split('.').collect();
        let cisco =
            dotted.len() == 3 && dotted.iter().all(|group| group.len() == 4 && is_hex(group));
        if ipv6
            || pairs(':')
            || pairs('-')
            || cisco && text.bytes().any(|b| b.is_ascii_alphabetic())
        {
            found.push(word.found(Pii::Network));
        }
    }
}

/// Letters and digits of numbers that states give, `A` for a letter and `9` for a digit: United Kingdom NINO, Spain DNI and NIE,
/// India PAN, Italy codice fiscale, Mexico CURP, passports, Ireland PPS.
const FORMS: [&str; 12] = [
    "AA999999A",
    "99999999A",
    "A9999999A",
    "AAAAA9999A",
    "AAAAAA99A99A999A",
    "AAAA999999AAAAAA99",
    "AAAA999999AAAAAAA9",
    "A99999999",
    "AA9999999",
    "9999999A",
    "9999999AA",
    "A9999999",
];

/// Numbers that states give, and words that chance made.
pub(super) fn made(words: &[Word<'_>], found: &mut Vec<Found>) {
    for (place, word) in words.iter().enumerate() {
        let mut joined = String::new();
        for (length, part) in words.iter().skip(place).take(6).enumerate() {
            let letters = part.text.chars().filter(|letter| *letter != '-');
            joined.extend(letters.map(form));
            // In parts it is written in capitals and digits alone.
            let plain = part.text.chars().all(|letter| {
                letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '-'
            });
            if length > 0 && !plain || joined.len() > 18 {
                break;
            }
            if FORMS.contains(&joined.as_str()) && (plain || length == 0) {
                found.push(Found {
                    what: Pii::NationalId,
                    range: word.start..part.end(),
                });
                break;
            }
            if !plain || !part.is_open() {
                break;
            }
        }
        if is_made(word.text) {
            found.push(word.found(Pii::Secret));
        }
    }
}

fn form(letter: char) -> char {
    match letter {
        'a'..='z' | 'A'..='Z' => 'A',
        '0'..='9' => '9',
        other => other,
    }
}

/// A word that changes between letters, digits and capitals more often than words do.
fn is_made(word: &str) -> bool {
    let uuid: Vec<usize> = word.split('-').map(str::len).collect();
    let is_hex = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    if uuid == [8, 4, 4, 4, 12] && word.chars().all(is_hex) {
        return true;
    }
    let parts = word.split([
        '.', '-', '/', '=', '?', '&', ':', ',', ';', '"', '\'', '(', ')',
    ]);
    parts.into_iter().any(|part| {
        let kind = |letter: char| match letter {
            '0'..='9' => 1,
            'A'..='Z' => 2,
            'a'..='z' => 3,
            '_' | '+' | '$' | '!' | '#' | '*' => 4,
            _ => 0,
        };
        let kinds: Vec<u8> = part.chars().map(kind).collect();
        let changes = |same: fn(u8, u8) -> bool| {
            let pairs = kinds.iter().zip(kinds.iter().skip(1));
            pairs.filter(|(one, other)| !same(**one, **other)).count()
        };
        let (length, digits) = (kinds.len(), kinds.iter().filter(|kind| **kind == 1).count());
        let numbers = changes(|one, other| (one == 1) == (other == 1));
        // A capital at the beginning of a word is no change.
        let case = kinds
            .iter()
            .zip(kinds.iter().skip(1))
            .filter(|(one, other)| **one == 3 && **other == 2)
            .count();
        !kinds.contains(&0)
            && (length >= 8 && numbers >= 3
                || length >= 16 && digits > 0 && (numbers >= 2 || digits >= 4)
                || length >= 16 && case >= 3)
    })
}
