//! Models and histories that do not fit are errors with a name, never a panic.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use chorus_model::{
    Block, Direct, Engine, ItemId, Parameters, ParametersError, Step, Tensor, TrainError, Trainer,
    TrainingSet,
};
use chorus_torch::Torch;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// No recipe of these tests draws from it.
fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn model() -> Parameters {
    let mut parameters = Parameters::default();
    parameters.set(
        "items",
        Tensor {
            shape: vec![5, 2],
            values: vec![0.5; 10],
        },
    );
    parameters.set_scalar("alpha0", 0.1);
    parameters.set_scalar("regularisation", 0.01);
    parameters
}

fn refusal(parameters: &Parameters) -> String {
    let torch = Torch.open(parameters).map(|_| ()).unwrap_err().to_string();
    let direct = Direct.open(parameters).map(|_| ()).unwrap_err().to_string();
    assert_eq!(torch, direct, "both engines say the same");
    torch
}

#[test]
fn a_model_without_a_tensor() {
    assert!(refusal(&Parameters::default()).contains("`items`"));
    let mut parameters = Parameters::default();
    parameters.set(
        "items",
        Tensor {
            shape: vec![1, 1],
            values: vec![1.0],
        },
    );
    assert!(refusal(&parameters).contains("`alpha0`"));
}

#[test]
fn a_tensor_of_another_shape() {
    for shape in [vec![10], vec![5, 3], vec![5, 2, 1], vec![0, 2], vec![]] {
        let mut parameters = model();
        parameters.set(
            "items",
            Tensor {
                shape,
                values: vec![0.5; 10],
            },
        );
        assert!(refusal(&parameters).contains("`items`"));
    }
    for whitening in [
        Tensor {
            shape: vec![2, 3],
            values: vec![1.0; 6],
        },
        Tensor {
            shape: vec![4],
            values: vec![1.0; 4],
        },
    ] {
        let mut parameters = model();
        parameters.set("whitening", whitening);
        assert!(refusal(&parameters).contains("`whitening`"));
    }
    let mut parameters = model();
    parameters.set(
        "known",
        Tensor {
            shape: vec![4, 2],
            values: vec![0.3; 8],
        },
    );
    let two = Tensor {
        shape: vec![2],
        values: vec![0.0, 0.4],
    };
    parameters.set("gains", two);
    assert!(refusal(&parameters).contains("`known`"));
    parameters.remove("known");
    parameters.set(
        "start",
        Tensor {
            shape: vec![2],
            values: vec![1.0; 2],
        },
    );
    assert!(refusal(&parameters).contains("`start`"));
}

#[test]
fn a_step_the_model_has_no_tensor_for() {
    let trainer = Torch.open(&model()).unwrap();
    let history = TrainingSet::of([ItemId(1)], 5);
    let missing = |trainer: &dyn Trainer| {
        let error = trainer.contribution(Step::Projection, None, &history, &mut rng());
        match error.err().unwrap() {
            TrainError::Parameters(ParametersError::Missing(name)) => name,
            other => other.to_string(),
        }
    };
    assert_eq!(missing(&*trainer), "whitening");
    let mut parameters = model();
    let whitening = Tensor {
        shape: vec![1, 2],
        values: vec![1.0; 2],
    };
    parameters.set("whitening", whitening);
    let trainer = Torch.open(&parameters).unwrap();
    assert_eq!(missing(&*trainer), "known");
}

#[test]
fn a_block_outside_the_catalogue_or_of_another_step() {
    let (torch, direct) = (
        Torch.open(&model()).unwrap(),
        Direct.open(&model()).unwrap(),
    );
    let cases = [
        (Step::Gradient, 0, 0),
        (Step::Gradient, 3, 3),
        (Step::Gradient, usize::MAX, 2),
        (Step::Counts, 0, 5),
        (Step::History, 0, 5),
        (Step::Gram, 0, 5),
        (Step::Projection, 0, 5),
    ];
    for history in [TrainingSet::of([ItemId(1)], 5), TrainingSet::of([], 5)] {
        for (step, first, items) in cases {
            let block = Some(Block { first, items });
            let torch = torch
                .contribution(step, block, &history, &mut rng())
                .err()
                .unwrap();
            let direct = direct
                .contribution(step, block, &history, &mut rng())
                .err()
                .unwrap();
            assert!(matches!(torch, TrainError::Block(_)), "{torch}");
            assert_eq!(torch.to_string(), direct.to_string());
        }
    }
}

#[test]
fn a_history_outside_the_catalogue() {
    let trainer = Torch.open(&model()).unwrap();
    let history = TrainingSet::of([ItemId(1), ItemId(7)], 8);
    assert!(matches!(
        trainer.person(&history),
        Err(TrainError::Numeric(_))
    ));
    for step in [Step::Counts, Step::History, Step::Gradient] {
        assert!(matches!(
            trainer.contribution(step, None, &history, &mut rng()),
            Err(TrainError::Numeric(_))
        ));
    }
}

#[test]
fn numbers_that_cannot_be_solved() {
    let history = TrainingSet::of([ItemId(1), ItemId(2)], 5);
    let mut indefinite = model();
    indefinite.set_scalar("regularisation", -1e6);
    let mut singular = model();
    singular.set_scalar("regularisation", 0.0);
    singular.set(
        "items",
        Tensor {
            shape: vec![5, 2],
            values: vec![0.0; 10],
        },
    );
    let mut not_a_number = model();
    not_a_number.set(
        "items",
        Tensor {
            shape: vec![5, 2],
            values: vec![f32::NAN; 10],
        },
    );
    for parameters in [indefinite, singular, not_a_number] {
        let trainer = Torch.open(&parameters).unwrap();
        let error = trainer.person(&history).map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, TrainError::Numeric(text) if !text.contains('\n')),
            "{error}"
        );
    }
}
