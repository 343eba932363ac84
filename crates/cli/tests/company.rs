//! Several processes of `chorus simulate`, started by a launcher of MPI: `cargo test -p chorus-cli --features mpi --test company`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::data;

/// Each would do all of the work and write the same files.
#[cfg(not(feature = "mpi"))]
#[test]
fn without_mpi_several_processes_are_refused() {
    let room = tempfile::tempdir().unwrap();
    data(&room.path().join("data"), 24, 30);
    let run = [
        "simulate", "--data", "data", "--noise", "off", "--cohort", "0.5",
    ];
    let with = |size| common::chorus_with(room.path(), &run, &[("OMPI_COMM_WORLD_SIZE", size)]);
    with("2").with(4, &["built without MPI", "--features mpi"]);
    with("1").well();
}

#[cfg(feature = "mpi")]
mod launched {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process};
    use serde_json::Value;

    use super::common::{Said, chorus};
    use super::data;

    const BINARY: &str = env!("CARGO_BIN_EXE_chorus");
    const PATIENCE: Duration = Duration::from_secs(300);

    const SIMULATE: [&str; 9] = [
        "simulate",
        "--data",
        "data",
        "--noise",
        "off",
        "--cohort",
        "0.5",
        "--factors",
        "4",
    ];

    /// Time enough to end it.
    const LONG: [&str; 6] = ["--rounds", "300", "--measured", "0", "--threads", "1"];

    fn room() -> tempfile::TempDir {
        let room = tempfile::tempdir().unwrap();
        data(&room.path().join("data"), 24, 30);
        room
    }

    /// Processes of the command, as many as a machine has cores or more, whoever starts them.
    fn launcher(folder: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("mpirun");
        command
            .args(["--oversubscribe", "--bind-to", "none"])
            .args(words)
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs them to their end, which comes.
    fn ended(mut child: Child) -> Said {
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("they wait for each other");
            }
            std::thread::yield_now();
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    fn mpirun(folder: &Path, words: &[&str]) -> Said {
        ended(launcher(folder, words).spawn().unwrap())
    }

    fn several(folder: &Path, size: &str, flags: &[&str]) -> Said {
        mpirun(folder, &[&["-n", size, BINARY], flags].concat())
    }

    /// What a run folder holds of what came out, but for times and commands.
    fn outcome(folder: &Path) -> Value {
        let mut run: Value =
            serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap();
        let figures = run["figures"].as_object_mut().unwrap();
        figures.retain(|key, _| key != "wall_seconds" && key != "command");
        for row in run["rounds"].as_array_mut().unwrap() {
            row["seconds"] = Value::Null;
        }
        assert!(run["model"].is_string(), "{run}");
        serde_json::json!([run["model"], run["figures"], run["rounds"]])
    }

    /// Real data where there is some.
    fn real(room: &Path) -> String {
        let folder = std::env::var("CHORUS_DATA").unwrap_or_default();
        let found = Path::new(&folder).join("ml-100k");
        let used = if found.is_dir() {
            found
        } else {
            room.join("data")
        };
        used.display().to_string()
    }

    #[test]
    fn their_run_has_the_bits_of_one_process() {
        let room = room();
        let real = real(room.path());
        let base = [
            "simulate",
            "--factors",
            "4",
            "--rounds",
            "2",
            "--data",
            &real,
        ];
        let attack = [
            "--attack",
            "sign-flip",
            "--malicious",
            "0.1",
            "--stragglers",
            "0.1",
        ];
        let open = [&base[..], &["--noise", "off", "--cohort", "0.5"], &attack].concat();
        let noisy = [&base[..], &["--epsilon", "8", "--dropout", "0.1"]].concat();
        for (name, flags) in [
            ("off", open),
            ("distributed", noisy.clone()),
            ("at-once", [&noisy[..], &["--noise-at-once"]].concat()),
            ("central", [&noisy[..], &["--central-noise"]].concat()),
        ] {
            let folder = room.path().join(name);
            fs::create_dir(&folder).unwrap();
            let kept = |out| [&flags[..], &["--out", out]].concat();
            chorus(&folder, &kept("alone")).well();
            let alone = outcome(&folder.join("alone"));
            for size in ["1", "2", "3"] {
                let said = several(&folder, size, &kept(size));
                assert_eq!(said.out.matches("held-out item").count(), 1, "{said:?}");
                said.well();
                assert_eq!(
                    outcome(&folder.join(size)),
                    alone,
                    "{name}, {size} processes"
                );
            }
        }
    }

    /// More processes than clients of a round.
    #[test]
    fn who_has_nothing_to_learn_changes_nothing() {
        let room = room();
        let folder = room.path();
        let run = |out| {
            let more = [
                "--dropout",
                "0.3",
                "--rounds",
                "2",
                "--threads",
                "1",
                "--out",
                out,
            ];
            [&SIMULATE[..], &more].concat()
        };
        chorus(folder, &run("alone")).well();
        several(folder, "11", &run("many")).well();
        let alone = outcome(&folder.join("alone"));
        assert_eq!(outcome(&folder.join("many")), alone);
        assert_eq!(alone[2][2]["funnel"]["uploaded"], 9);
        let said = several(folder, "2", &["simulate", "--repeat", "many"]);
        assert!(said.err.contains("the same run: model"), "{said:?}");
        said.well();
    }

    #[test]
    fn what_fails_on_one_ends_all_with_one_sentence() {
        let room = room();
        let folder = room.path();
        data(&folder.join("other"), 24, 31);
        let with = |data| [&[BINARY], &SIMULATE[..], &["--data", data]].concat();
        let both = |first: &[&str], second: &[&str]| {
            let words = [&["-n", "1"], first, &[":", "-n", "1"], second].concat();
            let said = mpirun(folder, &words);
            assert_eq!(said.err.matches("chorus: ").count(), 1, "{said:?}");
            assert!(!folder.join("out").exists());
            said
        };
        let (here, other, none) = (with("data"), with("other"), with("none"));
        both(&here, &other).with(
            3,
            &["process 1 on ", "31 items", "not the data of process 0"],
        );
        both(&here, &none).with(3, &["process 1 on ", "cannot read none"]);
        both(&none, &here).with(3, &["chorus: cannot read none"]);
        both(&none, &none).with(3, &["chorus: cannot read none"]);
        let seed = [&here[..], &["--seed", "9"]].concat();
        both(&here, &seed).with(2, &["process 1 on ", "another task or other options"]);
        let kept = [&here[..], &["--out", "kept"]].concat();
        both(&here, &kept).with(1, &["process 1 on ", "something else than process 0"]);
        for (flags, words) in [
            (&["--frobnicate"][..], "--frobnicate"),
            (&["--masks"], "masks: "),
            (&["--plan"], "--plan is of one process"),
            (&["--sweep", "seed=1,2"], "--sweep is of one process"),
            (&["--json", "none/x.json"], "there is no folder none"),
        ] {
            let wrong = [&here[..], flags].concat();
            let code = if flags[0] == "--json" { 4 } else { 2 };
            both(&wrong, &wrong).with(code, &[words]);
        }
    }

    /// A run of two processes that is ended by `end` after its first checkpoint, which hears of all of them.
    fn cut(folder: &Path, size: &str, flags: &[&str], end: impl Fn(&[Pid])) -> Said {
        let checkpoint = folder.join("parts/checkpoint");
        let before = fs::read(&checkpoint).ok();
        let words = [&["-n", size, BINARY], flags].concat();
        let mut launched = launcher(folder, &words).spawn().unwrap();
        let began = Instant::now();
        while fs::read(&checkpoint).ok() == before {
            let waits = launched.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE;
            assert!(waits, "no checkpoint: {:?}", ended(launched));
            std::thread::yield_now();
        }
        end(&children(launched.id()));
        ended(launched)
    }

    /// The processes that a process began, in the order of their numbers.
    fn children(of: u32) -> Vec<Pid> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let is_child = status.lines().any(|line| line == format!("PPid:\t{of}"));
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let (true, Ok(id)) = (is_child, name.parse()) {
                found.extend(Pid::from_raw(id));
            }
        }
        found.sort_by_key(|id| id.as_raw_nonzero());
        found
    }

    #[test]
    fn an_interrupted_run_ends_with_the_same_bits() {
        let room = room();
        let folder = room.path();
        let run = |out| [&SIMULATE[..], &LONG, &["--out", out]].concat();
        chorus(folder, &run("whole")).well();
        // Whichever of them hears it.
        let signal = |id: &[Pid]| kill_process(*id.last().unwrap(), Signal::INT).unwrap();
        let said = cut(folder, "2", &run("parts"), signal);
        said.with(
            130,
            &["chorus: interrupted; `chorus simulate --resume parts`"],
        );
        let resume = ["simulate", "--resume", "parts"];
        let kill = |id: &[Pid]| kill_process(*id.last().unwrap(), Signal::KILL).unwrap();
        let said = cut(folder, "3", &resume, kill);
        assert!(said.code != 0, "{said:?}");
        several(folder, "2", &resume).well();
        assert_eq!(
            outcome(&folder.join("parts")),
            outcome(&folder.join("whole"))
        );
    }

    /// The first cannot save; the others are in the next round by then.
    #[test]
    fn a_full_disk_of_the_first_ends_all() {
        let room = room();
        let folder = room.path();
        let run = [&SIMULATE[..], &LONG, &["--out", "parts"]].concat();
        let signal = |id: &[Pid]| kill_process(id[0], Signal::INT).unwrap();
        cut(folder, "2", &run, signal).with(130, &["interrupted"]);
        fs::create_dir(folder.join("parts/checkpoint.new")).unwrap();
        let said = several(folder, "2", &["simulate", "--resume", "parts"]);
        assert_eq!(said.err.matches("chorus: ").count(), 1, "{said:?}");
        said.with(4, &["parts/checkpoint"]);
    }
}
