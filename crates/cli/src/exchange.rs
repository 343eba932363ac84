//! What comes with an invitation, for every role that enrols.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chorus_wire::InvitationCode;
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use clap::Args;
use zeroize::Zeroizing;

use crate::exit::{self, OrExit};
use crate::progress;

/// Flags of every `enrol`.
#[derive(Args)]
pub struct Exchange {
    /// Address of the authority.
    #[arg(long, value_name = "HOST:PORT")]
    authority: String,
    /// The authority's certificate (PEM), which came with the invitation.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    #[command(flatten)]
    invitation: Invitation,
}

/// The one-time code. What stands in the command itself, every user of the machine sees in its list of processes.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Invitation {
    /// The one-time code; `-` reads it from standard input, where no list of processes shows it.
    #[arg(long, value_name = "CODE")]
    invitation: Option<String>,
    /// The same from a file.
    #[arg(long, value_name = "FILE")]
    invitation_file: Option<PathBuf>,
}

/// Bytes of the longest text that holds a code.
const MAX_BYTES: u64 = 4_096;

impl Invitation {
    fn read(&self) -> anyhow::Result<InvitationCode> {
        let text = match (&self.invitation, &self.invitation_file) {
            (Some(code), _) if code != "-" => Zeroizing::new(code.clone()),
            (_, Some(file)) => File::open(file)
                .and_then(text)
                .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", file.display()))
                .or_exit(exit::DATA)?,
            _ => text(std::io::stdin())
                .map_err(|error| anyhow::anyhow!("cannot read standard input: {error}"))
                .or_exit(exit::DATA)?,
        };
        text.trim().parse().or_exit(exit::DATA)
    }
}

/// The beginning of a text, which is more than a code needs.
fn text(reader: impl Read) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    reader.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

impl Exchange {
    /// Where to go, whom to trust there, and what to hand in.
    pub fn read(&self) -> anyhow::Result<(Target, Authority, InvitationCode)> {
        let target = Target::new(&self.authority).or_exit(exit::USAGE)?;
        let invitation = self.invitation.read()?;
        Ok((target, authority(&self.certificate)?, invitation))
    }
}

/// The certificate of an authority, from a PEM file.
pub fn authority(file: &Path) -> anyhow::Result<Authority> {
    let text = progress::read(file, exit::DATA)?;
    Authority::from_pem(text.as_bytes()).or_exit(exit::DATA)
}
