//! How hard a text is to read.

use super::Language;

/// How many years of school a text asks for, roughly. For tests, of apps too: nothing that a person reads about their data should
/// ask for more than 8. A label of one or two words says nothing by this measure.
///
/// English: the grade of Kincaid and others 1975, 0.39 words a sentence + 11.8 syllables a word - 15.59. German: the first
/// Wiener Sachtextformel (Bamberger and Vanecek 1984), 0.1935 MS + 0.1672 SL + 0.1297 IW - 0.0327 ES - 0.875: shares in per
/// cent of words with three syllables or more, with over six letters, with one syllable; SL words a sentence.
pub fn grade(text: &str, language: Language) -> f64 {
    let words: Vec<&str> = text
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .filter(|word| !word.is_empty())
        .collect();
    let sentences = text.matches(['.', '?', '!', ':', ';']).count().max(1) as f64;
    let count = words.len().max(1) as f64;
    let a_sentence = words.len() as f64 / sentences;
    let syllables: Vec<usize> = words.iter().map(|word| syllables(word, language)).collect();
    match language {
        Language::English => {
            let total: usize = syllables.iter().sum();
            0.39 * a_sentence + 11.8 * total as f64 / count - 15.59
        }
        Language::German => {
            let share = |number: usize| 100.0 * number as f64 / count;
            let many = syllables.iter().filter(|number| **number >= 3).count();
            let one = syllables.iter().filter(|number| **number == 1).count();
            let long = words.iter().filter(|word| word.chars().count() > 6).count();
            0.1935 * share(many) + 0.1672 * a_sentence + 0.1297 * share(long)
                - 0.0327 * share(one)
                - 0.875
        }
    }
}

/// Groups of vowels; in English a last e that is not spoken is none.
fn syllables(word: &str, language: Language) -> usize {
    let word = word.to_lowercase();
    let mut groups = 0;
    let mut within = false;
    for letter in word.chars() {
        let vowel = "aeiouyäöü".contains(letter);
        groups += usize::from(vowel && !within);
        within = vowel;
    }
    let silent =
        language == Language::English && word.ends_with('e') && !word.ends_with("le") && groups > 1;
    (groups - usize::from(silent)).max(1)
}
