//! `chorus client centre`: the privacy centre of a client, in a browser of this machine.

use std::collections::BTreeSet;

use chorus_centre::{About, Centre};
use chorus_client::Language;
use chorus_wire::Clock;
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

use super::consent::language;
use super::home::{Home, task};
use super::runtime;
use crate::exit::{self, OrExit};
use crate::{engine, learning, progress};

#[derive(Args)]
pub struct Show {
    /// The task whose model ranks; may be left out where there is a model of one alone.
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Language where the browser asks for none of them: en or de.
    #[arg(long, value_name = "CODE", default_value = "en", value_parser = language)]
    language: Language,
    /// What the app is called.
    #[arg(long, value_name = "NAME", default_value = "Chorus")]
    app: String,
}

impl Show {
    pub fn run(&self, home: &Home) -> anyhow::Result<()> {
        let open = home.opening(home.settings()?)?;
        let clock = Clock::system();
        let task = match &self.task {
            Some(name) => Some(learning::task_name(name)?),
            None => open(clock.now())
                .ok()
                .and_then(|client| task(&client, None).ok()),
        };
        let about = About {
            open: Box::new(open),
            home: home.folder().to_owned(),
            app: self.app.clone(),
            task,
            engine: Box::new(engine::engine()),
            keys: home.keys()?,
            built: BTreeSet::new(),
            language: self.language,
            clock,
        };
        runtime()?.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", self.port))
                .await
                .map_err(|error| anyhow::anyhow!("cannot listen on port {} ({error}): take another one, or 0", self.port))
                .or_exit(exit::ENVIRONMENT)?;
            let mut rng = StdRng::from_rng(&mut rand::rng());
            let centre = Centre::open(about, listener, &mut rng).or_exit(exit::ENVIRONMENT)?;
            if let Some(trouble) = centre.trouble() {
                progress::tell(&format!("{trouble}. The centre can try again, and erase everything"));
            }
            if let Some(address) = centre.address() {
                progress::tell("The privacy centre is open on this machine. This address works once; Ctrl-C closes it.");
                progress::say(&address);
            }
            centre.serve(crate::coordinator::shutdown()).await;
            Ok(())
        })
    }
}
