use std::ffi::c_char;
use std::ptr::null_mut;

use chorus_client::{Ask, Client, Error, Language, Model, Order};
use chorus_model::{Direct, Everything, ItemId};
use chorus_protocol::TaskName;
use chorus_wire::Clock;
use serde::Deserialize;

use crate::code::Failure;
use crate::entry::entry;
use crate::handle::{ChorusClient, Handle};
use crate::random::generator;
use crate::text::{Place, read, text};

/// Which list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    task: TaskName,
    length: usize,
    /// By what most people touched, and nothing of this person.
    #[serde(default)]
    popular: bool,
    candidates: Option<Vec<ItemId>>,
    /// Somebody else may be looking.
    #[serde(default)]
    discreet: bool,
}

impl Asked {
    /// With the newest model that is here, if there is one.
    fn of<'a>(&'a self, model: Option<&'a Model>) -> Ask<'a> {
        let order = match model {
            Some(model) if self.popular => Order::Popular(model),
            Some(model) => Order::Profiled(model),
            None => Order::Editorial,
        };
        Ask {
            candidates: self.candidates.as_deref(),
            discreet: self.discreet,
            ..Ask::best(order, self.length)
        }
    }
}

fn newest(client: &Client, task: &TaskName) -> Result<Option<Model>, Error> {
    match client.model(task, &Direct) {
        Err(Error::NoModel { .. }) => Ok(None),
        model => model.map(Some),
    }
}

/// A list for the person's screen, best first, by the newest model that is here. Works without a network. Before the first model came
/// it is the same for everybody: the candidates in their order, or else the items of the catalogue in theirs.
///
/// `ask`: `{"task": "films", "length": 10}`; besides, `"candidates": [4, 8, 15]` to choose from these alone, `"popular": true`
/// for a list that nothing of the person is in, `"discreet": true` where somebody else may be looking.
/// `list`: `{"places": [{"item": 4, "score": 0.91, "explored": false}, ...], "profiled": true, "diversity": 0.4}`.
///
/// Codes: `CHORUS_NO_MODEL` before the first contribution, where there are no candidates and no catalogue either; `CHORUS_MODEL`.
///
/// # Safety
/// `ask` is text that ends with a zero; `list` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_rank(
    client: ChorusClient,
    ask: *const c_char,
    list: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (list, ask) = unsafe {
            let list = Place::at(list, null_mut(), "list")?;
            (list, text(ask, "ask")?)
        };
        let asked: Asked = read(ask, "ask")?;
        let (mut rng, now) = (generator()?, Clock::system().now());
        let ranked = Handle::of(client)?.with(|client| {
            let model = newest(client, &asked.task)?;
            client.rank(&asked.of(model.as_ref()), &Everything, &mut rng, now)
        })?;
        list.tell(&ranked)
    })
}

/// About which item.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    task: TaskName,
    item: ItemId,
    most: usize,
    /// Somebody else may be looking.
    #[serde(default)]
    discreet: bool,
}

/// Why an item has its place: what of the person's own history speaks for it, the strongest first, as parts of its score.
///
/// `why`: `{"task": "films", "item": 4, "most": 3}`, and `"discreet": true` as in `chorus_rank`.
/// `reasons`: `[{"item": 17, "adds": 0.3}, ...]`.
///
/// Codes: as `chorus_rank`.
///
/// # Safety
/// `why` is text that ends with a zero; `reasons` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_explain(
    client: ChorusClient,
    why: *const c_char,
    reasons: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (reasons, why) = unsafe {
            let reasons = Place::at(reasons, null_mut(), "reasons")?;
            (reasons, text(why, "why")?)
        };
        let why: Why = read(why, "why")?;
        let causes = Handle::of(client)?.with(|client| {
            let model = client.model(&why.task, &Direct)?;
            client.reasons(&model, why.item, why.most, why.discreet)
        })?;
        reasons.tell(&causes)
    })
}

/// The same list with and without one item of the person's history: what it would be had they never touched it. Nothing is kept.
///
/// `ask`: as in `chorus_rank`. `item`: which. `lists`: `{"with": [{"item": 4, "score": 0.91, ...}, ...], "without": [...]}`.
///
/// Codes: as `chorus_rank`.
///
/// # Safety
/// `ask` is text that ends with a zero; `lists` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_what_if(
    client: ChorusClient,
    ask: *const c_char,
    item: u32,
    lists: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (lists, ask) = unsafe {
            let lists = Place::at(lists, null_mut(), "lists")?;
            (lists, text(ask, "ask")?)
        };
        let asked: Asked = read(ask, "ask")?;
        let (mut rng, now) = (generator()?, Clock::system().now());
        let both = Handle::of(client)?.with(|client| {
            let model = newest(client, &asked.task)?;
            client.what_if(
                &asked.of(model.as_ref()),
                ItemId(item),
                &Everything,
                &mut rng,
                now,
            )
        })?;
        lists.tell(&both)
    })
}

/// What decides this person's lists: each thing with what it does, what it is now, and how to change it. For a page that everybody
/// can read (Digital Services Act, article 27).
///
/// `language`: `en` or `de`. `parameters`: `[{"name": "order", "title": "...", "does": "...", "change": "...", "value": "..."}, ...]`.
///
/// # Safety
/// `language` is text that ends with a zero; `parameters` is a place for one pointer, to be freed with `chorus_text_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chorus_parameters(
    client: ChorusClient,
    language: *const c_char,
    parameters: *mut *mut c_char,
) -> i32 {
    entry(|| {
        // SAFETY: the caller's word.
        let (parameters, language) = unsafe {
            let parameters = Place::at(parameters, null_mut(), "parameters")?;
            (parameters, text(language, "language")?)
        };
        let mut known = Language::ALL.into_iter();
        let language = known
            .find(|known| known.code() == language)
            .ok_or_else(|| {
                Failure::misuse(format!("language: expected en or de, found `{language}`"))
            })?;
        parameters.tell(&Handle::of(client)?.with(|client| client.main_parameters(language))?)
    })
}
