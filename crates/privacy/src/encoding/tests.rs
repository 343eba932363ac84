use super::*;

#[test]
fn the_usual_grids() {
    let noisy = Encoding::for_sum(0.3, 1000, 1000, 2.0, 32).unwrap();
    assert_eq!(noisy.scale(), 65536.0 / 0.3);
    assert!(noisy.sensitivity() / 65536.0 < 1.0 + 1e-5);
    // 32,000 clients are the documented limit of 2^16 steps; above, the grid gets coarser instead of wrapping.
    assert_eq!(
        Encoding::for_sum(1.0, 10, 32_000, 1.0, 32).unwrap().scale(),
        65536.0
    );
    assert_eq!(
        Encoding::for_sum(1.0, 10, 40_000, 1.0, 32).unwrap().scale(),
        32768.0
    );
    let quiet = Encoding::for_sum(1.0, 1000, 1000, 0.0, 32).unwrap();
    assert_eq!(quiet.scale(), 2_097_152.0);
    assert!(quiet.cannot_wrap(1000, 0.0));
    assert!(
        !Encoding::new(1.0, 2.0 * quiet.scale(), 1000, 32)
            .unwrap()
            .cannot_wrap(1000, 0.0)
    );
    assert_eq!(
        Encoding::for_sum(1e-3, 10, 2, 0.0, 32)
            .unwrap()
            .scale()
            .log2()
            .fract(),
        0.0
    );
    assert_eq!(
        Encoding::for_sum(1.0, 10, 1 << 31, 1.0, 32),
        Err(PrivacyError::Wraps {
            clients: 1 << 31,
            bits: 32
        })
    );
}

#[test]
fn smaller_rings_have_coarser_grids() {
    // Without noise: 1000 (s c + 1) <= 2^(bits - 1) - 1, s a power of two.
    for (bits, scale) in [(16, 16.0), (20, 512.0), (24, 8192.0), (32, 2_097_152.0)] {
        let quiet = Encoding::for_sum(1.0, 1000, 1000, 0.0, bits).unwrap();
        assert_eq!((quiet.bits(), quiet.scale()), (bits, scale));
        assert!(quiet.cannot_wrap(1000, 0.0));
        let finer = Encoding::new(1.0, 2.0 * scale, 1000, bits).unwrap();
        assert!(!finer.cannot_wrap(1000, 0.0));
        // The widest sum that cannot wrap is given back, its neighbour has the other sign.
        let largest = (1_u32 << (bits - 1)) - 1;
        let found = decode(&[largest, largest + 1], &quiet);
        assert!(found[0] > 0.0 && found[1] < 0.0);
    }
    assert_eq!(
        Encoding::for_sum(1.0, 10, 40_000, 0.0, 16),
        Err(PrivacyError::Wraps {
            clients: 40_000,
            bits: 16
        })
    );
}

#[test]
fn the_readme_prints_the_computed_grids() {
    let readme = include_str!("../../README.md");
    for bits in [16, 20, 24, 32] {
        let steps = [100, 1000, 10_000].map(|clients| {
            let quiet = Encoding::for_sum(1.0, 1, clients, 0.0, bits).unwrap();
            quiet.scale().to_string()
        });
        let row = format!("| {bits} | {} |", steps.join(" | "));
        assert!(readme.replace(',', "").contains(&row), "{row}");
    }
}

/// The README's figures for a million coordinates, 1,000 clients and noise of about 1.1 clip norms.
#[test]
fn what_small_rings_cost_with_noise() {
    let grid = |bits| Encoding::for_sum(1.0, 1_000_000, 1000, 1.1, bits).unwrap();
    let inflation = |encoding: Encoding| encoding.sensitivity() / encoding.scale();
    assert_eq!((grid(24).scale(), grid(20).scale()), (8192.0, 512.0));
    assert!((inflation(grid(24)) - 1.002).abs() < 5e-4);
    assert!((inflation(grid(20)) - 1.4).abs() < 0.05);
    assert!(inflation(grid(32)) < 1.0001);
    let plan = crate::survivors(1000, 0.3, 0.1).unwrap();
    let few = Encoding::for_sum(1.0, 10, 1000, 1.1, 16).unwrap();
    assert!(matches!(
        crate::LocalNoise::share(1.1, &few, &plan),
        Err(PrivacyError::NoiseTooNarrow(_))
    ));
}

#[test]
fn impossible_grids_are_refused() {
    for clip in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            Encoding::new(clip, 1.0, 1, 32),
            Err(PrivacyError::Clip(_))
        ));
        assert!(matches!(
            Encoding::for_sum(clip, 1, 1, 1.0, 32),
            Err(PrivacyError::Clip(_))
        ));
    }
    for bits in [0, 1, 8, 12, 17, 31, 33, 64, u32::MAX] {
        assert_eq!(
            Encoding::new(1.0, 1.0, 1, bits),
            Err(PrivacyError::Bits(bits))
        );
        assert_eq!(
            Encoding::for_sum(1.0, 1, 1, 1.0, bits),
            Err(PrivacyError::Bits(bits))
        );
    }
    for bits in [16, 20, 24, 32] {
        let most = 2f64.powi(bits as i32 - 2);
        assert!(Encoding::new(0.5, 2.0 * most, 1, bits).is_ok());
        assert!(Encoding::new(0.5, 2.1 * most, 1, bits).is_err());
    }
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 2f64.powi(31)] {
        assert!(matches!(
            Encoding::new(1.0, scale, 1, 32),
            Err(PrivacyError::Scale { .. })
        ));
    }
    assert_eq!(Encoding::new(1.0, 1.0, 0, 32), Err(PrivacyError::Length(0)));
    assert!(Encoding::for_sum(1.0, 1, 1, f64::NAN, 32).is_err());
}

#[test]
fn reading_checks_as_much_as_making() {
    let encoding = Encoding::new(0.5, 1024.0, 7, 32).unwrap();
    let text = serde_json::to_string(&encoding).unwrap();
    assert_eq!(serde_json::from_str::<Encoding>(&text).unwrap(), encoding);
    assert!(text.contains(r#""bits":32"#), "{text}");
    for (text, reason) in [
        (
            r#"{"clip":-1.0,"scale":1.0,"length":7,"bits":32}"#,
            "clip is -1",
        ),
        (
            r#"{"clip":1.0,"scale":1.0,"length":7,"bits":17}"#,
            "bits is 17",
        ),
        (
            r#"{"clip":1.0,"scale":1.0,"length":7,"bits":-16}"#,
            "invalid value",
        ),
        (
            r#"{"clip":1.0,"scale":1.0,"length":7}"#,
            "missing field `bits`",
        ),
    ] {
        let refused = serde_json::from_str::<Encoding>(text).unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn decoding_takes_the_centred_representative() {
    let encoding = Encoding::new(1.0, 4.0, 4, 32).unwrap();
    assert_eq!(
        decode(&[1, u32::MAX, 1 << 31, (1 << 31) - 1], &encoding),
        [0.25, -0.25, -536_870_912.0, 536_870_911.75]
    );
    let small = Encoding::new(1.0, 1.0, 5, 20).unwrap();
    assert_eq!(
        decode(&[0, 0x7_ffff, 0x8_0000, 0xf_ffff, 0xabc0_0001], &small),
        [0.0, 524_287.0, -524_288.0, -1.0, 1.0]
    );
}
