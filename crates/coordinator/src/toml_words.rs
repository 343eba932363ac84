//! What is wrong with a TOML file, in a sentence with the line and, for an unknown key, the nearest known one.

/// The sentence for an error in `text`.
pub(crate) fn explain(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or(text);
        before.matches('\n').count() + 1
    });
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    match nearest(message) {
        Some(known) => format!("{place}{message}; did you mean `{known}`?"),
        None => format!("{place}{message}"),
    }
}

/// serde names what it does not know first, and what it expected after that, all between backticks.
fn nearest(message: &str) -> Option<&str> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let found = quoted.next()?;
    let known = quoted.min_by_key(|known| distance(found, known))?;
    (distance(found, known) <= 1 + found.len() / 3).then_some(known)
}

/// Characters to insert, remove or replace to come from one word to the other (Levenshtein 1966).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut last = index + 1;
        for (place, right) in row.iter_mut().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = *place;
            last = replaced.min(last + 1).min(diagonal + 1);
            *place = last;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("", "ab", 2),
            ("listne", "listen", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }
}
