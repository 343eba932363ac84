//! Lists, reasons, and what the person chooses about them.

use chorus_client::{Ask, Choice, Client, Control, Language, Order, Purpose, Subject};
use chorus_model::{Everything, ItemId, Wish};
use chorus_wire::Clock;
use clap::{Args, Subcommand};
use serde_json::json;

use super::catalogue::{numbered, title};
use super::consent::language;
use super::home::{Home, task};
use super::{Told, explain};
use crate::exit::{self, stop};
use crate::{engine, progress, ranges};

/// What lists and reasons are made with.
#[derive(Args)]
pub struct Model {
    /// The task; may be left out where there is a model of one alone.
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Recommend {
    #[command(flatten)]
    model: Model,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = ranges::within(1, 1_000_000))]
    count: usize,
    /// Share of the list that is drawn by chance, between 0 and 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = ranges::share)]
    exploration: f64,
    /// How unlike each other the items should be, between 0 and 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = ranges::share)]
    diversity: f64,
    /// The same list for everybody: what most people touched.
    #[arg(long)]
    without_profile: bool,
    /// Leave out what the person hid: somebody else may be looking.
    #[arg(long)]
    discreet: bool,
}

#[derive(Args)]
pub struct Explain {
    #[command(flatten)]
    model: Model,
    /// The item.
    #[arg(value_name = "ITEM", allow_negative_numbers = true, value_parser = ranges::item)]
    item: u32,
    /// At most so many reasons.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = ranges::within(1, 1_000_000))]
    count: usize,
}

#[derive(Args)]
pub struct WhatIf {
    #[command(flatten)]
    model: Model,
    /// The item of the history to leave out.
    #[arg(value_name = "ITEM", allow_negative_numbers = true, value_parser = ranges::item)]
    without: u32,
    /// Length of the lists.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = ranges::within(1, 1_000_000))]
    count: usize,
}

/// A choice of the person.
#[derive(Args)]
pub struct Chosen {
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    told: Told,
}

/// About what the person chooses.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct About {
    /// An item, by its number.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = ranges::item)]
    item: Option<u32>,
    /// A topic, as the catalogue names it.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// A group of people, as the app's rules name it.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl About {
    fn subject(&self) -> anyhow::Result<Subject> {
        match (self.item, &self.topic, &self.group) {
            (Some(item), _, _) => Ok(Subject::Item(ItemId(item))),
            (_, Some(topic), _) => Ok(Subject::Topic(topic.clone())),
            (_, _, Some(group)) => Ok(Subject::Group(group.clone())),
            _ => stop(exit::USAGE, "name an item, a topic or a group"),
        }
    }
}

/// `chorus client control`.
#[derive(Subcommand)]
pub enum Controls {
    /// As if it did not exist: not shown, not learned from, not named in a reason.
    Mute(Chosen),
    /// Not shown any more; what was done with it still counts.
    NotInterested(Chosen),
    /// Show more of it.
    Pin(Chosen),
    /// Not shown while somebody else may be looking.
    Hide(Chosen),
    /// Say that you are in a group, whatever its rule says.
    Join(Chosen),
    /// Say that you are not in a group, whatever its rule says.
    Leave(Chosen),
    /// Take a choice back.
    Undo(Chosen),
    /// List all choices.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Recommend {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known()?;
        let now = Clock::system().now();
        let known = client.status(now).map_err(explain)?.tasks;
        let is_first_day = known.iter().all(|task| task.version.is_none()) && client.lists_items();
        let model = match is_first_day {
            true => None,
            false => {
                let task = task(&client, self.model.task.as_deref())?;
                Some(client.model(&task, &engine::engine()).map_err(explain)?)
            }
        };
        let order = match &model {
            Some(model) if self.without_profile => Order::Popular(model),
            Some(model) => Order::Profiled(model),
            None => Order::Editorial,
        };
        let wish = Wish {
            exploration: self.exploration,
            diversity: self.diversity,
            ..Wish::best(self.count)
        };
        let ask = Ask {
            wish,
            discreet: self.discreet,
            ..Ask::best(order, self.count)
        };
        let ranked = client
            .rank(&ask, &Everything, &mut rand::rng(), now)
            .map_err(explain)?;
        if self.model.json {
            return progress::say_json(&ranked);
        }
        if model.is_none() {
            progress::tell("there is no model here yet, so this is the order of the catalogue");
        } else if !ranked.profiled && !self.without_profile {
            progress::tell("local-personalisation is off, so this list is the same for everybody");
        }
        for place in &ranked.places {
            let (name, score) = (numbered(&client, place.item), place.score);
            let chance = if place.explored { "\tby chance" } else { "" };
            progress::say(&format!("{name}\t{score:.4}{chance}"));
        }
        Ok(())
    }
}

