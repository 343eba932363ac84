//! Refusals: each has a name, and a training service is told of each once.
//!
//! What our own code refuses is told where it is refused, also when its caller has gone away meanwhile. What is
//! refused before our code is reached has no name yet: it gets one on its way out.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::timeout;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service as HttpService, http},
};

use super::{Service, run::CALL};
use crate::{
    Kind, Rejection,
    rejection::{LABEL, labelled},
};

/// The calls of a server, without TLS and HTTP/2 around them. Every answer is an answer of gRPC.
///
/// A request to a training server or a witness must carry who calls among its extensions: an
/// [`Arc<Peer>`](super::Peer).
pub trait Calls:
    HttpService<
        http::Request<Body>,
        Response = http::Response<Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
}

impl<C> Calls for C where
    C: HttpService<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static
{
}

/// A refusal that the service was told of, or one without a name, which it is told of on its way out.
pub(super) struct Refused(pub Status);

impl Refused {
    pub fn by(service: &impl Service, rejection: impl Into<Rejection>) -> Self {
        let rejection = rejection.into();
        service.refused(rejection.label);
        Self(rejection.into())
    }
}

/// Who is told of what was refused.
type Told = Arc<dyn Fn(&str) + Send + Sync>;

/// Stands before the calls of a server.
#[derive(Clone)]
pub(super) struct Door<C> {
    told: Told,
    calls: C,
}

impl<C> Door<C> {
    /// Tells `service` of what its own calls did not refuse themselves.
    pub fn new(service: Arc<impl Service>, calls: C) -> Self {
        let told = Arc::new(move |label: &str| service.refused(label));
        Self { told, calls }
    }

    /// Gives names, and tells nobody.
    pub fn silent(calls: C) -> Self {
        let told = Arc::new(|_: &str| {});
        Self { told, calls }
    }
}

impl<C> HttpService<http::Request<Body>> for Door<C>
where
    C: Calls,
    C::Future: 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.calls.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let told = self.told.clone();
        let refuse = move |(label, status): (&'static str, Status)| {
            told(label);
            Ok(status.into_http())
        };
        if is_compressed(request.headers()) {
            return Box::pin(ready(refuse(compressed())));
        }
        let answering = timeout(CALL, self.calls.call(request));
        Box::pin(async move {
            let Ok(answer) = answering.await else {
                let message = "the call took too long; begin again";
                let rejection = Rejection::new(Kind::Busy, "call-slow", message);
                return refuse((rejection.label, rejection.into()));
            };
            let answer = answer?;
            match name(&answer) {
                Some(refusal) => refuse(refusal),
                None => Ok(answer),
            }
        })
    }
}

/// gRPC compresses single messages, HTTP whole bodies. No client of ours does either: masks do not compress.
fn is_compressed(headers: &http::HeaderMap) -> bool {
    ["grpc-encoding", "content-encoding"]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .any(|encoding| encoding != "identity")
}

/// With the code that gRPC has for an encoding which is not known.
fn compressed() -> (&'static str, Status) {
    let message = "compressed messages are not read; send them as they are";
    (
        "compressed",
        labelled(Code::Unimplemented, "compressed", message),
    )
}

/// A refusal that has no name, with a name; nothing for any other answer.
fn name(answer: &http::Response<Body>) -> Option<(&'static str, Status)> {
    let status = Status::from_header_map(answer.headers())?;
    if status.code() == Code::Ok || status.metadata().contains_key(LABEL) {
        return None;
    }
    let message = status.message();
    let (code, label) = match status.code() {
        // The flag that says "compressed", where no encoding was named.
        Code::Internal if message.contains("compressed-flag") => return Some(compressed()),
        Code::Internal => (Code::InvalidArgument, "message-unreadable"),
        Code::OutOfRange => (Code::OutOfRange, "message-too-long"),
        Code::Unimplemented => (Code::Unimplemented, "call-unknown"),
        // The stream broke in the middle of the call.
        _ => (Code::Unavailable, "call-broken"),
    };
    Some((label, labelled(code, label, message)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chorus_protocol::{Digest, Request, Response, RoundId};
    use tokio::time::Instant;
    use tower::service_fn;

    use super::*;
    use crate::{Shape, server::Peer};

    #[derive(Default)]
    struct Counting(Mutex<Vec<String>>);

    impl Service for Counting {
        fn admit(&self, _: &Peer) -> Result<(), Rejection> {
            Ok(())
        }

        async fn handle(&self, _: &Peer, _: Request) -> Result<Response, Rejection> {
            Err(Rejection::broken())
        }

        async fn model(&self, _: &Peer, _: Digest) -> Result<Arc<[u8]>, Rejection> {
            Err(Rejection::broken())
        }

        async fn upload_shape(&self, _: &Peer, _: RoundId) -> Result<Shape, Rejection> {
            Err(Rejection::broken())
        }

        fn refused(&self, label: &str) {
            self.0.lock().unwrap().push(label.to_owned());
        }
    }

    /// What a call that ends so is answered with, and what the service is told.
    async fn through<F>(ending: F) -> (Option<Status>, Vec<String>)
    where
        F: Future<Output = http::Response<Body>> + Send + Clone + 'static,
    {
        let service = Arc::new(Counting::default());
        let calls = service_fn(move |_: http::Request<Body>| {
            let ending = ending.clone();
            async move { Ok(ending.await) }
        });
        let mut door = Door::new(service.clone(), calls);
        let request = http::Request::new(Body::default());
        let answer = door.call(request).await.expect("never fails");
        let told = service.0.lock().unwrap().clone();
        (Status::from_header_map(answer.headers()), told)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_ends_is_ended() {
        let began = Instant::now();
        let never = futures_util::future::pending::<http::Response<Body>>();
        let (status, told) = through(never).await;
        assert_eq!(status.map(|status| status.code()), Some(Code::Unavailable));
        assert_eq!(
            (told, began.elapsed()),
            (vec!["call-slow".to_owned()], CALL)
        );
    }

    #[derive(Clone)]
    struct Ends(Status);

    impl Future for Ends {
        type Output = http::Response<Body>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(self.0.clone().into_http())
        }
    }

    #[tokio::test]
    async fn only_what_has_no_name_gets_one_here() {
        for (code, message, label) in [
            (Code::Internal, "compressed-flag but no", "compressed"),
            (Code::Internal, "flag: 7", "message-unreadable"),
            (Code::OutOfRange, "too large", "message-too-long"),
            (Code::Unimplemented, "", "call-unknown"),
            (Code::Unknown, "h2", "call-broken"),
        ] {
            let (status, told) = through(Ends(Status::new(code, message))).await;
            let status = status.expect("refused");
            assert_eq!(status.metadata().get(LABEL).expect("named"), label);
            assert_eq!(told, [label]);
        }
        let named: Status = Rejection::new(Kind::Busy, "busy", "later").into();
        let (status, told) = through(Ends(named)).await;
        assert_eq!(status.expect("refused").message(), "later");
        assert_eq!(told, [""; 0]);
        let (_, told) = through(Ends(Status::ok(""))).await;
        assert_eq!(told, [""; 0]);
    }
}
