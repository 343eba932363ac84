//! A coordinator that keeps no rule: it tells each client what it likes, and remembers all that it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chorus_model::Delta;
use chorus_protocol::{
    Addressed, Beacon, Digest, Endorsement, Identity, Invitation, MaskedWith, Neighbour,
    Neighbourhood, Next, Outcome, Participation, Proof, PublicKeys, Purpose, Question, Refusal,
    Request, Response, Revealed, Roster, RoundPlan, Seal, SignedEntry, SignedUpdate, Standing,
    Statement, Task, Testimony, commitment, encode, noise_share,
};
use chorus_secagg::{Graph, GraphPlan, RoundDigest, RoundKeys, plan};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Federation, Keys, MODEL, Witness, dense, tree};

/// What a client sent when it advertised.
#[derive(Clone)]
pub struct Advertised {
    pub enrolled: [u8; 32],
    pub keys: PublicKeys,
    pub signature: [u8; 64],
}

/// What some clients are told of the cohort.
pub struct View {
    /// The clients by their numbers in this view.
    pub members: Vec<usize>,
    pub advertised: Vec<Advertised>,
    pub key_root: Digest,
    pub cohort_root: Digest,
    pub beacon: Option<Beacon>,
    pub seed: [u8; 32],
    pub plan: GraphPlan,
    pub graph: Graph,
    /// What the clients derive their keys from.
    pub digest: RoundDigest,
    round: RoundDigest,
    paths: Vec<Vec<Digest>>,
}

/// One client, as the coordinator sees it; a corrupt one shows it its secret keys too.
pub struct Client {
    pub identity: Identity,
    pub participation: Option<Participation>,
    pub rng: ChaCha20Rng,
    /// Its update before the mask: what nobody should learn.
    pub words: Vec<u32>,
    pub advertised: Option<Advertised>,
    pub corrupt: Option<RoundKeys>,
    pub view: Option<Rc<View>>,
    pub sealed: Vec<Addressed>,
    pub sharers: Option<Roster>,
    pub upload: Option<SignedUpdate>,
    /// Who survived, as it was told.
    pub survivors: Option<Roster>,
    pub revealed: Vec<Revealed>,
}

pub struct World {
    pub coordinator: Identity,
    pub plan: RoundPlan,
    pub plan_bytes: Vec<u8>,
    pub entry: SignedEntry,
    pub clients: Vec<Client>,
    pub witness: Witness,
}

impl World {
    /// The clients of `task`, of whom the last `corrupt` work for the coordinator. Everyone has learned and advertised.
    pub fn new(task: &Task, corrupt: usize, seed: u64) -> Self {
        let Federation {
            coordinator,
            plan,
            plan_bytes,
            members,
            entry,
            witness,
            ..
        } = Federation::of(task, seed);
        let honest = members.len() - corrupt;
        let clients = members.into_iter().map(|member| Client {
            identity: member.identity,
            participation: None,
            rng: member.rng,
            words: Vec::new(),
            advertised: None,
            corrupt: None,
            view: None,
            sealed: Vec::new(),
            sharers: None,
            upload: None,
            survivors: None,
            revealed: Vec::new(),
        });
        let mut world = Self {
            coordinator,
            plan,
            plan_bytes,
            entry,
            clients: clients.collect(),
            witness,
        };
        for index in 0..world.clients.len() {
            match index < honest {
                true => world.begin(index),
                false => world.corrupt(index),
            }
        }
        world
    }

    pub fn honest(&self) -> Vec<usize> {
        let honest = |index: &usize| self.clients[*index].corrupt.is_none();
        (0..self.clients.len()).filter(honest).collect()
    }

    pub fn digest(&self) -> RoundDigest {
        self.plan.digest(&self.plan_bytes, &self.plan.model)
    }