impl Explain {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        let task = task(&client, self.model.task.as_deref())?;
        let item = ItemId(self.item);
        let items = client
            .model(&task, &engine::engine())
            .map_err(explain)?
            .items();
        if self.item as usize >= items {
            let says = format!(
                "the model of task `{task}` has the items 0 to {}; there is no {}",
                items.saturating_sub(1),
                self.item
            );
            return stop(exit::DATA, says);
        }
        let found = client
            .explain(&task, &engine::engine(), item, self.count)
            .map_err(explain)?;
        if self.model.json {
            return progress::say_json(&found);
        }
        progress::say(&format!(
            "{} has the score {:.4}",
            title(&client, item),
            found.score
        ));
        for cause in found.causes {
            progress::say(&format!(
                "because of {}\t{:+.4}",
                title(&client, cause.item),
                cause.adds
            ));
        }
        Ok(())
    }
}

impl WhatIf {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        let kept = client.items().map_err(explain)?;
        if !kept.iter().any(|kept| kept.item.0 == self.without) {
            let says = format!(
                "item {} is not in the history, so nothing would change; `view` lists it",
                self.without
            );
            return stop(exit::DATA, says);
        }
        let task = task(&client, self.model.task.as_deref())?;
        let model = client.model(&task, &engine::engine()).map_err(explain)?;
        let ask = Ask::best(Order::Profiled(&model), self.count);
        let now = Clock::system().now();
        let both = client
            .what_if(
                &ask,
                ItemId(self.without),
                &Everything,
                &mut rand::rng(),
                now,
            )
            .map_err(explain)?;
        if self.model.json {
            return progress::say_json(&both);
        }
        for (place, (with, without)) in (1..).zip(both.with.iter().zip(&both.without)) {
            let (with, without) = (title(&client, with.item), title(&client, without.item));
            progress::say(&format!("{place}\t{with}\t{without}"));
        }
        Ok(())
    }
}

impl Controls {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let mut client = home.open_known()?;
        let (chosen, choice) = match self {
            Controls::Mute(chosen) => (chosen, Choice::Mute),
            Controls::NotInterested(chosen) => (chosen, Choice::NotInterested),
            Controls::Pin(chosen) => (chosen, Choice::Pin),
            Controls::Hide(chosen) => (chosen, Choice::Hide),
            Controls::Join(chosen) => (chosen, Choice::In),
            Controls::Leave(chosen) => (chosen, Choice::Out),
            Controls::Undo(Chosen { about, told }) => {
                return match client.unchoose(&about.subject()?).map_err(explain)? {
                    true => told.tell(true, "done"),
                    false => told.tell(false, "there was no such choice"),
                };
            }
            Controls::Show { json } => return show(&client, *json),
        };
        let what = chosen.about.subject()?;
        if let Subject::Item(item) = what {
            known(&client, item)?;
        }
        match client.choose(&Control { what, choice }).map_err(explain)? {
            true => chosen.told.tell(true, "done"),
            false => super::not_granted([Purpose::LocalPersonalisation]),
        }
    }
}

/// Every choice that holds.
fn show(client: &Client, json: bool) -> anyhow::Result<()> {
    let choices = client.choices().map_err(explain)?;
    if json {
        return progress::say_json(&choices);
    }
    if choices.is_empty() {
        progress::tell("nothing was chosen");
    }
    for Control { what, choice } in choices {
        let choice = match choice {
            Choice::Mute => "mute",
            Choice::NotInterested => "not-interested",
            Choice::Pin => "pin",
            Choice::Hide => "hide",
            Choice::In => "join",
            Choice::Out => "leave",
        };
        let what = match what {
            Subject::Item(item) => format!("item\t{}", numbered(client, item)),
            Subject::Topic(topic) => format!("topic\t{topic}"),
            Subject::Group(group) => format!("group\t{group}"),
        };
        progress::say(&format!("{choice}\t{what}"));
    }
    Ok(())
}

/// Refuses an item that nothing here knows: a choice about it would do nothing, and nobody would notice.
fn known(client: &Client, item: ItemId) -> anyhow::Result<()> {
    let kept = client.items().map_err(explain)?;
    if client.about(item).is_some() || kept.iter().any(|kept| kept.item == item) {
        return Ok(());
    }
    let status = client.status(Clock::system().now()).map_err(explain)?;
    let models = status.tasks.iter();
    let models = models.filter_map(|task| client.model(&task.task, &engine::engine()).ok());
    let sizes: Vec<usize> = models.map(|model| model.items()).collect();
    if sizes.iter().any(|size| (item.0 as usize) < *size) {
        return Ok(());
    }
    if client.lists_items() || !sizes.is_empty() {
        let says = format!(
            "there is no item {} in the catalogue, the history or a model here, so nothing was chosen",
            item.0
        );
        return stop(exit::DATA, says);
    }
    progress::tell(&format!(
        "nobody could look whether there is an item {}: there is no model here yet, and --catalogue names none",
        item.0
    ));
    Ok(())
}

/// `chorus client parameters`.
#[derive(Args)]
pub struct Parameters {
    /// Language: en or de.
    #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
    language: Language,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Parameters {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let client = home.open_known()?;
        let parameters = client.main_parameters(self.language).map_err(explain)?;
        if self.json {
            return progress::say_json(&json!(parameters));
        }
        for parameter in parameters {
            let (name, value, does) = (parameter.title, parameter.value, parameter.does);
            progress::say(&format!("{name}: {value}\n  {does} {}", parameter.change));
        }
        Ok(())
    }
}
