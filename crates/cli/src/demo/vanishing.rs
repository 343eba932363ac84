//! Who vanishes in which round, and where in it.

use chorus_protocol::{Next, Participation, Request};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Where a client of the demo goes silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Advertise,
    Share,
    Confirm,
    Upload,
    Unmask,
}

const POINTS: [Point; 5] = [
    Point::Advertise,
    Point::Share,
    Point::Confirm,
    Point::Upload,
    Point::Unmask,
];

/// Draws, for each round anew, which tenth (or other share) of all clients vanishes: the same in every process.
pub fn point(seed: u64, round: u64, clients: usize, share: f64, client: usize) -> Option<Point> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    rng.set_stream(round);
    let mut order: Vec<usize> = (0..clients).collect();
    order.shuffle(&mut rng);
    let place = order.iter().position(|other| *other == client)?;
    let vanishing = (share * clients as f64).round() as usize;
    let mut own = ChaCha20Rng::seed_from_u64(seed ^ client as u64);
    own.set_stream(round);
    (place < vanishing).then(|| POINTS[own.random_range(0..POINTS.len())])
}

/// True when the next message of `participation` is the one that never comes.
pub fn is_now(point: Option<Point>, participation: &Participation) -> bool {
    let Next::Send(request) = participation.poll() else {
        return false;
    };
    let here = match request {
        Request::AdvertiseKeys { .. } => Point::Advertise,
        Request::ShareKeys { .. } => Point::Share,
        Request::ConfirmShares { .. } => Point::Confirm,
        Request::Upload { .. } => Point::Upload,
        Request::Unmask { .. } => Point::Unmask,
        _ => return false,
    };
    point == Some(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_exact_and_every_round_draws_anew() {
        let gone = |round| -> Vec<usize> {
            (0..200)
                .filter(|client| point(3, round, 200, 0.1, *client).is_some())
                .collect()
        };
        assert_eq!(gone(1).len(), 20);
        assert_eq!(gone(2).len(), 20);
        assert_ne!(gone(1), gone(2));
        assert_eq!(gone(1), gone(1));
    }
}