    fn corrupt(&mut self, index: usize) {
        let digest = self.digest();
        let client = &mut self.clients[index];
        let keys = RoundKeys::generate(chorus_secagg::Generator::native(), &mut client.rng);
        client.advertised = Some(Advertised {
            enrolled: client.identity.public(),
            keys: keys.public(),
            signature: client.identity.advertise(&digest, &keys.public()),
        });
        client.corrupt = Some(keys);
    }

    /// An honest client from the invitation to its advertisement.
    pub fn begin(&mut self, index: usize) {
        let floor = chorus_protocol::Floor {
            without_noise: true,
            ..Default::default()
        };
        let mut log = chorus_protocol::LogView::default();
        log.follow(
            std::slice::from_ref(&self.entry),
            &self.coordinator.public(),
        )
        .unwrap();
        let standing = Standing {
            floor: &floor,
            charges: &[],
            local_today: 0,
            last_round: None,
            log,
            coordinator: self.coordinator.public(),
            model: Some(MODEL.to_vec()),
        };
        let signature = self.coordinator.sign(Purpose::Plan, &[&self.plan_bytes]);
        let invitation = Invitation {
            plan: self.plan_bytes.clone(),
            signature,
        };
        let participation = Participation::join(invitation, standing).unwrap();
        self.learn(index, participation);
    }

    /// An honest client that joined learns something of its own, and advertises.
    pub fn learn(&mut self, index: usize, mut participation: Participation) {
        let client = &mut self.clients[index];
        let length = self.plan.encoding.length();
        let values = (0..length).map(|_| (client.rng.next_u32() % 1_000) as f32 / 1_000.0 - 0.5);
        let delta = Delta::new(values.collect());
        let encoded = encode(
            delta,
            &self.plan,
            noise_share(&self.plan, &mut client.rng).unwrap(),
            &mut client.rng,
        )
        .unwrap();
        client.words = dense(&encoded.update);
        participation
            .learned(encoded.update, &client.identity, &mut client.rng)
            .unwrap();
        let Next::Send(Request::AdvertiseKeys {
            keys, signature, ..
        }) = participation.poll()
        else {
            panic!("it does not advertise");
        };
        client.advertised = Some(Advertised {
            enrolled: client.identity.public(),
            keys,
            signature,
        });
        client.participation = Some(participation);
        self.tell(index, Response::Accepted).unwrap();
    }

    /// Hands a client an answer.
    pub fn tell(&mut self, index: usize, response: Response) -> Result<(), Refusal> {
        let client = &mut self.clients[index];
        let participation = client.participation.as_mut().unwrap();
        participation.handle(response, &client.identity, &Keys, &mut client.rng)
    }

    /// What it would send now.
    pub fn says(&self, index: usize) -> Option<Request> {
        match self.clients[index].participation.as_ref()?.poll() {
            Next::Send(request) => Some(request),
            _ => None,
        }
    }

    pub fn is_out(&self, index: usize) -> bool {
        let participation = self.clients[index].participation.as_ref().unwrap();
        matches!(participation.poll(), Next::Over(Outcome::LeftOut))
    }

    /// What the clients said, in the order of `members`, which are their numbers.
    pub fn advertised(&self, members: &[usize]) -> Vec<Advertised> {
        let said = |index: &usize| self.clients[*index].advertised.clone().unwrap();
        members.iter().map(said).collect()
    }

    /// A view of these members with their own keys; the witness draws for it where the plan has one.
    pub fn view(&mut self, members: Vec<usize>) -> Rc<View> {
        let advertised = self.advertised(&members);
        let drawn = match self.plan.consistency {
            chorus_protocol::Consistency::Cohort => None,
            chorus_protocol::Consistency::Witness => {
                self.draw(&advertised).expect("it draws once a round")
            }
        };
        Rc::new(self.view_of(members, advertised, drawn))
    }

