//! The consent strings of the advertising industry, as far as they are needed here: which of a few things a person said.
//!
//! Read by hand rather than by a crate: four kinds of bits are wanted, and a decoder of whole strings refuses one as soon
//! as any part of it is newer than the decoder (`iab_gpp` 0.1, which the tests compare with, and eight crates below it).
//!
//! Sources: IAB Tech Lab, "Consent string and vendor list formats v2" (TCF 2.2), table of the core string;
//! "Global Privacy Platform String" 1.0, sections "GPP String Structure" and "Fibonacci Coding"; "GPP Sections", US National
//! and the US states.

use std::collections::BTreeSet;

/// A string longer than this is rubbish: the longest real ones have a few kilobytes.
const MOST: usize = 64 * 1024;

/// Base64url text, read bit by bit: six to a character.
struct Bits<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
        }
    }

    fn from(text: &'a str, at: usize) -> Self {
        Self {
            at,
            ..Self::new(text)
        }
    }

    fn bit(&mut self) -> Option<bool> {
        let six = match self.text.get(self.at / 6)? {
            letter @ b'A'..=b'Z' => letter - b'A',
            letter @ b'a'..=b'z' => letter - b'a' + 26,
            digit @ b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        let bit = six >> (5 - self.at % 6) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    fn number(&mut self, bits: usize) -> Option<u16> {
        (0..bits).try_fold(0u16, |number, _| {
            Some(number.checked_mul(2)? + u16::from(self.bit()?))
        })
    }

    /// A whole number from 1 in Fibonacci coding: sums of 1, 2, 3, 5, 8, …, ended by two ones.
    fn fibonacci(&mut self) -> Option<u16> {
        let (mut sum, mut this, mut next, mut before) = (0u16, 1u16, 2u16, false);
        loop {
            let bit = self.bit()?;
            if bit && before {
                return Some(sum);
            }
            if bit {
                sum = sum.checked_add(this)?;
            }
            (this, next) = (next, this.checked_add(next)?);
            before = bit;
        }
    }
}

/// Where the consents to purposes 1 to 24 begin in the core of a TC string, and the bits that every core has.
const TCF_PURPOSES: usize = 152;
const TCF_LEAST: usize = 232;

/// The purposes that a TC string of version 2 has consents to; nothing when it is none. Legitimate interests are not read:
/// they are nobody's yes.
pub(super) fn tcf(string: &str) -> Option<BTreeSet<u16>> {
    let core = string.split('.').next().unwrap_or_default();
    if string.len() > MOST || core.len() * 6 < TCF_LEAST || Bits::new(core).number(6)? != 2 {
        return None;
    }
    let mut bits = Bits::from(core, TCF_PURPOSES);
    let mut consents = BTreeSet::new();
    for purpose in 1..=24 {
        if bits.bit()? {
            consents.insert(purpose);
        }
    }
    Some(consents)
}

/// The sections of a GPP string, by their numbers; nothing when it is none.
pub(super) fn gpp(string: &str) -> Option<Vec<(u16, &str)>> {
    if string.len() > MOST {
        return None;
    }
    let mut parts = string.split('~');
    let mut header = Bits::new(parts.next()?);
    if (header.number(6)?, header.number(6)?) != (3, 1) {
        return None;
    }
    let (mut ids, mut last) = (Vec::new(), 0u16);
    for _ in 0..header.number(12)? {
        let is_range = header.bit()?;
        let first = last.checked_add(header.fibonacci()?)?;
        last = match is_range {
            true => first.checked_add(header.fibonacci()?)?,
            false => first,
        };
        // No string has more sections than characters.
        if usize::from(last - first) > string.len() {
            return None;
        }
        ids.extend(first..=last);
    }
    let sections: Vec<&str> = parts.collect();
    (ids.len() == sections.len()).then(|| ids.into_iter().zip(sections).collect())
}

/// Numbers of the sections in which TC strings, and not opt-outs of a US law, travel.
pub(super) const TCF_SECTIONS: std::ops::RangeInclusive<u16> = 1..=5;

/// The section with the TC string of the EU.
pub(super) const TCF_EU: u16 = 2;

/// Whether a section of a US law says that the person opted out of sale, of sharing or of targeted advertising, or carries
/// the Global Privacy Control; nothing when it cannot be read.
pub(super) fn opted_out(id: u16, section: &str) -> Option<bool> {
    // Where the two-bit answers begin, after the version and the notices, and how many there are.
    let (begin, answers) = match id {
        // The older string of California, in letters: version, notice, opt-out, agreement.
        6 => {
            return match section.as_bytes() {
                [b'1', _, b'Y', _] => Some(true),
                [b'1', _, b'N' | b'-', _] => Some(false),
                _ => None,
            };
        }
        7 => (18, 3),
        8 => (12, 2),
        11 | 18 => (14, 2),
        9..=23 => (12, 2),
        _ => return None,
    };
    let mut segments = section.split('.');
    let core = segments.next()?;
    if !matches!(Bits::new(core).number(6)?, 1 | 2) {
        return None;
    }
    let mut bits = Bits::from(core, begin);
    let mut out = false;
    for _ in 0..answers {
        out |= bits.number(2)? == 1;
    }
    for segment in segments {
        let mut bits = Bits::new(segment);
        out |= bits.number(2)? == 1 && bits.bit()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use iab_gpp::sections::Section;
    use iab_gpp::v1::GPPString;
    use proptest::prelude::*;

    use super::*;

    /// The strings of the specifications and of the tests of two other decoders.
    #[test]
    fn published_strings_say_what_they_say() {
        // TC strings: of the specification of TCF 2, and one with purposes.
        let none = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";
        assert_eq!(tcf(none), Some(BTreeSet::new()));
        let some = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw";
        assert_eq!(tcf(some), Some([1, 2, 3].into()));
        assert_eq!(tcf(""), None);
        assert_eq!(tcf("BOvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"), None);

        // GPP: the examples of the specification.
        assert_eq!(gpp("DBABMA~x"), Some(vec![(2, "x")]));
        assert_eq!(gpp("DBACNY~x~1YNN"), Some(vec![(2, "x"), (6, "1YNN")]));
        assert_eq!(gpp("DBABTA~1YNN"), Some(vec![(6, "1YNN")]));
        assert_eq!(gpp("DBACNY~x"), None);
        assert_eq!(gpp("DBABTA"), None);

        for (id, section, out) in [
            (6, "1YNN", Some(false)),
            (6, "1YYN", Some(true)),
            (6, "1---", Some(false)),
            (6, "1YN", None),
            (7, "BVVVVVVVVWA", Some(true)),
            (7, "BVVVVVVVVWA.YA", Some(true)),
            (7, "BAAAAAAAAAA", Some(false)),
            (8, "BVqqqqpY", Some(false)),
            (8, "BVqqqqpY.YA", Some(true)),
            (8, "AVqqqqpY", None),
            (99, "BVqqqqpY", None),
        ] {
            assert_eq!(opted_out(id, section), out, "{id} {section}");
        }
    }

    /// What the other decoder says of a section of a US law.
    fn theirs(section: &Section) -> Option<bool> {
        use iab_gpp::sections::us_common::OptOut::OptedOut;
        macro_rules! two {
            ($core:expr, $gpc:expr) => {
                $core.sale_opt_out == OptedOut
                    || $core.targeted_advertising_opt_out == OptedOut
                    || $gpc
            };
        }
        macro_rules! three {
            ($core:expr) => {
                $core.sharing_opt_out == OptedOut || two!($core, false)
            };
        }
        use iab_gpp::sections::usnat::Core;
        Some(match section {
            Section::UsNat(us) => {
                us.gpc == Some(true)
                    || match &us.core {
                        Core::V1(core) => three!(core),
                        Core::V2(core) => three!(core),
                        _ => return None,
                    }
            }
            Section::UsCa(us) => {
                let core = &us.core;
                core.sale_opt_out == OptedOut
                    || core.sharing_opt_out == OptedOut
                    || us.gpc == Some(true)
            }
            Section::UsVa(us) => two!(us.core, false),
            Section::UsUt(us) => two!(us.core, false),
            Section::UsCo(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsCt(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsMt(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsOr(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsTx(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsDe(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsIa(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsNe(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsNh(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsNj(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsTn(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsMn(us) => two!(us.core, us.gpc == Some(true)),
            Section::UsFl(us) => two!(us.core, false),
            _ => return None,
        })
    }

    /// A number in Fibonacci coding, bit by bit.
    fn fibonacci(mut number: u16) -> Vec<bool> {
        let mut terms = vec![1u16, 2];
        while terms[terms.len() - 1] <= number {
            terms.push(terms[terms.len() - 1] + terms[terms.len() - 2]);
        }
        let mut bits = Vec::new();
        for term in terms.iter().rev() {
            let fits = *term <= number;
            if fits {
                number -= term;
            }
            if fits || !bits.is_empty() {
                bits.push(fits);
            }
        }
        bits.reverse();
        bits.push(true);
        bits
    }

    fn text(bits: &[bool]) -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        bits.chunks(6)
            .map(|six| {
                let number = (0..6).fold(0, |number, bit| {
                    number * 2 + usize::from(six.get(bit).copied().unwrap_or_default())
                });
                char::from(letters[number])
            })
            .collect()
    }

    fn bits(number: u64, width: u32) -> Vec<bool> {
        (0..width).rev().map(|bit| number >> bit & 1 == 1).collect()
    }

    fn header(id: u16) -> String {
        let parts = [
            bits(3, 6),
            bits(1, 6),
            bits(1, 12),
            vec![false],
            fibonacci(id),
        ];
        text(&parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a US section says, both decoders say the same of it where the other one can read it.
        #[test]
        fn another_decoder_reads_the_same(
            id in 7u16..=23, version in 1u64..=2, rest in prop::collection::vec(any::<bool>(), 130),
            gpc in prop::option::of(any::<bool>()),
        ) {
            let mut section = text(&[bits(version, 6), rest].concat());
            // Virginia, Utah and Florida know no such segment; where one is there all the same, it is heard here.
            if let Some(gpc) = gpc && !matches!(id, 9 | 11 | 13) {
                section = format!("{section}.{}", text(&[bits(1, 2), vec![gpc]].concat()));
            }
            let string = format!("{}~{section}", header(id));
            let ours = gpp(&string).unwrap();
            prop_assert_eq!(&ours, &[(id, section.as_str())]);
            let read: GPPString = string.parse().unwrap();
            if let Ok([Ok(section_read)]) = <[_; 1]>::try_from(read.decode_all_sections()) {
                let theirs = theirs(&section_read).unwrap();
                prop_assert_eq!(opted_out(id, &section), Some(theirs));
            }
        }

        #[test]
        fn another_decoder_reads_the_same_purposes(purposes in 0u64..1 << 24) {
            let parts = [
                bits(2, 6), vec![false; 146], bits(purposes, 24), bits(0, 25), bits(0, 12), bits(0, 17), bits(0, 17), bits(0, 12),
            ];
            let string = text(&parts.concat());
            let whole = format!("{}~{string}", header(2));
            let read: GPPString = whole.parse().unwrap();
            let Ok([Ok(Section::TcfEuV2(theirs))]) = <[_; 1]>::try_from(read.decode_all_sections()) else {
                return Err(TestCaseError::fail("the other decoder reads it"));
            };
            prop_assert_eq!(tcf(&string).unwrap(), theirs.core.purpose_consents.into_iter().collect());
        }

        /// Rubbish is refused or read, and never a panic.
        #[test]
        fn nothing_panics(string in "\\PC{0,80}|[A-Za-z0-9_~.-]{0,200}|D[A-Za-z0-9_-]{0,12}(~[A-Za-z0-9_.-]{0,60}){0,4}", id in any::<u16>()) {
            let _ = (tcf(&string), opted_out(id, &string));
            for (id, section) in gpp(&string).unwrap_or_default() {
                let _ = (tcf(section), opted_out(id, section));
            }
        }
    }
}
