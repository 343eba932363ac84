//! The built command: what it does, what it says when something is wrong, and with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use common::{Service, chorus, coordinator, data, invitation, root};
use rustix::process::Signal;
use serde_json::Value;

const SIMULATE: [&str; 3] = ["simulate", "--data", "data"];

fn simulate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut flags: Vec<&'a str> = SIMULATE.to_vec();
    flags.extend(more);
    flags
}

/// Every figure that `--json` promises.
const FIGURES: [&str; 14] = [
    "hr_at_10",
    "ndcg_at_10",
    "full_hr_at_10",
    "full_ndcg_at_10",
    "popularity_hr_at_10",
    "rounds",
    "rounds_completed",
    "clients",
    "dropouts",
    "epsilon",
    "delta",
    "upload_bytes_per_client",
    "wall_seconds",
    "sum_exact",
];

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn figures(file: &Path) -> Value {
    let figures = json(file);
    for key in FIGURES {
        assert!(figures.get(key).is_some(), "`{key}` in {figures}");
    }
    figures
}

/// A page that needs nothing but itself.
fn is_self_contained(file: &Path) {
    let page = fs::read_to_string(file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") || page.starts_with("<!doctype html>"));
    assert!(page.contains("<svg") && page.trim_end().ends_with("</html>"));
    for outside in ["http://", "https://", "src=", "<script", "<link", "@import"] {
        assert!(!page.contains(outside), "the page has `{outside}`");
    }
    let urls = page.matches("url(").count();
    assert_eq!(
        urls,
        page.matches("url(#").count(),
        "all name parts of the page"
    );
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    chorus(folder, &["demo", "--frobnicate"]).with(2, &["--frobnicate"]);
    chorus(folder, &["demos"]).with(2, &["demo"]);
    chorus(folder, &[]).with(2, &["Usage"]);
    let decide = ["decide about noise", "--epsilon", "--noise off"];
    chorus(folder, &SIMULATE).with(2, &decide);
    let both = simulate(&["--noise", "off", "--epsilon", "8"]);
    chorus(folder, &both).with(2, &["--noise", "--epsilon"]);
    chorus(folder, &simulate(&["--noise", "on"])).with(2, &["off"]);
    let same = simulate(&["--noise", "off", "--json", "f.json", "--scores", "./f.json"]);
    chorus(folder, &same).with(2, &["f.json is named twice"]);
    chorus(folder, &["authority", "invite", "--role", "coordinator"]).with(2, &["--server-name"]);
    fs::write(folder.join("c.toml"), "[timing]\nquite_seconds = 3").unwrap();
    let run = ["coordinator", "run", "--config", "c.toml"];
    chorus(folder, &run).with(2, &["did you mean `quiet_seconds`?"]);
}

#[test]
fn unusable_data_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let off = simulate(&["--noise", "off"]);
    chorus(folder, &off).with(3, &["data"]);

    data(&folder.join("data"), 24, 30);
    let train = folder.join("data/tiny.train.rating");
    let good = fs::read_to_string(&train).unwrap();
    fs::write(&train, good.replacen("0\t2\t", "0\ttwo\t", 1)).unwrap();
    let words = ["tiny.train.rating", "line 2", "expected", "an item number"];
    chorus(folder, &off).with(3, &words);
    // The demo finds the same before it starts anything.
    chorus(folder, &["demo", "--data", "data"]).with(3, &words);
    fs::write(&train, good).unwrap();
    fs::remove_file(folder.join("data/tiny.test.negative")).unwrap();
    chorus(folder, &off).with(3, &["tiny.test.negative"]);

    fs::write(folder.join("events.tsv"), "4\t1700000100\nfour\n").unwrap();
    let import = ["client", "--home", "me", "import", "events.tsv"];
    chorus(folder, &import).with(3, &["events.tsv", "line 2", "expected an item number"]);
    let recommend = ["client", "--home", "me", "recommend", "--task", "films"];
    chorus(folder, &recommend).with(3, &["no model of task `films`"]);
}

