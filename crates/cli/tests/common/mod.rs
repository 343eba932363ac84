//! Runs the built command.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chorus_authority::{Invited, certificate};
use chorus_coordinator::Directory;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::Value;

/// What a command said, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Everything went well.
    #[track_caller]
    pub fn well(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// It ended with this code, and one sentence that has all these words.
    #[track_caller]
    pub fn with(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` in {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

fn command(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chorus"));
    for variable in [
        "CHORUS_LOG",
        "CHORUS_CLIENT_HOME",
        "CHORUS_CLIENT_SETTINGS",
        "CHORUS_CATALOGUE",
        "CHORUS_PASSPHRASE",
        "CHORUS_COORDINATOR_HOME",
        "CHORUS_AUTHORITY_HOME",
        "CHORUS_WITNESS_HOME",
    ] {
        command.env_remove(variable);
    }
    command
        .args(flags)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the command in a folder to its end.
pub fn chorus(folder: &Path, flags: &[&str]) -> Said {
    said(&mut command(folder, flags))
}

/// `chorus client --home me ...`.
pub fn me(folder: &Path, flags: &[&str]) -> Said {
    chorus(folder, &[&["client", "--home", "me"], flags].concat())
}

/// What that says as JSON.
#[track_caller]
pub fn told(folder: &Path, flags: &[&str]) -> Value {
    let out = me(folder, flags).well();
    let value = serde_json::from_str(&out).map_err(|error| format!("{error}: {out}"));
    value.unwrap()
}

/// The same with variables in its environment.
pub fn chorus_with(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Said {
    said(command(folder, flags).envs(variables.iter().copied()))
}

fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// A command that runs until it is told to end. It does not outlive its test.
pub struct Service {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Service {
    /// Starts a service and waits until it says where it listens.
    pub fn listening(folder: &Path, flags: &[&str]) -> Self {
        let mut service = Self::saying(folder, flags);
        let (_, port) = service
            .address
            .trim()
            .rsplit_once(':')
            .expect("a line with a port");
        service.address = format!("localhost:{port}");
        service
    }

    /// Starts a service and waits for its first line, which is kept as its address.
    pub fn saying(folder: &Path, flags: &[&str]) -> Self {
        let mut service = Self::start(folder, flags);
        let output = service.child.stdout.take().unwrap();
        BufReader::new(output)
            .read_line(&mut service.address)
            .unwrap();
        service
    }

    pub fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut command = command(folder, flags);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        Self {
            child,
            address: String::new(),
        }
    }

    /// Sends a signal and gives the exit code.
    pub fn end(mut self, signal: rustix::process::Signal) -> Option<i32> {
        let id = i32::try_from(self.child.id()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, signal).unwrap();
        self.wait(Duration::from_secs(15))
    }

    /// The exit code, if the command ends in time.
    pub fn wait(&mut self, patience: Duration) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ended already, or past saving.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder `coordinator` that has a key, which is all that operators' commands need.
pub fn coordinator(folder: &Path) {
    let home = folder.join("coordinator");
    fs::create_dir_all(&home).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    Directory::new(home).identity_or_new(&mut rng).unwrap();
}

/// An invitation for a client that was made so many seconds ago and holds for an hour.
pub fn invitation(folder: &Path, age: i64) -> String {
    let place = folder.join("authority");
    certificate(&place).expect("there is an authority");
    let now = chorus_wire::Clock::system().now() - age;
    let mut rng = ChaCha20Rng::seed_from_u64(age.unsigned_abs());
    let hour = Duration::from_secs(3_600);
    chorus_authority::invite(&place, &Invited::Client, hour, 1, now, &mut rng)
        .unwrap()
        .remove(0)
        .to_string()
}

/// A tiny data set in the NCF layout: people like every second or every third item.
pub fn data(folder: &Path, users: usize, items: usize) {
    let (mut train, mut test, mut negative) = (String::new(), String::new(), String::new());
    for user in 0..users {
        let step = 2 + user % 2;
        let liked: Vec<usize> = (user % step..items).step_by(step).collect();
        let (held, history) = liked.split_last().unwrap();
        for item in history {
            train += &format!("{user}\t{item}\t5\t0\n");
        }
        test += &format!("{user}\t{held}\t5\t0\n");
        negative += &format!("({user},{held})");
        for item in (0..items).filter(|item| !liked.contains(item)).take(9) {
            negative += &format!("\t{item}");
        }
        negative += "\n";
    }
    fs::create_dir_all(folder).unwrap();
    for (ending, text) in [
        ("train.rating", train),
        ("test.rating", test),
        ("test.negative", negative),
    ] {
        fs::write(folder.join(format!("tiny.{ending}")), text).unwrap();
    }
}
