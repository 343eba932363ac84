//! Canaries: clients hold marked items, a task runs over TLS, and then every log line, every file of the services and
//! every request are searched for the marks. Each search is shown to find what it looks for.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chorus_client::{Client, Pass, Transport, Way};
use chorus_coordinator::reports;
use chorus_model::{Event, ItemId};
use chorus_protocol::{Request, Response, RoundId, SignedUpdate};
use chorus_secagg::{MaskedUpdate, Ring};
use chorus_wire::Call;
use chorus_wire::client::SendError;
use chorus_wire::limits::CHUNK_BYTES;
use chorus_wire::proto::{UploadChunk, upload_chunk::Part};
use common::{Notes, Person, Town, Work};
use prost::Message;
use tokio::sync::watch;

const ITEMS: usize = 130_000;
const CLIENTS: usize = 12;
/// In every history, beside each other. Odd, and of six digits: no buffer size and no port looks like them.
const MARKS: [u32; 5] = [104_729, 109_873, 115_249, 123_457, 129_959];
/// When the marked items were liked.
const AT: i64 = 1_234_567_891;

/// Something to look for, and what it is.
struct Needle {
    what: String,
    bytes: Vec<u8>,
    /// As a number of its own, not inside of a longer word such as a digest.
    is_word: bool,
}

impl Needle {
    fn new(what: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            what: what.into(),
            bytes: bytes.into(),
            is_word: false,
        }
    }

    fn word(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            is_word: true,
            ..Self::new(what, text.into())
        }
    }

    fn is_at(&self, hay: &[u8], from: usize) -> bool {
        let is_edge = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        hay[from..].starts_with(&self.bytes)
            && (!self.is_word
                || is_edge(from.checked_sub(1).map(|before| &hay[before]))
                    && is_edge(hay.get(from + self.bytes.len())))
    }
}

/// Needles by their first two bytes, so that one pass over a large heap of hay finds them all.
struct Search {
    needles: Vec<Needle>,
    by_start: Vec<Vec<usize>>,
}

impl Search {
    fn new(needles: Vec<Needle>) -> Self {
        let mut by_start = vec![Vec::new(); 1 << 16];
        for (number, needle) in needles.iter().enumerate() {
            by_start[start(&needle.bytes)].push(number);
        }
        Self { needles, by_start }
    }

