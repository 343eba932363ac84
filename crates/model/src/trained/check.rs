use super::plan::{
    AdaptiveClip, Architecture, ClientPlan, Dimension, Initial, Loss, ModelPlan, Schedule,
    ServerPlan, TensorPlan,
};
use crate::RecipeError;
use crate::recipe::{check, positive};

/// Names that a published model has anyway, or the optimiser's memory.
const RESERVED: [&str; 5] = ["counts", "clip", "module", "first-moment", "second-moment"];
/// Numbers of a shape, at most.
const MOST_DIMENSIONS: usize = 4;
/// Values of a tensor without the catalogue, and columns of one with it, at most.
const MOST_VALUES: usize = 1 << 24;

impl ModelPlan {
    /// Checks every field, and that they fit together.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), RecipeError> {
        check(
            is_name(&self.name),
            "name",
            "must be 1 to 64 characters of a-z, 0-9 and `-`",
        )?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_digest = |text: &String| text.len() == 64 && text.bytes().all(is_digit);
        check(
            match self.architecture {
                Architecture::Torchscript => self.module.as_ref().is_some_and(is_digest),
                _ => self.module.is_none(),
            },
            "module",
            "must be the SHA-256 of the module of a `torchscript` model, and is left out of others",
        )?;
        check(
            (1..=1_000).contains(&self.tensors.len()),
            "tensors",
            "must be between 1 and 1000",
        )?;
        for (place, tensor) in self.tensors.iter().enumerate() {
            let field = |field: &str| format!("tensors.{}.{field}", tensor.name);
            let twice = self
                .tensors
                .iter()
                .skip(place + 1)
                .any(|other| other.name == tensor.name);
            check(
                is_name(&tensor.name) && !RESERVED.contains(&tensor.name.as_str()) && !twice,
                field("name"),
                "must be 1 to 64 characters of a-z, 0-9 and `-`, not `counts`, `clip`, `module`, `first-moment` or \
                 `second-moment`, and no other tensor's",
            )?;
            self.check_tensor(tensor, field)?;
        }
        self.check_groups()?;
        if let Some(adaptive) = &self.adaptive {
            adaptive.validate()?;
        }
        self.client.validate()?;
        self.server.validate()?;
        match self.architecture {
            Architecture::Factors => self.check_factors(),
            _ => Ok(()),
        }
    }

    fn check_tensor(
        &self,
        tensor: &TensorPlan,
        field: impl Fn(&str) -> String,
    ) -> Result<(), RecipeError> {
        let fixed = tensor.shape.iter().filter_map(|dimension| match dimension {
            Dimension::Fixed(number) => Some(*number),
            Dimension::Catalogue(_) => None,
        });
        let values = fixed.fold(1usize, usize::saturating_mul);
        let of_items = tensor
            .shape
            .iter()
            .skip(1)
            .all(|dimension| matches!(dimension, Dimension::Fixed(_)));
        check(
            (1..=MOST_DIMENSIONS).contains(&tensor.shape.len())
                && (1..=MOST_VALUES).contains(&values)
                && of_items,
            field("shape"),
            "must be one to four numbers above 0, of which the first may be `items`; at most 16777216 values",
        )?;
        let initial = match tensor.initial {
            Initial::Zeros => true,
            Initial::Constant(value) => value.is_finite(),
            Initial::Normal(size) | Initial::Uniform(size) => positive(size),
            Initial::Features => {
                let columns = matches!(
                    tensor.shape.as_slice(),
                    [Dimension::Catalogue(_), Dimension::Fixed(_)]
                );
                columns && !tensor.trained
            }
        };
        check(
            initial,
            field("initial"),
            "must be a finite number; a size above 0; `features` for [\"items\", columns] that is not trained",
        )?;
        match (&tensor.group, tensor.trained) {
            (Some(group), true) => check(
                self.groups.contains_key(group),
                field("group"),
                "must be one of `groups`",
            ),
            (None, false) => Ok(()),
            (None, true) => check(
                false,
                field("group"),
                "is missing: what is trained is clipped",
            ),
            (Some(_), false) => check(
                false,
                field("group"),
                "must be left out of a tensor that is not trained",
            ),
        }
    }

    fn check_groups(&self) -> Result<(), RecipeError> {
        let mut seen: Vec<&str> = Vec::new();
        let trained = self.tensors.iter().filter_map(|tensor| {
            tensor
                .group
                .as_deref()
                .map(|group| (tensor.name.as_str(), group))
        });
        for (name, group) in trained {
            if seen.last() != Some(&group) {
                check(
                    !seen.contains(&group),
                    format!("tensors.{name}.group"),
                    "the tensors of a clip group must stand one after the other",
                )?;
                seen.push(group);
            }
        }
        for (group, bound) in &self.groups {
            check(
                positive(*bound),
                format!("groups.{group}"),
                "must be above 0",
            )?;
            check(
                seen.contains(&group.as_str()),
                format!("groups.{group}"),
                "has no tensor",
            )?;
        }
        check(
            !seen.is_empty() && seen.len() <= 64,
            "groups",
            "must be between 1 and 64",
        )
    }

    fn check_factors(&self) -> Result<(), RecipeError> {
        let shape = |tensor: &TensorPlan| match tensor.shape.as_slice() {
            [Dimension::Catalogue(_), Dimension::Fixed(factors)] => {
                tensor.name == "items" && (1..=1_024).contains(factors)
            }
            [Dimension::Catalogue(_)] => tensor.name == "item-bias",
            _ => false,
        };
        for tensor in &self.tensors {
            check(
                shape(tensor) && tensor.trained,
                format!("tensors.{}", tensor.name),
                "is not of a model of factors: it has `items`, [\"items\", 1 to 1024], and where wanted `item-bias`, \
                 [\"items\"], both trained",
            )?;
        }
        check(
            self.factors() > 0,
            "tensors.items",
            "is missing: a model of factors needs it",
        )?;
        check(
            self.client.person.is_some(),
            "client.person",
            "is missing: a model of factors rebuilds the person vector",
        )?;
        check(
            self.loss != Loss::Softmax,
            "loss",
            "must be `squared`, `binary` or `bpr` for a model of factors",
        )?;
        check(
            self.loss == Loss::Squared || self.client.negatives > 0,
            "client.negatives",
            "must be at least 1 for this loss",
        )
    }
}

