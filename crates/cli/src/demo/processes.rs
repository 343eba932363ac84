//! The processes of a demo: started, listened to, ended in order, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chorus_authority::Invited;
use chorus_protocol::{Consistency, Task};

use crate::exit::{self, stop};
use crate::{authority, progress, task};

/// Invitations of a demo are used at once.
const HOURS: u64 = 1;

/// A child that does not outlive the demo.
pub struct Guarded {
    name: &'static str,
    child: Child,
    /// Where its standard error went.
    log: PathBuf,
}

impl Guarded {
    /// Whether it still runs.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The last words of a process that should not have ended.
    pub fn failed<T>(&self) -> anyhow::Result<T> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let name = self.name;
        stop(
            exit::FAILED,
            format!("the {name} process ended or hung: {}", last.join(" / ")),
        )
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Already ended, or past saving: either way nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that runs.
pub struct Processes {
    folder: PathBuf,
    authority: Guarded,
    witness: Option<Guarded>,
    coordinator: Guarded,
    hosts: Vec<Guarded>,
    authority_address: String,
    coordinator_address: String,
    ready: Arc<AtomicUsize>,
    interrupted: Arc<AtomicBool>,
}

impl Processes {
    /// Sets up an authority, a coordinator and, where the task needs one, a witness in `folder`, and starts them.
    pub fn start(folder: &Path, task: &Task, seed: u64) -> anyhow::Result<Self> {
        let (home, coordinator_home) = (folder.join("authority"), folder.join("coordinator"));
        let (home_flag, coordinator_flag) = (text(&home), text(&coordinator_home));
        authority::init(&home)?;
        let (authority_process, authority_address) = listening(
            "authority",
            folder,
            &[
                "authority",
                "serve",
                "--directory",
                &home_flag,
                "--listen",
                "127.0.0.1:0",
            ],
        )?;
        let server = Invited::Coordinator {
            server_name: "localhost".to_owned(),
        };
        let invitation = authority::invite(&home, &server, HOURS, 1)?.concat();
        let certificate = text(&home.join("authority.pem"));
        let witness = match task.consistency {
            Consistency::Cohort => None,
            Consistency::Witness => Some(witness(folder, &authority_address)?),
        };
        let enrol = [
            "coordinator",
            "enrol",
            "--directory",
            &coordinator_flag,
            "--authority",
            &authority_address,
            "--certificate",
            &certificate,
            "--invitation",
            &invitation,
        ];
        run("coordinator enrolment", folder, &enrol)?;
        task::create_and_start(&coordinator_home, task, seed)?;
        let mut run = vec![
            "coordinator",
            "run",
            "--directory",
            &coordinator_flag,
            "--listen",
            "127.0.0.1:0",
            "--authority",
            &authority_address,
            "--gather-seconds",
            "30",
            "--phase-seconds",
            "60",
            "--quiet-seconds",
            "0.6",
        ];
        if let Some((_, address)) = &witness {
            run.extend(["--witness", address]);
        }
        let (coordinator, coordinator_address) = listening("coordinator", folder, &run)?;
        Ok(Self {
            folder: folder.to_owned(),
            authority: authority_process,
            witness: witness.map(|(guarded, _)| guarded),
            coordinator,
            hosts: Vec::new(),
            authority_address,
            coordinator_address,
            ready: Arc::default(),
            interrupted: interruption()?,
        })
    }

    pub fn authority_address(&self) -> &str {
        &self.authority_address
    }

    pub fn coordinator_address(&self) -> &str {
        &self.coordinator_address
    }

    /// The folder of the coordinator.
    pub fn coordinator_home(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the authority's certificate.
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join("authority").join("authority.pem")
    }

    /// The authority's certificate, DER.
    pub fn authority_certificate(&self) -> anyhow::Result<Vec<u8>> {
        Ok(crate::exchange::authority(&self.authority_file())?
            .der()
            .to_vec())
    }

    /// One invitation for each client.
    pub fn invite(&self, clients: usize) -> anyhow::Result<Vec<String>> {
        authority::invite(
            &self.folder.join("authority"),
            &Invited::Client,
            HOURS,
            clients,
        )
    }

    /// Starts the processes that hold the clients.
    pub fn start_hosts(&mut self, clients: usize, processes: usize) -> anyhow::Result<()> {
        let size = clients.div_ceil(processes.max(1));
        for from in (0..clients).step_by(size.max(1)) {
            let to = (from + size).min(clients);
            let folder = text(&self.folder);
            let (from, to) = (from.to_string(), to.to_string());
            let flags = ["demo-host", "--run", &folder, "--from", &from, "--to", &to];
            let (guarded, output) = spawn("clients", &self.folder, &from, &flags)?;
            let ready = Arc::clone(&self.ready);
            std::thread::spawn(move || {
                for _ in BufReader::new(output).lines().map_while(Result::ok) {
                    ready.fetch_add(1, Ordering::Relaxed);
                }
            });
            self.hosts.push(guarded);
        }
        Ok(())
    }

