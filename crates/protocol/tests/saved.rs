//! A participation at rest, in every state: it goes on where it stopped, and damage is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use chorus_protocol::{Digest, Identity, Next, Outcome, Participation, Response, Roster};
use common::{Federation, Keys};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// What member 0 saves in every state of a round, with the first request or step of that state as its name.
fn states(noise: bool) -> Vec<Vec<u8>> {
    let mut federation = Federation::new(12, noise, 21);
    let mut states: Vec<Vec<u8>> = Vec::new();
    federation.join_all();
    loop {
        let member = federation.members[0].participation.as_ref().unwrap();
        let saved = member.save().unwrap().to_vec();
        if states.last() != Some(&saved) {
            states.push(saved);
        }
        if federation.outcome(0).is_some() {
            break;
        }
        federation.step(0);
        let member = federation.members[0].participation.as_ref().unwrap();
        if member.save().unwrap().as_slice() == states.last().unwrap().as_slice() {
            for index in 1..12 {
                federation.step(index);
            }
        }
    }
    assert_eq!(
        federation.outcome(0),
        Some(Outcome::Completed { version: 2 })
    );
    // Log, three chunks of the model, learning, and every message and wait of a round.
    assert!(states.len() == 18, "{}", states.len());
    states
}

#[test]
fn what_was_saved_comes_back_as_it_was() {
    for noise in [false, true] {
        let mut charged = 0;
        for saved in states(noise) {
            let member = Participation::restore(&saved).unwrap();
            assert_eq!(member.save().unwrap().as_slice(), saved.as_slice());
            charged += usize::from(member.charge().is_some());
            assert!(
                member
                    .charge()
                    .is_none_or(|charge| charge.cost.is_some() == noise)
            );
        }
        // Upload, survivors, endorse, proof, unmask, outcome, over.
        assert_eq!(charged, 7);
    }
}

#[test]
fn every_truncation_and_every_damaged_byte_is_found() {
    for saved in states(true) {
        for length in 0..saved.len() {
            assert!(Participation::restore(&saved[..length]).is_err());
        }
        let mut damaged = saved.clone();
        for place in 0..saved.len() {
            let mask = 1 << (place % 8);
            damaged[place] ^= mask;
            assert!(Participation::restore(&damaged).is_err());
            damaged[place] ^= mask;
        }
        damaged.push(0);
        assert!(Participation::restore(&damaged).is_err());
    }
}

/// With the digest that belongs to it: what a forger in the client's own store could write.
fn sealed(body: &[u8]) -> Vec<u8> {
    let digest = Digest::of_parts("chorus/v1/saved", &[body]);
    [body, &digest.0].concat()
}

/// Goes on with whatever was restored, as far as it goes without a federation.
fn prod(bytes: &[u8]) {
    let Ok(mut member) = Participation::restore(bytes) else {
        return;
    };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let identity = Identity::generate(&mut rng);
    member.save().unwrap();
    for _ in 0..4 {
        match member.poll() {
            Next::Over(_) | Next::Learn { .. } => return,
            Next::Send(_) => {}
        }
        let size = 12;
        for response in [
            Response::Accepted,
            Response::Shares(Vec::new()),
            Response::Sharers(Roster::of(size, 0..size)),
            Response::Survivors(Roster::of(size, 0..size)),
        ] {
            let saved = member.save().unwrap();
            if member.handle(response, &identity, &Keys, &mut rng).is_err() {
                member = Participation::restore(&saved).unwrap();
            }
        }
    }
}

fn all_states() -> &'static [Vec<u8>] {
    static STATES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    STATES.get_or_init(|| states(true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prod(&bytes);
        prop_assert!(Participation::restore(&bytes).is_err());
        bytes.insert(0, 2);
        prod(&sealed(&bytes));
    }

    #[test]
    fn forged_states_never_panic(
        state: prop::sample::Index,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let states = all_states();
        let saved = state.get(states);
        let mut body = saved[..saved.len() - 32].to_vec();
        for (place, value) in changes {
            let place = place.index(body.len());
            body[place] = value;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
            prop_assert!(Participation::restore(&sealed(&body)).is_err());
        }
        prod(&sealed(&body));
    }
}