#[test]
fn a_port_in_use_ends_with_4() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    chorus(folder, &["authority", "init"]).well();
    for service in [["authority", "serve"], ["coordinator", "run"]] {
        let flags = [service[0], service[1], "--listen", &address];
        chorus(folder, &flags).with(4, &[&address, "choose another one with --listen"]);
    }
    let words = ["coordinator.key is missing", "enrol this coordinator first"];
    let run = ["coordinator", "run", "--listen", "127.0.0.1:0"];
    chorus(folder, &run).with(4, &words);
    let nowhere = "127.0.0.1:1";
    let code = invitation(folder, 0);
    // Nothing leaves without a yes.
    enrol(folder, nowhere, "me", &code).with(5, &["contribute-training", "ask"]);
    grant(folder, "me");
    enrol(folder, nowhere, "me", &code).with(4, &["cannot be reached", "check the address"]);
}

/// Says yes to all that the tests do.
fn grant(folder: &Path, home: &str) {
    let purposes = [
        "aggregate-statistics",
        "contribute-training",
        "local-personalisation",
    ];
    let flags = ["client", "--home", home, "consent", "grant"];
    chorus(folder, &[flags.as_slice(), &purposes].concat()).well();
}

fn enrol(folder: &Path, authority: &str, home: &str, invitation: &str) -> common::Said {
    let flags = [
        "client",
        "--home",
        home,
        "enrol",
        "--authority",
        authority,
        "--certificate",
        "authority/authority.pem",
        "--invitation",
        invitation,
    ];
    chorus(folder, &flags)
}

#[test]
fn a_federation_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    chorus(folder, &["authority", "init"]).well();
    let serve = ["authority", "serve", "--listen", "127.0.0.1:0"];
    let authority = Service::listening(folder, &serve);

    grant(folder, "me");
    grant(folder, "you");
    // Invitations that are of no use.
    let at = authority.address.as_str();
    enrol(folder, at, "me", "no-code").with(3, &["32 letters and digits"]);
    let unknown = "AAAAAAAA-AAAAAAAA-AAAAAAAA-AAAAAAAA";
    let ask = "ask the enrolment authority for a new invitation";
    enrol(folder, at, "me", unknown).with(5, &[ask]);
    let expired = invitation(folder, 7_200);
    enrol(folder, at, "me", &expired).with(5, &["expired", ask]);
    let good = invitation(folder, 0);
    enrol(folder, at, "me", &good).well();
    enrol(folder, at, "you", &good).with(5, &["used", ask]);

    // The coordinator.
    let invite = [
        "authority",
        "invite",
        "--role",
        "coordinator",
        "--server-name",
        "localhost",
    ];
    let code = chorus(folder, &invite).well();
    let enrolment = |code: &str| {
        let flags = [
            "coordinator",
            "enrol",
            "--authority",
            at,
            "--certificate",
            "authority/authority.pem",
            "--invitation",
            code,
        ];
        chorus(folder, &flags)
    };
    enrolment(unknown).with(5, &["invitation"]);
    enrolment(code.trim()).well();
    let file = root().join("models/ials-private/task.toml");
    let file = file.to_str().unwrap();
    let created = chorus(folder, &["task", "create", "--file", file]).well();
    assert!(
        created.contains("task `films`: 7 sums of 943 clients each"),
        "{created}"
    );
    assert!(created.contains("-differentially private"), "{created}");
    chorus(folder, &["task", "start", "films"]).well();
    let run = [
        "coordinator",
        "run",
        "--listen",
        "127.0.0.1:0",
        "--authority",
        at,
    ];
    let coordinator = Service::listening(folder, &run);
    chorus(folder, &run).with(4, &["another coordinator runs on coordinator"]);

    // A client, until it is told to end.
    fs::write(folder.join("events.tsv"), "4\n17\t1700000000\n4\n").unwrap();
    let import = ["client", "--home", "me", "import", "events.tsv"];
    let imported = chorus(folder, &import).well();
    assert_eq!(imported, "2 events added, 1 were here already\n");
    let live = [
        "client",
        "--home",
        "me",
        "run",
        "--coordinator",
        &coordinator.address,
        "--task",
        "films",
    ];
    let mut client = Service::start(folder, &live);
    assert_eq!(
        client.wait(Duration::from_secs(3)),
        None,
        "it waits for the others"
    );
    assert_eq!(client.end(Signal::INT), Some(0));
    let status = chorus(folder, &["client", "--home", "me", "status", "--json"]).well();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["enrolment"]["state"], "valid");
    assert_eq!(status["events"], 2);
    let status = chorus(folder, &["coordinator", "status", "--json"]).well();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["serving"], true);
    assert_eq!(status["tasks"][0]["task"], "films");

    // Service managers end services with SIGTERM.
    assert_eq!(coordinator.end(Signal::TERM), Some(0));
    assert_eq!(authority.end(Signal::TERM), Some(0));
    let status = chorus(folder, &["coordinator", "status"]).well();
    assert!(status.contains("task `films`: running"), "{status}");
}

