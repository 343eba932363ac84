//! What the scanner is measured on: a seeded corpus in the formats of many countries, and the titles of real films.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const FIRST: [&str; 12] = [
    "Anna", "Jörg", "Maria", "Çelik", "John", "Siobhán", "Zoë", "Wei", "Fatima", "José", "Olga",
    "Ravi",
];
const LAST: [&str; 12] = [
    "Müller",
    "Smith",
    "O'Neill",
    "García",
    "Rossi",
    "Nguyen",
    "Kowalska",
    "Dubois",
    "Okafor",
    "Patel",
    "Jansen",
    "Lindqvist",
];
const HOSTS: [&str; 6] = [
    "example.org",
    "mail.example.com",
    "web.de",
    "uni-bonn.de",
    "correo.es",
    "post.example.co.uk",
];
const AROUND: [(&str, &str); 8] = [
    ("", ""),
    ("Please write to ", " as soon as you can."),
    ("meine Angabe: ", ", danke"),
    ("(", ")"),
    ("I liked it. ", ""),
    ("contact=", ""),
    ("It was fine, see ", "; the rest was dull."),
    ("\"", "\""),
];

struct Draw(ChaCha20Rng);

/// Makes a piece.
type Maker = fn(&mut Draw) -> String;

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0.next_u32() as usize % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A pattern: `#` a digit, `1` one that is not 0, `A` a capital, `a` a letter, `x` a hexadecimal digit, `*` a letter or digit.
    fn fill(&mut self, pattern: &str) -> String {
        let one = |draw: &mut Self, all: &str| {
            let letters: Vec<char> = all.chars().collect();
            draw.of(&letters)
        };
        let letters = pattern.chars().map(|letter| match letter {
            '#' => one(self, "0123456789"),
            '1' => one(self, "123456789"),
            'A' => one(self, "BCDFGHJKLMNPRSTVWXYZ"),
            'a' => one(self, "abcdefghijklmnopqrstuvwxyz"),
            'x' => one(self, "0123456789abcdef"),
            '*' => one(
                self,
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            ),
            other => other,
        });
        letters.collect()
    }

    fn ascii(&mut self) -> &'static str {
        self.of(&[
            "anna",
            "j.smith",
            "maria_rossi",
            "x.y-z",
            "olga+news",
            "ravi99",
        ])
    }

    fn email(&mut self) -> String {
        let (local, host) = (self.ascii(), self.of(&HOSTS));
        match self.below(6) {
            0 => format!("{local} (at) {}", host.replace('.', " (dot) ")),
            1 => format!("{local}[at]{host}"),
            2 => format!("{local}@{host}").to_uppercase(),
            3 => format!("mailto:{local}%40{host}"),
            4 => format!("{local} at example dot org"),
            _ => format!("{local}@{host}"),
        }
    }

    fn phone(&mut self) -> String {
        let formats = [
            "+49 30 1#####",
            "+4915112345##",
            "0049 171 1######",
            "030/1#######",
            "0171-1######",
            "(212) 555-####",
            "212.555.####",
            "+1 (415) 555-####",
            "1-800-555-####",
            "555-####",
            "+44 20 7### ####",
            "07### ######",
            "+33 6 12 34 56 ##",
            "06.12.34.56.##",
            "+34 91 1## ## ##",
            "+39 06 1### ####",
            "+47 91 ## ## ##",
            "9### ####",
            "+81 3-1###-####",
            "+91 98### #####",
            "+55 11 9####-####",
            "+86 138 #### ####",
            "+46 (0)8-1## ## ##",
            "+48 1## ### ###",
        ];
        let format = self.of(&formats);
        self.fill(format)
    }

    fn card(&mut self) -> String {
        let pattern = self.of(&[
            "4##############",
            "51#############",
            "37############",
            "6011###########",
        ]);
        let mut digits = self.fill(pattern);
        let check = (0..10)
            .find(|check| {
                let sum: u32 = format!("{digits}{check}")
                    .bytes()
                    .rev()
                    .enumerate()
                    .map(|(place, byte)| {
                        let twice = u32::from(byte - b'0') * (1 + place as u32 % 2);
                        twice / 10 + twice % 10
                    })
                    .sum();
                sum.is_multiple_of(10)
            })
            .unwrap();
        digits.push_str(&check.to_string());
        let separator = self.of(&["", " ", "-"]);
        grouped(&digits, separator)
    }

    fn iban(&mut self) -> String {
        let (country, rest) = self.of(&[
            ("DE", "##################"),
            ("GB", "AAAA##############"),
            ("FR", "##########AA#########9#"),
            ("NL", "AAAA##########"),
            ("NO", "###########"),
            ("ES", "####################"),
        ]);
        let rest = self.fill(rest);
        let number = |text: String| {
            text.chars().fold(0u32, |sum, letter| {
                let digit = letter.to_digit(36).unwrap();
                (sum * if digit < 10 { 10 } else { 100 } + digit) % 97
            })
        };
        let check = 98 - number(format!("{rest}{country}00"));
        let account = format!("{country}{check:02}{rest}");
        match self.below(3) {
            0 => account.to_lowercase(),
            1 => account,
            _ => grouped(&account, " "),
        }
    }

    fn national(&mut self) -> String {
        let formats = [
            "1##-##-####",
            "AA 12 34 56 A",
            "AA######A",
            "12######A",
            "A1######A",
            "AAAAA####A",
            "AAAAAA##A##A###A",
            "1 85 05 78 006 084 ##",
            "###.###.###-##",
            "19850512-####",
            "850512-####",
            "#### #### ####",
            "12 345 678 9##",
            "A########",
            "AA#######",
            "1######AA",
        ];
        let format = self.of(&formats);
        self.fill(format)
    }

    fn address(&mut self) -> String {
        let formats = [
            "12 Main Street",
            "221b Baker St.",
            "1600 Pennsylvania Avenue",
            "7 Old Mill Road",
            "Hauptstraße 1#",
            "Goethestr. 5a",
            "Am Musterweg 12",
            "Schillerplatz 3-5",
            "10 rue de la Paix",
            "15, avenue Foch",
            "Via Roma, 1#",
            "Calle Mayor 2#",
            "Kerkstraat 14",
            "Storgatan 1#",
            "P.O. Box 1##",
            "Postfach 12##",
            "Apt 4B",
            "SW1A 1AA",
            "CA 902##",
            "10### Berlin",
            "1012 AB Amsterdam",
            "NY 10001-12##",
            "75011 Paris",
            "Rua Augusta 1##",
            "45 Elm Ave",
            "9 Rose Court",
        ];
        let format = self.of(&formats);
        format.replace('#', "3")
    }

    fn network(&mut self) -> String {
        match self.below(6) {
            0 => self.fill("2001:db8:85x3::8x2e:370:xxxx"),
            1 => self.fill("fe80::xxxx:xxff:fexx:xxxx"),
            2 => self.fill("xx:xx:xx:xx:xx:xx"),
            3 => self.fill("2xx1:0db8:0000:0000:0000:ff00:0042:8xx9"),
            4 => self.fill("xx-xx-xx-xx-xx-xx"),
            _ => (0..4)
                .map(|_| self.below(256).to_string())
                .collect::<Vec<_>>()
                .join("."),
        }
    }

    fn secret(&mut self) -> String {
        let formats = [
            "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "sk_live_***********************#",
            "ghp_************************************",
            "AKIA*****#**********",
            "eyJhbGciOiJIUzI1NiJ9.***********************.****************#**********",
            "******************************",
            "Pa55w0rd!9",
            "tok_**********************",
        ];
        let format = self.of(&formats);
        self.fill(format)
    }

    fn name(&mut self) -> String {
        let (first, last) = (self.of(&FIRST), self.of(&LAST));
        match self.below(14) {
            0 => format!("Mr. {last}"),
            1 => format!("Mrs {first} {last}"),
            2 => format!("Dr. {last}"),
            3 => format!("Herr {last}"),
            4 => format!("Frau Dr. {last}"),
            5 => format!("Dear {first}"),
            6 => format!("Hallo {first}"),
            7 => format!("my name is {first} {last}"),
            8 => format!("ich heiße {first}"),
            9 => format!("je m'appelle {first}"),
            10 => format!("me llamo {first} {last}"),
            11 => format!("I am {first} {last}"),
            12 => format!("Name: {first} {last}"),
            _ => format!("@{}", self.ascii()),
        }
    }

    /// A piece of one of the other classes, as people write it who do not want a program to read it, or as their keyboard does.
    fn disguised(&mut self) -> String {
        let forms = [
            "anna ( at ) example ( dot ) org",
            "ANNA (AT) EXAMPLE (DOT) ORG",
            "anna [ät] example [punkt] de",
            "anna (dot) meier (at) mail (dot) example (dot) com",
            "anna AT example DOT org",
            "anna at example punkt de",
            "anna<at>example.org",
        ];
        let makers: [Maker; 4] = [Self::email, Self::phone, Self::card, Self::iban];
        let make = self.of(&makers);
        let piece = make(self);
        let moved = |letter: char, from: char, to: u32| {
            char::from_u32(u32::from(letter) - u32::from(from) + to).unwrap()
        };
        let changed = |change: &dyn Fn(char) -> char| piece.chars().map(change).collect();
        match self.below(8) {
            0 => self.of(&forms).to_owned(),
            1 => changed(&|letter| match letter {
                '!'..='~' => moved(letter, '!', 0xff01),
                _ => letter,
            }),
            2 => changed(&|letter| match letter {
                '0'..='9' => moved(letter, '0', 0x1d7ce),
                'a'..='z' => moved(letter, 'a', 0x1d41a),
                'A'..='Z' => moved(letter, 'A', 0x1d400),
                _ => letter,
            }),
            3 => changed(&|letter| match letter {
                '0'..='9' => moved(letter, '0', 0x660),
                _ => letter,
            }),
            4 => piece.replace(' ', "   "),
            5 => piece
                .replace(' ', "\u{2009}\u{a0}")
                .replace('-', "\u{2011}"),
            6 => piece.replace('-', "−"),
            _ => {
                let hidden = self.of(&['\u{200b}', '\u{200d}', '\u{2060}', '\u{ad}', '\u{feff}']);
                piece.chars().flat_map(|letter| [letter, hidden]).collect()
            }
        }
    }

    fn date(&mut self) -> String {
        let (day, month, year) = (
            1 + self.below(28),
            1 + self.below(12),
            1940 + self.below(70),
        );
        let name = self.of(&["May", "October", "Mar", "December"]);
        match self.below(7) {
            0 => format!("{day:02}.{month:02}.{year}"),
            1 => format!("{year}-{month:02}-{day:02}"),
            2 => format!("{month}/{day}/{year}"),
            3 => format!("{day} {name} {year}"),
            4 => format!("{name} {day}, {year}"),
            5 => format!("{day}. Oktober {year}"),
            _ => format!("{year}/{month:02}/{day:02}"),
        }
    }
}

