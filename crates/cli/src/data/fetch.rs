//! `chorus data fetch`: over HTTPS, with the publisher's terms first and its checksum after.

use std::fs::{self, File};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chorus_data::{Archive, Description, GROUPLENS, MOST_BYTES, TERMS, describe};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::describe::words;
use crate::exit::{self, OrExit, stop};
use crate::progress;

/// Patience with a server that says nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `chorus data fetch`.
#[derive(Args)]
#[command(after_help = exit::HELP)]
pub struct Fetch {
    /// Which data set.
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(chorus_data::ARCHIVES.map(|archive| archive.name)))]
    name: String,
    /// The folder to unpack it into; made where it is missing.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Accept the publisher's terms, which are shown, without being asked.
    #[arg(long)]
    accept_terms: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// The address that the archives lie below.
    #[arg(long, hide = true, value_name = "URL", default_value = GROUPLENS)]
    from: String,
    /// The checksum to expect, for an archive that was packed anew.
    #[arg(long, hide = true, value_name = "HEX")]
    md5: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Fetched {
    name: String,
    from: String,
    bytes: u64,
    md5: String,
    into: PathBuf,
    data: Description,
}

impl Fetch {
    pub fn run(&self) -> anyhow::Result<()> {
        let Some(archive) = Archive::named(&self.name) else {
            return stop(exit::USAGE, format!("there is no data set {}", self.name));
        };
        let is_taken = |member: &&&str| self.into.join(member).exists();
        if let Some(member) = archive.members.iter().find(is_taken) {
            let into = self.into.display();
            return stop(
                exit::USAGE,
                format!("there is a file {member} in {into} already: name a new folder"),
            );
        }
        progress::tell(TERMS);
        self.agree()?;
        let is_new = !self.into.exists();
        let fetched = self.fetch(archive);
        if fetched.is_err() && is_new {
            // Empty again, unless someone else put something there.
            let _ = fs::remove_dir(&self.into);
        }
        let fetched = fetched?;
        if self.json {
            return progress::say_json(&fetched);
        }
        progress::say(&words(&fetched.data));
        progress::say(&format!("  it is in    {}", fetched.into.display()));
        Ok(())
    }

    /// Nothing is downloaded before someone has said yes.
    fn agree(&self) -> anyhow::Result<()> {
        if self.accept_terms {
            return Ok(());
        }
        let input = std::io::stdin();
        if !input.is_terminal() {
            return stop(
                exit::REFUSED,
                "nobody is here to accept the terms: read them above, then say --accept-terms",
            );
        }
        progress::tell("Do you accept these terms? Write yes to go on:");
        let mut answer = String::new();
        input.lock().read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => stop(
                exit::REFUSED,
                "the terms were not accepted, so nothing was downloaded",
            ),
        }
    }

    fn fetch(&self, archive: Archive) -> anyhow::Result<Fetched> {
        let into = &self.into;
        let environment = |error: std::io::Error| {
            exit::with(
                exit::ENVIRONMENT,
                anyhow::anyhow!("cannot write into {}: {error}", into.display()),
            )
        };
        fs::create_dir_all(into).map_err(environment)?;
        // Beside where it goes to, so that the files only need new names; gone when anything fails.
        let apart = tempfile::tempdir_in(into).map_err(environment)?;
        let zip = apart.path().join(archive.file);
        let from = format!("{}/{}", self.from.trim_end_matches('/'), archive.file);
        let bytes = download(&from, &zip)?;
        let md5 = self.md5.as_deref().unwrap_or(archive.md5);
        Archive::check(&zip, md5).or_exit(exit::DATA)?;
        let unpacked = apart.path().join("data");
        fs::create_dir(&unpacked).map_err(environment)?;
        archive.unpack(&zip, &unpacked).or_exit(exit::DATA)?;
        let mut dataset = chorus_data::read(&unpacked).or_exit(exit::DATA)?;
        dataset.name = archive.name.to_owned();
        let traits = chorus_data::traits(&unpacked, &dataset).or_exit(exit::DATA)?;
        for member in archive.members {
            fs::rename(unpacked.join(member), into.join(member)).map_err(environment)?;
        }
        Ok(Fetched {
            name: archive.name.to_owned(),
            from,
            bytes,
            md5: md5.to_owned(),
            into: into.clone(),
            data: describe(&dataset, &traits),
        })
    }
}

/// Downloads into a file; the bytes that came.
fn download(from: &str, to: &Path) -> anyhow::Result<u64> {
    let unreachable = |error: &dyn std::fmt::Display| {
        let sentence =
            format!("cannot download {from}: {error}; check the connection and run this again");
        exit::with(exit::ENVIRONMENT, anyhow::anyhow!(sentence))
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        // What begins over TLS ends over TLS, whatever a redirect says.
        .https_only(from.starts_with("https://"))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_global(Some(20 * PATIENCE))
        .build()
        .into();
    let mut response = agent
        .get(from)
        .call()
        .map_err(|error| unreachable(&error))?;
    let announced = response.body().content_length();
    if announced.is_some_and(|bytes| bytes > MOST_BYTES) {
        return Err(unreachable(&too_large()));
    }
    let bar = progress::bar(announced.unwrap_or(0), "download");
    let mut body = response.body_mut().as_reader().take(MOST_BYTES + 1);
    let mut file = File::create(to).or_exit(exit::ENVIRONMENT)?;
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let count = body
            .read(&mut buffer)
            .map_err(|error| unreachable(&format!("it ended after {bytes} bytes ({error})")))?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else {
            break;
        };
        file.write_all(part).or_exit(exit::ENVIRONMENT)?;
        bytes += count as u64;
        bar.set_position(bytes);
    }
    bar.finish_and_clear();
    if bytes > MOST_BYTES {
        return Err(unreachable(&too_large()));
    }
    if let Some(announced) = announced.filter(|announced| *announced != bytes) {
        return Err(unreachable(&format!(
            "it ended after {bytes} of {announced} bytes"
        )));
    }
    Ok(bytes)
}

fn too_large() -> String {
    format!(
        "it is larger than {} MB, so it is not what was published",
        MOST_BYTES >> 20
    )
}
