//! What a client takes an invitation for: the plan, the log, the model, and the numbers in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_protocol::{
    Digest, Floor, Identity, Invitation, LogEntry, LogError, LogView, Next, Origin, Participation,
    Purpose, Refusal, Response, RoundId, SignedEntry, Standing, TaskName, encode, noise_share,
};
use common::{Federation, Keys, MODEL, refused};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn chunk(offset: u64, total: u64, bytes: &[u8]) -> Response {
    Response::Model {
        offset,
        total,
        bytes: bytes.to_vec(),
    }
}

#[test]
fn a_model_file_is_the_one_that_was_named_and_comes_to_an_end() {
    let mut federation = Federation::new(12, false, 14);
    federation.join_all();
    let entry = federation.entry.clone();
    federation.tell(0, Response::Log(vec![entry])).unwrap();
    let total = MODEL.len() as u64;
    let half = &MODEL[..10];
    for other in [
        chunk(1, total, half),
        chunk(u64::MAX, u64::MAX, half),
        chunk(0, u64::MAX, half),
        chunk(0, (1 << 30) + 1, half),
        chunk(0, 9, half),
        chunk(0, 10, half),
        chunk(0, 0, &[]),
        // Nothing, again and again, would keep a client asking for ever.
        chunk(0, total, &[]),
    ] {
        assert_eq!(refused(&mut federation, other), Refusal::Model);
    }
    federation.tell(0, chunk(0, total, half)).unwrap();
    assert_eq!(
        refused(&mut federation, chunk(0, total, half)),
        Refusal::Model
    );
    federation.tell(0, chunk(10, total, &MODEL[10..])).unwrap();
    let next = federation.members[0].participation.as_ref().unwrap().poll();
    assert!(matches!(next, Next::Learn { model, .. } if model == MODEL));
}

#[test]
fn the_plans_model_is_the_newest_in_the_log() {
    let federation = Federation::new(12, false, 15);
    let floor = federation.floor();
    let join = || federation.join(&floor).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let identity = Identity::generate(&mut rng);
    let entry = |index: u64, previous: Digest, version: u64, model: &[u8], signer: &Identity| {
        let entry = LogEntry {
            index,
            previous,
            task: federation.plan.task.clone(),
            version,
            origin: Origin::Start,
            model: Digest::of(model),
            report: Digest::of(b""),
        };
        SignedEntry::sign(&entry, signer).unwrap()
    };
    let own = &federation.coordinator;
    let first = &federation.entry;
    let second = entry(1, first.digest(), 2, b"newer", own);
    let other = entry(0, Digest::ZERO, 1, b"another", own);
    let foreign = entry(0, Digest::ZERO, 1, MODEL, &Identity::from_seed(&[9; 32]));
    // Nothing at all; only a newer one; only another one.
    for log in [vec![], vec![first.clone(), second], vec![other]] {
        let mut member = join();
        let mut result = member.handle(Response::Log(log), &identity, &Keys, &mut rng);
        if result.is_ok() {
            result = member.handle(Response::Log(Vec::new()), &identity, &Keys, &mut rng);
        }
        assert_eq!(result, Err(Refusal::NotLogged { version: 1 }));
    }
    let mut member = join();
    let result = member.handle(Response::Log(vec![foreign]), &identity, &Keys, &mut rng);
    assert_eq!(result, Err(Refusal::Log(LogError::Signature(0))));
    // A second history for a client that has seen the first.
    let mut log = LogView::default();
    log.follow(&[entry(0, Digest::ZERO, 1, b"old", own)], &own.public())
        .unwrap();
    let standing = Standing {
        floor: &floor,
        charges: &[],
        local_today: 0,
        last_round: None,
        log,
        coordinator: own.public(),
        model: None,
    };
    let mut member = Participation::join(federation.invitation(), standing).unwrap();
    let result = member.handle(
        Response::Log(vec![first.clone()]),
        &identity,
        &Keys,
        &mut rng,
    );
    assert_eq!(result, Err(Refusal::Log(LogError::Fork(1))));
}

