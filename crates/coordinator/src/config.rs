//! What an operator decides about the service: `RawConfig` is what was written, [`Config`] what is valid.

use std::path::PathBuf;
use std::time::Duration;

use chorus_protocol::Timing;
use chorus_wire::client::Target;
use chorus_wire::limits::LONG_POLL;
use serde::Deserialize;
use thiserror::Error;

use crate::toml_words;

/// The configuration as it is written, in a file or as flags. Every part may be missing; unknown keys are refused.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Address to listen on, `HOST:PORT`; default `127.0.0.1:7443`.
    pub listen: Option<String>,
    /// Directory of the key, the certificates and the store; default `coordinator`.
    pub directory: Option<PathBuf>,
    /// True when one party runs the enrolment authority too; default true, the weaker claim.
    pub one_party: Option<bool>,
    /// How many old versions of a model keep their content; default 0: all.
    pub keep_versions: Option<u64>,
    /// The enrolment authority.
    pub authority: RawAuthority,
    /// The witness; tasks with `consistency = "witness"` need one.
    pub witness: RawWitness,
    /// How long things wait.
    pub timing: RawTiming,
    /// How much is held.
    pub limits: RawLimits,
}

/// Where the enrolment authority is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAuthority {
    /// Its address, `HOST:PORT`; default `127.0.0.1:7444`.
    pub address: Option<String>,
    /// Seconds between two looks at its list of revoked certificates; default 30.
    pub poll_seconds: Option<f64>,
}

/// Where the witness is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWitness {
    /// Its address, `HOST:PORT`; none by default.
    pub address: Option<String>,
}

/// How long things wait, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTiming {
    /// A phase of a round never lasts longer; default 120.
    pub phase_seconds: Option<f64>,
    /// Once enough clients answered, a phase ends after so long a silence; default 5.
    pub quiet_seconds: Option<f64>,
    /// After this time a round starts with enough clients instead of all; default 60.
    pub gather_seconds: Option<f64>,
    /// A waiting call is answered after this time at the latest; default 20, at most 25.
    pub long_poll_seconds: Option<f64>,
}

/// How much is held.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Most clients that wait for one task; default 100000.
    pub waiting: Option<usize>,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The TOML cannot be read, or has an unknown key.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
    /// A value is out of range.
    #[error("configuration: `{field}` is {found}; {expected}")]
    Value {
        /// The key.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    listen: String,
    directory: PathBuf,
    one_party: bool,
    keep_versions: u64,
    authority: Target,
    witness: Option<Target>,
    poll: Duration,
    timing: Timing,
    gather: Duration,
    long_poll: Duration,
    waiting: usize,
}

impl RawConfig {
    /// Reads TOML.
    ///
    /// # Errors
    /// With the line, and for an unknown key the nearest known one.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Unreadable(toml_words::explain(text, &error)))
    }

    /// This configuration, and `under` where it says nothing: flags over a file.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            listen: self.listen.or(under.listen),
            directory: self.directory.or(under.directory),
            one_party: self.one_party.or(under.one_party),
            keep_versions: self.keep_versions.or(under.keep_versions),
            authority: RawAuthority {
                address: self.authority.address.or(under.authority.address),
                poll_seconds: self.authority.poll_seconds.or(under.authority.poll_seconds),
            },
            witness: RawWitness {
                address: self.witness.address.or(under.witness.address),
            },
            timing: RawTiming {
                phase_seconds: self.timing.phase_seconds.or(under.timing.phase_seconds),
                quiet_seconds: self.timing.quiet_seconds.or(under.timing.quiet_seconds),
                gather_seconds: self.timing.gather_seconds.or(under.timing.gather_seconds),
                long_poll_seconds: self
                    .timing
                    .long_poll_seconds
                    .or(under.timing.long_poll_seconds),
            },
            limits: RawLimits {
                waiting: self.limits.waiting.or(under.limits.waiting),
            },
        }
    }
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let timing = Timing {
            phase: millis(
                "timing.phase_seconds",
                raw.timing.phase_seconds.unwrap_or(120.0),
            )?,
            quiet: millis(
                "timing.quiet_seconds",
                raw.timing.quiet_seconds.unwrap_or(5.0),
            )?,
        };
        let long_poll = raw.timing.long_poll_seconds.unwrap_or(20.0);
        if !(0.05..=LONG_POLL.as_secs_f64()).contains(&long_poll) {
            return Err(value(
                "timing.long_poll_seconds",
                long_poll,
                "between 0.05 and 25 is possible",
            ));
        }
        let waiting = raw.limits.waiting.unwrap_or(100_000);
        if waiting < 10 {
            return Err(value(
                "limits.waiting",
                waiting,
                "at least 10 clients must be able to wait",
            ));
        }
        let gather = raw.timing.gather_seconds.unwrap_or(60.0);
        let poll = raw.authority.poll_seconds.unwrap_or(30.0);
        Ok(Self {
            listen: address("listen", raw.listen, "127.0.0.1:7443")?,
            directory: raw
                .directory
                .unwrap_or_else(|| PathBuf::from("coordinator")),
            one_party: raw.one_party.unwrap_or(true),
            keep_versions: raw.keep_versions.unwrap_or(0),
            authority: target("authority.address", raw.authority.address, "127.0.0.1:7444")?,
            witness: match raw.witness.address {
                Some(address) => Some(target("witness.address", Some(address), "")?),
                None => None,
            },
            poll: Duration::from_millis(millis("authority.poll_seconds", poll)?),
            timing,
            gather: Duration::from_millis(millis("timing.gather_seconds", gather)?),
            long_poll: Duration::from_secs_f64(long_poll),
            waiting,
        })
    }
}

