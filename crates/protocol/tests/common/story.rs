//! What the transcripts' commands do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use chorus_protocol::{
    Awaited, Beacon, Consistency, Digest, Endorsement, Event, Identity, MaskedWith, Message,
    Neighbourhood, Next, Outcome, Participation, Phase, Proof, Question, Request, Response, Roster,
    RoundId, Seal, Testimony, quorum,
};
use chorus_secagg::plan;

use super::{Federation, Witness, task};

/// A round, and what is needed to tell of it.
#[derive(Default)]
pub struct Story {
    federation: Option<Federation>,
    lost: BTreeSet<usize>,
    uploaded: BTreeSet<usize>,
    signed: BTreeMap<usize, [u8; 64]>,
    /// What they signed with their updates.
    masked: BTreeMap<usize, [u8; 64]>,
    /// What each client said last.
    last: BTreeMap<usize, Message>,
    /// Who has said something since the command.
    said: BTreeSet<usize>,
    /// How many of the events have been told.
    events: usize,
    lines: Vec<Line>,
}

/// Who did something, and what; or just something that happened.
struct Line {
    who: Vec<usize>,
    what: String,
}

impl Story {
    pub fn command(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["open", clients, ref options @ ..] => self.open(clients, options),
            ["everyone"] => {
                let all: Vec<usize> = (0..self.of().members.len()).collect();
                self.go(&all);
            }
            [who, "go"] => self.go(&numbers(who)),
            [who, "say"] => self.say(&numbers(who)),
            ["lose", who] => self.lost.extend(numbers(who)),
            ["wait", time] => {
                let time: u64 = time.parse().unwrap();
                let federation = self.of_mut();
                federation.now += time;
                federation.tick();
                self.tell_events();
            }
            ["interrupt", who] => {
                for member in numbers(who) {
                    let saved = self.saved(member);
                    self.put_back(member, &saved);
                }
            }
            ["restart"] => {
                let taken_up = self.of_mut().restart(|records| records.reverse());
                let phase = self.of().round.phase().name();
                self.happened(match taken_up {
                    true => format!("the round is taken up again: {phase}"),
                    false => "nothing was kept yet: the round is lost".to_owned(),
                });
                self.tell_events();
            }
            ["again", who] => self.again(numbers(who)[0], false),
            ["other", who] => self.again(numbers(who)[0], true),
            ["stranger"] => self.stranger(),
            ["witness", state] => {
                self.of_mut().witness.silent_from = match state {
                    "silent" => Phase::Advertising,
                    _ => Phase::Ended,
                };
            }
            ["tell", who, what, ref how @ ..] => self.lie(numbers(who)[0], what, how),
            ["status"] => self.status(),
            _ => panic!("no such command: {command}"),
        }
        self.output()
    }

    fn of(&self) -> &Federation {
        self.federation.as_ref().unwrap()
    }

    fn of_mut(&mut self) -> &mut Federation {
        self.federation.as_mut().unwrap()
    }

    fn open(&mut self, clients: &str, options: &[&str]) {
        let mut task = task(clients.parse().unwrap(), false);
        let mut seed = 1;
        for option in options {
            match option.split_once('=') {
                Some(("bits", bits)) => task.bits = bits.parse().unwrap(),
                Some(("seed", number)) => seed = number.parse().unwrap(),
                _ if *option == "witness" => task.consistency = Consistency::Witness,
                _ => panic!("no such option: {option}"),
            }
        }
        let mut federation = Federation::of(&task, seed);
        // The cohort is numbered by ids.
        federation
            .members
            .sort_by_key(|member| member.identity.id());
        federation.join_all();
        let invited = task.population;
        let graph = plan(invited, &federation.plan.assumptions).unwrap();
        let minimum = federation.plan.survivors.minimum;
        let bytes = federation.round.upload_bytes();
        *self = Self {
            federation: Some(federation),
            ..Self::default()
        };
        self.happened(format!(
            "{invited} clients are invited, {minimum} must be in the sum, an upload has {bytes} bytes"
        ));
        self.happened(format!(
            "each has {} neighbours, {} of whom open its secrets",
            graph.degree, graph.threshold
        ));
        let corrupt = self.of().plan.corrupt();
        self.happened(match task.consistency {
            Consistency::Witness => "a witness vouches that all are told the same".to_owned(),
            Consistency::Cohort => format!(
                "{} signatures vouch that all are told the same",
                quorum(invited, corrupt)
            ),
        });
    }

    fn happened(&mut self, what: String) {
        self.lines.push(Line {
            who: Vec::new(),
            what,
        });
    }

    /// The same thing done by several, one after the other, is told once.
    fn did(&mut self, who: usize, what: String) {
        match self.lines.last_mut() {
            Some(line) if line.what == what && !line.who.is_empty() => line.who.push(who),
            _ => self.lines.push(Line {
                who: vec![who],
                what,
            }),
        }
    }

    fn output(&mut self) -> String {
        let mut text = String::new();
        for Line { who, what } in self.lines.drain(..) {
            match who.is_empty() {
                true => writeln!(text, "{what}").unwrap(),
                false => writeln!(text, "{}: {what}", ranges(&who)).unwrap(),
            }
        }
        text
    }

    /// Until all of them wait.
    fn go(&mut self, who: &[usize]) {
        while self.each(who, |_| true) {}
    }

    /// Until each has said one thing, or waits.
    fn say(&mut self, who: &[usize]) {
        self.said.clear();
        while self.each(who, |said| !said) {}
    }

    /// Those that may, do one thing each. False when none did.
    fn each(&mut self, who: &[usize], may: impl Fn(bool) -> bool) -> bool {
        let mut moved = false;
        for member in who {
            if !self.lost.contains(member) && may(self.said.contains(member)) {
                moved |= self.act(*member);
            }
        }
        moved
    }

    /// One thing that a client does. False when it waits, or is done.
    fn act(&mut self, member: usize) -> bool {
        let Some(participation) = &self.of().members[member].participation else {
            return false;
        };
        let request = match participation.poll() {
            Next::Over(_) => return false,
            Next::Learn { .. } => return self.of_mut().step(member),
            Next::Send(request) => request,
        };
        let name = name(&request);
        let uploads = match &request {
            Request::Upload { update, .. } => Some(update.signature),
            _ => None,
        };
        let signature = match &request {
            Request::Endorse { signature, .. } => Some(*signature),
            _ => None,
        };
        if let Some(message) = self.message(member) {
            self.last.insert(member, message);
        }
        let answer = match self.of_mut().ask(member, request) {
            Ok(Response::Pending) => return false,
            Ok(answer) => answer,
            Err(reject) => {
                let label = reject.label();
                self.did(
                    member,
                    match name {
                        Some(name) => format!("{name} is rejected ({label}): {reject}"),
                        None => format!("asks and is rejected ({label}): {reject}"),
                    },
                );
                let member = &mut self.of_mut().members[member];
                member.participation.as_mut().unwrap().left_out();
                return true;
            }
        };
        if let Some(signature) = uploads {
            self.uploaded.insert(member);
            self.masked.insert(member, signature);
        }
        if let Some(signature) = signature {
            self.signed.insert(member, signature);
        }
        if let Some(name) = name {
            self.said.insert(member);
            self.did(member, name.to_owned());
        }
        match self.of_mut().tell(member, answer) {
            Ok(()) => {
                if let Some(outcome) = self.of().outcome(member) {
                    self.did(member, self::outcome(&outcome));
                }
            }
            Err(refusal) => self.did(member, format!("leaves: {refusal}")),
        }
        self.tell_events();
        true
    }

    fn tell_events(&mut self) {
        let events = self.of().events[self.events..].to_vec();
        self.events += events.len();
        for event in events {
            match event {
                Event::Began(phase) => self.happened(format!("-- {}", phase.name())),
                Event::Aborted { reason } => self.happened(format!("-- ended: {reason}")),
                Event::Completed(recovered) => {
                    let federation = self.of();
                    let ids: BTreeSet<_> = self.uploaded.iter().copied().collect();
                    let id = |index: &usize| federation.members[*index].identity.id();
                    let ids: BTreeSet<_> = ids.iter().map(id).collect();
                    let plain = federation.plain_sum(|member| ids.contains(&member.identity.id()));
                    let who: Vec<usize> = self.uploaded.iter().copied().collect();
                    self.happened(
                        match plain == recovered.sum && who.len() == recovered.clients {
                            true => format!("-- the sum of {}, bit for bit", ranges(&who)),
                            false => "-- a wrong sum".to_owned(),
                        },
                    );
                }
            }
        }
    }

    /// What a client would say now, as the coordinator's service reads it.
    fn message(&self, member: usize) -> Option<Message> {
        let member = &self.of().members[member];
        let Next::Send(request) = member.participation.as_ref()?.poll() else {
            return None;
        };
        let key = member.identity.public();
        Some(match request {
            Request::AdvertiseKeys {
                keys, signature, ..
            } => Message::Advertise {
                key,
                certificate: key.to_vec(),
                keys,
                signature,
            },
            Request::ShareKeys { sealed, .. } => Message::Share(sealed),
            Request::ConfirmShares { unopenable, .. } => Message::Confirm(unopenable),
            Request::Upload { update, .. } => Message::Upload(update),
            Request::Endorse { signature, .. } => Message::Endorse(signature),
            Request::Unmask { revealed, .. } => Message::Unmask(revealed),
            _ => return None,
        })
    }

    fn again(&mut self, member: usize, other: bool) {
        let mut message = self.last.remove(&member).unwrap();
        let kept = copy(&message);
        if other {
            match &mut message {
                Message::Advertise { signature, .. } | Message::Endorse(signature) => {
                    signature[0] ^= 1;
                }
                Message::Share(sealed) => sealed[0].sealed[0] ^= 1,
                Message::Confirm(unopenable) => unopenable.push(u32::MAX),
                Message::Upload(update) => {
                    let masked = &update.masked;
                    let (ring, length) = (masked.ring(), masked.length());
                    let mut bytes = masked.bytes().to_vec();
                    bytes[0] ^= 1;
                    update.masked =
                        chorus_secagg::MaskedUpdate::from_bytes(bytes, ring, length).unwrap();
                }
                Message::Unmask(revealed) => revealed[0].share[0] ^= 1,
            }
        }
        let before = self.of().round.clone();
        let client = self.of().members[member].identity.id();
        let said = match self.of_mut().say(client, message) {
            Ok(()) => "accepted".to_owned(),
            Err(reject) => format!("rejected ({}): {reject}", reject.label()),
        };
        let changed = match self.of().round == before {
            true => "the round is as it was",
            false => "the round changed",
        };
        self.last.insert(member, kept);
        self.did(member, format!("{said}; {changed}"));
    }

    fn stranger(&mut self) {
        let message = self.last.get(&0).map(copy).unwrap();
        let stranger = Identity::from_seed(&[0xee; 32]).id();
        let result = self.of_mut().say(stranger, message);
        let words = result.map_err(|reject| format!("rejected ({}): {reject}", reject.label()));
        self.happened(words.err().unwrap_or_else(|| "accepted".to_owned()));
    }

    fn saved(&self, member: usize) -> Vec<u8> {
        let participation = self.of().members[member].participation.as_ref().unwrap();
        participation.save().unwrap().to_vec()
    }

    fn put_back(&mut self, member: usize, saved: &[u8]) {
        let participation = Participation::restore(saved).unwrap();
        self.of_mut().members[member].participation = Some(participation);
    }

    /// Hands a client an answer of the coordinator's making.
    fn lie(&mut self, member: usize, what: &str, how: &[&str]) {
        let size = self.of().members.len() as u32;
        let roster = |list: &str| Roster::of(size, numbers(list).into_iter().map(|n| n as u32));
        let answer = match (what, how) {
            ("survivors", [list]) => Response::Survivors(roster(list)),
            ("sharers", [list]) => Response::Sharers(roster(list)),
            ("proof", ["by", list]) => {
                Response::Proof(self.proof(&numbers(list)), self.masked(member))
            }
            ("neighbours", [how]) => Response::Neighbours(self.place(member, how)),
            ("seal", [how]) => Response::Proof(self.seal(how), self.masked(member)),
            _ => panic!("no such lie: {what} {how:?}"),
        };
        let saved = self.saved(member);
        match self.of_mut().tell(member, answer) {
            Ok(()) => {
                let participation = self.of().members[member].participation.as_ref().unwrap();
                let next = match participation.poll() {
                    Next::Send(request) => self::name(&request),
                    _ => return self.unheard(member, &saved),
                };
                self.did(
                    member,
                    match next {
                        Some(name) => format!("believes it, and would {name}"),
                        None => "believes it, and waits".to_owned(),
                    },
                );
            }
            Err(refusal) => {
                self.did(member, format!("leaves: {refusal}"));
                self.put_back(member, &saved);
            }
        }
    }

    /// The round is over for a client, by an answer that is no lie as far as it can tell.
    fn unheard(&mut self, member: usize, saved: &[u8]) {
        self.did(member, "takes it that it is left out".to_owned());
        self.put_back(member, saved);
    }

    /// What the round would show a client of its neighbours.
    fn masked(&self, member: usize) -> Vec<MaskedWith> {
        let federation = self.of();
        let client = federation.members[member].identity.id();
        let Ok(Response::Survivors(survivors)) =
            federation.round.answer(&client, Awaited::Survivors)
        else {
            return Vec::new();
        };
        let others = survivors.iter().filter(|index| *index as usize != member);
        let signed = |index: u32| {
            let signature = *self.masked.get(&(index as usize))?;
            Some(MaskedWith { index, signature })
        };
        others.filter_map(signed).collect()
    }

    fn proof(&self, by: &[usize]) -> Proof {
        let members = self.of().members.iter();
        let enrolled: Vec<[u8; 32]> = members.map(|member| member.identity.public()).collect();
        let signed = |index: &usize| {
            self.signed.get(index).map(|signature| Endorsement {
                index: *index as u32,
                certificate: enrolled[*index].to_vec(),
                signature: *signature,
            })
        };
        Proof::Cohort {
            endorsements: by.iter().filter_map(signed).collect(),
            members: enrolled,
        }
    }

    fn place(&self, member: usize, how: &str) -> Neighbourhood {
        let federation = self.of();
        let client = federation.members[member].identity.id();
        let answer = federation.round.answer(&client, Awaited::Neighbours);
        let Ok(Response::Neighbours(mut place)) = answer else {
            panic!("the round is not sharing");
        };
        let position = |place: &Neighbourhood, number: &str| {
            let number: u32 = number.parse().unwrap();
            let found = place
                .neighbours
                .iter()
                .position(|near| near.index == number);
            found.unwrap()
        };
        match how.split_once('=') {
            Some(("cohort", size)) => place.cohort = size.parse().unwrap(),
            Some(("key-root", _)) => place.key_root = Digest::of(b"other"),
            Some(("without", number)) => {
                let position = position(&place, number);
                place.neighbours.remove(position);
            }
            Some(("keys-of", two)) => {
                let (to, from) = two.split_once(',').unwrap();
                let (to, from) = (position(&place, to), position(&place, from));
                place.neighbours[to].keys = place.neighbours[from].keys;
                place.neighbours[to].signature = place.neighbours[from].signature;
            }
            Some(("path", _)) => place.path.clear(),
            Some(("beacon", "none")) => place.beacon = None,
            Some(("beacon", _)) => {
                let witness = Witness::new(99);
                place.beacon = place.beacon.map(|beacon| Beacon {
                    certificate: witness.certificate(),
                    ..beacon
                });
            }
            _ => panic!("no such lie: {how}"),
        }
        place
    }

    fn seal(&self, how: &str) -> Proof {
        let federation = self.of();
        let known = |answered: &(Question, Testimony)| match answered.0 {
            Question::Seal { statement, .. } => Some(statement),
            Question::Draw { .. } => None,
        };
        let statement = federation.witness.answered.iter().find_map(known).unwrap();
        let mut round = federation.plan.round;
        let (mut witness, mut content) = (&federation.witness, statement);
        let other = Witness::new(99);
        match how {
            "other-witness" => witness = &other,
            "other-round" => round = RoundId(round.0 + 1),
            "other-list" => content = Digest::of(&statement.0),
            _ => panic!("no such lie: {how}"),
        }
        let own = federation.coordinator.public();
        let certificate = witness.certificate();
        Proof::Witness(Seal::sign(
            &witness.identity,
            certificate,
            &own,
            round,
            &content,
        ))
    }

    fn status(&mut self) {
        let federation = self.of();
        let funnel = federation.round.funnel();
        let mut lines = vec![format!(
            "{}: {} advertised, {} shared, {} confirmed, {} uploaded, {} unmasked",
            federation.round.phase().name(),
            funnel.advertised,
            funnel.shared,
            funnel.confirmed,
            funnel.uploaded,
            funnel.unmasked
        )];
        if let Some(question) = federation.round.question() {
            lines.push(match question {
                Question::Draw { .. } => "the witness is asked to draw".to_owned(),
                Question::Seal { .. } => "the witness is asked for its seal".to_owned(),
            });
        }
        lines.into_iter().for_each(|line| self.happened(line));
    }
}

