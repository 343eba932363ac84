use std::sync::Arc;

use chorus_protocol::{ClientId, Identity};
use chorus_wire::certificate::{Authority, Role};
use chorus_wire::client::{Connection, SendError, Target};
use chorus_wire::tls::Credentials;
use chorus_wire::{Clock, InvitationCode};
use rand_core::CryptoRng;

use crate::consent::Leave;
use crate::contribution::Message;
use crate::door::Entrance;
use crate::store::{Enrolled, put_enrolled, put_identity};
use crate::{Client, EnrolmentStatus, Error, Purpose, Way};

impl Client {
    /// Exchanges an invitation for a certificate. The key is made here and never leaves; a client that enrols
    /// again keeps its key, and with it what it is to the coordinator.
    ///
    /// `authority` is the certificate that came together with the invitation: it is what makes the authority's
    /// server trustworthy. A lost answer loses nothing: the same invitation works again.
    ///
    /// # Errors
    /// [`Error::NotGranted`] without the person's leave to contribute, [`Error::Enrol`] when the invitation is of no use, [`Error::OtherAuthority`] when this client belongs to
    /// another federation, [`Error::Untrusted`] or [`Error::Unreachable`] as they say.
    ///
    /// # Privacy
    /// The authority learns the public key and the network address.
    pub async fn enrol(
        &mut self,
        target: &Target,
        authority: &Authority,
        invitation: &InvitationCode,
        rng: &mut impl CryptoRng,
        clock: &Clock,
    ) -> Result<EnrolmentStatus, Error> {
        let entrance = Entrance::new(Arc::clone(&self.door));
        entrance.show(self.pass(Leave::Contribute)?);
        let identity = self.key_for(authority, rng)?;
        let gate = Arc::new(entrance);
        let asking =
            chorus_wire::client::enrol(target, authority, invitation, &identity, clock, gate);
        let issued = asking.await;
        self.now = clock.now();
        self.note_sent(Message::Enrolment, None, Purpose::ContributeTraining);
        self.write_activity()?;
        let issued = match issued {
            Ok(issued) => issued,
            Err(error) => {
                // A withdrawal looks like a network that failed.
                self.pass(Leave::Contribute)?;
                return Err(match error {
                    SendError::Refused { label, message } if label != Error::SERVER_CERTIFICATE => {
                        Error::Enrol { reason: message }
                    }
                    error => error.into(),
                });
            }
        };
        authority.verify_role(&issued.certificate, Role::Client, clock.now())?;
        self.enrolled_as(issued.certificate, authority)?;
        Ok(EnrolmentStatus::Valid {
            until: issued.enrolled.not_after,
        })
    }

    /// The key that `authority` is to certify, made now if there is none.
    pub(crate) fn key_for(
        &mut self,
        authority: &Authority,
        rng: &mut impl CryptoRng,
    ) -> Result<Identity, Error> {
        let known = self.store.enrolled()?;
        if known.is_some_and(|known| known.authority != authority.der()) {
            return Err(Error::OtherAuthority);
        }
        if let Some(identity) = self.store.identity()? {
            return Ok(identity);
        }
        // In the store before anyone certifies it: a certificate for a lost key would waste the invitation.
        let identity = Identity::generate(rng);
        self.write_granted(|batch, granted| match Leave::Contribute.missing(granted) {
            None => put_identity(batch, &identity).map(Ok),
            Some(purpose) => Ok(Err(Error::NotGranted { purpose })),
        })??;
        Ok(identity)
    }

    /// Keeps a certificate of this client's key.
    pub(crate) fn enrolled_as(
        &mut self,
        certificate: Vec<u8>,
        authority: &Authority,
    ) -> Result<(), Error> {
        let enrolled = Enrolled {
            certificate,
            authority: authority.der().to_vec(),
        };
        self.write_granted(|batch, granted| match Leave::Contribute.missing(granted) {
            None => put_enrolled(batch, &enrolled).map(Ok),
            Some(purpose) => Ok(Err(Error::NotGranted { purpose })),
        })?
    }

    /// What this client is called by the authority and the coordinator, while its enrolment lasts.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`].
    pub fn id(&self) -> Result<ClientId, Error> {
        Ok(self.identity()?.id())
    }

    /// A connection to the coordinator at `target`; it stands with the first call, and again after each break.
    ///
    /// # Errors
    /// [`Error::NotGranted`] where the person allows nothing that needs one; [`Error::NotEnrolled`]; [`Error::Enrol`] when the
    /// certificate is of no use any more.
    pub fn connect(&self, target: Target, clock: &Clock) -> Result<Way, Error> {
        self.pass(Leave::Model)?;
        let identity = self.identity()?;
        let enrolled = self.store.enrolled()?.ok_or(Error::NotEnrolled)?;
        let authority = self.authority()?;
        authority.verify_role(&enrolled.certificate, Role::Client, clock.now())?;
        let credentials = Credentials::new(&identity, enrolled.certificate);
        let entrance = Arc::new(Entrance::new(Arc::clone(&self.door)));
        let gate = Arc::clone(&entrance);
        let connection = Connection::new(target, &authority, &credentials, clock, gate);
        let connection = connection.map_err(|error| Error::Enrol {
            reason: error.to_string(),
        })?;
        Ok(Way::new(connection, entrance))
    }
}