    /// What the witness draws for these advertisements, if it does.
    pub fn draw(&mut self, advertised: &[Advertised]) -> Option<Option<Beacon>> {
        let (cohort_root, key_root) = roots(advertised);
        let size = advertised.len() as u32;
        let commitment = commitment(&self.digest(), size, &cohort_root, &key_root);
        let round = self.plan.round;
        let question = Question::Draw { round, commitment };
        match self.witness.answer(&self.coordinator.public(), question)? {
            Testimony::Beacon(beacon) => Some(Some(beacon)),
            Testimony::Seal(_) => panic!("a seal for a draw"),
        }
    }

    /// Any view at all.
    pub fn view_of(
        &self,
        members: Vec<usize>,
        advertised: Vec<Advertised>,
        beacon: Option<Beacon>,
    ) -> View {
        let (cohort_root, key_root) = roots(&advertised);
        let entries = entries(&advertised);
        let round = self.digest();
        let size = advertised.len() as u32;
        let none: &[u8] = &[];
        let (certificate, drawn) = beacon.as_ref().map_or((none, none), |beacon| {
            (&beacon.certificate[..], &beacon.randomness[..])
        });
        // Written down a second time: what clients derive is nobody's to change unseen.
        let seed = Digest::of_parts("chorus/v2/graph-seed", &[&key_root.0, drawn]).0;
        let commitment = commitment(&round, size, &cohort_root, &key_root);
        let digest = Digest::of_parts("chorus/v2/cohort", &[&commitment.0, certificate, drawn]);
        let plan = self.graph_plan(advertised.len());
        View {
            graph: Graph::new(&seed, &plan),
            paths: tree::paths(&entries),
            members,
            advertised,
            key_root,
            cohort_root,
            beacon,
            seed,
            plan,
            digest: RoundDigest(digest.0),
            round,
        }
    }

    /// The graph for so many of the invited.
    pub fn graph_plan(&self, cohort: usize) -> GraphPlan {
        let mut assumptions = self.plan.assumptions;
        assumptions.corrupt = self.plan.corrupt() as f64 / cohort as f64;
        plan(cohort, &assumptions).unwrap()
    }

    /// Shows an honest client its place in a view, and keeps the shares that it seals.
    pub fn show(&mut self, index: usize, view: &Rc<View>) -> Result<(), Refusal> {
        let number = view.number(index);
        self.tell(index, Response::Neighbours(view.place(number)))?;
        let Some(Request::ShareKeys { sealed, .. }) = self.says(index) else {
            panic!("it does not share");
        };
        self.clients[index].sealed = sealed;
        self.clients[index].view = Some(Rc::clone(view));
        self.tell(index, Response::Accepted)
    }

    /// Hands an honest client the shares that its neighbours sealed for its number, whatever they were told.
    /// Gives back the numbers of those whose shares it could not open.
    pub fn deliver(&mut self, index: usize) -> Vec<u32> {
        let view = Rc::clone(self.clients[index].view.as_ref().unwrap());
        let number = view.number(index);
        let mut shares = Vec::new();
        for near in view.graph.neighbours(number) {
            let sender = &self.clients[view.members[near as usize]];
            let sealed = sender.sealed.iter().find(|one| one.peer == number);
            shares.extend(sealed.map(|one| Addressed {
                peer: near,
                sealed: one.sealed,
            }));
        }
        self.tell(index, Response::Shares(shares)).unwrap();
        let Some(Request::ConfirmShares { unopenable, .. }) = self.says(index) else {
            panic!("it does not confirm");
        };
        self.tell(index, Response::Accepted).unwrap();
        unopenable
    }

    /// Tells an honest client with whom it masks, and keeps its upload.
    pub fn mask(&mut self, index: usize, sharers: &Roster) -> Result<(), Refusal> {
        self.tell(index, Response::Sharers(sharers.clone()))?;
        if let Some(Request::Upload { update, .. }) = self.says(index) {
            self.clients[index].upload = Some(update);
            self.clients[index].sharers = Some(sharers.clone());
            self.tell(index, Response::Accepted)?;
        }
        Ok(())
    }