#[test]
fn tasks_and_models() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    coordinator(folder);
    let create = |file: &str| chorus(folder, &["task", "create", "--file", file]);
    for model in ["ials", "ials-private"] {
        let file = root().join("models").join(model).join("task.toml");
        let text = fs::read_to_string(file).unwrap();
        fs::write(folder.join("task.toml"), text.replace("films", model)).unwrap();
        create("task.toml").well();
        create("task.toml").with(3, &[model]);

        for (from, to, words) in [
            ("population =", "populaton =", "did you mean `population`?"),
            ("factors =", "factor =", "did you mean `factors`?"),
            (
                "corrupt = 0.1",
                "corrupt = 0.01",
                "corrupt: between 0.1 and 0.5",
            ),
            (
                "population = 943",
                "population = 9",
                "population: at least 10",
            ),
        ] {
            assert!(text.contains(from));
            fs::write(folder.join("bad.toml"), text.replace(from, to)).unwrap();
            create("bad.toml").with(2, &["bad.toml", words]);
        }
    }
    let file = root().join("models/ials-private/task.toml");
    let text = fs::read_to_string(file).unwrap();
    fs::write(folder.join("bad.toml"), format!("cohort = 0.5\n{text}")).unwrap();
    create("bad.toml").with(
        2,
        &[
            "cohort: with noise, one sum holds the whole population",
            "split",
        ],
    );
    create("none.toml").with(3, &["none.toml"]);

    chorus(folder, &["task", "start", "books"]).with(3, &["books", "ials"]);
    chorus(folder, &["task", "start", "ials"]).well();
    chorus(folder, &["task", "stop", "ials"]).well();

    let list = chorus(folder, &["model", "list", "--task", "ials", "--json"]).well();
    let list: Value = serde_json::from_str(&list).unwrap();
    let digest = list["versions"][0]["digest"].as_str().unwrap();
    assert_eq!(list["versions"][0]["version"], 1);
    let export = [
        "model",
        "export",
        "--task",
        "ials",
        "--out",
        "m.safetensors",
    ];
    chorus(folder, &export).well();
    let bytes = fs::read(folder.join("m.safetensors")).unwrap();
    assert_eq!(chorus_protocol::Digest::of(&bytes).to_string(), digest);
    let roll = ["model", "rollback", "--task", "ials", "--version", "1"];
    chorus(folder, &roll).with(3, &["1"]);
}

/// Every folder of models/ has a task that can be entered as it is; what it names lies beside it.
#[test]
fn every_model_has_a_task_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    coordinator(folder);
    let create = |file: &str| chorus(folder, &["task", "create", "--file", file]);
    let mut models = 0;
    for entry in fs::read_dir(root().join("models")).unwrap() {
        let source = entry.unwrap().path();
        if !source.is_dir() {
            continue;
        }
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        let place = folder.join(&name);
        fs::create_dir(&place).unwrap();
        for file in fs::read_dir(&source).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), place.join(file.file_name())).unwrap();
        }
        let task = place.join("task.toml");
        let text = fs::read_to_string(&task).unwrap();
        if text.contains("\nfeatures = ") {
            fs::write(
                place.join("features.csv"),
                "item,feature,weight\n3,drama,1\n",
            )
            .unwrap();
        }
        let line = text.lines().find(|line| line.starts_with("name = "));
        let named = text.replacen(line.unwrap(), &format!("name = \"{name}\""), 1);
        fs::write(&task, named).unwrap();
        create(&format!("{name}/task.toml")).well();
        models += 1;
    }
    assert!(models >= 8, "{models}");

    // Another file than the one that the plan names, and none.
    let module = folder.join("example-torchscript/module.pt");
    let task = "example-torchscript/task.toml";
    let good = fs::read(&module).unwrap();
    fs::write(&module, [&good[..], b"\0"].concat()).unwrap();
    create(task).with(2, &["recipe.module", "SHA-256"]);
    fs::remove_file(&module).unwrap();
    create(task).with(2, &["module.pt"]);
}