impl Config {
    /// Reads TOML and checks it.
    ///
    /// # Errors
    /// As [`RawConfig::from_toml`], and for a value out of range.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        RawConfig::from_toml(text)?.try_into()
    }

    /// Address to listen on, `HOST:PORT`.
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// Directory of the key, the certificates and the store.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// True when one party runs the enrolment authority too.
    pub fn one_party(&self) -> bool {
        self.one_party
    }

    /// How many old versions of a model keep their content; 0: all.
    pub fn keep_versions(&self) -> u64 {
        self.keep_versions
    }

    /// Where the enrolment authority is.
    pub fn authority(&self) -> &Target {
        &self.authority
    }

    /// Where the witness is, if there is one.
    pub fn witness(&self) -> Option<&Target> {
        self.witness.as_ref()
    }

    /// Between two looks at the authority's list of revoked certificates.
    pub fn poll(&self) -> Duration {
        self.poll
    }

    /// How long the phases of a round wait.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// After this time a round starts with enough clients instead of all.
    pub fn gather(&self) -> Duration {
        self.gather
    }

    /// A waiting call is answered after this time at the latest.
    pub fn long_poll(&self) -> Duration {
        self.long_poll
    }

    /// Most clients that wait for one task.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

fn value(field: &'static str, found: impl ToString, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        field,
        found: found.to_string(),
        expected,
    }
}

fn millis(field: &'static str, seconds: f64) -> Result<u64, ConfigError> {
    if (0.01..=86_400.0).contains(&seconds) {
        Ok((seconds * 1_000.0).round() as u64)
    } else {
        Err(value(
            field,
            seconds,
            "between 0.01 and 86400 seconds is possible",
        ))
    }
}

fn address(
    field: &'static str,
    found: Option<String>,
    default: &str,
) -> Result<String, ConfigError> {
    let address = found.unwrap_or_else(|| default.to_owned());
    let port = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(address),
        _ => Err(value(
            field,
            format!("`{address}`"),
            "it must be HOST:PORT, such as 127.0.0.1:7443",
        )),
    }
}

fn target(
    field: &'static str,
    found: Option<String>,
    default: &str,
) -> Result<Target, ConfigError> {
    let address = address(field, found, default)?;
    Target::new(&address).map_err(|_| {
        value(
            field,
            format!("`{address}`"),
            "its host must be a name or an IP address",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str) -> String {
        Config::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_written_gives_the_defaults() {
        let config = Config::from_toml("").unwrap();
        assert_eq!(config.listen(), "127.0.0.1:7443");
        assert_eq!(
            config.timing(),
            Timing {
                phase: 120_000,
                quiet: 5_000
            }
        );
        assert_eq!(config.long_poll(), Duration::from_secs(20));
    }

    #[test]
    fn unknown_keys_name_the_line_and_the_nearest_one() {
        let found = sentence("listen = \"127.0.0.1:1\"\n\n[timing]\nquite_seconds = 3\n");
        assert!(found.contains("line 4"), "{found}");
        assert!(found.contains("did you mean `quiet_seconds`?"), "{found}");
        assert!(!sentence("zebra = 1").contains("did you mean"));
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (text, part) in [
            (
                "listen = \"localhost\"",
                "`listen` is `localhost`; it must be HOST:PORT",
            ),
            (
                "[timing]\nlong_poll_seconds = 26",
                "`timing.long_poll_seconds` is 26; between 0.05 and 25",
            ),
            ("[timing]\nphase_seconds = 0", "`timing.phase_seconds` is 0"),
            (
                "[timing]\nphase_seconds = nan",
                "`timing.phase_seconds` is NaN",
            ),
            ("[limits]\nwaiting = 3", "`limits.waiting` is 3"),
            ("[authority]\npoll_seconds = \"often\"", "line 2"),
        ] {
            let found = sentence(text);
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn flags_go_over_the_file() {
        let flags = RawConfig {
            listen: Some("[::1]:9".to_owned()),
            ..RawConfig::default()
        };
        let file = RawConfig::from_toml("listen = \"a:1\"\none_party = true").unwrap();
        let config = Config::try_from(flags.over(file)).unwrap();
        assert_eq!((config.listen(), config.one_party()), ("[::1]:9", true));
    }
}
