use std::collections::HashMap;

use super::catalogue::About;
use super::context::{Band, Context};

/// Events that a guess about nobody in particular is worth, next to the person's own.
const PRIOR: f64 = 20.0;

/// How much more than at other times a person touches a topic in the context of the moment.
///
/// For each band b of the context and each topic t: ln(p(b given t) / p(b)), with p(b) = (n_b + 1) / (n + values of the dimension) and
/// p(b given t) = (n_tb + 20 p(b)) / (n_t + 20), from the person's own counts n; additive smoothing towards what the person does
/// anyway. Between -1 and 1 each, added up over the bands. Without events it is 0, and lists are what they are without a context.
pub(crate) struct Habits {
    lifts: HashMap<String, f64>,
}

/// How often something was done in each band, and at all.
#[derive(Default)]
struct Counts {
    bands: Vec<f64>,
    total: f64,
}

impl Counts {
    fn add(&mut self, bands: &[f64], total: f64) {
        self.bands.resize(bands.len(), 0.0);
        self.bands
            .iter_mut()
            .zip(bands)
            .for_each(|(sum, more)| *sum += more);
        self.total += total;
    }
}

impl Habits {
    /// `events`: for each item of the history what it is about, how often it was touched in a band, and how often at all.
    pub fn new<'a>(
        context: &Context,
        events: impl IntoIterator<Item = (&'a About, &'a dyn Fn(&Band) -> u32, u32)>,
    ) -> Self {
        let bands = context.bands();
        let mut all = Counts::default();
        let mut topics: HashMap<String, Counts> = HashMap::new();
        if !bands.is_empty() {
            for (about, count, total) in events {
                let here: Vec<f64> = bands.iter().map(|band| f64::from(count(band))).collect();
                all.add(&here, f64::from(total));
                for topic in &about.topics {
                    let counts = topics.entry(topic.clone()).or_default();
                    counts.add(&here, f64::from(total));
                }
            }
        }
        let lift = |counts: &Counts| {
            let both = bands.iter().zip(&counts.bands).zip(&all.bands);
            both.map(|((band, of_topic), of_all)| {
                let (_, values) = band.dimension();
                let usual = (of_all + 1.0) / (all.total + f64::from(values));
                let now = (of_topic + PRIOR * usual) / (counts.total + PRIOR);
                (now / usual).ln().clamp(-1.0, 1.0)
            })
            .sum()
        };
        let lifts = topics
            .iter()
            .map(|(topic, counts)| (topic.clone(), lift(counts)));
        Self {
            lifts: lifts.collect(),
        }
    }

    /// True when no item is lifted.
    pub fn is_empty(&self) -> bool {
        self.lifts.is_empty()
    }

    /// The mean over the topics of an item.
    pub fn lift(&self, about: &About) -> f64 {
        let lifts = about
            .topics
            .iter()
            .filter_map(|topic| self.lifts.get(topic));
        match about.topics.len() {
            0 => 0.0,
            topics => lifts.sum::<f64>() / topics as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taste::Device;

    fn about(topics: &[&str]) -> About {
        About {
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            ..About::default()
        }
    }

    #[test]
    fn what_is_heard_in_the_morning_is_lifted_in_the_morning() {
        let (news, music) = (about(&["news"]), about(&["music"]));
        let mornings = |band: &Band| if *band == Band::Morning { 30 } else { 0 };
        let evenings = |band: &Band| if *band == Band::Evening { 30 } else { 0 };
        let at = |hour: i64| {
            let context = Context {
                local_time: Some(hour * 3_600),
                ..Context::default()
            };
            let events: [(&About, &dyn Fn(&Band) -> u32, u32); 2] =
                [(&news, &mornings, 30), (&music, &evenings, 30)];
            Habits::new(&context, events)
        };
        let (morning, evening) = (at(8), at(20));
        assert!(morning.lift(&news) > 0.3 && morning.lift(&music) < -0.3);
        assert!(evening.lift(&news) < -0.3 && evening.lift(&music) > 0.3);
        assert!(morning.lift(&about(&["news", "music"])).abs() < morning.lift(&news));
        assert_eq!(morning.lift(&about(&["sport"])), 0.0);
    }

    #[test]
    fn without_counts_or_without_a_context_nothing_is_lifted() {
        let news = about(&["news"]);
        let none = |_: &Band| 0;
        let context = Context {
            device: Some(Device::Car),
            ..Context::default()
        };
        assert!(Habits::new(&context, []).is_empty());
        let one: [(&About, &dyn Fn(&Band) -> u32, u32); 1] = [(&news, &none, 5)];
        assert!(Habits::new(&Context::default(), one).lift(&news) == 0.0);
        // A few events hardly move anything.
        assert!(Habits::new(&context, one).lift(&news).abs() < 0.3);
    }
}