fn grouped(text: &str, separator: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(separator)
}

#[test]
fn of_a_hundred_pieces_that_are_about_a_person_ninety_nine_are_found() {
    let mut draw = Draw(ChaCha20Rng::seed_from_u64(20261122));
    let makers: [(&str, Maker); 11] = [
        ("e-mail", Draw::email),
        ("phone", Draw::phone),
        ("card", Draw::card),
        ("IBAN", Draw::iban),
        ("national", Draw::national),
        ("address", Draw::address),
        ("network", Draw::network),
        ("secret", Draw::secret),
        ("name", Draw::name),
        ("date", Draw::date),
        ("disguised", Draw::disguised),
    ];
    let each = 1_000;
    let mut caught = 0;
    for (what, make) in makers {
        let mut missed = Vec::new();
        for _ in 0..each {
            let piece = make(&mut draw);
            let (before, behind) = draw.of(&AROUND);
            let text = format!("{before}{piece}{behind}");
            // It has to be this piece that was found: the middle of it is gone.
            let middle = before.len() + piece.len() / 2;
            let found = scan(&text);
            match found
                .iter()
                .any(|found| found.range.contains(&middle) || found.range.start >= before.len())
            {
                true => caught += 1,
                false => missed.push(text),
            }
        }
        let share = missed.len() as f64 / f64::from(each);
        println!("{what}: {:.1} % found", 100.0 * (1.0 - share));
        missed.sort();
        missed.dedup();
        assert!(
            share <= 0.01,
            "{what}: {:?}",
            &missed[..missed.len().min(20)]
        );
    }
    let recall = f64::from(caught) / f64::from(each * makers.len() as i32);
    println!(
        "{:.2} % of {} found",
        100.0 * recall,
        each * makers.len() as i32
    );
    assert!(recall >= 0.99);
    for (before, behind) in AROUND {
        assert_eq!(scan(&format!("{before}the second part{behind}")), []);
    }
}

/// Needs CHORUS_DATA: the titles may not be passed on, so they are in no repository.
#[test]
fn of_a_hundred_titles_at_most_one_is_taken_for_something_else() {
    let Some(folder) = std::env::var_os("CHORUS_DATA") else {
        println!("CHORUS_DATA is not set: the titles were not scanned");
        return;
    };
    let path = std::path::Path::new(&folder).join("ml-1m/items.tsv");
    let table = std::fs::read_to_string(path).unwrap();
    let titles = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(2));
    let (mut all, mut wrong) = (0, Vec::new());
    for title in titles {
        all += 1;
        if !scan(title).is_empty() {
            wrong.push(title);
        }
    }
    println!(
        "{} of {all} titles were taken for something else",
        wrong.len()
    );
    assert!(all > 3_000);
    assert!(wrong.len() * 100 <= all, "{} {wrong:?}", wrong.len());
}
