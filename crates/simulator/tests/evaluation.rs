//! Evaluation: a model and its score file say the same; popularity on ml-1m is what the design measured.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use chorus_data::{Dataset, Synthesis, Trait, read, synthesise, traits};
use chorus_model::{Direct, Engine, IalsRecipe, Parameters, Recipe};
use chorus_simulator::{EvaluateError, Evaluation, Source, evaluation, scores};

fn people() -> Dataset {
    synthesise(&Synthesis::default())
}

fn model(dataset: &Dataset) -> Parameters {
    Recipe::Ials(IalsRecipe::new(dataset.items, 8, 1))
        .start(1)
        .parameters
}

fn rows(dataset: &Dataset, bytes: &[u8]) -> Result<Evaluation, EvaluateError> {
    evaluation(dataset, Source::Rows(&mut &*bytes), &[], None, 1)
}

#[test]
fn a_model_and_its_scores_measure_alike() {
    let dataset = people();
    let parameters = model(&dataset);
    let trainer = Direct.open(&parameters).unwrap();
    let by_model = evaluation(&dataset, Source::Model(trainer.as_ref()), &[], None, 1).unwrap();
    let mut bytes = Vec::new();
    scores(&parameters, &dataset, &Direct, &mut bytes).unwrap();
    // A matrix gives no reasons.
    let unexplained = Evaluation {
        explanations: None,
        ..by_model
    };
    assert_eq!(rows(&dataset, &bytes).unwrap(), unexplained);

    let short = rows(&dataset, &bytes[..bytes.len() - 4]).unwrap_err();
    assert!(short.to_string().contains("ends within a row"), "{short}");
    bytes.extend([0; 4]);
    let long = rows(&dataset, &bytes).unwrap_err();
    assert!(long.to_string().contains("another data set"), "{long}");
    bytes.truncate(bytes.len() - 4);
    bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let nan = rows(&dataset, &bytes).unwrap_err();
    assert!(nan.to_string().contains("not finite"), "{nan}");
}

#[test]
fn small_groups_are_counted_and_not_shown() {
    let dataset = people();
    let parameters = model(&dataset);
    let trainer = Direct.open(&parameters).unwrap();
    // Twenty people have it, all others do not, and of the last one nothing is known.
    let users = dataset.users();
    let answers = (0..users).map(|user| (user + 1 < users).then_some(user < 20));
    let known = Trait::new("left-handed", answers.collect());
    let found = evaluation(&dataset, Source::Model(trainer.as_ref()), &[known], None, 1).unwrap();
    let [activity, handed] = found.groups.as_slice() else {
        panic!("two divisions");
    };
    assert_eq!(activity.groups.len(), 4);
    let all: usize = activity.groups.iter().map(|group| group.people).sum();
    assert_eq!(all, found.quality.cases);
    assert!(activity.gap.is_some());
    assert_eq!(handed.groups[0].full_ndcg_at_10, None);
    assert!(handed.groups[1].full_ndcg_at_10.is_some());
    assert_eq!(handed.gap, None, "a gap needs two groups that are shown");
}

#[test]
fn popularity_on_ml_1m_is_like_the_table_of_the_design() {
    let Some(folder) = std::env::var_os("CHORUS_DATA") else {
        println!("skipped: CHORUS_DATA is not set");
        return;
    };
    let folder = PathBuf::from(folder).join("ml-1m");
    let dataset = read(&folder).unwrap();
    let traits = traits(&folder, &dataset).unwrap();
    let parameters = model(&dataset);
    let trainer = Direct.open(&parameters).unwrap();
    let source = Source::Model(trainer.as_ref());
    let found = evaluation(&dataset, source, &traits, dataset.categories(), 1).unwrap();
    let near = |found: f64, expected: f64, within: f64| {
        assert!(
            (found - expected).abs() <= within,
            "{found}, expected {expected}"
        );
    };
    let lists = found.popularity_lists;
    near(lists.diversity.unwrap(), 0.644, 6e-4);
    near(lists.calibration.unwrap(), 1.229, 6e-4);
    near(lists.popularity_lift, 1.84, 6e-3);
    near(lists.coverage, 0.054, 6e-4);
    near(lists.gini, 0.993, 6e-4);
    near(lists.tail_share, 0.0, 6e-4);
    near(found.popularity.hr_at_10, 0.4533, 4e-4);
    near(found.popularity.full_ndcg_at_10, 0.0204, 6e-5);
    near(found.popularity.full_recall_at_20, 0.0735, 6e-5);
    assert_eq!(found.groups.len(), 3);
    assert_eq!(found.exposure.len(), 18);
}
