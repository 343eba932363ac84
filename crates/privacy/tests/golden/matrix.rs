//! Trees and factorisations for a trusted coordinator.

use crate::tables::{close, rows};
use chorus_privacy::account::epsilon;
use chorus_privacy::matrix::{
    Participation, Toeplitz, tree_height, tree_prefix_error, tree_sensitivity,
};
use chorus_privacy::{Accountant, Event, Mechanism};

#[test]
fn trees() {
    for row in rows("tree_aggregation") {
        let id = row.text("id");
        let rounds = row.number("steps_per_tree") as u64;
        let trees = row.number("restarts_epochs");
        let height = f64::from(tree_height(rounds));
        assert_eq!(height, row.number("tree_height"), "{id}");
        assert_eq!(height * trees, row.number("sens_sq"), "{id}");
        let event = Event {
            mechanism: Mechanism::Tree {
                noise_multiplier: row.number("z_per_node"),
                rounds,
            },
            steps: trees as u64,
        };
        let delta = row.number("delta");
        let exact = epsilon(&[event], delta, Accountant::Best).unwrap();
        close(exact.value, row.number("eps_exact_gaussian"), 1e-9, id);
        let renyi = epsilon(&[event], delta, Accountant::Rdp).unwrap();
        close(renyi.value, row.number("eps_rdp"), 1e-6, id);
    }
}

fn participation(row: &crate::tables::Row) -> Participation {
    Participation {
        rounds: row.number("n") as usize,
        min_separation: row.number("min_sep") as usize,
        max_participations: row.number("max_part") as usize,
    }
}

#[test]
fn sensitivity_under_separation() {
    for row in rows("matrix_mechanism_sensitivity") {
        let id = row.text("id");
        let participation = participation(&row);
        let coefficients = row.list("coefs");
        let strategy = match row.text("strategy") {
            "identity" => Toeplitz::identity(),
            "sqrt_toeplitz" => Toeplitz::square_root(participation.rounds).unwrap(),
            "banded_sqrt_b" => Toeplitz::square_root(participation.min_separation).unwrap(),
            "blt2" => {
                Toeplitz::buffered(&[(0.25, 0.9), (0.12, 0.4)], participation.rounds).unwrap()
            }
            other => panic!("{other}"),
        };
        for encoder in [strategy, Toeplitz::new(coefficients).unwrap()] {
            let found = encoder.squared_sensitivity(&participation).unwrap();
            close(found, row.number("sens_sq_bruteforce"), 1e-12, id);
            let error = encoder.prefix_error(participation.rounds).unwrap();
            close(
                error.largest.powi(2),
                row.number("max_row_norm_sq_AinvC"),
                1e-12,
                id,
            );
            close(
                error.typical.powi(2),
                row.number("mean_row_norm_sq"),
                1e-12,
                id,
            );
        }
    }
}

#[test]
fn error_on_prefixes() {
    let (mut seen, mut optimised) = (0, 0);
    for row in rows("matrix_mechanism_error") {
        let id = row.text("id");
        let participation = participation(&row);
        let rounds = participation.rounds;
        let (sensitivity, error) = match row.text("strategy") {
            "binary_tree_no_honaker_no_restart_k_bound" => (
                tree_sensitivity(rounds as u64, participation.max_participations as u64),
                tree_prefix_error(rounds).unwrap(),
            ),
            name => {
                let encoder = match name {
                    "dp_sgd_identity" => Toeplitz::identity(),
                    "sqrt_toeplitz_full" => Toeplitz::square_root(rounds).unwrap(),
                    "banded_sqrt" => Toeplitz::square_root(participation.min_separation).unwrap(),
                    "blt_optimised" => {
                        // Another search, another encoder: as good as theirs or better.
                        let found = Toeplitz::best_buffered(&participation, 3).unwrap();
                        let error = found.prefix_error(rounds).unwrap().largest
                            * found.sensitivity(&participation).unwrap();
                        let theirs = row.number("max_err_unit_z");
                        assert!(error <= 1.002 * theirs, "{id}: {error} for {theirs}");
                        optimised += 1;
                        continue;
                    }
                    other => panic!("{other}"),
                };
                (
                    encoder.sensitivity(&participation).unwrap(),
                    encoder.prefix_error(rounds).unwrap(),
                )
            }
        };
        close(sensitivity, row.number("sens"), 1e-12, id);
        close(error.largest, row.number("max_row"), 1e-12, id);
        close(error.typical, row.number("rms_row"), 1e-12, id);
        close(
            sensitivity * error.largest,
            row.number("max_err_unit_z"),
            1e-12,
            id,
        );
        close(
            sensitivity * error.typical,
            row.number("rms_err_unit_z"),
            1e-12,
            id,
        );
        seen += 1;
    }
    assert_eq!((seen, optimised), (15, 2));
}

#[test]
fn what_has_no_formula_is_refused() {
    for column in [
        vec![],
        vec![0.0],
        vec![1.0, 1.1],
        vec![1.0, -0.1],
        vec![f64::NAN],
        vec![1.0, f64::NAN],
    ] {
        assert!(Toeplitz::new(column).is_err());
    }
    let never = Participation {
        rounds: 0,
        min_separation: 1,
        max_participations: 1,
    };
    assert!(Toeplitz::identity().sensitivity(&never).is_err());
    assert!(tree_prefix_error(0).is_err());
    assert!(Toeplitz::best_buffered(&never, 2).is_err());
}
