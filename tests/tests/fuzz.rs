//! Every target reads its seeds and a few thousand damaged ones: the same ones in every run. `scripts/fuzz` goes on
//! from there.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
    time::{Duration, Instant},
};

use chorus_tests::targets::{
    ALL, Target,
    mutation::{Form, damaged},
    named,
};
use chorus_wire::proto;
use prost::Message;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// What became of the inputs of a target.
#[derive(Default)]
struct Fed {
    inputs: usize,
    /// Damaged inputs in which something could be read all the same.
    read: usize,
    /// The first input at which it stops.
    stopped: Option<Vec<u8>>,
}

fn feed(target: &Target) -> Fed {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    for (number, seed) in seeds.iter().enumerate() {
        assert!(
            (target.run)(seed),
            "{} cannot read seed {number}",
            target.name
        );
    }
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut fed = Fed::default();
    let small = [Vec::new(), vec![0], vec![0xff; 300]];
    let made = (0..target.inputs).map(|_| damaged(&seeds, target.form, &mut rng));
    for input in small.into_iter().chain(made) {
        fed.inputs += 1;
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            Ok(read) => fed.read += usize::from(read),
            Err(_) => {
                fed.stopped = Some(input);
                break;
            }
        }
    }
    fed
}

#[test]
fn nothing_that_is_read_stops_the_reader() {
    let began = Instant::now();
    let mut total = 0;
    for target in ALL {
        let began = Instant::now();
        let fed = feed(target);
        let (name, inputs, read) = (target.name, fed.inputs, fed.read);
        if let Some(input) = fed.stopped {
            panic!("{name} stops at {}", hex::encode(input));
        }
        println!(
            "{name}: {inputs} inputs, of which {read} can be read, in {:?}",
            began.elapsed()
        );
        assert!(read > 0, "{name}: no damage comes past the first look");
        total += inputs;
    }
    let took = began.elapsed();
    println!("{} targets, {total} inputs in {took:?}", ALL.len());
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn names_are_different() {
    for target in ALL {
        assert_eq!(
            named(target.name).map(|found| found.run as usize),
            Some(target.run as usize)
        );
    }
    assert!(named("nothing").is_none());
}

/// Stops at a message that only damage to its fields brings about: a share of the 255th client.
fn hides_a_fault_in_a_message(bytes: &[u8]) -> bool {
    let message = proto::UnmaskRequest::decode(bytes).unwrap_or_default();
    let is_rare = |share: &proto::RevealedShare| share.owner == 255 && share.share.len() == 32;
    assert!(!message.revealed.iter().any(is_rare), "found");
    true
}

/// Stops at a plan with an extreme number, and text in all other places.
fn hides_a_fault_in_a_plan(bytes: &[u8]) -> bool {
    let plan: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    assert!(plan["assumptions"]["corrupt"] != 1e308, "found");
    true
}

/// Stops at a call that names another encoding, whose body is whole.
fn hides_a_fault_in_a_call(bytes: &[u8]) -> bool {
    assert!(bytes.len() < 400 || bytes[0] >> 5 != 1, "found");
    true
}

/// Stops at bytes that were cut in one place only.
fn hides_a_fault_in_bytes(bytes: &[u8]) -> bool {
    assert!(bytes.len() != 2 || bytes[0] != 7, "found");
    true
}

/// The control: what can be found is found.
#[test]
fn a_fault_is_found() {
    static UNMASK: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let _ = UNMASK.set(
        (named("request").expect("there").seeds)()
            .into_iter()
            .filter(|seed| seed[0] == 7)
            .map(|seed| seed[1..].to_vec())
            .collect(),
    );
    let control = |name, run, seeds, form| Target {
        name,
        run,
        seeds,
        form,
        inputs: 20_000,
    };
    let (plan, calls) = (
        named("plan").expect("there"),
        named("training-calls").expect("there"),
    );
    let controls = [
        control(
            "message",
            hides_a_fault_in_a_message,
            || UNMASK.get().cloned().unwrap_or_default(),
            Form::Message { skip: 0 },
        ),
        control("json", hides_a_fault_in_a_plan, plan.seeds, Form::Json),
        control("calls", hides_a_fault_in_a_call, calls.seeds, Form::Calls),
        control(
            "bytes",
            hides_a_fault_in_bytes,
            || vec![vec![7; 100]],
            Form::Bytes,
        ),
    ];
    for target in controls {
        // Sound inputs do not stop it, or `feed` would.
        let fed = feed(&target);
        assert!(fed.stopped.is_some(), "{} finds nothing", target.name);
        println!("{}: found after {} inputs", target.name, fed.inputs);
    }
}
