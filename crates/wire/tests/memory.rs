//! An upload is in memory once on each side. Alone in its process, because it measures it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/cases.rs"]
mod cases;
mod support;

use chorus_protocol::{Request, Response, RoundId, SignedUpdate};
use chorus_secagg::{MaskedUpdate, Ring};
use support::{Dummy, Root, Running, accepting, peak_bytes};

#[tokio::test]
async fn a_long_upload_is_copied_nowhere() {
    let shape = cases::words(10_000_000);
    let root = Root::new(1);
    let running = Running::start(
        &root,
        Dummy {
            upload: shape,
            ..accepting()
        },
    )
    .await;
    let connection = root.connect(running.address, 9);
    let total = shape.bytes();
    let bytes: Vec<u8> = (0..total).map(|place| (place % 251) as u8).collect();
    let update = MaskedUpdate::from_bytes(bytes, Ring::Bits32, shape.length).unwrap();
    let request = Request::Upload {
        round: RoundId(5),
        update: SignedUpdate {
            masked: update,
            signature: [1; 64],
        },
    };
    let before = peak_bytes();
    assert_eq!(connection.send(&request).await, Ok(Response::Accepted));
    let grew = peak_bytes() - before;
    // The client has the update already; the server comes to have it; beside that there are tiles.
    assert!(
        (total..total + (8 << 20)).contains(&grew) || before == 0,
        "{total} bytes took {grew}"
    );
    let uploads = std::mem::take(&mut *running.service.uploads.lock().unwrap());
    let Request::Upload { update, .. } = request else {
        panic!("an upload")
    };
    assert!(uploads == [update.masked.into_bytes()]);
    running.stop().await;
}
