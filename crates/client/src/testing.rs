//! A federation without a network, for the tests of this crate: real stores and participations, one `Round`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chorus_model::{Event, ItemId, Parameters};
use chorus_protocol::{
    ClientId, Digest, Event as RoundEvent, Floor, Identity, Input, Invitation, LogEntry, Message,
    Origin, Privacy, Purpose, Recovered, Request, Response, Round, RoundId, RoundPlan, SignedEntry,
    Task, TaskName, Timing,
};
use chorus_wire::Rejection;
use chorus_wire::client::SendError;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use tempfile::TempDir;

use crate::store::Enrolled;
use crate::{Client, Durability, FileKey, Pace, Settings, Transport};

/// When these tests happen, seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

/// Items in the catalogue.
pub const ITEMS: usize = 24;

pub fn task(noise: bool, clients: usize) -> Task {
    let recipe = match noise {
        true => r#"{"algorithm": "ials-private", "items": 24, "factors": 2, "sweeps": 1}"#,
        false => r#"{"algorithm": "ials", "items": 24, "factors": 2, "rounds": 2}"#,
    };
    let privacy = match noise {
        true => Privacy::Distributed {
            epsilon: 8.0,
            delta: 1e-5,
        },
        false => Privacy::Off,
    };
    Task {
        name: films(),
        population: clients,
        cohort: 1.0,
        split: 1,
        dropout: 0.3,
        corrupt: 0.1,
        bits: 32,
        consistency: chorus_protocol::Consistency::Cohort,
        privacy,
        noise: Default::default(),
        evaluate: None,
        recipe: serde_json::from_str(recipe).unwrap(),
    }
}

pub fn films() -> TaskName {
    "films".to_owned().try_into().unwrap()
}

/// An enrolment authority in the profile of `chorus-wire`.
pub struct Issuing {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Issuing {
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            der,
            issuer: Issuer::new(params, key),
        }
    }

    pub fn certify(&self, identity: &Identity) -> Enrolled {
        let pkcs8 = chorus_wire::tls::pkcs8(identity);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.to_vec().into(), &PKCS_ED25519);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "client");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let certificate = params.signed_by(&key.unwrap(), &self.issuer).unwrap();
        Enrolled {
            certificate: certificate.der().to_vec(),
            authority: self.der.clone(),
        }
    }
}

/// The coordinator.
pub struct Desk {
    pub identity: Identity,
    pub plan: RoundPlan,
    pub plan_bytes: Vec<u8>,
    pub round: Round,
    pub log: Vec<SignedEntry>,
    pub models: Vec<Vec<u8>>,
    pub events: Vec<RoundEvent>,
    pub now: u64,
    /// Every word that came up, in the order in which it came.
    pub uploads: Vec<(ClientId, Digest)>,
}

impl Desk {
    fn answer(&mut self, seat: &Card, request: &Request) -> Result<Response, Rejection> {
        let message = match request {
            Request::CheckIn { .. } if self.is_over() => return Ok(Response::Finished),
            Request::CheckIn { .. } => return Ok(Response::Invited(self.invitation())),
            Request::FetchLog { from } => {
                let rest = self.log.iter().skip(*from as usize).take(1);
                return Ok(Response::Log(rest.cloned().collect()));
            }
            Request::FetchModel { digest, offset } => {
                let model = self
                    .models
                    .iter()
                    .find(|model| Digest::of(model) == *digest)
                    .unwrap();
                let rest = model.iter().skip(*offset as usize).take(300);
                let (total, bytes) = (model.len() as u64, rest.copied().collect());
                return Ok(Response::Model {
                    offset: *offset,
                    total,
                    bytes,
                });
            }
            Request::Await { awaited, .. } => {
                let input = Input::Tick;
                self.round.handle(self.now, input, &mut self.events)?;
                return Ok(self.round.answer(&seat.id, *awaited)?);
            }
            Request::AdvertiseKeys {
                keys, signature, ..
            } => Message::Advertise {
                key: seat.key,
                certificate: seat.certificate.clone(),
                keys: *keys,
                signature: *signature,
            },
            Request::ShareKeys { sealed, .. } => Message::Share(sealed.clone()),
            Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable.clone()),
            Request::Upload { update, .. } => {
                self.uploads
                    .push((seat.id, Digest::of(update.masked.bytes())));
                Message::Upload(update.clone())
            }
            Request::Endorse { signature, .. } => Message::Endorse(*signature),
            Request::Unmask { revealed, .. } => Message::Unmask(revealed.clone()),
        };
        let input = Input::From {
            client: seat.id,
            message,
        };
        self.round.handle(self.now, input, &mut self.events)?;
        if self.recovered().is_some() && self.log.len() == 1 {
            self.publish(Origin::Round);
            self.round.published(2);
        }
        Ok(Response::Accepted)
    }

    pub fn invitation(&self) -> Invitation {
        let signature = self.identity.sign(Purpose::Plan, &[&self.plan_bytes]);
        Invitation {
            plan: self.plan_bytes.clone(),
            signature,
        }
    }

    /// Adds the next version to the log.
    pub fn publish(&mut self, origin: Origin) {
        let version = self.log.len() as u64 + 1;
        let entry = LogEntry {
            index: version - 1,
            previous: self.log.last().map_or(Digest::ZERO, SignedEntry::digest),
            task: films(),
            version,
            origin,
            model: Digest::of(&self.models[version as usize - 1]),
            report: Digest::of(b""),
        };
        self.log
            .push(SignedEntry::sign(&entry, &self.identity).unwrap());
    }

    pub fn recovered(&self) -> Option<&Recovered> {
        self.events.iter().find_map(|event| match event {
            RoundEvent::Completed(recovered) => Some(recovered),
            _ => None,
        })
    }

    pub fn is_over(&self) -> bool {
        let over = |event: &RoundEvent| {
            matches!(event, RoundEvent::Completed(_) | RoundEvent::Aborted { .. })
        };
        self.events.iter().any(over)
    }
}

