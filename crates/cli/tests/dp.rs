//! `chorus dp`: what it prints, and when it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{Said, chorus};
use serde_json::Value;

fn dp(flags: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec!["dp"];
    all.extend(flags.split_whitespace());
    chorus(folder.path(), &all)
}

fn figures(flags: &str) -> Value {
    serde_json::from_str(&dp(&format!("{flags} --json")).well()).unwrap()
}

fn near(figures: &Value, key: &str, expected: f64) {
    let found = figures[key].as_f64().unwrap_or(f64::NAN);
    assert!(
        (found - expected).abs() < 1e-3 * expected,
        "{key}: {found} for {expected}"
    );
}

#[test]
fn every_mechanism_has_an_answer() {
    let gaussian = figures("epsilon --mechanism gaussian --noise-multiplier 1 --delta 1e-5");
    near(&gaussian, "epsilon", 4.377_178_1);
    assert_eq!(gaussian["accountant"], "exact");
    assert_eq!(gaussian["lower_bound"], gaussian["epsilon"]);
    for key in [
        "epsilon",
        "delta",
        "noise_multiplier",
        "accountant",
        "lower_bound",
    ] {
        assert!(gaussian.get(key).is_some(), "{key}");
    }

    let sampled = "epsilon --mechanism gaussian --noise-multiplier 1 --sampling-rate 0.1 --steps 10 --delta 1e-5";
    let best = figures(sampled);
    near(&best, "epsilon", 2.8545);
    assert_eq!(best["accountant"], "pld");
    assert!(best["lower_bound"].as_f64() <= best["epsilon"].as_f64());
    let renyi = figures(&format!("{sampled} --accountant rdp"));
    near(&renyi, "epsilon", 3.441_642_764);
    assert!(dp(sampled).well().contains("do not know who was sampled"));

    // For integers the promise is the Renyi bound; the exact figure of continuous noise stands beside it as an estimate.
    for mechanism in ["discrete-gaussian", "skellam"] {
        let discrete = format!("epsilon --mechanism {mechanism} --noise-multiplier 1 --delta 1e-5");
        let found = figures(&discrete);
        assert_eq!(found["accountant"], "rdp");
        let epsilon = found["epsilon"].as_f64().unwrap();
        assert!(epsilon > 4.7 && epsilon < 4.76, "{epsilon}");
        near(&found, "estimate", 4.377_178_1);
        assert_eq!(found["lower_bound"], Value::Null);
        assert!(dp(&discrete).well().contains("not a promise"));
        dp(&format!("{discrete} --accountant exact")).with(5, &["no theorem", "best"]);
    }
    let integer = figures(
        "epsilon --mechanism discrete-gaussian --noise-multiplier 2 --shift 1 --delta 1e-5",
    );
    near(&integer, "epsilon", 2.011_339_8);
    assert_eq!(integer["accountant"], "exact");

    let tree = figures(
        "epsilon --mechanism tree --noise-multiplier 3 --steps 100000 --trees 2 --delta 1e-6",
    );
    near(&tree, "epsilon", 10.624_328_8);
    let matrix = figures(
        "epsilon --mechanism matrix --noise-multiplier 1 --steps 100 --min-separation 10 --bands 10 --delta 1e-5",
    );
    near(&matrix, "epsilon", 4.377_178_1);
    near(&matrix, "sensitivity", 4.232_427_13);
    near(&matrix, "largest_error", 12.798_394_1);
    let buffered = figures(
        "epsilon --mechanism matrix --noise-multiplier 1 --steps 100 --min-separation 10 --buffers 3 --delta 1e-5",
    );
    near(&buffered, "largest_error", 12.553_969_9);
}

#[test]
fn noise_for_a_promise() {
    let found = figures(
        "calibrate --epsilon 2 --mechanism gaussian --sampling-rate 0.008278145695364239 --steps 1000 --delta 1e-6",
    );
    near(&found, "noise_multiplier", 0.942_238);
    assert!(found["epsilon"].as_f64().unwrap() <= 2.0);
    let words =
        dp("calibrate --epsilon 8 --mechanism discrete-gaussian --steps 5 --delta 1e-6").well();
    assert!(words.contains("epsilon = 8 at delta = 1e-6"), "{words}");
}

