use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use super::rank::Taste;
use crate::map::Language;
use crate::{Error, Purpose};

const TEXTS: &str = include_str!("parameters.toml");

/// One of the things that decide what is on a list: Art. 27 of Regulation (EU) 2022/2065 (Digital Services Act).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MainParameter {
    /// Its name, for programs.
    pub name: String,
    /// What it is called, for people.
    pub title: String,
    /// What it does, for people.
    pub does: String,
    /// How the person can change it.
    pub change: String,
    /// What it is now.
    pub value: String,
}

#[derive(Deserialize)]
struct Texts {
    parameter: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    name: String,
    title: BTreeMap<Language, String>,
    does: BTreeMap<Language, String>,
    change: BTreeMap<Language, String>,
}

impl Taste {
    /// What decides a list and how, in the order of how much.
    pub fn main_parameters(
        &self,
        language: Language,
        catalogue: &dyn Catalogue,
    ) -> Result<Vec<MainParameter>, Error> {
        let texts: Texts = toml::from_str(TEXTS).map_err(|error| Error::Rules {
            reason: error.to_string(),
        })?;
        let parameter = |text: Text| {
            let said = |said: &BTreeMap<Language, String>| {
                said.get(&language).cloned().unwrap_or_default()
            };
            Some(MainParameter {
                title: said(&text.title),
                does: said(&text.does),
                change: said(&text.change),
                value: self.value(&text.name, language, catalogue)?,
                name: text.name,
            })
        };
        Ok(texts.parameter.into_iter().filter_map(parameter).collect())
    }

    /// The present value of a parameter, for people.
    fn value(&self, name: &str, language: Language, catalogue: &dyn Catalogue) -> Option<String> {
        let english = language == Language::English;
        let words = |one: &str, other: &str| if english { one } else { other }.to_owned();
        let counted = |count: usize, one: [&str; 2], other: [&str; 2]| {
            let [single, many] = if english { one } else { other };
            format!("{count} {}", if count == 1 { single } else { many })
        };
        let profiled = self.is_granted(Purpose::LocalPersonalisation);
        Some(match name {
            "order" if profiled => words("made for you", "für dich gemacht"),
            "order" => words("the same for all", "für alle gleich"),
            "history" => {
                let items = self.used(catalogue).len();
                counted(items, ["item", "items"], ["Ding", "Dinge"])
            }
            "model" => words("on", "an"),
            "choices" => {
                let count = self.choices.len();
                counted(
                    count,
                    ["choice", "choices"],
                    ["Einstellung", "Einstellungen"],
                )
            }
            "sensitive" => {
                let sensitive = |purpose: &&Purpose| matches!(purpose, Purpose::Sensitive(_));
                let count = self.granted.iter().filter(sensitive).count();
                let english = ["kind allowed", "kinds allowed"];
                counted(count, english, ["Art erlaubt", "Arten erlaubt"])
            }
            "context" => words("where the app gives it", "wo die App es angibt"),
            "diversity" => {
                let percent = 100.0 * self.guards.diversity;
                words(
                    &format!("at least {percent:.0} of 100"),
                    &format!("mindestens {percent:.0} von 100"),
                )
            }
            "shown" => {
                let times = self.guards.shown;
                words(
                    &format!("{times} times a day"),
                    &format!("{times} Mal am Tag"),
                )
            }
            "crowd" => {
                let crowd = self.guards.crowd;
                words(&format!("under {crowd}"), &format!("unter {crowd}"))
            }
            _ => return None,
        })
    }
}