fn standing<'a>(federation: &Federation, floor: &'a Floor) -> Standing<'a> {
    Standing {
        floor,
        charges: &[],
        local_today: 0,
        last_round: None,
        log: LogView::default(),
        coordinator: federation.coordinator.public(),
        model: None,
    }
}

#[test]
fn invitations_are_signed_new_and_to_the_task_that_was_asked_for() {
    let federation = Federation::new(12, false, 16);
    let floor = federation.floor();
    let join = |invitation: Invitation, last_round: Option<u64>| {
        let standing = Standing {
            last_round: last_round.map(RoundId),
            ..standing(&federation, &floor)
        };
        Participation::join(invitation, standing).err()
    };
    assert_eq!(join(federation.invitation(), Some(6)), None);
    for last in [7, 8, u64::MAX] {
        let repeated = Refusal::Repeated {
            found: RoundId(7),
            last: RoundId(last),
        };
        assert_eq!(join(federation.invitation(), Some(last)), Some(repeated));
    }
    let mut altered = federation.invitation();
    altered.plan.push(b' ');
    assert_eq!(join(altered, None), Some(Refusal::Signature));
    // The same bytes, signed by the same key for something else.
    let mut elsewhere = federation.invitation();
    elsewhere.signature = federation
        .coordinator
        .sign(Purpose::LogEntry, &[&elsewhere.plan]);
    assert_eq!(join(elsewhere, None), Some(Refusal::Signature));
    // A budget is counted by task: a fresh task is a fresh budget, and not the coordinator's to choose.
    let task = |name: &str| TaskName::try_from(name.to_owned()).unwrap();
    let joined = |asked: &TaskName| {
        let standing = standing(&federation, &floor);
        Participation::join_for(asked, federation.invitation(), standing).err()
    };
    assert_eq!(joined(&task("films")), None);
    let other = Refusal::OtherTask {
        found: task("films"),
        asked: task("books"),
    };
    assert_eq!(joined(&task("books")), Some(other));
}

