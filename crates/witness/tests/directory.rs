//! The directory of a witness: what enrolment makes, and what is never made anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use chorus_authority::Invited;
use chorus_protocol::{Digest, Identity, RoundId};
use chorus_wire::client::SendError;
use chorus_witness::{Directory, WitnessError, status};
use support::{Federation, NOW, as_witness, copy};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_key_and_the_memory_are_their_owners() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("a/witness").await;
    let file = |name: &str| directory.path().join(name);
    assert_eq!(mode(directory.path()), 0o700);
    for secret in ["witness.key", "witness.sqlite"] {
        assert_eq!(mode(&file(secret)), 0o600, "{secret}");
    }
    let witness = federation.open(&directory).unwrap();
    witness
        .draw(&[7; 32], RoundId(1), &Digest([1; 32]))
        .unwrap();
    assert_eq!(mode(&file("witness.sqlite-wal")), 0o600);
    drop(witness);

    let status = status(&directory).unwrap();
    let identity = directory.identity().unwrap();
    assert_eq!(status.key, hex::encode(identity.public()));
    assert_eq!(status.id, hex::encode(identity.id().0));
    assert_eq!(status.certificate_until, Some(NOW + 7 * 86_400));

    fs::set_permissions(file("witness.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = federation.open(&directory).unwrap_err();
    assert!(matches!(exposed, WitnessError::Exposed { .. }));
    assert!(exposed.to_string().contains("chmod 600"), "{exposed}");
}

#[tokio::test]
async fn only_a_witness_is_enrolled_as_one() {
    let federation = Federation::start(1).await;
    let directory = Directory::new(federation.folder.path().join("witness"));
    let absent = federation.open(&directory).unwrap_err();
    assert!(matches!(absent, WitnessError::NotEnrolled { .. }));
    assert!(
        absent.to_string().contains("chorus witness enrol"),
        "{absent}"
    );
    let server_name = "localhost".to_owned();
    for invited in [Invited::Client, Invited::Coordinator { server_name }] {
        let refused = federation.enrol(&directory, &invited).await.unwrap_err();
        let sentence = refused.to_string();
        assert!(sentence.contains("expected `witness`"), "{sentence}");
        assert!(!directory.path().join("witness.crt").exists());
    }
    // The key was made, and stays with the next invitation.
    let key = directory.identity().unwrap().public();
    federation.enrol(&directory, &as_witness()).await.unwrap();
    assert_eq!(directory.identity().unwrap().public(), key);
    federation.open(&directory).unwrap();
}

#[tokio::test]
async fn an_invitation_that_is_used_up_changes_nothing() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let other = Directory::new(federation.folder.path().join("other"));
    let code = federation.invite(&as_witness());
    let (target, authority, clock) = (
        &federation.target,
        &federation.authority,
        federation.clock(),
    );
    let rng = &mut rand::rng();
    other
        .enrol(target, authority, &code, &clock, rng)
        .await
        .unwrap();
    let before = fs::read(directory.path().join("witness.crt")).unwrap();
    let refused = directory.enrol(target, authority, &code, &clock, rng).await;
    match refused {
        Err(WitnessError::Enrolment(SendError::Refused { label, .. })) => {
            assert_eq!(label, "invitation-used");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        fs::read(directory.path().join("witness.crt")).unwrap(),
        before
    );
}

#[tokio::test]
async fn a_key_without_its_memory_never_signs_again() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let memory = directory.path().join("witness.sqlite");
    fs::remove_file(&memory).unwrap();
    let forgotten = [
        federation.open(&directory).err(),
        federation.enrol(&directory, &as_witness()).await.err(),
        status(&directory).err(),
    ];
    for error in forgotten {
        assert!(matches!(error, Some(WitnessError::Forgotten { .. })));
    }
    assert!(!memory.exists(), "it was not made anew");
    // Nor with the memory of another one.
    let other = federation.witness("other").await;
    fs::copy(other.path().join("witness.sqlite"), &memory).unwrap();
    let error = federation.open(&directory).unwrap_err();
    assert!(matches!(error, WitnessError::OtherMemory { .. }));
}

#[tokio::test]
async fn a_memory_without_its_key_gets_no_new_one() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    fs::remove_file(directory.path().join("witness.key")).unwrap();
    let error = federation.enrol(&directory, &as_witness()).await;
    assert!(matches!(error, Err(WitnessError::OtherMemory { .. })));
    assert!(!directory.path().join("witness.key").exists());
}

#[tokio::test]
async fn what_a_crash_leaves_of_the_first_enrolment_is_no_obstacle() {
    let federation = Federation::start(1).await;
    let path = federation.folder.path().join("witness");
    fs::create_dir(&path).unwrap();
    // The file was made and nothing was in it yet.
    fs::write(path.join("witness.sqlite"), b"").unwrap();
    let directory = Directory::new(&path);
    federation.enrol(&directory, &as_witness()).await.unwrap();
    federation.open(&directory).unwrap();
    // The memory was made, and the key was not yet.
    let early = federation.witness("early").await;
    fs::remove_file(early.path().join("witness.key")).unwrap();
    let memory = rusqlite::Connection::open(early.path().join("witness.sqlite")).unwrap();
    assert_eq!(memory.execute("DELETE FROM owner", []).unwrap(), 1);
    drop(memory);
    federation.enrol(&early, &as_witness()).await.unwrap();
    federation.open(&early).unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_key_is_not_used() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let other = federation.witness("other").await;
    let own = directory.path().join("witness.crt");
    fs::copy(other.path().join("witness.crt"), &own).unwrap();
    let error = federation.open(&directory).unwrap_err();
    assert!(matches!(error, WitnessError::OtherKey { .. }));
    fs::write(&own, b"no certificate").unwrap();
    let error = federation.open(&directory).unwrap_err();
    assert!(matches!(error, WitnessError::Certificate { .. }));
    fs::write(directory.path().join("witness.key"), [1; 31]).unwrap();
    let error = federation.open(&directory).unwrap_err();
    assert!(matches!(error, WitnessError::Key { .. }));
}

#[tokio::test]
async fn a_directory_that_is_moved_whole_remembers() {
    let federation = Federation::start(1).await;
    let directory = federation.witness("witness").await;
    let coordinator = Identity::from_seed(&[20; 32]).public();
    let (round, digest) = (RoundId(5), Digest([1; 32]));
    let drawn = {
        let witness = federation.open(&directory).unwrap();
        witness.draw(&coordinator, round, &digest).unwrap()
    };
    let moved = Directory::new(copy(
        directory.path(),
        &federation.folder.path().join("moved"),
    ));
    let witness = federation.open(&moved).unwrap();
    assert!(witness.draw(&coordinator, round, &digest).unwrap() == drawn);
    assert!(witness.draw(&coordinator, round, &Digest([2; 32])).is_err());
}
