//! Numbers: phones, cards, accounts, dates and addresses of machines.

use std::ops::Range;

use super::{Found, Pii};

fn digit(letter: char) -> Option<u8> {
    letter
        .to_digit(10)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// What stands between the digits of one number.
fn joins(letter: char) -> bool {
    matches!(letter, ' ' | '.' | '-' | '/' | '(' | ')' | '·' | '_')
}

/// The digits of one number, and how they are grouped.
struct Run {
    range: Range<usize>,
    digits: Vec<u8>,
    /// Lengths of the groups.
    groups: Vec<usize>,
    /// The first letter that joins two groups, where all are the same.
    join: Option<char>,
    plus: bool,
}

/// Numbers that are about a person.
pub(super) fn runs(text: &str, found: &mut Vec<Found>) {
    for run in split(text) {
        if let Some(what) = judge(&run) {
            found.push(Found {
                what,
                range: run.range,
            });
        }
    }
}

/// All numbers, with their groups. A year in parentheses is a number of its own, and so is one that has a letter at its side.
fn split(text: &str) -> Vec<Run> {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let mut runs: Vec<Run> = Vec::new();
    let mut place = 0;
    while let Some((start, letter)) = letters.get(place).copied() {
        let plus = letter == '+';
        let Some(_) = digit(letter).or(plus.then_some(0)) else {
            place += 1;
            continue;
        };
        let mut run = Run {
            range: start..start,
            digits: Vec::new(),
            groups: Vec::new(),
            join: None,
            plus,
        };
        let mut cursor = place + usize::from(plus);
        let mut joined: Option<char> = None;
        let mut between = 0;
        while let Some((at, letter)) = letters.get(cursor).copied() {
            if let Some(value) = digit(letter) {
                if is_year_in_brackets(&letters, cursor) && !run.digits.is_empty() {
                    break;
                }
                match run.groups.last_mut() {
                    Some(group) if between == 0 => *group += 1,
                    _ => {
                        if let Some(join) = joined {
                            let first = run.groups.len() == 1;
                            run.join = run.join.or(first.then_some(join)).filter(|j| *j == join);
                        }
                        run.groups.push(1);
                    }
                }
                run.digits.push(value);
                run.range.end = at + letter.len_utf8();
                between = 0;
            } else if joins(letter) && between < 3 {
                joined = Some(letter);
                between += 1;
            } else {
                break;
            }
            cursor += 1;
        }
        place = cursor.max(place + 1);
        runs.push(run);
    }
    runs
}

/// `(1995)`, with the place at its first digit.
fn is_year_in_brackets(letters: &[(usize, char)], place: usize) -> bool {
    let around = place
        .checked_sub(1)
        .and_then(|from| letters.get(from..from + 6));
    around.is_some_and(|around| {
        let mut letters = around.iter().map(|(_, letter)| *letter);
        letters.next() == Some('(')
            && letters.next_back() == Some(')')
            && letters.all(|letter| digit(letter).is_some())
    })
}

fn judge(run: &Run) -> Option<Pii> {
    let count = run.digits.len();
    if is_ipv4(run) {
        return Some(Pii::Network);
    }
    if is_date(run) {
        return Some(Pii::Date);
    }
    if (13..=19).contains(&count) && luhn(&run.digits) && !run.plus {
        return Some(Pii::Account);
    }
    if run.groups == [3, 2, 4] {
        return Some(Pii::NationalId);
    }
    if count >= 9 {
        return Some(Pii::Phone);
    }
    let years = run.groups.iter().all(|length| *length == 4)
        && run
            .digits
            .chunks(4)
            .all(|year| number(year) >= 1_800 && number(year) < 2_200);
    let is_phone = match count {
        7 | 8 => run.plus || run.groups.len() == 1 || !years && grouped_like_a_phone(run),
        _ => false,
    };
    is_phone.then_some(Pii::Phone)
}

/// Seven or eight digits as people write them: 555-1234, 12 34 56 78, 1234 5678, 030/12345.
fn grouped_like_a_phone(run: &Run) -> bool {
    let trunk = run.digits.first() == Some(&0);
    trunk
        || matches!(
            run.groups.as_slice(),
            [3, 4] | [4, 4] | [2, 2, 2, 2] | [3, 2, 2] | [2, 3, 3] | [3, 2, 3]
        )
}

fn number(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(*digit))
}

