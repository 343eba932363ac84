//! The least app that embeds the client: everything it needs, and no libtorch. What an app has to do is in `host`.
//!
//! How large that is: `cargo build --profile app -p chorus-client --example app`, then look at
//! `target/app/examples/app`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::future::pending;
use std::path::PathBuf;

use chorus_client::{
    Answer, Ask, Client, Consent, Decision, Event, FileKey, Loop, Order, Purpose, Settings,
};
use chorus_model::{Direct, Everything, ItemId};
use chorus_protocol::TaskName;
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Asks, records, contributes where that is allowed, and shows a list.
async fn host(app: App, mut rng: ChaCha20Rng) -> Result<(), Box<dyn Error>> {
    let (clock, keys) = (Clock::system(), FileKey::beside(&app.home));
    let mut client = Client::open(&app.home, &keys, Settings::default(), clock.now())?;
    for purpose in [Purpose::ContributeTraining, Purpose::LocalPersonalisation] {
        ask(&mut client, purpose, clock.now())?;
    }
    for item in &app.items {
        // Without the yes nothing is kept, and that is no error.
        client.record(Event::click(*item, clock.now()), clock.now())?;
    }
    if client.granted(&Purpose::ContributeTraining)? {
        contribute(&mut client, &app, &mut rng, &clock).await?;
    }
    let model = match client.model(&app.task, &Direct) {
        Err(chorus_client::Error::NoModel { .. }) => {
            println!("no model yet");
            return Ok(());
        }
        model => model?,
    };
    // Without the yes to lists of their own, the list is the same for everybody.
    let list = Ask::best(Order::Profiled(&model), 10);
    let ranked = client.rank(&list, &Everything, &mut rng, clock.now())?;
    for best in ranked.places {
        println!("{}\t{}", best.item.0, best.score);
    }
    Ok(())
}

/// Enrols once, and takes part until the task is over.
async fn contribute(
    client: &mut Client,
    app: &App,
    rng: &mut ChaCha20Rng,
    clock: &Clock,
) -> Result<(), Box<dyn Error>> {
    if client.id().is_err() {
        let enrolling = client.enrol(&app.authority, &app.root, &app.code, rng, clock);
        enrolling.await?;
    }
    let mut way = client.connect(app.coordinator.clone(), clock)?;
    let work = Loop {
        task: &app.task,
        engine: &Direct,
        clock,
        news: &mut |_| {},
    };
    client.run(&mut way, work, rng, pending()).await?;
    Ok(())
}

/// Shows the person what a purpose means, and takes their answer. Nothing happens without their yes, and nobody is asked again
/// soon after a no, or after a question that they left open.
fn ask(client: &mut Client, purpose: Purpose, now: i64) -> Result<(), Box<dyn Error>> {
    let consents = client.consents(now)?;
    let asks = |consent: &Consent| consent.purpose == purpose && consent.may_ask;
    if !consents.iter().any(asks) {
        return Ok(());
    }
    let notice = client.notice("en").ok_or("there is a notice in English")?;
    let section = notice.sections.get(&purpose);
    println!("{}yes or no?", section.ok_or("it names every purpose")?);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = match answer.trim() {
        "yes" => Answer::Yes,
        "no" => Answer::No,
        _ => return Ok(client.asked(purpose, now)?),
    };
    client.decide(&Decision::new(answer, [purpose], notice), now)?;
    Ok(())
}

/// What the command line says.
struct App {
    home: PathBuf,
    authority: Target,
    root: Authority,
    code: InvitationCode,
    coordinator: Target,
    task: TaskName,
    items: Vec<ItemId>,
}

const USAGE: &str = "app HOME AUTHORITY CERTIFICATE INVITATION COORDINATOR TASK ITEM...";

impl App {
    fn read(words: &[String]) -> Result<Self, Box<dyn Error>> {
        let [
            home,
            authority,
            certificate,
            code,
            coordinator,
            task,
            items @ ..,
        ] = words
        else {
            return Err(USAGE.into());
        };
        let items = items.iter().map(|item| item.parse().map(ItemId));
        Ok(Self {
            home: home.into(),
            authority: Target::new(authority)?,
            root: Authority::from_pem(&std::fs::read(certificate)?)?,
            code: code.parse()?,
            coordinator: Target::new(coordinator)?,
            task: task.clone().try_into()?,
            items: items.collect::<Result<_, _>>()?,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut seed = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)?;
    host(App::read(&words)?, ChaCha20Rng::from_seed(seed)).await
}
