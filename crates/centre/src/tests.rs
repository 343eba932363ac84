//! The centre as a socket sees it. Time is the test's: what waits for a limit waits for nobody else.

use std::collections::BTreeSet;
use std::path::Path;

use chorus_client::{Client, FileKey, Language, Settings};
use chorus_model::Direct;
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

/// What a test itself may take.
const SECOND: Duration = Duration::from_secs(1);

/// A centre that serves, and a person who came in.
struct Open {
    _home: tempfile::TempDir,
    host: String,
    folder: String,
    cookie: String,
    close: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

fn about(home: &Path) -> About {
    let (place, keys) = (home.to_owned(), FileKey::beside(home));
    let open = move |now| Client::open(&place, &keys, Settings::default(), now);
    About {
        open: Box::new(open),
        home: home.to_owned(),
        app: "Filmhouse".to_owned(),
        task: None,
        engine: Box::new(Direct),
        keys: Box::new(FileKey::beside(home)),
        built: BTreeSet::new(),
        language: Language::English,
        clock: Clock::new(|| 1_800_000_000),
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
        _home: home,
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
    let began = Instant::now();
    centre.is_well().await;
    // Until those before have had their time.
    let waited = began.elapsed();
    assert!(waited >= HEAD_TIME && waited < 3 * HEAD_TIME, "{waited:?}");
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
