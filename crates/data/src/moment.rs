//! Times in data sets: milliseconds since 1970-01-01 UTC, however the file writes them.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// Numbers from here on are taken as milliseconds: as seconds they would be past the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;
/// One past the largest time that is read, in milliseconds: past the year 9999, times cannot be shown.
const LATEST: u64 = 253_402_300_800_000;

/// Seconds since 1970 (milliseconds, when the number is as large as those are today), `2000-12-31`,
/// `2000-12-31 23:59:59` (taken as UTC), or RFC 3339.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return whole(number);
    }
    if let Ok(number) = text.parse::<f64>() {
        return real(number);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| {
            PrimitiveDateTime::parse(
                text,
                format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"),
            )
            .ok()
            .map(PrimitiveDateTime::assume_utc)
        })
        .or_else(|| {
            PrimitiveDateTime::parse(
                text,
                format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"),
            )
            .ok()
            .map(PrimitiveDateTime::assume_utc)
        })
        .or_else(|| {
            Date::parse(text, format_description!("[year]-[month]-[day]"))
                .ok()
                .map(|date| date.midnight().assume_utc())
        })?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000)
        .ok()
        .and_then(bounded)
}

/// A number of seconds, or of milliseconds.
pub(crate) fn whole(number: i64) -> Option<i64> {
    if (number.unsigned_abs() as f64) < MILLISECONDS_FROM {
        return bounded(number * 1_000);
    }
    bounded(number)
}

/// The same with a fraction; nothing for what is no number.
pub(crate) fn real(number: f64) -> Option<i64> {
    if !number.is_finite() {
        return None;
    }
    let milliseconds = match number.abs() < MILLISECONDS_FROM {
        true => number * 1_000.0,
        false => number,
    };
    bounded(milliseconds.round() as i64)
}

/// A time that can be shown.
pub(crate) fn bounded(milliseconds: i64) -> Option<i64> {
    (milliseconds.unsigned_abs() < LATEST).then_some(milliseconds)
}

/// `2000-12-31T23:59:59Z`, without the fraction.
pub(crate) fn date(milliseconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(milliseconds.div_euclid(1_000)).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{milliseconds} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_however_they_are_written() {
        let at = Some(978_307_199_000);
        for text in [
            "978307199",
            "978307199000",
            "978307199.0",
            "2000-12-31T23:59:59Z",
            "2001-01-01T00:59:59+01:00",
            "2000-12-31 23:59:59",
            "2000-12-31T23:59:59",
        ] {
            assert_eq!(parse(text), at, "{text}");
        }
        assert_eq!(parse("2001-01-01"), Some(978_307_200_000));
        assert_eq!(parse("-1"), Some(-1_000));
        for text in [
            "",
            "NaN",
            "inf",
            "-inf",
            "soon",
            "-9223372036854775808",
            "2001-13-01",
            "9e99",
            "99999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(date(978_307_199_999), "2000-12-31T23:59:59Z");
        assert_eq!(date(-1), "1969-12-31T23:59:59Z");
    }
}