/// Plans with numbers that would hang, overflow or panic a client that computed with them first.
#[test]
fn absurd_plans_are_refused_at_once() {
    let federation = Federation::new(12, true, 17);
    let text = String::from_utf8(federation.plan_bytes.clone()).unwrap();
    let mut signed = 0;
    let mut try_plan = |text: String| {
        let plan = text.into_bytes();
        let signature = federation.coordinator.sign(Purpose::Plan, &[&plan]);
        signed += 1;
        let floor = federation.floor();
        let invitation = Invitation { plan, signature };
        Participation::join(invitation, standing(&federation, &floor)).err()
    };
    assert_eq!(try_plan(text.clone()), None);
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    let huge = "1000000000000000000";
    let numbers = [
        "-1",
        "0",
        "1",
        "1048577",
        "4294967295",
        huge,
        "18446744073709551615",
        "1e18",
        "1e308",
        "1e999",
        "-0.0",
        "1e-320",
        "NaN",
        "null",
        "\"1\"",
        "[]",
        "0.30000001",
    ];
    // Some values of some fields do no harm: what only makes the plan stronger, or what nothing is computed from.
    let harmless = |path: &str, number: &str| match path {
        "/dropout" | "/round" | "/version" => true,
        "/encoding/clip" | "/encoding/scale" => true,
        "/assumptions/dropout" | "/assumptions/correctness_bits" => true,
        "/assumptions/corrupt" => number == "0.30000001",
        "/noise/discrete-gaussian/variance" => true,
        "/survivors/honest" => number == "1",
        "/delta" => number == "1e-320",
        // Not every length is one of its step, but the step's own decides: see below.
        "/encoding/length" => matches!(number, "1" | "1048577"),
        _ => false,
    };
    let paths = [
        "/protocol",
        "/round",
        "/encoding/clip",
        "/encoding/scale",
        "/encoding/length",
        "/noise/discrete-gaussian/variance",
        "/invited",
        "/dropout",
        "/survivors/minimum",
        "/survivors/honest",
        "/assumptions/corrupt",
        "/assumptions/dropout",
        "/assumptions/secrecy_bits",
        "/assumptions/correctness_bits",
        "/version",
        "/delta",
    ];
    for path in paths {
        for number in numbers {
            let mut other = plan.clone();
            *other.pointer_mut(path).unwrap() = serde_json::Value::String("@".to_owned());
            let other = other.to_string().replace("\"@\"", number);
            let refusal = try_plan(other);
            assert!(
                refusal.is_some() || harmless(path, number),
                "{path} {number}"
            );
        }
    }
    // Everything at once, where one absurd number could hide another.
    let mut other = plan.clone();
    other["invited"] = serde_json::json!(1_000_000_000_000_000_000u64);
    other["survivors"] = serde_json::json!({"minimum": 800_000_000_000_000_000u64, "honest": 700_000_000_000_000_000u64});
    let refusal = try_plan(other.to_string());
    assert!(
        matches!(
            &refusal,
            Some(Refusal::Weak {
                field: "invited",
                ..
            })
        ),
        "{refusal:?}"
    );
    for release in ["", "\u{1b}[2J", "a b", &"x".repeat(65)] {
        let mut other = plan.clone();
        other["release"] = serde_json::json!(release);
        let refusal = try_plan(other.to_string());
        assert!(
            matches!(
                &refusal,
                Some(Refusal::Weak {
                    field: "release",
                    ..
                })
            ),
            "{refusal:?}"
        );
    }
    for other in [
        "",
        "{}",
        "[]",
        "\u{0}",
        r#"{"protocol":2}"#,
        &format!("{text}{text}"),
        &text.replacen('{', r#"{"mystery":1,"#, 1),
        &text.replacen('{', r#"{"protocol":2,"#, 1),
        &"[".repeat(10_000),
    ] {
        let refusal = try_plan(other.to_owned());
        assert!(
            matches!(refusal, Some(Refusal::Unreadable(_))),
            "{refusal:?}"
        );
    }
    // A plan of tomorrow may look otherwise; what is said about it is that the client is too old.
    let refusal = try_plan(r#"{"protocol":3,"mystery":true}"#.to_owned());
    assert_eq!(refusal, Some(Refusal::Version { found: 3 }));
    assert!(signed > 250);
}

/// The model decides how long a contribution is. A plan of another length gets none.
#[test]
fn a_plan_of_another_length_than_the_steps_gets_no_contribution() {
    let federation = Federation::new(12, true, 18);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let length = federation.plan.encoding.length();
    for other in [0, length - 1, length + 1] {
        let delta = chorus_model::Delta::new(vec![0.1; other]);
        assert!(
            encode(
                delta,
                &federation.plan,
                noise_share(&federation.plan, &mut rng).unwrap(),
                &mut rng
            )
            .is_err()
        );
    }
    let mut longer = federation.plan.clone();
    longer.encoding = chorus_privacy::Encoding::new(1.0, 65536.0, length + 1, 32).unwrap();
    let delta = chorus_model::Delta::new(vec![0.1; length + 1]);
    let update = encode(
        delta,
        &longer,
        noise_share(&longer, &mut rng).unwrap(),
        &mut rng,
    )
    .unwrap()
    .update;
    let identity = Identity::generate(&mut rng);
    let mut participation = federation.join(&federation.floor()).unwrap();
    participation
        .handle(
            Response::Log(vec![federation.entry.clone()]),
            &identity,
            &Keys,
            &mut rng,
        )
        .unwrap();
    let total = MODEL.len() as u64;
    participation
        .handle(chunk(0, total, MODEL), &identity, &Keys, &mut rng)
        .unwrap();
    let refusal = participation.learned(update, &identity, &mut rng).err();
    assert!(
        matches!(
            refusal,
            Some(Refusal::Weak {
                field: "update",
                ..
            })
        ),
        "{refusal:?}"
    );
    assert!(matches!(participation.poll(), Next::Learn { .. }));
}