    /// Tells an honest client who survived. Its signature, where the cohort vouches.
    pub fn settle(
        &mut self,
        index: usize,
        survivors: &Roster,
    ) -> Result<Option<[u8; 64]>, Refusal> {
        self.tell(index, Response::Survivors(survivors.clone()))?;
        self.clients[index].survivors = Some(survivors.clone());
        match self.says(index) {
            Some(Request::Endorse { signature, .. }) => {
                self.tell(index, Response::Accepted)?;
                Ok(Some(signature))
            }
            _ => Ok(None),
        }
    }

    /// Shows an honest client a proof, and keeps the shares that it gives back.
    pub fn prove(&mut self, index: usize, proof: Proof) -> Result<(), Refusal> {
        let masked = self.masked(index);
        self.tell(index, Response::Proof(proof, masked))?;
        let Some(Request::Unmask { revealed, .. }) = self.says(index) else {
            panic!("it does not unmask");
        };
        self.clients[index].revealed.extend(revealed);
        self.tell(index, Response::Accepted)
    }

    /// What the coordinator has of a client's neighbours that it told of: the honest signed with their update for the
    /// sharers that they were told of, the others sign whatever helps.
    pub fn masked(&self, index: usize) -> Vec<MaskedWith> {
        let client = &self.clients[index];
        let (Some(view), Some(sharers), Some(survivors)) =
            (&client.view, &client.sharers, &client.survivors)
        else {
            return Vec::new();
        };
        let near = view.graph.neighbours(view.number(index)).into_iter();
        near.filter(|number| survivors.contains(*number))
            .map(|number| {
                let peer = &self.clients[view.members[number as usize]];
                let signature = match (&peer.corrupt, &peer.upload) {
                    (None, Some(update)) => update.signature,
                    _ => {
                        let statement = masked_with(&view.digest, number, sharers);
                        peer.identity.sign(Purpose::Masked, &[&statement.0])
                    }
                };
                MaskedWith {
                    index: number,
                    signature,
                }
            })
            .collect()
    }

    /// Everyone in a view up to the upload, each masking with everyone in it.
    pub fn until_uploaded(&mut self, view: &Rc<View>) {
        let honest: Vec<usize> = self.honest_of(view);
        for index in &honest {
            self.show(*index, view).unwrap();
        }
        for index in &honest {
            assert_eq!(self.deliver(*index), Vec::<u32>::new());
        }
        for index in &honest {
            self.mask(*index, &view.all()).unwrap();
        }
    }

    pub fn honest_of(&self, view: &View) -> Vec<usize> {
        let honest = |index: &usize| self.clients[*index].corrupt.is_none();
        view.members.iter().copied().filter(honest).collect()
    }

    pub fn corrupt_of(&self, view: &View) -> Vec<usize> {
        let corrupt = |index: &usize| self.clients[*index].corrupt.is_some();
        view.members.iter().copied().filter(corrupt).collect()
    }

    /// What a client of this identity would sign, honest or not.
    pub fn endorse(&self, index: usize, statement: &Digest) -> [u8; 64] {
        self.clients[index].identity.endorse(statement)
    }

    /// The witness's seal under a statement, if it gives one.
    pub fn seal(&mut self, statement: Digest) -> Option<Proof> {
        let round = self.plan.round;
        let question = Question::Seal { round, statement };
        match self.witness.answer(&self.coordinator.public(), question)? {
            Testimony::Seal(seal) => Some(Proof::Witness(seal)),
            Testimony::Beacon(_) => panic!("a beacon for a seal"),
        }
    }

    /// What a witness would sign that keeps no rule.
    pub fn false_seal(&self, witness: &Witness, statement: &Digest) -> Proof {
        Proof::Witness(Seal::sign(
            &witness.identity,
            witness.certificate(),
            &self.coordinator.public(),
            self.plan.round,
            statement,
        ))
    }
}

