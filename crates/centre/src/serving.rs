//! The connections: how many, how long, and how much each may say. One that stalls keeps nobody from their pages.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
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
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::Shared;

/// Connections at a time. A browser opens six; one more waits until another ends.
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
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(_) = lines.join_next() => {}
            accepted = listener.accept(), if lines.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    lines.spawn(converse(stream, shared.clone(), pages.clone(), closed.clone()));
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

/// One connection, from its beginning to its end.
async fn converse(
    stream: TcpStream,
    shared: Arc<Shared>,
    pages: Router,
    mut closed: watch::Receiver<bool>,
) {
    let answers = service_fn(|request| answer(&shared, &pages, request));
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
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let Some(request) = within(shared, request) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
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