/// The groups as numbers, where none is longer than four digits.
fn values(run: &Run) -> Vec<u32> {
    let mut rest = run.digits.as_slice();
    let mut values = Vec::new();
    for length in &run.groups {
        let Some((group, behind)) = rest.split_at_checked(*length) else {
            return Vec::new();
        };
        if group.len() > 4 {
            return Vec::new();
        }
        values.push(number(group));
        rest = behind;
    }
    values
}

fn is_ipv4(run: &Run) -> bool {
    let values = values(run);
    let dotted = run.join == Some('.') || run.join.is_none();
    // A prefix length may follow.
    dotted
        && (4..=5).contains(&values.len())
        && run.groups.iter().all(|length| *length <= 3)
        && values.iter().all(|value| *value < 256)
        && (values.len() == 4 && run.join == Some('.') || values.len() == 5 && run.join.is_none())
}

/// A day, a month and a year, by any order in which they are written in numbers.
fn is_date(run: &Run) -> bool {
    let is_year = |year: u32| (1_900..2_100).contains(&year);
    let fits = |one: u32, other: u32| {
        (1..=12).contains(&one) && (1..=31).contains(&other)
            || (1..=12).contains(&other) && (1..=31).contains(&one)
    };
    match (values(run).as_slice(), run.groups.as_slice()) {
        ([year, one, other], [4, _, _]) => is_year(*year) && fits(*one, *other),
        ([one, other, year], [_, _, 4]) => is_year(*year) && fits(*one, *other),
        ([one, other, _], [2, 2, 2]) => fits(*one, *other) && run.join != Some(' '),
        _ => false,
    }
}

/// The check of payment cards (ISO/IEC 7812-1, Annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match place % 2 {
                0 => digit,
                _ => 2 * digit / 10 + 2 * digit % 10,
            }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit > 0)
}

/// IBANs, with spaces or without (ISO 13616: two letters, two check digits, up to thirty more).
pub(super) fn accounts(text: &str, found: &mut Vec<Found>) {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    for (place, (start, letter)) in letters.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| letters.get(before));
        if !letter.is_ascii_alphabetic()
            || before.is_some_and(|(_, letter)| letter.is_alphanumeric())
        {
            continue;
        }
        if let Some(end) = iban(letters.get(place..).unwrap_or_default()) {
            found.push(Found {
                what: Pii::Account,
                range: *start..end,
            });
        }
    }
}

/// Where an IBAN that begins here ends.
fn iban(letters: &[(usize, char)]) -> Option<usize> {
    let mut taken = String::new();
    let mut end = None;
    for (place, (at, letter)) in letters.iter().enumerate() {
        if letter.is_ascii_alphanumeric() {
            taken.push(letter.to_ascii_uppercase());
        } else if matches!(letter, ' ' | '-') && taken.len() >= 4 {
            continue;
        } else {
            break;
        }
        let has_form = taken
            .bytes()
            .enumerate()
            .take(4)
            .all(|(place, byte)| match place {
                0 | 1 => byte.is_ascii_alphabetic(),
                _ => byte.is_ascii_digit(),
            });
        if !has_form || taken.len() > 34 {
            break;
        }
        let next = letters.get(place + 1).map(|(_, letter)| *letter);
        let ends = next.is_none_or(|next| !next.is_ascii_alphanumeric());
        if ends && taken.len() >= 15 && mod_97(&taken) {
            end = Some(at + 1);
        }
    }
    end
}

/// ISO/IEC 7064, MOD 97-10, with the first four at the end.
fn mod_97(account: &str) -> bool {
    let (first, rest) = account.split_at_checked(4).unwrap_or((account, ""));
    let rest = rest.chars().chain(first.chars());
    let sum = rest
        .filter_map(|letter| letter.to_digit(36))
        .fold(0, |sum, digit| {
            let scale = if digit < 10 { 10 } else { 100 };
            (sum * scale + digit) % 97
        });
    sum == 1
}
