use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use chorus_model::Direct;
use chorus_protocol::{Request, Response};
use chorus_wire::Clock;
use chorus_wire::client::SendError;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::testing::{NOW, ROUNDS, decide, films, open, settings};
use crate::{Answer, End, Loop, Transport};

/// A connection that knows whether it was reset.
#[derive(Default)]
struct Wire(AtomicUsize);

impl Reset for Wire {
    fn reset(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn entrance(door: &Arc<Door>) -> Entrance {
    let entrance = Entrance::new(Arc::clone(door));
    entrance.show(door.pass().unwrap());
    entrance
}

fn passes(lease: &mut Box<dyn Lease>) -> bool {
    let mut done = false;
    let held = lease.hold(&mut || done = true);
    assert_eq!(held.is_ok(), done);
    done
}

#[test]
fn an_epoch_that_ended_lets_nothing_pass_here_and_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::new(home.path()).unwrap();
    // As another process has it: the same file, and nothing else in common.
    let elsewhere = Door::new(home.path()).unwrap();

    // Without a pass there is no way.
    assert!(!passes(
        &mut Entrance::new(Arc::clone(&door)).lease().unwrap()
    ));
    let (here, there) = (entrance(&door), entrance(&elsewhere));
    let (mut held, mut held_there) = (here.lease().unwrap(), there.lease().unwrap());
    let (wire, gone) = (Arc::new(Wire::default()), Arc::new(Wire::default()));
    let watched: Weak<Wire> = Arc::downgrade(&wire);
    held.watch(watched);
    let watched: Weak<Wire> = Arc::downgrade(&gone);
    held.watch(watched);
    drop(gone);
    assert!(passes(&mut held) && passes(&mut held_there));

    elsewhere.raise().unwrap();
    assert!(!passes(&mut held) && !passes(&mut held_there));
    // Whatever is granted after that, what stood under the old epoch stays shut; so does what shows its pass.
    assert!(!passes(&mut here.lease().unwrap()));
    here.show(door.pass().unwrap());
    assert!(passes(&mut here.lease().unwrap()));
    assert!(!passes(&mut held));

    door.end().unwrap();
    assert_eq!(wire.0.load(Ordering::SeqCst), 1);
    // The epoch is on the disk.
    let again = Door::new(home.path()).unwrap();
    assert_eq!(again.pass().unwrap().epoch, door.pass().unwrap().epoch);
    assert_eq!(again.pass().unwrap().epoch, 3);
}

/// A connection stands no longer than its lease: here it is reset before the withdrawal returns, at whichever door of the folder that
/// is; of another process, as soon as anything looks at the lease.
#[test]
fn a_connection_ends_with_its_epoch_and_not_with_its_next_byte() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::new(home.path()).unwrap();
    let stand = || {
        let (held, wire) = (entrance(&door).lease().unwrap(), Arc::new(Wire::default()));
        let watched: Weak<Wire> = Arc::downgrade(&wire);
        held.watch(watched);
        wire
    };
    let is_reset = |wire: &Wire| wire.0.load(Ordering::SeqCst) > 0;
    let here = stand();
    Door::new(home.path()).unwrap().end().unwrap();
    assert!(is_reset(&here));
    let another = tempfile::tempdir().unwrap();
    let here = stand();
    Door::new(another.path()).unwrap().end().unwrap();
    assert!(!is_reset(&here), "another folder is another person's");

    type Look = fn(&Arc<Door>);
    let looks: [Look; 3] = [
        |door| assert!(door.pass().is_ok()),
        |door| assert!(!door.lasts(&Pass { epoch: 1 })),
        |door| {
            let mut clock = tokio::runtime::Builder::new_current_thread();
            let clock = clock.enable_time().start_paused(true).build().unwrap();
            let looked = async { tokio::time::timeout(2 * LOOK, door.watch()).await };
            assert!(clock.block_on(looked).is_err());
        },
    ];
    for look in looks {
        let here = stand();
        look(&door);
        assert!(!is_reset(&here), "its epoch lasts");
        // As another process does it.
        Door::new(home.path()).unwrap().raise().unwrap();
        look(&door);
        assert!(is_reset(&here));
    }
}

/// A coordinator that never answers.
struct Silent;

impl Transport for Silent {
    async fn send(&mut self, _: Pass, _: &Request) -> Result<Response, SendError> {
        std::future::pending().await
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        None
    }
}

/// Also while nothing of the connection is polled and nobody asks for a pass.
#[tokio::test(start_paused = true)]
async fn who_takes_part_and_waits_sees_a_withdrawal_of_another_process() {
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    decide(&mut client, Answer::Yes, ROUNDS);
    let (held, wire) = (
        entrance(&client.door).lease().unwrap(),
        Arc::new(Wire::default()),
    );
    let watched: Weak<Wire> = Arc::downgrade(&wire);
    held.watch(watched);
    let door = Arc::clone(&client.door);
    let elsewhere = async {
        tokio::time::sleep(LOOK / 2).await;
        assert_eq!(wire.0.load(Ordering::SeqCst), 0);
        door.raise().unwrap();
        tokio::time::sleep(LOOK).await;
    };
    let (name, clock) = (films(), Clock::new(|| NOW));
    let work = Loop {
        task: &name,
        engine: &Direct,
        clock: &clock,
        news: &mut |_| {},
    };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let end = client.run(&mut Silent, work, &mut rng, elsewhere).await;
    assert_eq!(end.unwrap(), End::Shutdown);
    assert_eq!(wire.0.load(Ordering::SeqCst), 1);
}

