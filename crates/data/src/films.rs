//! Public features of films: their genres, and the year at the end of the title.

use chorus_model::{Categories, ItemFeatures};

/// Soft bins for the age of a film.
const BINS: usize = 8;
/// The year that ages are counted from: just after the youngest film of MovieLens 100K and 1M.
const NOW: u16 = 2001;
/// The age that the last bin stands for, in years; the first stands for 1.
const OLDEST: f64 = 80.0;
/// Bins in which a film is with less than this are left out.
const LEAST: f64 = 1e-4;

/// What a file says about one film.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Film {
    pub(crate) genres: Vec<String>,
    pub(crate) year: Option<u16>,
}

/// The year in brackets at the end of a title: `Toy Story (1995)`.
pub(crate) fn year(title: &str) -> Option<u16> {
    let (_, last) = title.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    let year = last.trim().parse().ok()?;
    (1880..=2100).contains(&year).then_some(year)
}

/// Genres over the root of how many the film has; and eight soft bins of the logarithm of its age, which add up to 1:
/// ials-private.md, section 1. Nothing when no film has either.
pub(crate) fn features(films: &[Film]) -> Option<ItemFeatures> {
    let mut genres: Vec<&str> = films
        .iter()
        .flat_map(|film| film.genres.iter().map(String::as_str))
        .collect();
    genres.sort_unstable();
    genres.dedup();
    let bins = (1..=BINS).map(age);
    let names = genres
        .iter()
        .map(|genre| (*genre).to_owned())
        .chain(bins)
        .collect();
    let mut entries = Vec::new();
    for (item, film) in (0u32..).zip(films) {
        let weight = 1.0 / (film.genres.len().max(1) as f32).sqrt();
        for genre in &film.genres {
            if let Ok(place) = genres.binary_search(&genre.as_str()) {
                entries.push((item, place as u32, weight));
            }
        }
        let ages = film.year.map(ages).unwrap_or_default();
        let ages = (genres.len() as u32..).zip(ages);
        entries.extend(
            ages.filter(|(_, weight)| *weight >= LEAST)
                .map(|(bin, weight)| (item, bin, weight as f32)),
        );
    }
    // A film whose genres are listed twice is the only way to an error.
    entries.sort_by_key(|(item, feature, _)| (*item, *feature));
    entries.dedup_by_key(|(item, feature, _)| (*item, *feature));
    ItemFeatures::new(names, entries).ok()
}

/// The genres among the features.
pub(crate) fn categories(features: &ItemFeatures, items: usize) -> Categories {
    let mut names = Vec::new();
    let numbers: Vec<Option<u16>> = features
        .names()
        .iter()
        .map(|name| {
            let is_age = (1..=BINS).any(|bin| *name == age(bin));
            let number = (!is_age).then_some(names.len() as u16);
            names.extend(number.map(|_| name.clone()));
            number
        })
        .collect();
    let mut of = vec![Vec::new(); items];
    for (item, feature, _) in features.entries() {
        let number = numbers.get(*feature as usize).copied().flatten();
        if let Some((of, number)) = of.get_mut(*item as usize).zip(number) {
            of.push(number);
        }
    }
    Categories { names, of }
}

fn age(bin: usize) -> String {
    format!("age {bin} of {BINS}")
}

/// How much a film of this year is in each bin.
fn ages(year: u16) -> Vec<f64> {
    let age = f64::from(NOW.saturating_sub(year)).max(0.5).ln();
    let width = OLDEST.ln() / (BINS - 1) as f64;
    let near: Vec<f64> = (0..BINS)
        .map(|bin| (-0.5 * ((age - width * bin as f64) / width).powi(2)).exp())
        .collect();
    let all: f64 = near.iter().sum();
    near.iter().map(|near| near / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_stand_at_the_end_of_titles() {
        assert_eq!(year("Toy Story (1995)"), Some(1995));
        assert_eq!(year("8 1/2 (Otto e mezzo) (1963) "), Some(1963));
        for title in [
            "unknown",
            "Seven (a film)",
            "2001",
            "(19955)",
            "Metropolis (1926",
        ] {
            assert_eq!(year(title), None, "{title}");
        }
    }

    #[test]
    fn genres_are_shared_out_and_ages_add_up_to_one() {
        let film = |genres: &[&str], year| Film {
            genres: genres.iter().map(|genre| (*genre).to_owned()).collect(),
            year,
        };
        let films = [
            film(&["War", "Drama"], Some(1995)),
            film(&[], None),
            film(&["Drama"], Some(2000)),
        ];
        let features = features(&films).unwrap();
        assert_eq!(features.names().len(), 2 + BINS);
        let of = |item: u32, feature: &str| {
            let place = features
                .names()
                .iter()
                .position(|name| name == feature)
                .unwrap() as u32;
            let entry = features
                .entries()
                .iter()
                .find(|entry| (entry.0, entry.1) == (item, place));
            entry.map_or(0.0, |entry| entry.2)
        };
        assert_eq!(
            (of(0, "War"), of(2, "Drama"), of(2, "War")),
            (0.5f32.sqrt(), 1.0, 0.0)
        );
        assert!(features.entries().iter().all(|entry| entry.0 != 1));
        let bins = |item| {
            (1..=BINS)
                .map(|bin| of(item, &format!("age {bin} of 8")))
                .sum::<f32>()
        };
        assert!((bins(0) - 1.0).abs() < 1e-3 && (bins(2) - 1.0).abs() < 1e-3);
        assert!(of(2, "age 1 of 8") > of(0, "age 1 of 8"));
        assert!(super::features(&films[1..2]).is_none());
    }
}
