//! `chorus dp plan`: what it prints, and when it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Said, chorus};
use serde_json::Value;

fn plan(more: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let mut flags = vec!["dp", "plan", "--corrupt", "0.1"];
    if !more.contains("--length") {
        flags.extend(["--length", "118592"]);
    }
    flags.extend(more.split_whitespace());
    chorus(folder.path(), &flags)
}

fn figures(more: &str) -> Value {
    serde_json::from_str(&plan(&format!("{more} --json")).well()).unwrap()
}

#[test]
fn the_default_of_the_product() {
    let found = figures("--clients 1000 --dropout 0.3 --noise-multiplier 1");
    for (key, value) in [
        ("survivors_min", 700),
        ("noise_min", 600),
        ("words", 118_592),
        ("modulus", 1_u64 << 32),
        ("upload_bytes", 474_400),
    ] {
        assert_eq!(found[key], value, "{key}");
    }
    let number = |key: &str| found[key].as_f64().unwrap();
    assert_eq!(number("scale"), 65_536.0);
    assert!((number("local_sigma") - 65_536.0 / 600f64.sqrt()).abs() < 0.1);
    assert!(number("z_eff") >= 1.0 && number("z_eff") < 1.0001);
    assert!((number("epsilon") - 4.7285).abs() < 1e-3);
    // Everyone is there: 1000 shares where 600 would do.
    assert!((number("variance_over_central") - 1000.0 / 600.0).abs() < 1e-3);
    assert_eq!(number("wrap_probability"), 0.0);
    let words = plan("--clients 1000 --dropout 0.3 --noise-multiplier 1").well();
    for part in [
        "survivors   700",
        "multiplier 1.0000 asked for",
        "modulo 2^32",
        "times the variance",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
}

#[test]
fn epsilon_rotation_skellam_and_cohorts() {
    let found = figures("--clients 1000 --dropout 0.1 --epsilon 8 --steps 5 --bits 16 --rotation");
    let number = |found: &Value, key: &str| found[key].as_f64().unwrap();
    assert!(number(&found, "epsilon") <= 8.0 && number(&found, "epsilon") > 7.9);
    assert_eq!(found["words"], 131_072);
    assert!(number(&found, "wrap_probability") <= 3.1e-8);
    assert!(number(&found, "z_eff") >= number(&found, "noise_multiplier"));
    let skellam = figures("--clients 1000 --dropout 0.1 --noise-multiplier 1 --mechanism skellam");
    let gaussian = figures("--clients 1000 --dropout 0.1 --noise-multiplier 1");
    let more = number(&skellam, "epsilon") / number(&gaussian, "epsilon");
    assert!((1.0..1.01).contains(&more), "{more}");
    let split = figures("--clients 4000 --dropout 0.1 --noise-multiplier 1 --cohorts 4");
    assert_eq!(
        (&split["cohort_clients"], number(&split, "split_variance")),
        (&Value::from(1000), 4.0)
    );
    let words = plan("--clients 4000 --dropout 0.1 --noise-multiplier 1 --cohorts 4").well();
    assert!(words.contains("4 times the variance"), "{words}");
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    plan("--clients 1000 --length 1000 --dropout 0.1 --noise-multiplier 1 --bits 16").with(
        5,
        &["deviation", "at least 4", "There is a plan with `--bits"],
    );
    plan("--clients 40000 --dropout 0.1 --noise-multiplier 1 --bits 16")
        .with(5, &["wraps around 2^16", "There is a plan with `--bits"]);
    plan("--clients 10 --dropout 0.5 --corrupt 0.5 --noise-multiplier 1").with(2, &["--corrupt"]);
    plan("--clients 1000 --dropout 1.5 --noise-multiplier 1").with(2, &["--dropout"]);
    plan("--clients 1000 --dropout 0.9 --noise-multiplier 1").with(5, &["honest is 0"]);
    plan("--clients 1000 --dropout 0.1 --noise-multiplier 0").with(2, &["--noise-multiplier"]);
    plan("--clients 1000 --dropout 0.1 --noise-multiplier 1 --bits 17").with(2, &["bits is 17"]);
    plan("--clients 3 --dropout 0.1 --noise-multiplier 1 --cohorts 9").with(5, &["cohorts is 9"]);
    plan("--clients 1000 --dropout 0.1").with(2, &["--noise-multiplier"]);
}