impl AdaptiveClip {
    fn validate(&self) -> Result<(), RecipeError> {
        check(
            positive(self.quantile) && self.quantile < 1.0,
            "adaptive.quantile",
            "must be above 0 and below 1",
        )?;
        check(
            positive(self.step_size) && self.step_size <= 2.0,
            "adaptive.step_size",
            "must be above 0 and at most 2",
        )?;
        check(
            positive(self.weight) && self.weight <= 2.0,
            "adaptive.weight",
            "must be above 0 and at most 2",
        )
    }
}

impl ClientPlan {
    fn validate(&self) -> Result<(), RecipeError> {
        check(
            (1..=100).contains(&self.epochs),
            "client.epochs",
            "must be between 1 and 100",
        )?;
        check(
            (1..=1 << 20).contains(&self.batch),
            "client.batch",
            "must be between 1 and 1048576",
        )?;
        check(
            positive(self.step_size),
            "client.step_size",
            "must be above 0",
        )?;
        check(
            self.negatives <= 1_000,
            "client.negatives",
            "must be at most 1000",
        )?;
        // Beyond 1 a step would overshoot the published tensors.
        check(
            self.proximal >= 0.0 && self.proximal * self.step_size <= 1.0,
            "client.proximal",
            "must be at least 0, and at most 1 over the step size",
        )?;
        let Some(person) = &self.person else {
            return Ok(());
        };
        check(
            (1..=1_000).contains(&person.steps),
            "client.person.steps",
            "must be between 1 and 1000",
        )?;
        check(
            positive(person.step_size),
            "client.person.step_size",
            "must be above 0",
        )?;
        check(
            person.regularisation >= 0.0 && person.regularisation * person.step_size <= 1.0,
            "client.person.regularisation",
            "must be at least 0, and at most 1 over the step size",
        )
    }
}

impl ServerPlan {
    fn validate(&self) -> Result<(), RecipeError> {
        check(
            positive(self.step_size),
            "server.step_size",
            "must be above 0",
        )?;
        for (field, beta) in [("server.beta1", self.beta1), ("server.beta2", self.beta2)] {
            check(
                (0.0..1.0).contains(&beta),
                field,
                "must be at least 0 and below 1",
            )?;
        }
        check(positive(self.tau), "server.tau", "must be above 0")?;
        check(
            self.second_moment
                .is_none_or(|value| value.is_finite() && value >= 0.0),
            "server.second_moment",
            "must be at least 0",
        )?;
        let schedule = match self.schedule {
            Schedule::Constant => true,
            Schedule::Inverse(rounds) => positive(rounds),
            Schedule::Cosine(last) => (0.0..=1.0).contains(&last),
            Schedule::Step { every, factor } => every > 0 && factor > 0.0 && factor <= 1.0,
        };
        check(
            schedule,
            "server.schedule",
            "must have rounds above 0, and factors up to 1",
        )?;
        self.guard.validate()
    }
}

fn is_name(name: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(character)
}
