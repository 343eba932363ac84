//! The desktop program in a federation of real processes' worth: authority and coordinator over TLS, and eleven others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod cc;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use chorus_authority::{Invited, ServeOptions};
use chorus_client::{Answer, Client, Decision, Event, FileKey, Loop, Purpose, Settings};
use chorus_coordinator::{Directory, RawConfig, Store, create_task, read_task, serve, start_task};
use chorus_model::{Direct, ItemId};
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::net::TcpListener;
use tokio::process::Command;

const TASK: &str = r#"
name = "films"
population = 12
[privacy]
noise = "distributed"
epsilon = 8.0
delta = 1e-5
[recipe]
algorithm = "ials-private"
items = 60
factors = 3
sweeps = 1
"#;

/// The services, in one folder.
struct Town {
    folder: PathBuf,
    clock: Clock,
    authority: Authority,
    authority_address: String,
    coordinator_address: String,
    rng: ChaCha20Rng,
}

impl Town {
    async fn new(folder: &Path) -> Self {
        let (clock, mut rng) = (Clock::system(), ChaCha20Rng::seed_from_u64(1));
        let place = folder.join("authority");
        let authority = chorus_authority::init(&place, clock.now(), &mut rng).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority_address = listener.local_addr().unwrap().to_string();
        let (serving, chance) = (clock.clone(), ChaCha20Rng::seed_from_u64(2));
        tokio::spawn(async move {
            let options = ServeOptions {
                server_name: "127.0.0.1".to_owned(),
                ..ServeOptions::default()
            };
            let forever = std::future::pending();
            chorus_authority::serve(listener, &place, &options, serving, chance, forever)
                .await
                .unwrap();
        });
        let mut town = Self {
            folder: folder.to_owned(),
            clock,
            authority,
            authority_address,
            coordinator_address: String::new(),
            rng,
        };
        town.open_coordinator().await;
        town
    }

    async fn open_coordinator(&mut self) {
        let place = self.folder.join("coordinator");
        let directory = Directory::new(place.clone());
        let server_name = "127.0.0.1".to_owned();
        let invitation = self.invite(&Invited::Coordinator { server_name });
        let target = Target::new(&self.authority_address).unwrap();
        let (authority, clock) = (self.authority.clone(), self.clock.clone());
        directory
            .enrol(&target, &authority, &invitation, &clock, &mut self.rng)
            .await
            .unwrap();
        let store = Store::open(&place).unwrap();
        let (task, identity) = (read_task(TASK).unwrap(), directory.identity().unwrap());
        create_task(&store, &identity, &task, 1, clock.now().unsigned_abs()).unwrap();
        start_task(&store, &task.name).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.coordinator_address = listener.local_addr().unwrap().to_string();
        let mut raw = RawConfig::from_toml(&format!(
            "one_party = true\n[authority]\naddress = \"{}\"\n[timing]\nphase_seconds = 30\nquiet_seconds = 5\n\
             gather_seconds = 60\nlong_poll_seconds = 1\n",
            self.authority_address
        ))
        .unwrap();
        raw.directory = Some(place);
        let config = raw.try_into().unwrap();
        let clock = chorus_coordinator::Clock::system();
        let forever = std::future::pending();
        tokio::spawn(serve(listener, config, clock, Arc::new(store), forever));
    }

    fn invite(&mut self, invited: &Invited) -> InvitationCode {
        let (place, hour) = (self.folder.join("authority"), Duration::from_secs(3_600));
        chorus_authority::invite(&place, invited, hour, 1, self.clock.now(), &mut self.rng)
            .unwrap()
            .remove(0)
    }

    /// One of the others, in Rust, until the task is finished.
    async fn neighbour(&mut self, number: u32) -> tokio::task::JoinHandle<()> {
        let home = self.folder.join("people").join(number.to_string());
        let (clock, keys) = (self.clock.clone(), FileKey::beside(&home));
        let now = clock.now();
        let mut client = Client::open(&home, &keys, Settings::default(), now).unwrap();
        let purposes = [Purpose::ContributeTraining, Purpose::LocalPersonalisation];
        let notice = client.notice("en").unwrap();
        let yes = Decision::new(Answer::Yes, purposes, notice);
        client.decide(&yes, now).unwrap();
        for step in 0..6 {
            let item = ItemId((number * 5 + step) % 60);
            client.record(Event::click(item, now), now).unwrap();
        }
        let mut rng = ChaCha20Rng::seed_from_u64(100 + u64::from(number));
        let code = self.invite(&Invited::Client);
        let target = Target::new(&self.authority_address).unwrap();
        client
            .enrol(&target, &self.authority, &code, &mut rng, &clock)
            .await
            .unwrap();
        let target = Target::new(&self.coordinator_address).unwrap();
        tokio::spawn(async move {
            let mut way = client.connect(target, &clock).unwrap();
            let task = "films".to_owned().try_into().unwrap();
            let work = Loop {
                task: &task,
                engine: &Direct,
                clock: &clock,
                news: &mut |_| {},
            };
            let forever = std::future::pending();
            client.run(&mut way, work, &mut rng, forever).await.unwrap();
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_program_takes_part_shows_a_list_and_erases_everything() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("desktop");
    if cc::build(&place.join("examples/desktop.c"), &program).is_none() {
        return;
    }
    let mut town = Town::new(folder.path()).await;
    let mut others = Vec::new();
    for number in 0..11 {
        others.push(town.neighbour(number).await);
    }
    let home = folder.path().join("home");
    let mut command = match std::env::var_os("CHORUS_CHECKER") {
        // A memory checker, such as `valgrind --error-exitcode=9`.
        Some(checker) => {
            let checker = checker.into_string().unwrap();
            let mut words = checker.split(' ');
            let mut command = Command::new(words.next().unwrap());
            command.args(words).arg(&program);
            command
        }
        None => Command::new(&program),
    };
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .arg(&home)
        .arg(&town.authority_address)
        .arg(folder.path().join("authority/authority.pem"))
        .arg(town.invite(&Invited::Client).to_string())
        .arg(&town.coordinator_address)
        .args(["films", "7", "8", "9"])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(stdout).unwrap();
    let words = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{told}\n{words}");
    for other in others {
        other.await.unwrap();
    }
    let order = [
        "signals: [{",
        "granted\n",
        "enrolled: {\"state\":\"valid\"",
        "contributed: {\"end\":\"finished\"",
        "list: {\"places\":[{\"item\":",
        "because: [",
        "what if: {\"with\":[{\"item\":",
        "parameters: [{\"name\":\"order\"",
        "status: {",
        "activity: [{\"at\":",
        "choices: [{\"what\":{\"item\":",
        "corrected: \"done\"",
        "removed: \"done\"",
        "withdrawn\n",
        "exported: ",
        "erased: {",
        "the receipt holds: {\"at\":",
    ];
    let mut rest = told.as_str();
    for line in order {
        let (_, after) = rest
            .split_once(line)
            .unwrap_or_else(|| panic!("{line}: {told}"));
        rest = after;
    }
    // It took part in every sum, and nothing of it is left but the signed receipt.
    assert!(told.contains("\"contributions\":3"), "{told}");
    let left: Vec<_> = std::fs::read_dir(&home).map_or_else(|_| Vec::new(), Iterator::collect);
    assert!(left.is_empty(), "{left:?}");
}
