//! A text as people read it: what hides from a program what an eye sees is taken off before anything is looked for.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// A text in one form (NFKC), without marks that nobody sees, with one space where there were many, one kind of dash and one kind of
/// digit; and where each of its bytes comes from.
pub(super) struct Plain {
    pub text: String,
    /// For each byte of `text` the bytes of the original that it stands for.
    origins: Vec<Range<usize>>,
}

impl Plain {
    pub fn of(original: &str) -> Self {
        let mut plain = Self {
            text: String::with_capacity(original.len()),
            origins: Vec::with_capacity(original.len()),
        };
        // A letter and the accents behind it become one letter.
        let mut letter = String::new();
        let mut from = 0;
        for (place, next) in original.char_indices() {
            if canonical_combining_class(next) == 0 && !is_hidden(next) {
                plain.push(&letter, from..place);
                letter.clear();
                from = place;
            }
            if !is_hidden(next) {
                letter.push(next);
            }
        }
        plain.push(&letter, from..original.len());
        plain
    }

    /// Adds one letter of the original, in the form that it is scanned in.
    fn push(&mut self, letter: &str, origin: Range<usize>) {
        for next in letter.nfkc().map(usual) {
            match (next, self.text.chars().next_back()) {
                (' ', Some(' ' | '\n')) | ('\n', Some('\n')) => {}
                ('\n', Some(' ')) => {
                    self.text.pop();
                    self.text.push('\n');
                }
                _ => {
                    self.text.push(next);
                    let bytes = std::iter::repeat_n(origin.clone(), next.len_utf8());
                    self.origins.extend(bytes);
                }
            }
        }
    }

    /// Where in the original it stands.
    pub fn origin(&self, range: &Range<usize>) -> Range<usize> {
        let first = self.origins.get(range.start);
        let last = range
            .end
            .checked_sub(1)
            .and_then(|last| self.origins.get(last));
        let start = first.map_or(0, |first| first.start);
        start..last.map_or(start, |last| last.end)
    }
}

/// Takes no place on a screen: `Default_Ignorable_Code_Point` of the Unicode Character Database, and controls that are no space.
fn is_hidden(letter: char) -> bool {
    let ignorable = matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    );
    ignorable || letter.is_control() && !letter.is_whitespace()
}

/// Where the digits of other scripts begin that NFKC leaves: Arabic, Persian, Devanagari, Bengali, Thai.
const DIGITS: [u32; 5] = [0x660, 0x6f0, 0x966, 0x9e6, 0xe50];

/// One space, one line end, one dash, one row of digits.
fn usual(letter: char) -> char {
    match letter {
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        space if space.is_whitespace() => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        letter => {
            let digit = |zero: &u32| {
                let digit = u32::from(letter).checked_sub(*zero);
                digit.and_then(|digit| char::from_digit(digit, 10))
            };
            DIGITS.iter().find_map(digit).unwrap_or(letter)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_scanned_and_its_place_is_known() {
        for (original, expected) in [
            ("", ""),
            ("ａｎｎａ＠ｅｘａｍｐｌｅ．ｏｒｇ", "anna@example.org"),
            ("an\u{200b}na\u{ad}@\u{feff}x", "anna@x"),
            ("１２\u{a0}\u{2009} ３４", "12 34"),
            ("𝟏𝟐–٣٤−5", "12-34-5"),
            ("one \r\n  two\n", "one\ntwo\n"),
            ("Jo\u{308}rg ﬁn", "Jörg fin"),
        ] {
            let plain = Plain::of(original);
            assert_eq!(plain.text, expected);
            assert_eq!(plain.text.len(), plain.origins.len());
            let all = plain.origin(&(0..plain.text.len()));
            assert!(original.get(all).is_some());
        }
        let text = "to an\u{200b}na  ok";
        let plain = Plain::of(text);
        let anna = plain.text.find("anna").unwrap();
        assert_eq!(&text[plain.origin(&(anna..anna + 4))], "an\u{200b}na");
    }
}
