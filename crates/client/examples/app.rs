//! The least app that embeds the client: everything it needs, and no libtorch.
//!
//! How large that is: `cargo build --profile app -p chorus-client --example app`, then look at
//! `target/app/examples/app`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use chorus_client::{Answer, Client, Decision, Event, FileKey, Loop, Purpose, Settings};
use chorus_model::{Direct, ItemId};
use chorus_protocol::TaskName;
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use chorus_wire::{Clock, InvitationCode};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Shows the person what a purpose means, and takes their answer: nothing happens without their yes.
fn ask(client: &mut Client, purpose: Purpose, now: i64) -> Result<(), Box<dyn Error>> {
    let notice = client.notice("en").ok_or("there is a notice in English")?;
    let section = notice
        .sections
        .get(&purpose)
        .ok_or("it names every purpose")?;
    println!(
        "{}\n{}\n{}\nyes or no?",
        section.title, section.benefit, section.cost
    );
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = match answer.trim() {
        "yes" => Answer::Yes,
        _ => Answer::No,
    };
    client.decide(&Decision::new(answer, [purpose], notice), now)?;
    Ok(())
}

const USAGE: &str = "app HOME AUTHORITY CERTIFICATE INVITATION COORDINATOR TASK ITEM...";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [
        home,
        authority,
        certificate,
        invitation,
        coordinator,
        task,
        items @ ..,
    ] = words.as_slice()
    else {
        return Err(USAGE.into());
    };
    let task: TaskName = task.clone().try_into()?;
    let clock = Clock::system();
    let mut seed = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)?;
    let mut rng = ChaCha20Rng::from_seed(seed);

    let home = Path::new(home);
    let keys = FileKey::beside(home);
    let mut client = Client::open(home, &keys, Settings::default(), clock.now())?;
    let wanted = [Purpose::ContributeTraining, Purpose::LocalPersonalisation];
    for purpose in wanted {
        if !client.granted(&purpose)? {
            ask(&mut client, purpose, clock.now())?;
        }
    }
    if client.id().is_err() {
        let root = Authority::from_pem(&std::fs::read(certificate)?)?;
        let code: InvitationCode = invitation.parse()?;
        client
            .enrol(&Target::new(authority)?, &root, &code, &mut rng, &clock)
            .await?;
    }
    for item in items {
        let item = ItemId(item.parse()?);
        client.record(Event::click(item, clock.now()), clock.now())?;
    }
    let mut connection = client.connect(Target::new(coordinator)?, &clock)?;
    let work = Loop {
        task: &task,
        engine: &Direct,
        clock: &clock,
        news: &mut |_| {},
    };
    client
        .run(&mut connection, work, &mut rng, std::future::pending())
        .await?;
    for best in client.recommend(&task, &Direct, 10)? {
        println!("{}\t{}", best.item.0, best.score);
    }
    Ok(())
}
