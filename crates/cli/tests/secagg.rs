//! `chorus secagg plan`: what it prints, and when it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Said, chorus};
use serde_json::Value;

fn plan(clients: &str, dropout: &str, corrupt: &str, more: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let mut flags = vec!["secagg", "plan", "--clients", clients];
    flags.extend(["--dropout", dropout, "--corrupt", corrupt]);
    flags.extend(more);
    chorus(folder.path(), &flags)
}

fn figures(clients: &str, dropout: &str, corrupt: &str, more: &[&str]) -> Value {
    let mut flags = more.to_vec();
    flags.push("--json");
    serde_json::from_str(&plan(clients, dropout, corrupt, &flags).well()).unwrap()
}

/// Every figure that `--json` promises.
const FIGURES: [&str; 29] = [
    "clients",
    "dropout",
    "corrupt",
    "secrecy_bits",
    "correctness_bits",
    "length",
    "value_bits",
    "degree",
    "threshold",
    "complete",
    "ring_bits",
    "upload_bytes",
    "float32_bytes",
    "upload_over_float32",
    "client_key_agreements",
    "client_keystream_bytes",
    "client_share_bytes_up",
    "client_share_bytes_down",
    "coordinator_key_agreements",
    "coordinator_keystream_bytes",
    "coordinator_sum_bytes",
    "secrecy_failure_log2",
    "connectivity_failure_log2",
    "correctness_failure_log2",
    "guard",
    "guard_failure_log2",
    "quorum",
    "minimum_survivors",
    "minimum_clients",
];

#[test]
fn the_default_of_the_product() {
    let figures = figures("1000", "0.3", "0.1", &[]);
    for key in FIGURES {
        assert!(figures.get(key).is_some(), "`{key}` in {figures}");
    }
    assert_eq!(figures.as_object().unwrap().len(), FIGURES.len());
    for (key, value) in [
        ("degree", 114),
        ("threshold", 41),
        ("ring_bits", 32),
        ("upload_bytes", 4_000_032),
        ("float32_bytes", 4_000_000),
        ("guard", 44),
        ("quorum", 551),
        ("minimum_survivors", 700),
        ("minimum_clients", 10),
    ] {
        assert_eq!(figures[key], value, "{key}");
    }
    let log2 = |key: &str| figures[key].as_f64().unwrap();
    assert!(log2("secrecy_failure_log2") < -40.0 && log2("correctness_failure_log2") < -40.0);
    assert!(log2("connectivity_failure_log2") < -100.0);

    let said = plan("1000", "0.3", "0.1", &[]).well();
    for words in [
        "114 neighbours",
        "41 shares",
        "4.0 MB",
        "98.7 GB of keystream",
        "2^-41.9",
        "551 signatures of the cohort",
    ] {
        assert!(said.contains(words), "`{words}` in {said}");
    }
}

#[test]
fn a_complete_graph_cannot_fail_while_the_assumptions_hold() {
    let figures = figures("50", "0.3", "0.1", &["--length", "1000"]);
    assert_eq!(figures["complete"], true);
    assert!(figures["secrecy_failure_log2"].is_null() && figures["guard_failure_log2"].is_null());
    let said = plan("50", "0.3", "0.1", &[]).well();
    assert!(said.contains("complete graph"), "{said}");
    assert_eq!(
        said.matches("cannot happen while the assumptions hold")
            .count(),
        3,
        "{said}"
    );
}

#[test]
fn the_ring_follows_the_values() {
    for (bits, ring, upload) in [
        ("6", 16, 2_032),
        ("10", 20, 2_533),
        ("14", 24, 3_033),
        ("22", 32, 4_032),
    ] {
        let figures = figures(
            "1000",
            "0.3",
            "0.1",
            &["--length", "1000", "--value-bits", bits],
        );
        assert_eq!(
            (&figures["ring_bits"], &figures["upload_bytes"]),
            (&ring.into(), &upload.into())
        );
    }
    plan("1000", "0.3", "0.1", &["--value-bits", "23"])
        .with(5, &["values of these clients have at most 22"]);
    plan("1000", "0.3", "0.1", &["--value-bits", "40"]).with(2, &["--value-bits"]);
}

#[test]
fn a_large_cohort_needs_a_witness() {
    assert!(figures("5001", "0.3", "0.1", &[])["quorum"].is_null());
    let said = plan("10000", "0.3", "0.1", &[]).well();
    assert!(
        said.contains("142 neighbours") && said.contains("the signature of a witness"),
        "{said}"
    );
}

#[test]
fn what_is_impossible_is_refused_in_words() {
    plan("20", "0.6", "0.1", &[]).with(
        5,
        &[
            "12 shares open a secret",
            "only 7",
            "There is a plan with `--dropout 0.39`",
        ],
    );
    plan("1000", "0.6", "0.3", &[])
        .with(5, &["(connectivity)", "assume fewer", "`--corrupt 0.07`"]);
    plan("10000", "0.3", "0.4", &["--json"]).with(5, &["(correctness)", "split the cohort"]);
    plan("5", "0.2", "0.1", &[]).with(5, &["at least 10 clients", "`--clients 10`"]);
    plan("5000000", "0.2", "0.1", &[]).with(5, &["at most 100000 clients", "into 50 cohorts"]);
    plan("100000", "0.3", "0.2", &[]).with(5, &["(guard)", "split the cohort"]);
    for length in ["0", "300000000"] {
        plan("1000", "0.3", "0.1", &["--length", length]).with(2, &["--length"]);
    }
    plan("1000", "0.2", "0.7", &[]).with(2, &["corrupt must be in [0, 0.5)"]);
    plan("1000", "0.2", "0.1", &["--secrecy-bits", "20"]).with(2, &["secrecy_bits in 40..=256"]);
    plan("1000", "many", "0.1", &[]).with(2, &["--dropout"]);
}