/// Who a client is to the desk.
#[derive(Clone)]
pub struct Card {
    id: ClientId,
    key: [u8; 32],
    certificate: Vec<u8>,
}

/// One client's way to the desk.
#[derive(Clone)]
pub struct Seat {
    pub desk: Arc<Mutex<Desk>>,
    card: Card,
    /// So many calls get nowhere.
    pub deaf: u32,
    /// So many answers get lost after that.
    pub lossy: u32,
}

impl Transport for Seat {
    async fn send(&mut self, request: &Request) -> Result<Response, SendError> {
        let lost = || Err(SendError::Unreachable("the way is broken".to_owned()));
        if self.deaf > 0 {
            self.deaf -= 1;
            return lost();
        }
        let answer = self.desk.lock().unwrap().answer(&self.card, request);
        if self.lossy > 0 {
            self.lossy -= 1;
            return lost();
        }
        answer.map_err(|rejection| SendError::Refused {
            label: rejection.label.to_owned(),
            message: rejection.message,
        })
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        Some(self.desk.lock().unwrap().identity.public())
    }
}

/// A client, its folder, its way and its randomness.
pub struct Member {
    pub home: TempDir,
    pub client: Client,
    pub seat: Seat,
    pub rng: ChaCha20Rng,
}

impl Member {
    /// Ends the app and starts it again.
    pub fn restart(&mut self) {
        self.client = open(self.home.path(), settings());
    }
}

pub fn settings() -> Settings {
    Settings {
        floor: Floor {
            without_noise: true,
            ..Floor::default()
        },
        durability: Durability::ProcessEnd,
        pace: Pace {
            first: 100,
            between: 10,
            ..Pace::default()
        },
    }
}

/// The client in a folder, with its key beside it.
pub fn open(home: &Path, settings: Settings) -> Client {
    Client::open(home, &FileKey::beside(home), settings, NOW).unwrap()
}

/// An enrolled client with a history, not connected to anything.
pub fn enrolled(issuing: &Issuing, seed: u64) -> (TempDir, Client, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let home = tempfile::tempdir().unwrap();
    let mut client = open(home.path(), settings());
    let identity = Identity::generate(&mut rng);
    client.store.put_identity(&identity).unwrap();
    client
        .store
        .put_enrolled(&issuing.certify(&identity))
        .unwrap();
    let items = (0..5).map(|step| ItemId(((seed * 7 + step * 3) % ITEMS as u64) as u32));
    client
        .record_all(items.map(|item| Event { item, at: NOW }))
        .unwrap();
    (home, client, rng)
}

pub fn model(noise: bool, seed: u64) -> Parameters {
    task(noise, 12).recipe.start(seed).parameters
}

/// A coordinator and its clients at the beginning of a round.
pub fn federation(clients: usize, noise: bool) -> (Arc<Mutex<Desk>>, Vec<Member>) {
    let issuing = Issuing::new();
    let made: Vec<_> = (0..clients)
        .map(|seed| enrolled(&issuing, seed as u64))
        .collect();
    let cards: Vec<Card> = made
        .iter()
        .map(|(_, client, _)| {
            let identity = client.identity().unwrap();
            let certificate = client.store.enrolled().unwrap().unwrap().certificate;
            Card {
                id: identity.id(),
                key: identity.public(),
                certificate,
            }
        })
        .collect();
    let desk = Arc::new(Mutex::new(desk(
        noise,
        cards.iter().map(|card| card.id).collect(),
    )));
    let members = made
        .into_iter()
        .zip(cards)
        .map(|((home, client, rng), card)| {
            let seat = Seat {
                desk: desk.clone(),
                card,
                deaf: 0,
                lossy: 0,
            };
            Member {
                home,
                client,
                seat,
                rng,
            }
        });
    let members = members.collect();
    (desk, members)
}

fn desk(noise: bool, invited: BTreeSet<ClientId>) -> Desk {
    let identity = Identity::from_seed(&[9; 32]);
    let models: Vec<Vec<u8>> = (1..4)
        .map(|seed| model(noise, seed).to_bytes().unwrap())
        .collect();
    let task = task(noise, invited.len());
    let plan = task
        .plan(0, invited.len(), RoundId(7), 1, Digest::of(&models[0]))
        .unwrap();
    let plan_bytes = serde_json::to_vec(&plan).unwrap();
    let timing = Timing {
        phase: 10_000,
        quiet: 1_000,
    };
    let round = Round::open(plan.clone(), &plan_bytes, invited, timing, 0);
    let mut desk = Desk {
        identity,
        plan,
        plan_bytes,
        round,
        log: Vec::new(),
        models,
        events: Vec::new(),
        now: 0,
        uploads: Vec::new(),
    };
    desk.publish(Origin::Start);
    desk
}
