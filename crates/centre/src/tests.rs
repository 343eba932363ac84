//! The centre as a socket sees it. Time is the test's: what waits for a limit waits for nobody else.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use chorus_client::{
    Answer, Catalogue, Category, Client, Decision, Event, FileKey, Language, Purpose, Settings,
};
use chorus_model::{Direct, ItemId};
use chorus_wire::Clock;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::serving::{
    CLOSING_TIME, FORM_TIME, HEAD_TIME, MAX_CONNECTIONS, MAX_FORM_BYTES, MAX_HEAD_BYTES,
};
use crate::{About, Centre};

/// When these tests happen, seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// What a test itself may take.
const SECOND: Duration = Duration::from_secs(1);

/// A centre that serves, and a person who came in.
struct Open {
    home: tempfile::TempDir,
    host: String,
    folder: String,
    cookie: String,
    close: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// What the app knows of its items, those first that most people touch.
struct Films;

impl Catalogue for Films {
    fn about(&self, item: ItemId) -> Option<Cow<'_, chorus_client::About>> {
        let (title, sensitive) = match item.0 {
            3 => ("The Ferry", None),
            2 => ("The Ward", Some(Category::Health)),
            1 => ("The Baker", None),
            _ => return None,
        };
        Some(Cow::Owned(chorus_client::About {
            title: title.to_owned(),
            topics: vec!["Drama".to_owned()],
            sensitive,
            ..Default::default()
        }))
    }

    fn items(&self) -> Vec<ItemId> {
        [3, 2, 1].map(ItemId).to_vec()
    }
}

fn about(home: &Path) -> About {
    let (place, keys) = (home.to_owned(), FileKey::beside(home));
    let open = move |now| {
        let mut client = Client::open(&place, &keys, Settings::default(), now)?;
        client.set_catalogue(Arc::new(Films));
        Ok(client)
    };
    About {
        open: Box::new(open),
        home: home.to_owned(),
        app: "Filmhouse".to_owned(),
        task: None,
        engine: Box::new(Direct),
        keys: Box::new(FileKey::beside(home)),
        built: BTreeSet::new(),
        language: Language::English,
        clock: Clock::new(|| NOW),
    }
}

async fn open() -> Open {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let centre = Centre::open(about(home.path()), listener, &mut rng).unwrap();
    let address = centre.address().unwrap();
    let (host, path) = address
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let (close, closed) = oneshot::channel();
    let served = tokio::spawn(centre.serve(async { drop(closed.await) }));
    let mut centre = Open {
        home,
        host: host.to_owned(),
        folder: path.split('/').next().unwrap().to_owned(),
        cookie: String::new(),
        close,
        served,
    };
    let entered = centre.said(&centre.get(&format!("/{path}"))).await;
    let cookie = entered.split("set-cookie: ").nth(1).unwrap();
    centre.cookie = cookie.split(';').next().unwrap().to_owned();
    centre
}

impl Open {
    async fn line(&self) -> TcpStream {
        TcpStream::connect(&self.host).await.unwrap()
    }

    fn get(&self, path: &str) -> String {
        let (host, cookie) = (&self.host, &self.cookie);
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        )
    }

    fn post(&self, page: &str, bytes: usize, form: &str) -> String {
        let (host, folder, cookie) = (&self.host, &self.folder, &self.cookie);
        format!(
            "POST /{folder}/{page} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {bytes}\r\n\r\n{form}"
        )
    }

    /// All that is answered until the connection ends.
    async fn said(&self, request: &str) -> String {
        let mut line = self.line().await;
        line.write_all(request.as_bytes()).await.unwrap();
        rest(line).await
    }

    async fn is_well(&self) {
        let page = self
            .said(&self.get(&format!("/{}/data", self.folder)))
            .await;
        assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    }

    async fn close(self) {
        let began = Instant::now();
        self.close.send(()).unwrap();
        self.served.await.unwrap();
        assert!(began.elapsed() < CLOSING_TIME + SECOND);
    }
}

/// Until the other side ends it, in whatever way.
async fn rest(mut line: TcpStream) -> String {
    let mut said = Vec::new();
    let _cut = line.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(start_paused = true)]
