//! TorchScript modules: the example trains, and what may not be opened is refused with the reason.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use chorus_model::{
    Direct, Engine, ItemId, ModelPlan, Recipe, Step, TrainError, TrainedRecipe, TrainingSet, top,
};
use chorus_torch::{ModuleError, Torch, check_module};
use common::learned;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const MODULE: &[u8] = include_bytes!("../../../models/example-torchscript/module.pt");
const ITEMS: usize = 24;

type Entries = BTreeMap<String, Vec<u8>>;

fn plan() -> ModelPlan {
    let text = include_str!("../../../models/example-torchscript/model.toml");
    toml::from_str(text).unwrap()
}

fn recipe(plan: ModelPlan, rounds: usize) -> Recipe {
    let mut recipe = TrainedRecipe::new(ITEMS, rounds, plan);
    recipe.set_module(MODULE);
    Recipe::Trained(recipe)
}

fn history(items: &[u32]) -> TrainingSet {
    TrainingSet::of(items.iter().copied().map(ItemId), ITEMS)
}

fn entries() -> Entries {
    let mut archive = ZipArchive::new(Cursor::new(MODULE)).unwrap();
    let read = |place| {
        let mut entry = archive.by_index(place).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.name().unwrap().into_owned(), content)
    };
    (0..12).map(read).collect()
}

