//! Models of a plan over TLS: one for the engine in plain Rust, one module of one's own, and a module that every client
//! refuses before libtorch sees it.

mod common;

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex};

use chorus_coordinator::{create_task, reports, start_task};
use chorus_model::{Event, ItemId, ModelPlan, Recipe, TrainedRecipe};
use chorus_protocol::{Task, TaskName, sum_digest};
use chorus_torch::Torch;
use common::{Notes, Person, Town, Work, until};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use zip::{ZipArchive, ZipWriter};

const ITEMS: usize = 40;
const CLIENTS: usize = 12;
/// The history, the updates and the check.
const ROUNDS: usize = 2;
const SUMS: u64 = 4;
const MODULE: &[u8] = include_bytes!("../../models/example-torchscript/module.pt");

fn plan(name: &str) -> ModelPlan {
    let path = format!("{}/../models/{name}/model.toml", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn task(name: &str, plan: ModelPlan, module: Option<&[u8]>) -> Task {
    let mut recipe = TrainedRecipe::new(ITEMS, ROUNDS, plan);
    if let Some(module) = module {
        recipe.set_module(module);
    }
    let task = serde_json::json!({
        "name": name, "population": CLIENTS, "cohort": 1.0, "dropout": 0.3,
        "privacy": {"noise": "off"}, "recipe": Recipe::Trained(recipe),
    });
    serde_json::from_value(task).unwrap()
}

/// The example with an operator more that reads a file, and the digest that a coordinator would sign for it.
fn hostile() -> (ModelPlan, Vec<u8>) {
    let mut archive = ZipArchive::new(Cursor::new(MODULE)).unwrap();
    let mut entries = BTreeMap::new();
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        entries.insert(entry.name().unwrap().into_owned(), content);
    }
    let code = entries.get_mut("module/code/__torch__/model.py").unwrap();
    let text = String::from_utf8(code.clone()).unwrap();
    let line = "-> Tensor:\n    _9 = torch.from_file(\"/etc/passwd\")\n";
    *code = text.replacen("-> Tensor:\n", line, 1).into_bytes();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(name, options).unwrap();
        writer.write_all(&content).unwrap();
    }
    let module = writer.finish().unwrap().into_inner();
    let mut plan = plan("example-torchscript");
    plan.module = Some(hex::encode(Sha256::digest(&module)));
    (plan, module)
}

fn begin(town: &Town, task: &Task) -> Arc<Work> {
    let (store, identity) = (town.store(), town.directory().identity().unwrap());
    let now = town.clock.now().unsigned_abs();
    create_task(&store, &identity, task, 1, now).unwrap();
    start_task(&store, &task.name).unwrap();
    Arc::new(Work {
        task: task.name.clone(),
        items: ITEMS,
        crowd: CLIENTS,
        vanishing: 0,
        clock: town.clock.clone(),
        gate: watch::channel(true).1,
        notes: Mutex::new(Notes::default()),
    })
}

type Living = tokio::task::JoinHandle<Person>;

fn live(town: &Town, people: Vec<Person>, work: &Arc<Work>) -> Vec<Living> {
    let start = |mut person: Person| {
        let (work, way, clock) = (Arc::clone(work), town.way(), town.clock.clone());
        tokio::spawn(async move {
            let connect =
                move |client: &chorus_client::Client| client.connect(way(), &clock).unwrap();
            person.live(&work, &connect).await.unwrap();
            person
        })
    };
    people.into_iter().map(start).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_of_a_plan_learn_over_tls_and_a_hostile_module_is_opened_by_nobody() {
    let mut town = Town::new(3).await;
    let mut people = Vec::new();
    for number in 0..CLIENTS {
        let item = |step| (number * 3 + step * (1 + number % 3)) % ITEMS;
        let events: Vec<Event> = (0..8)
            .map(|step| Event {
                item: ItemId(item(step) as u32),
                at: 1_700_000_000 + step as i64,
            })
            .collect();
        people.push(Person::enrol(&mut town, number, &events).await);
    }
    let running = town.open(0.6).await;
    let module = task("module", plan("example-torchscript"), Some(MODULE));
    for task in [task("factors", plan("bpr-mf"), None), module] {
        let work = begin(&town, &task);
        let mut lived = Vec::new();
        for one in live(&town, people, &work) {
            lived.push(one.await.unwrap());
        }
        people = lived;
        let notes = work.notes();
        assert_eq!(notes.complaints, Vec::<String>::new());
        assert_eq!(town.version(&task.name), SUMS + 1);
        let completed: Vec<_> = (reports(&town.store(), &task.name).unwrap().into_iter())
            .filter(|report| report.sum.is_some())
            .collect();
        assert_eq!(completed.len() as u64, SUMS);
        for report in completed {
            let plain = sum_digest(&notes.sums[&report.round.0]);
            assert_eq!(report.sum, Some(plain), "{report:?}");
        }
        for person in &people {
            let list = person.client.recommend(&task.name, &Torch, 10).unwrap();
            assert_eq!(list.len(), 10);
            assert!(list.iter().all(|one| !person.history.contains(&one.item)));
        }
    }

    let (plan, module) = hostile();
    let work = begin(&town, &task("hostile", plan, Some(&module)));
    let living = live(&town, people, &work);
    let reason = "`torch.from_file`";
    until("every client has refused", || {
        let notes = work.notes();
        (0..CLIENTS).all(|number| {
            let said = format!("client {number}: NotLearned");
            (notes.complaints.iter()).any(|one| one.contains(&said) && one.contains(reason))
        })
    })
    .await;
    let hostile = TaskName::try_from("hostile".to_owned()).unwrap();
    assert_eq!(town.version(&hostile), 1, "nobody contributed");
    living.iter().for_each(|one| one.abort());
    running.close().await;
}