async fn who_stops_in_the_middle_is_not_waited_for() {
    let centre = open().await;
    let heads = ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\nX: "];
    for head in heads {
        let began = Instant::now();
        let said = centre.said(head).await;
        assert!(!said.contains("200"), "{head:?}: {said}");
        assert!(began.elapsed() < HEAD_TIME + SECOND, "{head:?}");
    }
    let began = Instant::now();
    let late = centre.said(&centre.post("erase", 100, "sure=yes")).await;
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    assert!(began.elapsed() < FORM_TIME + SECOND);
    centre.is_well().await;
    centre.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_says_nothing_does_not_keep_the_person_out() {
    let centre = open().await;
    let mut crowd = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS {
        crowd.push(centre.line().await);
    }
    // They make room as soon as somebody else comes.
    let began = Instant::now();
    for _ in 0..3 {
        centre.is_well().await;
        crowd.push(centre.line().await);
    }
    let waited = began.elapsed();
    assert!(waited < HEAD_TIME, "{waited:?}");
    centre.close().await;
}

/// Who was shown a page does not lose the connection to those who were not.
#[tokio::test(start_paused = true)]
async fn a_crowd_does_not_end_the_connection_of_the_person() {
    let centre = open().await;
    let page = centre.get(&format!("/{}/data", centre.folder));
    let page = page.replace("Connection: close", "Connection: keep-alive");
    let mut person = centre.line().await;
    let mut seen = vec![0; 1024];
    person.write_all(page.as_bytes()).await.unwrap();
    person.read_exact(&mut seen).await.unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 200 OK"));
    let mut crowd = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS {
        crowd.push(centre.line().await);
    }
    centre.is_well().await;
    let last = page.replace("keep-alive", "close");
    person.write_all(last.as_bytes()).await.unwrap();
    assert!(rest(person).await.contains("HTTP/1.1 200 OK"));
    centre.close().await;
}

/// What a page cannot ask for is the asker's fault, and the sentence names what is wrong with it.
#[tokio::test(start_paused = true)]
async fn a_choice_that_makes_no_sense_is_a_bad_request() {
    let centre = open().await;
    let page = centre.get(&format!("/{}/taste", centre.folder));
    let page = centre.said(&page).await;
    let (_, proof) = page.split_once("name=\"proof\" value=\"").unwrap();
    let (proof, _) = proof.split_once('"').unwrap();
    for (topic, words) in [
        ("Nonsense", "the topic `Nonsense`"),
        ("anna%40example.org", "e-mail"),
    ] {
        let form = format!("proof={proof}&control=mute&topic={topic}");
        let request = centre.post("control", form.len(), &form);
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let said = centre.said(&request).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{said}");
        assert!(said.contains(words), "{said}");
    }
    centre.close().await;
}

/// Before there is a model, the page shows the list that the app shows: its catalogue's.
#[tokio::test(start_paused = true)]
async fn before_there_is_a_model_the_page_has_the_list_of_the_first_day() {
    let centre = open().await;
    let page = centre.get(&format!("/{}/taste", centre.folder));
    let page = centre.said(&page).await;
    assert!(page.contains("No shared model is here yet"), "{page}");
    let places = ["The Ferry", "The Baker"].map(|title| page.find(title));
    assert!(places[0].is_some() && places[0] < places[1], "{page}");
    assert!(
        !page.contains("The Ward"),
        "what is sensitive is not on it: {page}"
    );
    centre.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_centre_closes_although_a_request_is_half_sent() {
    let centre = open().await;
    let mut head = centre.line().await;
    head.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut form = centre.line().await;
    let half = centre.post("erase", 100, "sure=yes");
    form.write_all(half.as_bytes()).await.unwrap();
    centre.is_well().await;
    centre.close().await;
}

#[tokio::test(start_paused = true)]
async fn heads_and_forms_have_a_largest_size() {
    let centre = open().await;
    let form = "a".repeat(MAX_FORM_BYTES + 1);
    let request = centre.post("erase", form.len(), &form);
    let said = centre.said(&request).await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    let path = format!("/{}/data?{}", centre.folder, "a".repeat(MAX_HEAD_BYTES));
    let said = centre.said(&centre.get(&path)).await;
    assert!(said.starts_with("HTTP/1.1 4"), "{said}");
    centre.is_well().await;
    centre.close().await;
}

#[tokio::test(start_paused = true)]
async fn outside_of_its_folder_nobody_is_there() {
    let centre = open().await;
    let other = "0".repeat(centre.folder.len());
    let paths = ["/", "/data", "/style.css", "/enter", "/favicon.ico"];
    let paths = paths.into_iter().map(str::to_owned);
    for path in paths.chain([format!("/{other}/data"), format!("/{}", centre.folder)]) {
        let said = centre.said(&centre.get(&path)).await;
        let lines: Vec<&str> = said.trim_end().split("\r\n").collect();
        assert_eq!(lines[0], "HTTP/1.1 404 Not Found", "{path}");
        let tells = |line: &&&str| {
            let known = ["connection: close", "content-length: 0", "date: "];
            !known.iter().any(|known| line.starts_with(known))
        };
        assert_eq!(lines[1..].iter().find(tells), None, "{path}");
    }
    centre.close().await;
}

/// What a no leaves is shown, and that nothing uses it.
#[tokio::test(start_paused = true)]
async fn what_nothing_uses_is_marked_among_what_is_kept() {
    let centre = open().await;
    let mut client = Client::open(
        centre.home.path(),
        &FileKey::beside(centre.home.path()),
        Settings::default(),
        NOW,
    )
    .unwrap();
    client.set_catalogue(Arc::new(Films));
    let notice = client.notice("en").unwrap();
    let health = Purpose::Sensitive(Category::Health);
    let yes = Decision::new(Answer::Yes, [Purpose::LocalPersonalisation, health], notice);
    client.decide(&yes, NOW).unwrap();
    for item in [1, 2] {
        client.record(Event::click(ItemId(item), NOW), NOW).unwrap();
    }
    let page = centre.get(&format!("/{}/data", centre.folder));
    assert!(!centre.said(&page).await.contains("not used"));
    client
        .decide(&Decision::new(Answer::No, [health], notice), NOW)
        .unwrap();
    let page = centre.said(&page).await;
    let (_, ward) = page.split_once("The Ward").unwrap();
    let (_, baker) = page.split_once("The Baker").unwrap();
    assert!(
        ward.starts_with("<span class=\"state off\">not used"),
        "{page}"
    );
    assert!(baker.starts_with("</th>"), "{page}");
    centre.close().await;
}
