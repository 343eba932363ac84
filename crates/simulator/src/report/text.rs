//! How the report writes numbers and text.

/// `text` with the five characters that mean something in HTML written out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// `12,400`
pub(super) fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `243 kB`, with a space that does not break.
pub(super) fn bytes(value: u64) -> String {
    let value = value as f64;
    if value < 1e3 {
        format!("{value:.0}\u{a0}B")
    } else if value < 9.95e3 {
        format!("{:.1}\u{a0}kB", value / 1e3)
    } else if value < 999.5e3 {
        format!("{:.0}\u{a0}kB", value / 1e3)
    } else {
        format!("{:.1}\u{a0}MB", value / 1e6)
    }
}

/// `3.2 s`, `2 min 5 s`
pub(super) fn seconds(value: f64) -> String {
    if value < 0.995 {
        format!("{value:.2}\u{a0}s")
    } else if value < 119.95 {
        format!("{value:.1}\u{a0}s")
    } else {
        let whole = value.round() as u64;
        format!("{}\u{a0}min {}\u{a0}s", whole / 60, whole % 60)
    }
}

/// A ranking figure in a sentence or a chart: `0.584`.
pub(super) fn score(value: f64) -> String {
    format!("{value:.3}")
}

/// A ranking figure in a table: `0.5843`.
pub(super) fn score4(value: f64) -> String {
    format!("{value:.4}")
}

/// Epsilon to two decimals, rounded up: the report never claims more than was proven.
pub(super) fn epsilon(value: f64) -> String {
    // The small share keeps a value such as 8.000000000000002 from becoming 8.01.
    format!("{:.2}", (value * 100.0 * (1.0 - 1e-12)).ceil() / 100.0)
}

/// `ε = 7.98 (δ = 1e-5)`
pub(super) fn budget(spent: f64, delta: Option<f64>) -> String {
    let delta = delta.map_or(String::new(), |delta| format!(" (δ\u{a0}=\u{a0}{delta:e})"));
    format!("ε\u{a0}=\u{a0}{}{delta}", epsilon(spent))
}

/// A round number without needless digits: `0.25`, `40`.
pub(super) fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `51.2 %`
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// A coordinate in a drawing, short.
pub(super) fn place(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Where to put axis ticks: from 0 to at least `largest` in about `ticks` round steps.
pub(super) fn ticks(largest: f64, ticks: usize) -> Vec<f64> {
    if !(largest.is_finite() && largest > 0.0) {
        return vec![0.0, 1.0];
    }
    let rough = largest / ticks.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    let steps = (largest / step - 1e-9).ceil().max(1.0) as usize;
    (0..=steps).map(|tick| tick as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_the_style_page_says() {
        assert_eq!(count(12_400), "12,400");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(bytes(243_112), "243\u{a0}kB");
        assert_eq!(bytes(1_240_000), "1.2\u{a0}MB");
        assert_eq!(bytes(999_900), "1.0\u{a0}MB");
        assert_eq!(bytes(12), "12\u{a0}B");
        assert_eq!(bytes(1_790), "1.8\u{a0}kB");
        assert_eq!(seconds(3.24), "3.2\u{a0}s");
        assert_eq!(seconds(125.2), "2\u{a0}min 5\u{a0}s");
        assert_eq!(
            budget(7.98, Some(1e-5)),
            "ε\u{a0}=\u{a0}7.98 (δ\u{a0}=\u{a0}1e-5)"
        );
        assert_eq!(epsilon(7.991), "8.00");
        assert_eq!(epsilon(8.000000000000002), "8.00");
        assert_eq!(place(3.0), "3");
        assert_eq!(place(3.16), "3.2");
    }

    #[test]
    fn ticks_cover_the_largest_value_in_round_steps() {
        assert_eq!(ticks(94.0, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(ticks(0.0, 4), [0.0, 1.0]);
        assert_eq!(ticks(f64::NAN, 4), [0.0, 1.0]);
        for largest in [1e-9, 0.31, 7.9, 1234.0, 5e12] {
            let ticks = ticks(largest, 5);
            assert!(ticks.last().unwrap() >= &(largest * (1.0 - 1e-6)));
            assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn markup_in_text_is_only_text() {
        assert_eq!(
            escape(r#"<b onclick="x('&')">"#),
            "&lt;b onclick=&quot;x(&#39;&amp;&#39;)&quot;&gt;"
        );
    }
}
