//! Who goes silent in which round, and where in it: drawn anew for each round, the same in every run.

use chorus_protocol::{Next, Participation, Request};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// What becomes of one client in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there to the end.
    Stays,
    /// It goes silent at this point and comes back for a later round.
    Vanishes(Point),
    /// Its app ends at this point, is started again and goes on with the round.
    Restarts(Point),
}

/// The step that is not taken, or not at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Learn,
    Advertise,
    Share,
    Confirm,
    Upload,
    Endorse,
    Unmask,
}

const POINTS: [Point; 7] = [
    Point::Learn,
    Point::Advertise,
    Point::Share,
    Point::Confirm,
    Point::Upload,
    Point::Endorse,
    Point::Unmask,
];

impl Point {
    /// Where a participation stands, if that is one of the points.
    pub fn of(participation: &Participation) -> Option<Self> {
        match participation.poll() {
            Next::Learn { .. } => Some(Point::Learn),
            Next::Over(_) => None,
            Next::Send(request) => match request {
                Request::AdvertiseKeys { .. } => Some(Point::Advertise),
                Request::ShareKeys { .. } => Some(Point::Share),
                Request::ConfirmShares { .. } => Some(Point::Confirm),
                Request::Upload { .. } => Some(Point::Upload),
                Request::Endorse { .. } => Some(Point::Endorse),
                Request::Unmask { .. } => Some(Point::Unmask),
                _ => None,
            },
        }
    }
}

/// The fate of the client with number `client` of `crowd`: of all of them `vanishing` vanish in this round, and one
/// more restarts.
pub fn fate(seed: u64, round: u64, crowd: usize, vanishing: usize, client: usize) -> Fate {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(round);
    let mut order: Vec<usize> = (0..crowd).collect();
    order.shuffle(&mut rng);
    let points: Vec<Point> = (0..=vanishing)
        .map(|_| POINTS[rng.random_range(0..POINTS.len())])
        .collect();
    match order.iter().position(|other| *other == client) {
        Some(place) if place < vanishing => Fate::Vanishes(points[place]),
        Some(place) if place == vanishing => Fate::Restarts(points[place]),
        _ => Fate::Stays,
    }
}