    /// Clients that are enrolled and hold their events.
    pub fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Complains when a process ended that should be running, or a person wants to stop.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return stop(exit::FAILED, "stopped; nothing of the run is left");
        }
        let services = [&mut self.authority, &mut self.coordinator];
        for guarded in services.into_iter().chain(&mut self.witness) {
            if guarded.child.try_wait()?.is_some() {
                return guarded.failed();
            }
        }
        for host in &mut self.hosts {
            if host
                .child
                .try_wait()?
                .is_some_and(|status| !status.success())
            {
                return host.failed();
            }
        }
        Ok(())
    }

    /// Waits for the clients to leave, and ends the services as an operator would.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        for host in &mut self.hosts {
            if !end(host, Duration::from_secs(60))? {
                return host.failed();
            }
        }
        let services = [&mut self.coordinator, &mut self.authority];
        for guarded in services.into_iter().chain(&mut self.witness) {
            terminate(&guarded.child)?;
            if !end(guarded, Duration::from_secs(20))? {
                return guarded.failed();
            }
        }
        Ok(())
    }
}

/// Enrols a witness and starts it. Gives its address, too.
fn witness(folder: &Path, authority: &str) -> anyhow::Result<(Guarded, String)> {
    let home = folder.join("authority");
    let certificate = text(&home.join("authority.pem"));
    let directory = text(&folder.join("witness"));
    let server = Invited::Witness {
        server_name: "localhost".to_owned(),
    };
    let invitation = authority::invite(&home, &server, HOURS, 1)?.concat();
    let enrol = [
        "witness",
        "enrol",
        "--directory",
        &directory,
        "--authority",
        authority,
        "--certificate",
        &certificate,
        "--invitation",
        &invitation,
    ];
    run("witness enrolment", folder, &enrol)?;
    let run = [
        "witness",
        "run",
        "--directory",
        &directory,
        "--listen",
        "127.0.0.1:0",
    ];
    listening("witness", folder, &run)
}

/// Becomes true when a person or a service manager wants the demo to end, so that it can clean up first.
fn interruption() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(crate::coordinator::shutdown());
        flag.store(true, Ordering::Relaxed);
    });
    Ok(interrupted)
}

/// SIGTERM, as a service manager sends it.
fn terminate(child: &Child) -> anyhow::Result<()> {
    if let Some(process) = rustix::process::Pid::from_raw(i32::try_from(child.id())?) {
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
    }
    Ok(())
}

/// True when the process ended well within `patience`.
fn end(guarded: &mut Guarded, patience: Duration) -> anyhow::Result<bool> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = guarded.child.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// A path as a flag.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Starts this very command again, with its log in the folder of the run.
pub fn spawn(
    name: &'static str,
    folder: &Path,
    number: &str,
    flags: &[&str],
) -> anyhow::Result<(Guarded, ChildStdout)> {
    let log = folder.join(format!("{name}{number}.log"));
    let mut child = Command::new(std::env::current_exe()?)
        .args(flags)
        .env(
            "CHORUS_LOG",
            std::env::var("CHORUS_LOG").unwrap_or_else(|_| "info".to_owned()),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log)?)
        .spawn()?;
    let output = child.stdout.take();
    let guarded = Guarded { name, child, log };
    match output {
        Some(output) => Ok((guarded, output)),
        None => guarded.failed(),
    }
}

/// Starts a service and waits until it says where it listens.
fn listening(
    name: &'static str,
    folder: &Path,
    flags: &[&str],
) -> anyhow::Result<(Guarded, String)> {
    let (guarded, output) = spawn(name, folder, "", flags)?;
    let mut lines = BufReader::new(output);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let Some(port) = line
        .trim()
        .rsplit_once(':')
        .map(|(_, port)| port.to_owned())
    else {
        std::thread::sleep(Duration::from_millis(100));
        return guarded.failed();
    };
    // Whatever it says later must not block it.
    std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    progress::tell(&format!(
        "{name}: process {} on port {port}",
        guarded.child.id()
    ));
    Ok((guarded, format!("localhost:{port}")))
}

/// Runs a command to its end.
pub fn run(name: &'static str, folder: &Path, flags: &[&str]) -> anyhow::Result<()> {
    let (mut guarded, _output) = spawn(name, folder, "", flags)?;
    match end(&mut guarded, Duration::from_secs(30))? {
        true => Ok(()),
        false => guarded.failed(),
    }
}