#[test]
fn simulations() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (users, items) = (24, 30);
    data(&folder.join("data"), users, items);
    let files = [
        "--json", "f.json", "--scores", "s.f32", "--report", "r.html",
    ];
    let mut off = simulate(&["--noise", "off", "--cohort", "0.5", "--rounds", "3"]);
    off.extend(["--factors", "4", "--dropout", "0.1"]);
    off.extend(files);
    chorus(folder, &off).well();
    let measured = figures(&folder.join("f.json"));
    assert_eq!(measured["clients"], users);
    assert_eq!(
        (&measured["rounds"], &measured["rounds_completed"]),
        (&5.into(), &5.into())
    );
    assert_eq!(
        (&measured["epsilon"], &measured["delta"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(measured["sum_exact"], true);
    let scores = fs::read(folder.join("s.f32")).unwrap();
    assert_eq!(scores.len(), users * items * 4);
    let finite = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes).is_finite();
    assert!(scores.as_chunks::<4>().0.iter().all(finite));
    is_self_contained(&folder.join("r.html"));

    // The same seed gives the same bytes.
    let again = fs::read(folder.join("s.f32")).unwrap();
    chorus(folder, &off).well();
    assert_eq!(fs::read(folder.join("s.f32")).unwrap(), again);

    let small = simulate(&["--epsilon", "8", "--cohort", "0.5"]);
    chorus(folder, &small).with(2, &["whole population", "split"]);
    let mut split = simulate(&["--epsilon", "8", "--split", "2", "--factors", "4"]);
    split.extend(files);
    let said = chorus(folder, &split);
    assert!(said.err.contains("2 cohorts"), "{said:?}");
    assert!(
        said.err
            .contains("variance of its noise is 2 times as large"),
        "{said:?}"
    );
    let said = said.well();
    assert!(said.contains("-differentially private"), "{said}");
    let measured = figures(&folder.join("f.json"));
    assert_eq!(
        (&measured["split"], &measured["rounds"]),
        (&2.into(), &14.into())
    );
    let epsilon = measured["epsilon"].as_f64().unwrap();
    assert!(epsilon > 7.0 && epsilon <= 8.0, "{measured}");
}

#[test]
fn a_model_is_learned_in_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (users, items) = (24, 30);
    data(&folder.join("data"), users, items);
    let train = ["train", "--local", "--data", "data", "--factors", "4"];
    let mut all = train.to_vec();
    all.extend(["--epochs", "3", "--json", "f.json", "--scores", "s.f32"]);
    all.extend(["--save-model", "m.safetensors"]);
    let said = chorus(folder, &all).well();
    assert!(said.contains("HR@10, against 99 others") && said.contains("in one place"));
    let measured = json(&folder.join("f.json"));
    // Without a file the figures are all that is said.
    let mut only = train.to_vec();
    only.extend(["--epochs", "3", "--json"]);
    let said: Value = serde_json::from_str(&chorus(folder, &only).well()).unwrap();
    assert_eq!(said["hr_at_10"], measured["hr_at_10"]);
    assert_eq!(
        (&measured["epochs"], &measured["head"]),
        (&3.into(), &true.into())
    );
    assert!(measured["hr_at_10"].is_f64() && measured["popularity"]["hr_at_10"].is_f64());
    let scores = fs::read(folder.join("s.f32")).unwrap();
    assert_eq!(scores.len(), users * items * 4);
    data(&folder.join("others"), users, items + 1);
    let others = ["evaluate", "--data", "others", "--model", "m.safetensors"];
    chorus(folder, &others).with(3, &["30 items", "31"]);
    // The model that was written is the one that was measured.
    let evaluate = [
        "evaluate",
        "--data",
        "data",
        "--model",
        "m.safetensors",
        "--json",
        "e.json",
    ];
    chorus(folder, &evaluate).well();
    let again = json(&folder.join("e.json"));
    let [again, measured] = [again, measured].map(|found| found["ndcg_at_10"].as_f64().unwrap());
    assert!((again - measured).abs() < 1e-12);
    chorus(folder, &["train", "--data", "data"]).with(2, &["--local"]);

    let plan = root().join("models/bpr-mf");
    let local = ["train", "--local", "--data", "data"];
    let more = [
        "--epochs", "2", "--batch", "8", "--json", "f.json", "--model",
    ];
    let train = |model: &str| chorus(folder, &[&local[..], &more, &[model]].concat());
    train(plan.to_str().unwrap()).well();
    let measured = json(&folder.join("f.json"));
    assert_eq!(
        (&measured["model"], &measured["name"], &measured["batch"]),
        (&"plan".into(), &"bpr-mf".into(), &8.into())
    );
    chorus(folder, &[&local[..], &["--batch", "8"]].concat()).with(2, &["--model"]);

    // The same plan is refused with the same code by every command.
    let good = fs::read_to_string(plan.join("model.toml")).unwrap();
    let bad = good.replace("step_size = 0.5", "step_size = -1.0");
    fs::write(folder.join("model.toml"), bad).unwrap();
    fs::copy(plan.join("task.toml"), folder.join("task.toml")).unwrap();
    coordinator(folder);
    let simulate = [
        "simulate", "--data", "data", "--noise", "off", "--cohort", "1",
    ];
    let create = ["task", "create", "--file", "task.toml"];
    for said in [
        train("model.toml"),
        chorus(
            folder,
            &[&simulate[..], &["--model", "model.toml"]].concat(),
        ),
        chorus(folder, &create),
    ] {
        said.with(2, &["step_size"]);
    }
    train("nowhere").with(3, &["cannot read nowhere"]);
}

