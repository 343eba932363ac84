//! How long a list takes, on this machine and one core: 10,000 candidates through the whole guarded road, from the sealed history to
//! the ten places: `cargo run --release -p chorus-client --example rank`. What is printed is JSON: milliseconds.
#![allow(clippy::print_stdout)]

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use chorus_client::{
    About, Answer, Ask, Catalogue, Category, Choice, Client, Context, Control, Decision, Event,
    FileKey, Model, Order, Purpose, Settings, Subject,
};
use chorus_model::{Direct, Everything, ItemId, Parameters, Tensor, Wish};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::json;

const ITEMS: usize = 10_000;
/// Width of the item table and of the head, as `ials` has them on ml-1m.
const FACTORS: usize = 64;
const LISTS: usize = 1_000;
const NOW: i64 = 1_800_000_000;

/// A catalogue in memory: two topics an item, one item in fifty of a sensitive category.
struct Shop(Vec<About>);

impl Catalogue for Shop {
    fn about(&self, item: ItemId) -> Option<Cow<'_, About>> {
        self.0.get(item.0 as usize).map(Cow::Borrowed)
    }

    fn items(&self) -> Vec<ItemId> {
        (0..self.0.len() as u32).map(ItemId).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let task = "films".to_owned().try_into()?;
    let model = Model::open(&task, &parameters(&mut rng)?, &Direct)?;
    let about = |item: usize| About {
        title: format!("Thing {item}"),
        topics: vec![
            format!("topic {}", item % 20),
            format!("brand {}", item % 97),
        ],
        sensitive: item.is_multiple_of(50).then_some(Category::Health),
        ..About::default()
    };
    let shop = Arc::new(Shop((0..ITEMS).map(about).collect()));
    let mut report = Vec::new();
    for history in [20, 165, 1_000] {
        let home = tempfile::tempdir_in(".")?;
        let keys = FileKey::beside(home.path());
        let mut client = Client::open(home.path(), &keys, Settings::default(), NOW)?;
        client.set_catalogue(shop.clone());
        let notice = client.notice("en").ok_or("there is a notice in English")?;
        let yes = Decision::new(Answer::Yes, [Purpose::LocalPersonalisation], notice);
        client.decide(&yes, NOW)?;
        let clicks = (0..history).map(|item| Event::click(ItemId(item * 7), NOW - i64::from(item)));
        client.record_all(clicks, NOW)?;
        let mute = Control {
            what: Subject::Topic("topic 3".to_owned()),
            choice: Choice::Mute,
        };
        client.choose(&mute)?;
        let plain = Ask::best(Order::Profiled(&model), 10);
        let full = Ask {
            context: Context {
                local_time: Some(NOW),
                ..Context::default()
            },
            wish: Wish {
                length: 10,
                diversity: 0.3,
                exploration: 0.1,
            },
            ..Ask::best(Order::Profiled(&model), 10)
        };
        let mut times = |ask: &Ask<'_>| -> Result<_, Box<dyn Error>> {
            let mut taken = Vec::new();
            for _ in 0..LISTS {
                let begin = Instant::now();
                let ranked = client.rank(ask, &Everything, &mut rng, NOW)?;
                taken.push(begin.elapsed().as_secs_f64() * 1e3);
                if ranked.places.len() != 10 {
                    return Err("a list is too short".into());
                }
            }
            taken.sort_by(f64::total_cmp);
            let at = |share: f64| taken.get((share * (LISTS - 1) as f64) as usize).copied();
            Ok(json!({ "median": at(0.5), "p99": at(0.99) }))
        };
        report.push(json!({
            "history": history,
            "best_ten": times(&plain)?,
            "with_context_diversity_and_chance": times(&full)?,
        }));
    }
    println!(
        "{:#}",
        json!({ "candidates": ITEMS, "factors": FACTORS, "lists": LISTS, "milliseconds": report })
    );
    Ok(())
}

/// A model of the shape that `ials` leaves, filled by chance: how long a list takes does not depend on the values.
fn parameters(rng: &mut impl Rng) -> Result<Parameters, Box<dyn Error>> {
    let mut drawn = |count: usize, least: f32| -> Vec<f32> {
        let share = |_| least + rng.next_u32() as f32 / u32::MAX as f32;
        (0..count).map(share).collect()
    };
    let mut parameters = Parameters::default();
    for name in ["items", "head"] {
        let tensor = Tensor::new(name, &[ITEMS, FACTORS], drawn(ITEMS * FACTORS, -0.5))?;
        parameters.set(name, tensor);
    }
    for name in ["counts", "head_scale"] {
        parameters.set(name, Tensor::new(name, &[ITEMS], drawn(ITEMS, 5.0))?);
    }
    parameters.set_scalar("alpha0", 0.3);
    parameters.set_scalar("regularisation", 0.007);
    Ok(parameters)
}
