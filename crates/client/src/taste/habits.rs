use std::collections::{BTreeMap, HashMap};

use super::catalogue::About;
use super::context::{Band, Context};

/// Events that a guess about nobody in particular is worth, next to the person's own.
const PRIOR: f64 = 20.0;

/// How much more than at other times a person touches a topic in the context of the moment.
///
/// For each band b of the context and each topic t: ln(p(b given t) / p(b)), with p(b) = (n_b + 1) / (n + values of the dimension) and
/// p(b given t) = (n_tb + 20 p(b)) / (n_t + 20), from the person's own counts n; additive smoothing towards what the person does
/// anyway; n are the events whose value in that dimension is known. Between -1 and 1 each, added up over the bands. Without events it is 0, and lists are what they are without a context.
pub(crate) struct Habits {
    lifts: HashMap<String, f64>,
}

/// How often something was done in each band of the context, and in all bands of the same dimension.
#[derive(Default)]
struct Counts(Vec<(f64, f64)>);

impl Counts {
    fn add(&mut self, bands: &[Band], counts: &BTreeMap<Band, u32>) {
        self.0.resize(bands.len(), (0.0, 0.0));
        for ((here, all), band) in self.0.iter_mut().zip(bands) {
            *here += f64::from(counts.get(band).copied().unwrap_or(0));
            let same = counts
                .iter()
                .filter(|(other, _)| other.dimension() == band.dimension());
            *all += same.map(|(_, count)| f64::from(*count)).sum::<f64>();
        }
    }
}

impl Habits {
    /// `events`: for each item of the history what it is about, and how often it was touched in which band.
    pub fn new<'a>(
        context: &Context,
        events: impl IntoIterator<Item = (&'a About, &'a BTreeMap<Band, u32>)>,
    ) -> Self {
        let bands = context.bands();
        let mut all = Counts::default();
        let mut topics: HashMap<String, Counts> = HashMap::new();
        if !bands.is_empty() {
            for (about, counts) in events {
                all.add(&bands, counts);
                for topic in &about.topics {
                    topics.entry(topic.clone()).or_default().add(&bands, counts);
                }
            }
        }
        let lift = |counts: &Counts| {
            let both = bands.iter().zip(&counts.0).zip(&all.0);
            both.map(|((band, (of_topic, topic)), (of_all, all))| {
                let (_, values) = band.dimension();
                let usual = (of_all + 1.0) / (all + f64::from(values));
                let now = (of_topic + PRIOR * usual) / (topic + PRIOR);
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
        let mornings = BTreeMap::from([(Band::Morning, 30), (Band::Workday, 30)]);
        let evenings = BTreeMap::from([(Band::Evening, 30), (Band::Workday, 30)]);
        let at = |hour: i64| {
            let context = Context {
                local_time: Some(hour * 3_600),
                ..Context::default()
            };
            Habits::new(&context, [(&news, &mornings), (&music, &evenings)])
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
        let mornings = BTreeMap::from([(Band::Morning, 30)]);
        let context = Context {
            device: Some(Device::Car),
            ..Context::default()
        };
        assert!(Habits::new(&context, []).is_empty());
        assert!(Habits::new(&Context::default(), [(&news, &mornings)]).is_empty());
        // Nobody ever said on which device that was.
        assert_eq!(Habits::new(&context, [(&news, &mornings)]).lift(&news), 0.0);
    }
}