impl View {
    pub fn number(&self, index: usize) -> u32 {
        let place = self.members.iter().position(|member| *member == index);
        place.unwrap() as u32
    }

    pub fn size(&self) -> u32 {
        self.advertised.len() as u32
    }

    pub fn all(&self) -> Roster {
        Roster::of(self.size(), 0..self.size())
    }

    /// Everyone but these clients.
    pub fn without(&self, lost: &BTreeSet<usize>) -> Roster {
        let kept =
            (0..self.size()).filter(|number| !lost.contains(&self.members[*number as usize]));
        Roster::of(self.size(), kept)
    }

    /// What the member with this number is told.
    pub fn place(&self, index: u32) -> Neighbourhood {
        let neighbour = |number: u32| {
            let said = &self.advertised[number as usize];
            Neighbour {
                index: number,
                certificate: said.enrolled.to_vec(),
                keys: said.keys,
                signature: said.signature,
                path: self.paths[number as usize].clone(),
            }
        };
        let neighbours = self.graph.neighbours(index).into_iter().map(neighbour);
        Neighbourhood {
            index,
            cohort: self.size(),
            cohort_root: self.cohort_root,
            key_root: self.key_root,
            path: self.paths[index as usize].clone(),
            beacon: self.beacon.clone(),
            members: match self.beacon {
                Some(_) => self.advertised.iter().map(|said| said.enrolled).collect(),
                None => Vec::new(),
            },
            neighbours: neighbours.collect(),
        }
    }

    pub fn statement(&self, sharers: &Roster, survivors: &Roster) -> Digest {
        Statement {
            round: &self.round,
            cohort_root: &self.cohort_root,
            key_root: &self.key_root,
            graph_seed: &self.seed,
            sharers,
            survivors,
        }
        .digest()
    }

    /// A proof by the cohort from these clients' signatures.
    pub fn proof(&self, signatures: &BTreeMap<usize, [u8; 64]>) -> Proof {
        let mut endorsements: Vec<Endorsement> = signatures
            .iter()
            .map(|(index, signature)| {
                let number = self.number(*index);
                Endorsement {
                    index: number,
                    certificate: self.advertised[number as usize].enrolled.to_vec(),
                    signature: *signature,
                }
            })
            .collect();
        endorsements.sort_by_key(|endorsement| endorsement.index);
        Proof::Cohort {
            members: self.advertised.iter().map(|said| said.enrolled).collect(),
            endorsements,
        }
    }
}

/// What a client signs with its update, written down a second time.
pub fn masked_with(cohort: &RoundDigest, number: u32, sharers: &Roster) -> Digest {
    let size = sharers.size().to_be_bytes();
    let root = Digest::of_parts("chorus/v2/roster", &[&size, sharers.bits()]);
    let number = number.to_be_bytes();
    Digest::of_parts("chorus/v2/masked", &[&cohort.0, &number, &root.0])
}

fn entries(advertised: &[Advertised]) -> Vec<Vec<u8>> {
    let entry = |said: &Advertised| tree::key_entry(&said.enrolled, &said.keys);
    advertised.iter().map(entry).collect()
}

/// Of the cohort, and of its keys.
pub fn roots(advertised: &[Advertised]) -> (Digest, Digest) {
    let enrolled: Vec<Vec<u8>> = advertised
        .iter()
        .map(|said| said.enrolled.to_vec())
        .collect();
    (tree::root(&enrolled), tree::root(&entries(advertised)))
}

/// A generator for choices of the test.
pub fn choices(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Why a client refuses a place. The next case begins where this one did.
pub fn refusal(world: &mut World, index: usize, place: Neighbourhood) -> String {
    let saved = world.clients[index].participation.as_ref().unwrap();
    let saved = saved.save().unwrap();
    let refusal = world.tell(index, Response::Neighbours(place)).unwrap_err();
    assert!(world.is_out(index));
    world.clients[index].participation = Some(Participation::restore(&saved).unwrap());
    refusal.to_string()
}