fn packed(entries: &Entries) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let deflated = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in entries {
        writer.start_file(name.as_str(), deflated).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The reason why the example, changed, is refused.
fn refused(change: impl Fn(&mut Entries)) -> String {
    let mut entries = entries();
    change(&mut entries);
    let error = check_module(&packed(&entries), &plan());
    error.unwrap_err().to_string()
}

const CODE: &str = "module/code/__torch__/model.py";
const PICKLE: &str = "module/data.pkl";

/// The example with a line of code more, at the start of `forward`.
fn with_line(line: &str) -> String {
    refused(|entries| {
        let code = String::from_utf8(entries[CODE].clone()).unwrap();
        let (head, body) = code.split_once("-> Tensor:\n").unwrap();
        let code = format!("{head}-> Tensor:\n    {line}\n{body}");
        entries.insert(CODE.to_owned(), code.into_bytes());
    })
}

/// The example with other bytes in its description.
fn with_pickle(from: &[u8], to: &[u8]) -> String {
    refused(|entries| {
        let old = &entries[PICKLE];
        let place = old.windows(from.len()).position(|window| window == from);
        let place = place.unwrap();
        let new = [&old[..place], to, &old[place + from.len()..]].concat();
        entries.insert(PICKLE.to_owned(), new);
    })
}

#[test]
fn the_example_is_accepted_and_what_changed_nothing_is_too() {
    assert_eq!(check_module(MODULE, &plan()), Ok(()));
    assert_eq!(check_module(&packed(&entries()), &plan()), Ok(()));
}

#[test]
fn operators_beyond_arithmetic_are_refused() {
    for (line, reason) in [
        ("_9 = torch.load(\"x\")", "`torch.load`"),
        ("torch.save(history, \"x\")", "`torch.save`"),
        ("_9 = torch.from_file(\"/etc/passwd\")", "`torch.from_file`"),
        ("_9 = history.from_file(\"/etc/passwd\")", "`from_file`"),
        ("_9 = (history).from_file(\"/etc/passwd\")", "`from_file`"),
        ("_9 = history.from_file\n    _8 = _9(\"x\")", "`_9`"),
        ("_9 = ops.image.read_file(\"x\")", "`ops.image.read_file`"),
        ("ops.prim.PythonOp(history)", "`ops.prim.PythonOp`"),
        ("_9 = ops.mylib.custom(history)", "`ops.mylib.custom`"),
        ("_9 = prim.PythonOp(history)", "`prim.PythonOp`"),
        (
            "_9 = __torch__.torch.classes.my.Thing()",
            "`__torch__.torch.classes.my.Thing`",
        ),
        (
            "_9 = __torch__.socket.connect(\"x\")",
            "`__torch__.socket.connect`",
        ),
        ("import os", "`import`"),
        ("from os import system", "`from`"),
        ("print(history)", "`print`"),
        ("_9 = fork(history)", "`fork`"),
        ("_9 = system(\"x\")", "`system`"),
        ("while True:\n      pass", "`while`"),
        ("for _9 in range(1000000000):\n      pass", "`for`"),
        ("_9 = (history)(candidates)", "result of an expression"),
        ("@custom", "`@`"),
    ] {
        let error = with_line(line);
        assert!(
            error.contains(reason) && error.contains("__torch__.model"),
            "{line}: {error}"
        );
    }
}

/// libtorch reads by recursion: what nests too deep would end the process that opens it.
#[test]
fn what_nests_too_deep_is_refused() {
    let nested = |depth: usize| format!("_9 = {}1{}", "(".repeat(depth), ")".repeat(depth));
    let hidden = format!("_9 = {}1{}", "(\")\", ".repeat(100), ")".repeat(100));
    let blocks = |depth: usize| {
        let lines = (1..=depth).map(|depth| format!("{}if True:\n", "  ".repeat(depth + 1)));
        let lines: String = lines.collect();
        format!("_9 = 1\n{lines}{}_9 = 1", "  ".repeat(depth + 2))
    };
    for (line, reason) in [
        (nested(5_000), "64 brackets"),
        (nested(65), "64 brackets"),
        (hidden, "64 brackets"),
        (format!("_9 = {}1", "- ".repeat(100)), "4 signs"),
        (format!("_9 = 1{}", " * 1".repeat(1_000)), "2000 bytes"),
        (blocks(100), "64 blocks"),
    ] {
        let error = with_line(&line);
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn archives_that_are_more_than_a_module_are_refused() {
    let with = |name: &str, content: Vec<u8>| {
        refused(|entries| {
            entries.insert(name.to_owned(), content.clone());
        })
    };
    for (name, reason) in [
        ("module/../escape", "path"),
        ("../data.pkl", "path"),
        ("/etc/passwd", "path"),
        ("module\\data.pkl", "path"),
        ("other/data.pkl", "two folders"),
        ("lonely", "outside of a folder"),
        ("module/extra/run.sh", "no use for the entry `extra/run.sh`"),
    ] {
        let error = with(name, vec![1]);
        assert!(error.contains(reason), "{name}: {error}");
    }
    // Nine megabytes of zeros in nine kilobytes.
    let error = with("module/data/9", vec![0; 9 << 20]);
    assert!(error.contains("unpacks to more than"), "{error}");
    let many = refused(|entries| {
        for place in 0..300 {
            entries.insert(format!("module/data/{}", 100 + place), vec![0]);
        }
    });
    assert!(many.contains("more than 256 entries"), "{many}");
    let large = check_module(&vec![0; (1 << 20) + 1], &plan()).unwrap_err();
    assert!(
        large.to_string().contains("more than 1048576 bytes"),
        "{large}"
    );
    let none = check_module(b"PK no archive", &plan()).unwrap_err();
    assert!(matches!(none, ModuleError::Archive(_)), "{none}");
    let lost = refused(|entries| {
        entries.remove(PICKLE);
    });
    assert!(lost.contains("lacks `data.pkl`"), "{lost}");
}

#[test]
fn pickles_that_do_more_than_name_tensors_are_refused() {
    for (from, to, reason) in [
        (
            &b"ccollections\nOrderedDict\n"[..],
            &b"cos\nsystem\n"[..],
            "`os.system`",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"cbuiltins\neval\n",
            "`builtins.eval`",
        ),
        (
            b"ctorch\nFloatStorage\n",
            b"ctorch\nLongStorage\n",
            "`torch.LongStorage`",
        ),
        (b"\x80\x02c__torch__", b"\x80\x04c__torch__", "version"),
        (b"\x80\x02c__torch__", b"\x80\x02ic__torch__", "opcode 0x69"),
        // A storage of 4 values under a tensor of 1: libtorch would believe a shape as well.
        (b"cpuq\x06K\x01t", b"cpuq\x06K\x04t", "fill its storage"),
    ] {
        let error = with_pickle(from, to);
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let constant = refused(|entries| {
        entries.insert(
            "module/constants.pkl".to_owned(),
            b"\x80\x02K\x01\x85.".to_vec(),
        );
    });
    assert!(constant.contains("constant"), "{constant}");
    let cut = refused(|entries| {
        let pickle = entries.get_mut(PICKLE).unwrap();
        pickle.truncate(200);
    });
    assert!(cut.contains("cut off"), "{cut}");
    let short = refused(|entries| {
        entries.insert("module/data/2".to_owned(), vec![0; 8]);
    });
    assert!(short.contains("`data/2` is not as long"), "{short}");
}

#[test]
fn tensors_are_those_of_the_plan() {
    let error = |change: &dyn Fn(&mut ModelPlan)| {
        let mut plan = plan();
        change(&mut plan);
        check_module(MODULE, &plan).unwrap_err()
    };
    let undeclared = error(&|plan| plan.tensors.truncate(3));
    assert_eq!(
        undeclared,
        ModuleError::Tensor("`gate.bias` (`gate-bias`)".to_owned())
    );
    let missing = error(&|plan| {
        let mut more = plan.tensors[0].clone();
        more.name = "more".to_owned();
        plan.tensors.push(more);
    });
    assert_eq!(missing, ModuleError::Missing("more".to_owned()));
    let shape = error(&|plan| {
        plan.tensors[2]
            .shape
            .swap_remove(0)
            .clone_into(&mut plan.tensors[3].shape[0])
    });
    assert!(matches!(shape, ModuleError::Shape { .. }), "{shape}");
}

#[test]
fn a_module_that_the_plan_does_not_name_is_not_opened() {
    let mut model = recipe(plan(), 1).start(1).parameters;
    let read = chorus_model::Parameters::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!((read.module(), &read), (Some(MODULE), &model));
    assert!(Torch.open(&model).is_ok());
    let direct = Direct.open(&model).err().unwrap();
    assert!(
        matches!(direct, TrainError::Architecture { .. }),
        "{direct}"
    );
    model.set_module(packed(&entries()));
    let error = Torch.open(&model).err().unwrap().to_string();
    assert!(error.contains("the module that its plan names"), "{error}");
}

#[test]
fn a_module_that_fails_is_named_and_libtorch_keeps_its_words_to_itself() {
    for (from, to, words) in [
        (
            "matmul(_1, person)",
            "matmul(person, _1)",
            "for a history of 2 items and 24 candidates",
        ),
        (
            "return _4",
            "return _2, _4",
            "libtorch cannot open the module",
        ),
        ("return _4", "return person", "scores of the shape [16]"),
    ] {
        let mut entries = entries();
        let code = String::from_utf8(entries[CODE].clone()).unwrap();
        assert!(code.contains(from));
        entries.insert(CODE.to_owned(), code.replace(from, to).into_bytes());
        let module = packed(&entries);
        let mut plan = plan();
        let digest = Sha256::digest(&module);
        plan.module = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        let mut recipe = TrainedRecipe::new(ITEMS, 1, plan);
        recipe.set_module(&module);
        let model = Recipe::Trained(recipe).start(1).parameters;
        let scores = Torch
            .open(&model)
            .and_then(|trainer| trainer.scores(&history(&[1, 2])));
        let error = scores.unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("export it again"),
            "{error}"
        );
        assert!(
            !error.contains("Internal torch error") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn the_example_tells_two_circles_of_taste_apart() {
    let mut plan = plan();
    plan.client.step_size = 1.0;
    let recipe = recipe(plan, 30);
    let half = ITEMS as u32 / 2;
    let people: Vec<TrainingSet> = (0..40u32)
        .map(|person| {
            let item = |step| half * (person % 2) + (person / 2 + step * (1 + person % 3)) % half;
            history(&(0..6).map(item).collect::<Vec<_>>())
        })
        .collect();
    let trainer = Torch.open(&learned(&recipe, &people)).unwrap();
    for (items, lower) in [([0, 3, 7], true), ([13, 17, 22], false)] {
        let newcomer = history(&items);
        let list = top(&trainer.scores(&newcomer).unwrap(), &newcomer, 6);
        assert!(list.iter().all(|item| (item.0 < half) == lower), "{list:?}");
        assert_eq!(trainer.explain(&newcomer, list[0]).unwrap().len(), 3);
    }
    let empty = trainer.contribution(
        Step::Update,
        None,
        &history(&[]),
        &mut ChaCha20Rng::seed_from_u64(1),
    );
    assert!(
        empty
            .unwrap()
            .into_values()
            .iter()
            .all(|value| *value == 0.0)
    );
}