/// A file that says nothing is no leave.
#[test]
fn a_lost_lease_lets_nothing_pass() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::new(home.path()).unwrap();
    let mut held = entrance(&door).lease().unwrap();
    assert!(passes(&mut held));
    std::fs::write(home.path().join("lease"), []).unwrap();
    assert!(!passes(&mut held));
    assert!(!passes(&mut entrance(&door).lease().unwrap()));
}

/// Threads pass as fast as they can while the epoch ends over and over: when `end` is back, none of it is inside.
#[test]
#[cfg(unix)]
fn a_lease_that_was_put_back_from_a_copy_ends_what_stood_under_the_old_one() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lease");
    let door = Door::new(home.path()).unwrap();
    let mut held = entrance(&door).lease().unwrap();
    assert!(passes(&mut held));
    let copy = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, copy).unwrap();
    assert!(!passes(&mut held));
    assert!(passes(&mut entrance(&door).lease().unwrap()));
}

#[test]
fn a_withdrawal_that_cannot_be_completed_shuts_the_door_here() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lease");
    let door = Door::new(home.path()).unwrap();
    let way = entrance(&door);
    let (mut held, wire) = (way.lease().unwrap(), Arc::new(Wire::default()));
    let watched: Weak<Wire> = Arc::downgrade(&wire);
    held.watch(watched);
    // Nothing can be written where a folder is.
    std::fs::rename(&file, home.path().join("away")).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(door.end().is_err());
    assert_eq!(wire.0.load(Ordering::SeqCst), 1);
    assert!(!passes(&mut held) && door.pass().is_err());
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(home.path().join("away"), &file).unwrap();
    assert!(!passes(&mut held) && door.pass().is_err());
    // Said again, it is complete.
    door.end().unwrap();
    assert!(!passes(&mut held));
    assert!(passes(&mut entrance(&door).lease().unwrap()));
}

#[test]
fn whoever_ends_an_epoch_waits_for_those_inside() {
    let home = tempfile::tempdir().unwrap();
    let door = Door::new(home.path()).unwrap();
    // Each thread says under which epoch it is inside.
    let inside: [AtomicU64; 3] = Default::default();
    let (entered, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for place in &inside {
            let (door, done, entered) = (&door, &done, &entered);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let entrance = entrance(door);
                    let epoch = entrance.epoch.load(Ordering::SeqCst);
                    let mut held = entrance.lease().unwrap();
                    let mut act = || {
                        place.store(epoch, Ordering::SeqCst);
                        entered.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        place.store(0, Ordering::SeqCst);
                    };
                    while held.hold(&mut act).is_ok() {}
                }
            });
        }
        for _ in 0..200 {
            let (epoch, before) = (door.pass().unwrap().epoch, entered.load(Ordering::SeqCst));
            // The control: writers do get in before it ends.
            while entered.load(Ordering::SeqCst) == before {
                thread::yield_now();
            }
            door.end().unwrap();
            for place in &inside {
                let under = place.load(Ordering::SeqCst);
                assert!(under == 0 || under > epoch, "{under} after {epoch} ended");
            }
        }
        done.store(true, Ordering::SeqCst);
        door.end().unwrap();
    });
}

/// In the sources of this crate and of the calling side of the wire, sockets are opened in one place, which is behind the gate;
/// and this crate knows no gate but its door.
#[test]
fn there_is_no_other_way_out() {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src"), PathBuf::from("../wire/src/client")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests may do as they like.
            let tests = ["tests.rs", "interleaving.rs", "capture.rs"];
            if tests
                .iter()
                .any(|name| path.ends_with(format!("door/{name}")))
            {
                continue;
            }
            let ways = [
                "TcpStream::connect",
                "TcpSocket",
                "UdpSocket",
                "UnixStream",
                "ureq",
            ];
            let gates = ["impl Gate for", "Arc::new(Open)"];
            for word in ways.into_iter().chain(gates) {
                found.extend(text.matches(word).map(|word| {
                    let name = path.file_name().unwrap().to_string_lossy();
                    format!("{name}: {word}")
                }));
            }
        }
    }
    found.sort();
    assert_eq!(
        found,
        [
            // The authority's list and the witness are asked by servers.
            "enrolment.rs: Arc::new(Open)",
            "gate.rs: TcpStream::connect",
            "gate.rs: impl Gate for",
            "mod.rs: impl Gate for",
            "witness.rs: Arc::new(Open)",
        ]
    );
}