#[test]
fn what_is_impossible_gets_a_sentence() {
    let asked = "epsilon --mechanism gaussian --noise-multiplier";
    for (flags, code, words) in [
        (format!("{asked} 0 --delta 1e-5"), 2, "--noise-multiplier"),
        (format!("{asked} 1 --delta 1"), 2, "--delta"),
        (
            format!("{asked} 1 --delta 1e-5 --sampling-rate 1.5"),
            2,
            "--sampling-rate",
        ),
        (format!("{asked} 1 --delta 1e-5 --steps 0"), 2, "--steps"),
        (
            format!("{asked} 1 --delta 1e-5 --sampling-rate 0.1 --steps 9 --accountant exact"),
            5,
            "no theorem",
        ),
        (
            "epsilon --mechanism tree --noise-multiplier 1 --delta 1e-5 --sampling-rate 0.5"
                .to_owned(),
            2,
            "continuous Gaussian noise only",
        ),
        (
            "epsilon --mechanism skellam --noise-multiplier 1 --delta 1e-5 --accountant pld"
                .to_owned(),
            5,
            "shift",
        ),
        (
            "calibrate --epsilon 0 --mechanism gaussian --delta 1e-5".to_owned(),
            2,
            "--epsilon",
        ),
        (
            "calibrate --epsilon 1e-9 --mechanism gaussian --steps 1000000000000 --delta 1e-300"
                .to_owned(),
            5,
            "too small",
        ),
    ] {
        dp(&flags).with(code, &[words]);
    }
    dp("epsilon --mechanism gaussian").with(2, &["--noise-multiplier", "--delta"]);
}

#[test]
fn a_file_of_questions() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |text: &str| {
        fs::write(folder.path().join("questions.csv"), text).unwrap();
        chorus(
            folder.path(),
            &["dp", "epsilon", "--batch", "questions.csv"],
        )
    };
    let header = "mechanism,noise_multiplier,sampling_rate,steps,delta,accountant";
    let rows = [
        "gaussian,1,1,1,1e-5,exact",
        "gaussian,1.0,0.1,10,1e-5,rdp",
        "gaussian,1.0,0.1,10,1e-5,best",
        "tree,1.0,1,1,1e-5,best",
        "discrete-gaussian,1,,1,1e-5,",
    ];
    let said = ask(&format!("{header}\r\n{}\r\n", rows.join("\r\n"))).well();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("{header},epsilon"));
    let expected = [4.377_178, 3.441_643, 2.854_53, 4.377_178, 4.728_5];
    assert_eq!(lines.len(), 1 + rows.len());
    for ((line, row), expected) in lines[1..].iter().zip(rows).zip(expected) {
        let epsilon = line.strip_prefix(&format!("{row},")).unwrap();
        let epsilon: f64 = epsilon.parse().unwrap();
        assert!(
            (epsilon / expected - 1.0).abs() < 1e-3,
            "{line} for {expected}"
        );
    }

    let bad = ask(&format!(
        "{header}\ngaussian,1,1,1,1e-5,exact\nlaplace,1,1,1,1e-5,best\ngaussian,0,1,1,1e-5,best\ngaussian,1,1\n"
    ));
    bad.with(
        3,
        &[
            "questions.csv, line 3: mechanism is `laplace`",
            "line 4: noise_multiplier is 0",
            "line 5: 3 cells",
        ],
    );
    ask("mechanism,steps\n").with(3, &["line 1", "noise_multiplier is missing"]);
    let missing = chorus(folder.path(), &["dp", "epsilon", "--batch", "none.csv"]);
    missing.with(3, &["cannot read none.csv"]);
}

#[test]
fn a_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "dp curve --mechanism gaussian --noise-multiplier 1,4 --steps 50 --delta 1e-5 --out curve.svg --json";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let points: Value = serde_json::from_str(&chorus(folder.path(), &flags).well()).unwrap();
    let points = points.as_array().unwrap();
    assert!(points.len() >= 20, "{}", points.len());
    assert!((points[0]["epsilon"].as_f64().unwrap() - 4.377_178).abs() < 1e-4);
    let drawing = fs::read_to_string(folder.path().join("curve.svg")).unwrap();
    assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>"));
    assert_eq!(drawing.matches("<polyline").count(), 2);
    for words in [
        "<title",
        "z = 4: ε",
        "δ = 1e-5",
        "rounds (logarithmic)",
        "prefers-color-scheme:dark",
    ] {
        assert!(drawing.contains(words), "{words}");
    }
    assert!(!drawing.contains("href"), "self-contained");
    let flags = "curve --mechanism gaussian --noise-multiplier 1,2,3,4,5,6,7 --delta 1e-5";
    dp(flags).with(2, &["more than 6 lines"]);
}
