//! A witness whose process is killed again and again, and one that two processes have open.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use chorus_protocol::{Beacon, Digest, RoundId, Seal, Testimony};
use chorus_wire::{Clock, client::SendError};
use chorus_witness::{Directory, Refusal, Witness, WitnessError, serve};
use futures_util::future::join_all;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use rand::{RngExt, SeedableRng, rngs::StdRng, rngs::SysRng};
use support::{Federation, NOW, copy, draw, seal};
use tokio::net::TcpListener;

/// Where the process that is to be killed finds its directory.
const HOME: &str = "CHORUS_TEST_WITNESS";
const SAYS: &str = "listening on ";

/// Not a test of its own: the process that the test below starts and kills.
#[test]
#[ignore = "started by another test"]
fn serves_until_it_is_killed() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{SAYS}{address}").unwrap();
        out.flush().unwrap();
        drop(out);
        let (directory, clock) = (Directory::new(home), Clock::new(|| NOW));
        let never = std::future::pending();
        serve(listener, &directory, clock, SysRng, never)
            .await
            .unwrap();
    });
}

/// Starts the process and waits until it listens.
fn start(directory: &Directory) -> (Child, std::net::SocketAddr) {
    let flags = [
        "serves_until_it_is_killed",
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(flags)
        .env(HOME, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .find_map(|line| line.unwrap().strip_prefix(SAYS).map(str::to_owned))
        .expect("the process listens");
    // Nobody reads on, and it says nothing more.
    (child, address.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_is_killed_never_contradicts_itself() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let credentials = federation.coordinator(20).await;
    let mut rng = StdRng::seed_from_u64(5);
    let mut drawn: BTreeMap<u64, (u8, Beacon)> = BTreeMap::new();
    let mut signed: BTreeMap<u64, (u8, Seal)> = BTreeMap::new();
    let mut unanswered = 0;
    for turn in 0..12u64 {
        let (mut child, address) = start(&directory);
        let connections: Vec<_> = (0..3)
            .map(|_| federation.connect(address, &credentials))
            .collect();
        // The last rounds of the turn before, and new ones; every asker asks something else.
        let rounds: Vec<u64> = (turn * 8..turn * 8 + 16).collect();
        let asking = connections
            .iter()
            .zip(1u8..)
            .map(async |(connection, what)| {
                let mut answers = Vec::new();
                for round in &rounds {
                    for question in [draw(*round, what), seal(*round, what)] {
                        answers.push((*round, what, connection.ask(&question).await));
                    }
                }
                answers
            });
        let wait = Duration::from_millis(rng.random_range(5..120));
        let killing = async {
            tokio::time::sleep(wait).await;
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let (answers, ()) = tokio::join!(join_all(asking), killing);
        for (round, what, answer) in answers.into_iter().flatten() {
            match answer {
                Ok(Testimony::Beacon(beacon)) => {
                    let first = drawn.entry(round).or_insert((what, beacon.clone()));
                    assert!(*first == (what, beacon), "a second beacon of round {round}");
                }
                Ok(Testimony::Seal(seal)) => {
                    let first = signed.entry(round).or_insert((what, seal.clone()));
                    assert!(*first == (what, seal), "a second seal of round {round}");
                }
                Err(SendError::Unreachable(_)) => unanswered += 1,
                Err(SendError::Refused { label, .. }) => {
                    let labels = ["round-drawn", "round-signed", "round-not-drawn"];
                    assert!(labels.contains(&label.as_str()), "{label}");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    assert!(unanswered > 0 && !drawn.is_empty() && !signed.is_empty());
    // Whatever was said is still said, and nothing else.
    let witness = federation.open(&directory).unwrap();
    let coordinator = chorus_protocol::Identity::from_seed(&[20; 32]).public();
    for (round, (what, beacon)) in &drawn {
        let ask = |what| witness.draw(&coordinator, RoundId(*round), &Digest([what; 32]));
        assert!(ask(*what).unwrap() == *beacon);
        assert!(ask(9).is_err());
    }
    for (round, (what, seal)) in &signed {
        let ask = |what| witness.sign(&coordinator, RoundId(*round), &Digest([what; 32]));
        assert!(ask(*what).unwrap() == *seal);
        assert!(ask(9).is_err());
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Draw(u8, u64, u8),
    Sign(u8, u64, u8),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    let question = || (0..2u8, 0..5u64, 0..3u8);
    prop_oneof![
        5 => question().prop_map(|(who, round, what)| Deed::Draw(who, round, what)),
        5 => question().prop_map(|(who, round, what)| Deed::Sign(who, round, what)),
        2 => Just(Deed::Restart),
    ]
}

/// What was answered first, by coordinator and round.
type First<T> = BTreeMap<(u8, u64), (u8, T)>;

/// An answer must be the first one again; a refusal must come from another question that was answered before.
fn check<T: PartialEq>(
    first: &mut First<T>,
    place: (u8, u64),
    what: u8,
    answer: Result<T, WitnessError>,
    refusal: Refusal,
) -> Result<(), TestCaseError> {
    match (answer, first.get(&place)) {
        (Ok(answer), None) => {
            first.insert(place, (what, answer));
        }
        (Ok(answer), Some((before, known))) => {
            prop_assert!(*before == what && *known == answer);
        }
        (Err(WitnessError::Refused(found)), Some((before, _))) => {
            prop_assert!(*before != what && found == refusal);
        }
        (Err(error), _) => prop_assert!(false, "{error:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn however_two_coordinators_ask_every_round_has_one_answer() {
    let federation = Federation::start(1).await;
    let enrolled = federation.witness("witness").await;
    let clock = federation.clock();
    let run = |(number, deeds): (u32, Vec<Deed>)| {
        let place = federation.folder.path().join(format!("case-{number}"));
        let directory = Directory::new(copy(enrolled.path(), &place));
        let open = || Witness::open(&directory, &clock, SysRng).unwrap();
        // Two processes have it open, and are asked in turns.
        let mut witnesses = [open(), open()];
        let (mut drawn, mut signed) = (First::new(), First::new());
        for (turn, deed) in deeds.into_iter().enumerate() {
            let witness = &mut witnesses[turn % 2];
            match deed {
                Deed::Restart => *witness = open(),
                Deed::Draw(who, round, what) => {
                    let answer = witness.draw(&[who; 32], RoundId(round), &Digest([what; 32]));
                    let place = (who, round);
                    check(&mut drawn, place, what, answer, Refusal::OtherCommitment)?;
                }
                Deed::Sign(who, round, what) => {
                    let answer = witness.sign(&[who; 32], RoundId(round), &Digest([what; 32]));
                    if drawn.contains_key(&(who, round)) {
                        let place = (who, round);
                        check(&mut signed, place, what, answer, Refusal::OtherStatement)?;
                    } else {
                        let refused =
                            matches!(answer, Err(WitnessError::Refused(Refusal::NotDrawn)));
                        prop_assert!(refused);
                    }
                }
            }
        }
        drop(witnesses);
        std::fs::remove_dir_all(place).unwrap();
        Ok(())
    };
    let config = ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&(any::<u32>(), vec(deed(), 1..60)), run)
        .unwrap();
}
