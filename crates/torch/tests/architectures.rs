//! Every architecture that needs libtorch, by the plan in models/, on people that are made up.
#![allow(clippy::unwrap_used)]

mod common;

use chorus_model::{
    Direct, Engine, Features, Initial, ItemFeatures, ItemId, ModelPlan, Recipe, Step, TrainError,
    TrainedRecipe, TrainingSet, top,
};
use chorus_torch::Torch;
use common::learned;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const ITEMS: usize = 40;
const HALF: u32 = ITEMS as u32 / 2;
/// The last items of each half are in no history.
const COLD: [u32; 2] = [HALF - 1, ITEMS as u32 - 1];

fn plan(name: &str) -> ModelPlan {
    let path = format!(
        "{}/../../models/{name}/model.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Two circles of taste, which a public feature tells apart.
fn recipe(plan: ModelPlan) -> Recipe {
    let with_features = plan
        .tensors
        .iter()
        .any(|tensor| tensor.initial == Initial::Features);
    let circle = |item: u32| (item, item / HALF, 1.0);
    let names = vec!["lower".to_owned(), "upper".to_owned()];
    let features = ItemFeatures::new(names, (0..ITEMS as u32).map(circle).collect()).unwrap();
    Recipe::Trained(TrainedRecipe {
        features: with_features.then_some(Features::Table(features)),
        ..TrainedRecipe::new(ITEMS, 25, plan)
    })
}

fn history(items: &[u32]) -> TrainingSet {
    TrainingSet::of(items.iter().copied().map(ItemId), ITEMS)
}

fn people() -> Vec<TrainingSet> {
    (0..60u32)
        .map(|person| {
            let item =
                |step| HALF * (person % 2) + (person / 2 + step * (1 + person % 3)) % (HALF - 1);
            history(&(0..9).map(item).collect::<Vec<_>>())
        })
        .collect()
}

#[test]
fn circles_of_taste_are_told_apart() {
    for name in ["neumf", "two-tower", "sequence"] {
        let model = learned(&recipe(plan(name)), &people());
        let trainer = Torch.open(&model).unwrap();
        for (items, circle) in [([0, 3, 7, 9], 0), ([23, 27, 32, 35], 1)] {
            let newcomer = history(&items);
            let scores = trainer.scores(&newcomer).unwrap();
            assert_eq!(scores.len(), ITEMS);
            // A sequence model knows what comes next: one to three items on.
            let (length, least) = if name == "sequence" { (3, 3) } else { (6, 5) };
            let list = top(&scores, &newcomer, length);
            let right = list.iter().filter(|item| item.0 / HALF == circle).count();
            assert!(right >= least, "{name}: {list:?} for {items:?}");
            let causes = trainer.explain(&newcomer, list[0]).unwrap();
            assert!(causes.iter().all(|cause| cause.adds.is_finite()) && causes.len() == 4);
            if name == "two-tower" {
                // Nobody ever touched either: what is known of them is public.
                let [mine, theirs] = [COLD[circle as usize], COLD[1 - circle as usize]];
                assert!(scores[mine as usize] > scores[theirs as usize]);
            }
        }
        let empty = trainer.scores(&history(&[])).unwrap();
        assert_eq!(empty, model.get("counts").unwrap().values);
    }
}

#[test]
fn plans_that_do_not_fit_their_architecture_are_refused() {
    let refused = |name: &str, change: &dyn Fn(&mut ModelPlan)| {
        let mut plan = plan(name);
        change(&mut plan);
        let model = recipe(plan).start(1).parameters;
        Torch.open(&model).err().unwrap().to_string()
    };
    for (name, tensor, words) in [
        ("neumf", "output", "`output` must be"),
        ("neumf", "tower-1", "`tower-1` is missing"),
        ("two-tower", "features", "`features` must be"),
        ("sequence", "positions", "`positions` must be"),
        ("sequence", "outer-bias", "`outer-bias` must be"),
    ] {
        let error = refused(name, &|plan| {
            plan.tensors.retain(|other| other.name != tensor)
        });
        assert!(error.contains(words), "{error}");
    }
    let error = refused("sequence", &|plan| plan.loss = chorus_model::Loss::Binary);
    assert!(error.contains("softmax"), "{error}");
    let error = refused("neumf", &|plan| plan.client.person = None);
    assert!(error.contains("client.person is missing"), "{error}");
    let error = refused("neumf", &|plan| plan.tensors[0].name = "others".to_owned());
    assert!(error.contains("no use for `others`"), "{error}");
}

#[test]
fn without_libtorch_they_say_what_they_need() {
    for name in ["neumf", "two-tower", "sequence"] {
        let model = recipe(plan(name)).start(1).parameters;
        let error = Direct.open(&model).err().unwrap();
        assert!(matches!(error, TrainError::Architecture { .. }), "{error}");
    }
}

#[test]
fn sampled_and_full_softmax_both_send_finite_updates() {
    for negatives in [0, 5] {
        let mut plan = plan("sequence");
        plan.client.negatives = negatives;
        let trainer = Torch.open(&recipe(plan).start(1).parameters).unwrap();
        for items in [&[1, 2, 3][..], &[4]] {
            let mut draws = ChaCha20Rng::seed_from_u64(1);
            let update = trainer.contribution(Step::Update, None, &history(items), &mut draws);
            let values = update.unwrap().into_values();
            assert!(values.iter().all(|value| value.is_finite()));
            let learned = values.iter().rev().skip(3).any(|value| *value != 0.0);
            // After one event alone there is nothing that follows.
            assert_eq!(learned, items.len() > 1);
        }
    }
}
