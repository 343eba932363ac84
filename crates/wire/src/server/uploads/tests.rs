use std::future::Future;

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use chorus_protocol::Request;
use chorus_secagg::Ring;

use super::*;
use crate::{
    Shape,
    certificate::{Enrolled, Role},
    request::upload,
};

fn peer(key: u8) -> Arc<Peer> {
    let enrolled = Enrolled {
        key: [key; 32],
        role: Role::Client,
        not_before: 0,
        not_after: 1,
        serial: vec![key],
    };
    Arc::new(Peer::new(&[], enrolled))
}

fn start(total: u64, offset: u64) -> Start {
    Start {
        round: RoundId(1),
        total,
        sha256: Digest([1; 32]),
        offset,
        signature: [9; 64],
    }
}

fn key(peer: &Peer) -> Key {
    (peer.id, RoundId(1))
}

async fn open(begun: impl Future<Output = Result<Begun, Rejection>>) -> u64 {
    match begun.await {
        Ok(Begun::Open(turn)) => turn,
        Ok(Begun::Done(_)) => panic!("done"),
        Err(rejection) => panic!("{rejection}"),
    }
}

fn label<T>(result: Result<T, Rejection>) -> &'static str {
    result.err().map_or("none", |rejection| rejection.label)
}

impl Uploads {
    /// Bytes that are in memory.
    fn held(&self) -> usize {
        let entries = self.entries();
        let bytes = entries.values().map(|entry| match &entry.state {
            State::Arriving(bytes) => bytes.capacity(),
            State::InHand => entry.total as usize,
            State::Done(_) => 0,
        });
        bytes.sum()
    }
}

#[tokio::test]
async fn a_stream_that_was_thought_broken_adds_nothing() {
    let (uploads, now, peer) = (Uploads::new(100), Instant::now(), peer(1));
    let key = key(&peer);
    let first = open(uploads.begin(&peer, &start(10, 0))).await;
    assert_eq!(uploads.add(key, first, vec![1; 6], now), Ok(None));
    let second = open(uploads.begin(&peer, &start(10, 4))).await;
    assert_eq!(
        label(uploads.add(key, first, vec![9; 4], now)),
        "upload-superseded"
    );
    // Also not to one that was begun anew after the first was forgotten.
    uploads.forget(key);
    let third = open(uploads.begin(&peer, &start(10, 0))).await;
    assert_eq!(
        label(uploads.add(key, first, vec![9; 4], now)),
        "upload-superseded"
    );
    assert_eq!(
        label(uploads.add(key, second, vec![9; 4], now)),
        "upload-superseded"
    );
    assert_eq!(
        uploads.add(key, third, vec![2; 10], now),
        Ok(Some(vec![2; 10]))
    );
    assert_eq!(
        label(uploads.begin(&peer, &start(10, 0)).await),
        "upload-in-hand"
    );
    uploads.end(key, Some(Response::Accepted), now);
    match uploads.begin(&peer, &start(10, 0)).await {
        Ok(Begun::Done(answer)) => assert_eq!(*answer, Response::Accepted),
        _ => panic!("it was done"),
    }
    assert_eq!(uploads.status(key), Some((10, Digest([1; 32]))));
}