    /// What is there, each once.
    fn found(&self, hay: &[u8]) -> BTreeSet<&str> {
        let mut hits = BTreeSet::new();
        for (from, pair) in hay.windows(2).enumerate() {
            for number in &self.by_start[start(pair)] {
                let needle = &self.needles[*number];
                if needle.is_at(hay, from) {
                    hits.insert(needle.what.as_str());
                }
            }
        }
        hits
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn text_needles() -> Vec<Needle> {
    let mut needles = vec![Needle::word("time, in digits", AT.to_string())];
    for mark in MARKS {
        needles.push(Needle::word(format!("{mark}, in digits"), mark.to_string()));
    }
    needles
}

/// Two neighbours of a history, in every form that a list of numbers takes.
fn pair_needles() -> Vec<Needle> {
    let mut needles = Vec::new();
    for pair in MARKS.windows(2) {
        let mut add = |form: &str, code: &dyn Fn(u32) -> Vec<u8>| {
            let bytes: Vec<u8> = pair.iter().copied().flat_map(code).collect();
            needles.push(Needle::new(format!("{pair:?}, as {form}"), bytes));
        };
        add("u32, little-endian", &|item| item.to_le_bytes().to_vec());
        add("u32, big-endian", &|item| item.to_be_bytes().to_vec());
        add("u64, little-endian", &|item| {
            u64::from(item).to_le_bytes().to_vec()
        });
        add("f32, little-endian", &|item| {
            (item as f32).to_le_bytes().to_vec()
        });
        add("varints", &varint);
    }
    needles
}

/// An event as a row of SQLite: a number of three bytes beside one of four, big-endian.
fn row_needles() -> Vec<Needle> {
    MARKS
        .iter()
        .map(|mark| {
            let mut bytes = mark.to_be_bytes()[1..].to_vec();
            bytes.extend((AT as u32).to_be_bytes());
            Needle::new(format!("{mark}, as a row of SQLite"), bytes)
        })
        .collect()
}

/// A secret or a name, in the forms in which people log bytes.
fn byte_needles(what: &str, bytes: &[u8]) -> Vec<Needle> {
    let part = &bytes[..8];
    let list: Vec<String> = part.iter().map(u8::to_string).collect();
    vec![
        Needle::new(format!("{what}, as bytes"), part),
        Needle::new(format!("{what}, in hexadecimal"), hex::encode(part)),
        Needle::new(format!("{what}, in hexadecimal"), hex::encode_upper(part)),
        Needle::new(format!("{what}, as a list"), list.join(", ")),
    ]
}

/// Everything under a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// A request as its messages travel, the upload in its chunks.
fn as_sent(request: &Request) -> Vec<u8> {
    match Call::from(request) {
        Call::CheckIn(message) => message.encode_to_vec(),
        Call::FetchLog(message) => message.encode_to_vec(),
        Call::FetchModel(message) => message.encode_to_vec(),
        Call::AdvertiseKeys(message) => message.encode_to_vec(),
        Call::ShareKeys(message) => message.encode_to_vec(),
        Call::ConfirmShares(message) => message.encode_to_vec(),
        Call::Endorse(message) => message.encode_to_vec(),
        Call::Unmask(message) => message.encode_to_vec(),
        Call::Await(message) => message.encode_to_vec(),
        Call::Upload(start, bytes) => {
            let data = bytes
                .chunks(CHUNK_BYTES)
                .map(|chunk| Part::Data(chunk.to_vec()));
            std::iter::once(Part::Start(start))
                .chain(data)
                .flat_map(|part| UploadChunk { part: Some(part) }.encode_to_vec())
                .collect()
        }
    }
}

/// What left the clients.
#[derive(Default)]
struct Sent {
    requests: Vec<Vec<u8>>,
    uploads: usize,
    /// Public keys of rounds.
    keys: Vec<[u8; 32]>,
}

/// A connection that is listened to.
struct Tapped {
    connection: Way,
    sent: Arc<Mutex<Sent>>,
}

impl Transport for Tapped {
    async fn send(&mut self, pass: Pass, request: &Request) -> Result<Response, SendError> {
        {
            let mut sent = self.sent.lock().unwrap();
            sent.requests.push(as_sent(request));
            match request {
                Request::Upload { .. } => sent.uploads += 1,
                Request::AdvertiseKeys { keys, .. } => sent.keys.extend([keys.cipher, keys.mask]),
                _ => {}
            }
        }
        self.connection.send(pass, request).await
    }

    fn coordinator(&self) -> Option<[u8; 32]> {
        self.connection.coordinator()
    }
}

/// Where every log line of every crate goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .try_init()
            .unwrap();
        log
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn history(number: usize) -> Vec<Event> {
    let ordinary = (0..6).map(|place| 1_000 * place + 7 * number as u32);
    let event = |item| Event {
        item: ItemId(item),
        at: AT,
    };
    ordinary.chain(MARKS).map(event).collect()
}

/// Every search finds its mark where it is: in what a request could carry, and in a database that is not sealed, as the
/// client's own store is.
fn searches_find(people: &[Person]) {
    let round = RoundId(1);
    let varints = Request::ConfirmShares {
        round,
        unopenable: MARKS.to_vec(),
    };
    let mut bytes: Vec<u8> = MARKS.iter().flat_map(|mark| mark.to_le_bytes()).collect();
    bytes.extend(vec![0; Ring::Bits32.upload_bytes(0)]);
    let words = Request::Upload {
        round,
        update: SignedUpdate {
            masked: MaskedUpdate::from_bytes(bytes, Ring::Bits32, MARKS.len()).unwrap(),
            signature: [0; 64],
        },
    };
    let pairs = Search::new(pair_needles());
    assert_eq!(pairs.found(&as_sent(&varints)).len(), MARKS.len() - 1);
    assert_eq!(pairs.found(&as_sent(&words)).len(), MARKS.len() - 1);
    let line = format!("learned from {:?}", [ItemId(MARKS[0]), ItemId(MARKS[3])]);
    let texts = Search::new(text_needles());
    assert_eq!(texts.found(line.as_bytes()).len(), 2);
    let rows = Search::new(row_needles());
    for person in people {
        let seed = person.identity.seed();
        let key = Search::new(byte_needles("key", seed.as_ref()));
        let store = unsealed(seed.as_ref());
        assert_eq!(rows.found(&store).len(), MARKS.len());
        assert_eq!(key.found(&store), BTreeSet::from(["key, as bytes"]));
        for (name, bytes) in files(&person.home) {
            assert_eq!(rows.found(&bytes), BTreeSet::new(), "in {name}");
            assert_eq!(key.found(&bytes), BTreeSet::new(), "in {name}");
        }
    }
}

/// A database that holds the marks and a key as they are.
fn unsealed(key: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let database = rusqlite::Connection::open(file.path()).unwrap();
    let tables = "CREATE TABLE events (item INTEGER, at INTEGER); CREATE TABLE keys (key BLOB)";
    database.execute_batch(tables).unwrap();
    for mark in MARKS {
        let row = database.execute("INSERT INTO events VALUES (?, ?)", (mark, AT));
        row.unwrap();
    }
    database
        .execute("INSERT INTO keys VALUES (?)", [key])
        .unwrap();
    drop(database);
    std::fs::read(file.path()).unwrap()
}

async fn federate(town: &mut Town, sent: &Arc<Mutex<Sent>>) -> Vec<Person> {
    let task = town.begin(
        "name = 'films'\npopulation = 12\ndropout = 0.3\nprivacy = { noise = 'off' }\n\
         recipe = { algorithm = 'ials', items = 130000, factors = 2, rounds = 2 }",
    );
    let mut people = Vec::new();
    for number in 0..CLIENTS {
        people.push(Person::enrol(town, number, &history(number)).await);
    }
    let running = town.open(1.0).await;
    let (_opener, gate) = watch::channel(true);
    let work = Arc::new(Work {
        task: task.clone(),
        items: ITEMS,
        crowd: CLIENTS,
        vanishing: 1,
        clock: town.clock.clone(),
        gate,
        notes: Mutex::new(Notes::default()),
    });
    let living: Vec<_> = people
        .into_iter()
        .map(|mut person| {
            let (work, way) = (Arc::clone(&work), town.way());
            let (clock, sent) = (town.clock.clone(), Arc::clone(sent));
            tokio::spawn(async move {
                let connect = move |client: &Client| Tapped {
                    connection: client.connect(way(), &clock).unwrap(),
                    sent: Arc::clone(&sent),
                };
                person.live(&work, &connect).await.unwrap();
                person
            })
        })
        .collect();
    let mut people = Vec::new();
    for person in living {
        people.push(person.await.unwrap());
    }
    let reports = reports(&town.store(), &task).unwrap();
    let completed = reports.iter().filter(|report| report.sum.is_some());
    // The history, two gradients and the head.
    assert_eq!(completed.count(), 4, "{reports:?}");
    running.close().await;
    people
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marked_items_stay_on_their_client() {
    let log = Log::listen();
    let sent = Arc::new(Mutex::new(Sent::default()));
    let mut town = Town::new(5).await;
    let people = federate(&mut town, &sent).await;
    searches_find(&people);
    let sent = sent.lock().unwrap();
    let log = std::mem::take(&mut *log.0.lock().unwrap());

    assert!(sent.uploads >= 3 * (CLIENTS - 1) && sent.requests.len() > 10 * sent.uploads);
    let bytes: usize = sent.requests.iter().map(Vec::len).sum();
    assert!(
        bytes > sent.uploads * 4 * ITEMS,
        "whole uploads are looked at"
    );
    let marks = || text_needles().into_iter().chain(pair_needles());
    let search = Search::new(marks().collect());
    for request in &sent.requests {
        assert_eq!(search.found(request), BTreeSet::new(), "in a request");
    }

    let mut seeds = Vec::new();
    let mut names = Vec::new();
    for person in &people {
        let identity = &person.identity;
        let of = |what: &str| format!("{what} of client {}", person.number);
        seeds.extend(byte_needles(&of("secret key"), identity.seed().as_ref()));
        names.extend(byte_needles(&of("secret key"), identity.seed().as_ref()));
        names.extend(byte_needles(&of("id"), &identity.id().0));
        names.extend(byte_needles(&of("enrolled key"), &identity.public()));
    }
    let mut stored = files(&town.coordinator_folder());
    stored.extend(files(&town.authority_folder()));
    let bytes: usize = stored.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes > 4 * 2 * ITEMS, "whole models are looked at");
    let search = Search::new(marks().chain(row_needles()).chain(seeds).collect());
    for (name, bytes) in &stored {
        assert_eq!(search.found(bytes), BTreeSet::new(), "in {name}");
    }

    let sources = ["chorus_coordinator", "a round ended", "TRACE", "h2::"];
    let search = Search::new(sources.map(|line| Needle::new(line, line)).into());
    assert_eq!(search.found(&log), BTreeSet::from(sources));
    for key in &sent.keys {
        names.extend(byte_needles("key of a round", key));
    }
    let search = Search::new(pair_needles().into_iter().chain(names).collect());
    assert_eq!(search.found(&log), BTreeSet::new(), "in the log");
    // HTTP/2 logs how many bytes go where: sooner or later some count is one of the marks.
    let lines = log.split(|byte| *byte == b'\n');
    let counts = Needle::new("a line of HTTP/2", " h2::");
    let (texts, counts) = (Search::new(text_needles()), Search::new(vec![counts]));
    let mut searched = 0;
    for line in lines.filter(|line| counts.found(line).is_empty()) {
        let said = String::from_utf8_lossy(line);
        assert_eq!(texts.found(line), BTreeSet::new(), "in the log: {said}");
        searched += 1;
    }
    assert!(searched > 100, "only {searched} lines are not of HTTP/2");
}
