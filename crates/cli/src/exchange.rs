//! What comes with an invitation, for every role that enrols.

use std::path::{Path, PathBuf};

use chorus_wire::InvitationCode;
use chorus_wire::certificate::Authority;
use chorus_wire::client::Target;
use clap::Args;

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
    /// The one-time code.
    #[arg(long, value_name = "CODE")]
    invitation: String,
}

impl Exchange {
    /// Where to go, whom to trust there, and what to hand in.
    pub fn read(&self) -> anyhow::Result<(Target, Authority, InvitationCode)> {
        let target = Target::new(&self.authority).or_exit(exit::USAGE)?;
        let invitation = self.invitation.parse().or_exit(exit::DATA)?;
        Ok((target, authority(&self.certificate)?, invitation))
    }
}

/// The certificate of an authority, from a PEM file.
pub fn authority(file: &Path) -> anyhow::Result<Authority> {
    let text = progress::read(file, exit::DATA)?;
    Authority::from_pem(text.as_bytes()).or_exit(exit::DATA)
}