/// What a client says; nothing for questions.
fn name(request: &Request) -> Option<&'static str> {
    Some(match request {
        Request::AdvertiseKeys { .. } => "advertise",
        Request::ShareKeys { .. } => "share",
        Request::ConfirmShares { .. } => "confirm",
        Request::Upload { .. } => "upload",
        Request::Endorse { .. } => "endorse",
        Request::Unmask { .. } => "unmask",
        _ => return None,
    })
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { version } => format!("hears of version {version}"),
        Outcome::Aborted { .. } => "hears that the round ended".to_owned(),
        Outcome::LeftOut => "is left out".to_owned(),
    }
}

fn copy(message: &Message) -> Message {
    match message {
        Message::Advertise {
            key,
            certificate,
            keys,
            signature,
        } => Message::Advertise {
            key: *key,
            certificate: certificate.clone(),
            keys: *keys,
            signature: *signature,
        },
        Message::Share(sealed) => Message::Share(sealed.clone()),
        Message::Confirm(unopenable) => Message::Confirm(unopenable.clone()),
        Message::Upload(update) => Message::Upload(update.clone()),
        Message::Endorse(signature) => Message::Endorse(*signature),
        Message::Unmask(revealed) => Message::Unmask(revealed.clone()),
    }
}

/// `0-3,7` as numbers.
fn numbers(text: &str) -> Vec<usize> {
    let parts = text.split(',').flat_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse::<usize>().unwrap()..=to.parse().unwrap()
    });
    parts.collect()
}

/// Numbers as `0-3, 7`.
fn ranges(numbers: &[usize]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let words = parts.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
