//! `chorus bench`: that it measures, not how fast this machine is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{chorus, data};
use serde_json::Value;

/// Two rounds over people that are made up, each engine in a process of its own.
#[test]
fn the_simulator_is_measured_engine_by_engine() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    data(&folder.join("data"), 60, 40);
    let bench = [
        "bench",
        "simulate",
        "--data",
        "data",
        "--clients",
        "20",
        "--rounds",
        "2",
    ];
    let said = chorus(
        folder,
        &[&bench[..], &["--engine", "rust", "--json"]].concat(),
    )
    .well();
    let figures: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&figures["workload"], &figures["clients"]),
        (&"w1".into(), &20.into())
    );
    let engine = &figures["engines"][0];
    assert_eq!(engine["engine"], "rust");
    for key in [
        "client_updates_per_second",
        "client_updates_per_cpu_second",
        "first_round_seconds",
        "peak_rss_bytes",
    ] {
        let value = engine[key].as_f64();
        assert!(value.is_some_and(|value| value > 0.0), "{key}: {engine}");
    }
    chorus(folder, &[&bench[..4], &["--clients", "61"]].concat())
        .with(2, &["--clients", "60 users"]);
    chorus(folder, &[&bench[..4], &["--engine", "rist"]].concat()).with(2, &["--engine"]);
}

/// A federation of ten clients, each a process of its own.
#[test]
fn what_a_client_takes_of_its_device_is_measured_on_real_clients() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    data(&folder.join("data"), 12, 40);
    let bench = ["bench", "client", "--data", "data"];
    let flags = ["--clients", "10", "--noise", "off", "--factors", "4"];
    let rounds = ["--rounds", "1", "--head", "0", "--json"];
    let said = chorus(folder, &[&bench[..], &flags, &rounds].concat()).well();
    let figures: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(figures["clients"], 10);
    // A sum of the histories, and a gradient.
    assert_eq!(figures["rounds"], 2);
    let number = |key: &str| figures[key].as_u64().unwrap();
    assert!(number("upload_bytes") >= 40 * 4 * 4, "{figures}");
    assert!(number("median_peak_rss_bytes") <= number("peak_rss_bytes"));
    assert!(number("median_peak_rss_bytes") > 1 << 20, "{figures}");
    chorus(folder, &[&bench[..], &["--clients", "13"]].concat())
        .with(2, &["--clients", "12 users"]);
}