#[tokio::test]
async fn the_bytes_that_arrive_are_the_bytes_that_are_handed_on() {
    let (uploads, now, peer) = (Uploads::new(1 << 20), Instant::now(), peer(1));
    let key = key(&peer);
    let turn = open(uploads.begin(&peer, &start(1000, 0))).await;
    let first: Vec<u8> = (0..=255).collect();
    assert_eq!(uploads.add(key, turn, first.clone(), now), Ok(None));
    let place = match &uploads.entries()[&key].state {
        State::Arriving(bytes) => bytes.as_ptr(),
        _ => panic!("arriving"),
    };
    // One vector, as long as the whole from the first byte on.
    assert_eq!(uploads.held(), 1000);
    assert_eq!(uploads.add(key, turn, vec![7; 700], now), Ok(None));
    let whole = uploads.add(key, turn, vec![8; 44], now).unwrap().unwrap();
    assert_eq!(whole, [&first[..], &[7; 700], &[8; 44]].concat());
    assert_eq!((whole.as_ptr(), whole.capacity()), (place, 1000));
    uploads.end(key, None, now);
    // An upload that comes in one piece is not copied at all, and the service gets the very same bytes.
    let turn = open(uploads.begin(&peer, &start(500, 0))).await;
    let piece = vec![5; 500];
    let place = piece.as_ptr();
    let whole = uploads.add(key, turn, piece, now).unwrap().unwrap();
    let sha256 = Digest::of(&whole);
    let start = Start {
        sha256,
        ..start(500, 0)
    };
    let shape = Shape {
        ring: Ring::Bits32,
        length: 500 / 4 - 8,
    };
    match upload(&start, shape, whole) {
        Ok(Request::Upload { update, .. }) => assert_eq!(update.masked.bytes().as_ptr(), place),
        _ => panic!("an upload"),
    }
}

/// Takes in one upload of `total` bytes, slowly; true when it was accepted.
async fn take_in(uploads: &Uploads, number: u8, total: usize) -> bool {
    let peer = peer(number);
    let Ok(Begun::Open(turn)) = uploads.begin(&peer, &start(total as u64, 0)).await else {
        return false;
    };
    for tile in vec![number; total].chunks(10) {
        sleep(Duration::from_millis(10)).await;
        let added = uploads.add(key(&peer), turn, tile.to_vec(), Instant::now());
        if let Some(whole) = added.expect("nothing else adds") {
            assert_eq!(whole, vec![number; total]);
        }
    }
    // The service has it in hand.
    sleep(Duration::from_millis(50)).await;
    uploads.end(key(&peer), Some(Response::Accepted), Instant::now());
    true
}

