//! The connections: how many, how long, and how much each may say. One that stalls keeps nobody from their pages, and neither does a
//! crowd of them: where there is no room for one more, the oldest ends that never asked for one of the pages.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::ServiceExt;

use crate::Shared;

/// Connections at a time. A browser opens six; where all of them were asked for pages, one more waits until another ends.
pub(crate) const MAX_CONNECTIONS: usize = 32;
/// Bytes of the head of a request.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Bytes of the largest form.
pub(crate) const MAX_FORM_BYTES: usize = 16 * 1024;
/// From the beginning of a request, or of a connection, to the end of its head.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(5);
/// From there to the end of its form.
pub(crate) const FORM_TIME: Duration = Duration::from_secs(5);
/// Of a connection; the browser opens another one.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// For what is under way when a connection is to end.
pub(crate) const CLOSING_TIME: Duration = Duration::from_secs(3);
/// What a connection has to say what it wants before it makes room for another one.
const GRACE: Duration = Duration::from_millis(20);
/// Before the next try where the machine has no connection to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `pages` until `end` is ready, and what is under way then.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    pages: Router,
    end: impl Future<Output = ()>,
) {
    let mut end = pin!(end);
    let (closing, closed) = watch::channel(false);
    let mut lines = JoinSet::new();
    let mut standing: Vec<Standing> = Vec::new();
    loop {
        let room = room(&standing);
        let accept = async {
            sleep_until(room.unwrap_or_else(Instant::now)).await;
            listener.accept().await
        };
        tokio::select! {
            () = &mut end => break,
            Some(_) = lines.join_next() => standing.retain(|line| !line.end.is_finished()),
            accepted = accept, if room.is_some() => match accepted {
                Ok((stream, _)) => {
                    make_room(&mut standing);
                    let is_known = Arc::new(AtomicBool::new(false));
                    let line = converse(stream, shared.clone(), pages.clone(), closed.clone(), is_known.clone());
                    standing.push(Standing { end: lines.spawn(line), since: Instant::now(), is_known });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
    drop(listener);
    // Without a connection, nobody listens.
    let _unheard = closing.send(true);
    while lines.join_next().await.is_some() {}
}

/// A connection that stands; the oldest comes first.
struct Standing {
    end: AbortHandle,
    since: Instant,
    /// It was asked for one of the pages, by somebody who knows their folder.
    is_known: Arc<AtomicBool>,
}

impl Standing {
    fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }
}

/// From when on there is room for one more connection; nothing: not before another one ends.
fn room(standing: &[Standing]) -> Option<Instant> {
    if standing.len() < MAX_CONNECTIONS {
        return Some(Instant::now());
    }
    let stranger = standing.iter().find(|line| !line.is_known())?;
    Some(stranger.since + GRACE)
}

/// Ends the oldest connection that nobody asked for a page, where there are as many as may be.
fn make_room(standing: &mut Vec<Standing>) {
    let stranger = standing.iter().position(|line| !line.is_known());
    if let (Some(place), true) = (stranger, standing.len() >= MAX_CONNECTIONS) {
        standing.remove(place).end.abort();
    }
}

/// One connection, from its beginning to its end.
async fn converse(
    stream: TcpStream,
    shared: Arc<Shared>,
    pages: Router,
    mut closed: watch::Receiver<bool>,
    is_known: Arc<AtomicBool>,
) {
    let answers = service_fn(|request| answer(&shared, &pages, &is_known, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answers);
    let mut connection = pin!(connection);
    tokio::select! {
        // How it ended is the other side's business.
        _ended = connection.as_mut() => return,
        () = sleep(CONNECTION_TIME) => {}
        _closing = closed.wait_for(|closed| *closed) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _in_time = timeout(CLOSING_TIME, connection).await;
}

/// The page that is asked for; outside of the folder of the pages, nothing that says who serves here.
async fn answer(
    shared: &Shared,
    pages: &Router,
    is_known: &AtomicBool,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let Some(request) = within(shared, request) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    is_known.store(true, Ordering::Relaxed);
    match timeout(FORM_TIME, pages.clone().oneshot(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            let mut late = StatusCode::REQUEST_TIMEOUT.into_response();
            let headers = late.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(late)
        }
    }
}

/// The request as it is inside of the folder.
fn within(shared: &Shared, request: Request<Incoming>) -> Option<Request<Body>> {
    let (mut head, body) = request.into_parts();
    let path = shared.entry().within(head.uri.path())?.to_owned();
    let path = match head.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    head.uri = Uri::from(path.parse::<PathAndQuery>().ok()?);
    Some(Request::from_parts(head, Body::new(body)))
}