#[test]
fn flags_are_blamed_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    data(&folder.join("data"), 60, 30);
    let simulate =
        |more: &[&str]| chorus(folder, &[&["simulate", "--data", "data"], more].concat());
    let off = ["--noise", "off"];
    simulate(&off).with(2, &["--cohort: 6 of 60 clients", "take 0.17 or more"]);
    simulate(&[&off[..], &["--cohort", "1", "--copies", "100000000"]].concat())
        .with(2, &["copies"]);
    simulate(&[&off[..], &["--cohort", "1", "--copies", "4194304"]].concat())
        .with(2, &["take fewer copies"]);
    simulate(&["--epsilon", "8", "--split", "9"]).with(2, &["--split: 6 of 60", "6 or fewer"]);
    simulate(&["--epsilon", "8", "--delta", "0.01"]).with(2, &["--delta: must be at most 0.001"]);
    simulate(&["--epsilon", "1", "--mechanism", "skellam"])
        .with(2, &["take fewer bits", "discrete Gaussian"]);
}

#[test]
fn a_demo_of_real_processes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let demo = [
        "demo",
        "--clients",
        "24",
        "--items",
        "40",
        "--epsilon",
        "8",
        "--json",
        "f.json",
        "--report",
        "r.html",
    ];
    let mut running = Service::start(folder, &demo);
    assert_eq!(running.wait(Duration::from_secs(60)), Some(0));
    let measured = figures(&folder.join("f.json"));
    assert_eq!(measured["sum_exact"], true, "{measured}");
    assert_eq!(measured["clients"], 24);
    assert_eq!(measured["rounds_completed"], measured["rounds"]);
    assert_eq!(measured["rounds"], 7);
    assert_eq!(measured["delta"], 1e-5);
    assert!(measured["dropouts"].as_u64().unwrap() > 0, "{measured}");
    let epsilon = measured["epsilon"].as_f64().unwrap();
    assert!(epsilon > 7.0 && epsilon <= 8.0, "{measured}");
    is_self_contained(&folder.join("r.html"));
}