#[tokio::test(start_paused = true)]
async fn many_uploads_wait_for_their_turn_and_no_more_is_held_than_the_limit() {
    let uploads = Arc::new(Uploads::new(250));
    let most = Arc::new(AtomicU64::new(0));
    let watched = (uploads.clone(), most.clone());
    let watch = tokio::spawn(async move {
        let (uploads, most) = watched;
        loop {
            most.fetch_max(uploads.held() as u64, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
        }
    });
    let mut all = JoinSet::new();
    for number in 0..16 {
        let uploads = uploads.clone();
        all.spawn(async move { take_in(&uploads, number, 100).await });
    }
    let accepted = all.join_all().await;
    assert_eq!(accepted, vec![true; 16]);
    // Two of a hundred fit, three do not.
    assert_eq!(most.load(Ordering::Relaxed), 200);
    assert_eq!(uploads.held(), 0);
    assert_eq!(uploads.room.available_permits(), 250);
    watch.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_longest_is_next() {
    let uploads = Arc::new(Uploads::new(100));
    let one = peer(1);
    let turn = open(uploads.begin(&one, &start(100, 0))).await;
    let (large, small) = (uploads.clone(), uploads.clone());
    let large = tokio::spawn(async move { take_in(&large, 2, 100).await });
    sleep(Duration::from_millis(1)).await;
    let small = tokio::spawn(async move { take_in(&small, 3, 1).await });
    let whole = uploads.add(key(&one), turn, vec![0; 100], Instant::now());
    assert!(matches!(whole, Ok(Some(_))));
    // The service is at it: that is no silence.
    sleep(IDLE * 2).await;
    assert!(!large.is_finished() && !small.is_finished());
    uploads.end(key(&one), None, Instant::now());
    sleep(Duration::from_millis(60)).await;
    // The small one would have been done long ago.
    assert!(!small.is_finished());
    assert!(large.await.unwrap() && small.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_longer_than_the_limit_passes_alone() {
    let uploads = Arc::new(Uploads::new(100));
    let mut all = JoinSet::new();
    for (number, total) in [(1, 50), (2, 1000), (3, 50), (4, 2000)] {
        let uploads = uploads.clone();
        all.spawn(async move { take_in(&uploads, number, total).await });
    }
    assert_eq!(all.join_all().await, [true; 4]);
    assert_eq!(uploads.room.available_permits(), 100);
}

#[tokio::test(start_paused = true)]
async fn room_is_made_by_those_who_fall_silent() {
    let uploads = Uploads::new(25);
    let (one, two, three) = (peer(1), peer(2), peer(3));
    let silent = open(uploads.begin(&one, &start(10, 0))).await;
    let turn = open(uploads.begin(&two, &start(10, 0))).await;
    let began = Instant::now();
    let lively = async {
        for _ in 0..9 {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(
                uploads.add(key(&two), turn, vec![1], Instant::now()),
                Ok(None)
            );
            // Words without content are no sign of life.
            let _ = uploads.add(key(&one), silent, Vec::new(), Instant::now());
        }
    };
    let waiting = async {
        open(uploads.begin(&three, &start(10, 0))).await;
        assert!(began.elapsed() > IDLE && began.elapsed() < IDLE + 2 * LOOK);
    };
    // Nine bytes in nine seconds are far too slow as well, but five seconds are forgiven.
    timeout(Duration::from_secs(60), async {
        tokio::select! { () = lively => panic!("nobody made room"), () = waiting => {} }
    })
    .await
    .unwrap();
    assert_eq!(uploads.status(key(&one)), None);
    assert!(uploads.status(key(&two)).is_some());
}

#[tokio::test(start_paused = true)]
async fn room_is_made_by_those_who_trickle() {
    let uploads = Uploads::new(1000);
    let (one, two) = (peer(1), peer(2));
    let turn = open(uploads.begin(&one, &start(1000, 0))).await;
    let trickle = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if uploads
                .add(key(&one), turn, vec![1], Instant::now())
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        }
    };
    let waiting = async { open(uploads.begin(&two, &start(1000, 0))).await };
    tokio::select! {
        () = trickle => {}
        _turn = waiting => {}
    }
    assert_eq!(uploads.status(key(&one)), None);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_no_room_is_put_off() {
    let uploads = Uploads::new(100);
    let one = peer(1);
    let turn = open(uploads.begin(&one, &start(100, 0))).await;
    let whole = uploads.add(key(&one), turn, vec![0; 100], Instant::now());
    assert!(matches!(whole, Ok(Some(_))));
    let began = Instant::now();
    let put_off = uploads.begin(&peer(2), &start(10, 0)).await;
    assert_eq!(label(put_off), "upload-room");
    assert_eq!(began.elapsed(), WAIT);
    // More than may wait are put off at once.
    let mut all = JoinSet::new();
    let uploads = Arc::new(uploads);
    for number in 0..WAITING as u8 + 1 {
        let uploads = uploads.clone();
        all.spawn(async move { label(uploads.begin(&peer(100 + number), &start(10, 0)).await) });
    }
    assert_eq!(all.join_next().await.unwrap().unwrap(), "upload-room");
    assert_eq!(began.elapsed(), WAIT);
    // A wait that is broken off leaves its seat and its place in the row.
    all.shutdown().await;
    uploads.end(key(&one), None, Instant::now());
    open(uploads.begin(&peer(2), &start(100, 0))).await;
    assert_eq!(uploads.room.available_permits(), 0);
    uploads.forget(key(&peer(2)));
    assert_eq!(uploads.room.available_permits(), 100);
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_for_ever() {
    let (uploads, now, peer) = (Uploads::new(100), Instant::now(), peer(1));
    let key = key(&peer);
    open(uploads.begin(&peer, &start(10, 0))).await;
    assert!(uploads.stale(now + STALE).is_empty());
    assert_eq!(uploads.stale(now + STALE + Duration::from_secs(1)).len(), 1);
    assert!(uploads.stale(now + DEAD).is_empty());
    assert_eq!(uploads.status(key), None);
    assert_eq!(uploads.room.available_permits(), 100);
}
