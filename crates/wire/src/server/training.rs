use std::{future::Future, pin::Pin, sync::Arc};

use chorus_protocol::{Request, Response, RoundId};
use futures_util::{Stream, stream};
use tokio::{
    net::TcpListener,
    time::{Instant, interval, timeout},
};
use tonic::{Request as Incoming, Response as Outgoing, Status, Streaming};

use super::{
    Peer, ServeError, ServerTls, Service,
    peer::Census,
    run::run,
    uploads::{Begun, STALE, Uploads},
};
use crate::{
    Clock, Kind, Rejection, WireError,
    certificate::Role,
    error::version,
    limits::{CHUNK_BYTES, CHUNK_DEADLINE, MAX_MESSAGE_BYTES},
    proto::{
        self,
        training_server::{Training as Calls, TrainingServer},
        upload_chunk::Part,
    },
    request::{Shape, Start, upload},
};

/// Serves the training service on `listener` until `shutdown`.
///
/// A connection without a certificate of the authority for a client does not get past TLS; whatever else goes wrong
/// with one connection ends that connection only.
///
/// # Errors
/// When `tls` does not ask clients for certificates, or the transport fails.
pub async fn serve_training<S: Service>(
    listener: TcpListener,
    tls: ServerTls,
    service: Arc<S>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let ServerTls {
        config,
        authority,
        clock,
        limits,
    } = tls;
    let authority = authority.ok_or(ServeError::Open)?;
    let census = Arc::new(Census::default());
    let time = clock.clone();
    let gate = Arc::new(
        move |tls: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>| {
            let certificate = tls.get_ref().1.peer_certificates()?.first()?;
            let enrolled = authority
                .verify_role(certificate, Role::Client, time.now())
                .ok()?;
            let counted = census.enter(enrolled.id(), limits.connections_per_key)?;
            let keep: super::accept::Keep = Some(Box::new(counted));
            Some((Arc::new(Peer::new(certificate, enrolled)), keep))
        },
    );
    let uploads = Arc::new(Uploads::new(limits.upload_bytes));
    let calls = TrainingServer::new(Training {
        service: service.clone(),
        uploads: uploads.clone(),
        clock: clock.clone(),
    })
    .max_decoding_message_size(MAX_MESSAGE_BYTES)
    .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let sweeping = sweep(&*service, &uploads);
    tokio::select! {
        served = run(listener, config, limits, gate, calls, shutdown) => served,
        never = sweeping => never,
    }
}

/// Lets go of uploads whose round is over. Never returns.
async fn sweep<S: Service, T>(service: &S, uploads: &Uploads) -> T {
    let mut ticks = interval(STALE);
    loop {
        ticks.tick().await;
        for (key, peer) in uploads.stale(Instant::now()) {
            if service.upload_shape(&peer, key.1).await.is_err() {
                uploads.forget(key);
            }
        }
    }
}

struct Training<S> {
    service: Arc<S>,
    uploads: Arc<Uploads>,
    clock: Clock,
}

fn peer<T>(request: &Incoming<T>) -> Result<Arc<Peer>, Rejection> {
    request
        .extensions()
        .get::<Arc<Peer>>()
        .cloned()
        .ok_or_else(Rejection::broken)
}

fn reply(response: Response) -> Result<Outgoing<proto::Reply>, Rejection> {
    let reply = proto::Reply::try_from(response).map_err(|error| {
        tracing::error!(%error, "the service gave an answer that cannot be sent");
        Rejection::broken()
    })?;
    Ok(Outgoing::new(reply))
}

impl<S: Service> Training<S> {
    fn admit<T>(&self, request: &Incoming<T>) -> Result<Arc<Peer>, Rejection> {
        let peer = peer(request)?;
        if self.clock.now() > peer.not_after {
            let message = "the certificate expired during this connection; enrol again";
            return Err(Rejection::new(
                Kind::Forbidden,
                "certificate-expired",
                message,
            ));
        }
        self.service.admit(&peer)?;
        Ok(peer)
    }

    async fn unary<T>(&self, request: Incoming<T>) -> Result<Outgoing<proto::Reply>, Status>
    where
        Request: TryFrom<T, Error = WireError>,
    {
        let peer = self.admit(&request)?;
        let request = Request::try_from(request.into_inner()).map_err(Rejection::from)?;
        let response = if matches!(request, Request::Await { .. } | Request::CheckIn { .. }) {
            self.service.handle(&peer, request).await?
        } else {
            self.carry_through(peer, request).await?
        };
        Ok(reply(response)?)
    }

    /// In a task of its own: when the caller goes away, its call is not dropped half done.
    async fn carry_through(
        &self,
        peer: Arc<Peer>,
        request: Request,
    ) -> Result<Response, Rejection> {
        let service = self.service.clone();
        let task = tokio::spawn(async move { service.handle(&peer, request).await });
        task.await.unwrap_or_else(|_| Err(Rejection::broken()))
    }

    async fn receive(
        &self,
        peer: Arc<Peer>,
        mut stream: Streaming<proto::UploadChunk>,
    ) -> Result<Response, Status> {
        let start = match next(&mut stream).await? {
            Some(Part::Start(start)) => Start::try_from(start).map_err(Rejection::from)?,
            _ => {
                return Err(Rejection::from(WireError::Missing {
                    field: "UploadChunk.start",
                })
                .into());
            }
        };
        let key = (peer.id, start.round);
        if let Some(response) = self.uploads.done(key, &start) {
            return Ok(response);
        }
        let shape = self.service.upload_shape(&peer, start.round).await?;
        let expected = shape.bytes();
        if start.total != expected || start.total == 0 {
            let (field, found) = ("UploadStart.total_bytes", start.total);
            let reason = format!("expected {expected}, found {found}");
            return Err(Rejection::from(WireError::Value { field, reason }).into());
        }
        let turn = match self.uploads.enter(&peer, &start).await? {
            Begun::Open(turn) => turn,
            Begun::Done(response) => return Ok(response),
        };
        // An upload of which all bytes were here before needs one more step, not one more byte.
        let mut whole = self.uploads.add(key, turn, &[], Instant::now())?;
        while whole.is_none() {
            let data = match next(&mut stream).await? {
                Some(Part::Data(data)) if data.len() <= CHUNK_BYTES => data,
                Some(Part::Data(data)) => {
                    let (field, limit, found) =
                        ("UploadChunk.data", CHUNK_BYTES as u64, data.len() as u64);
                    return Err(Rejection::from(WireError::TooLong {
                        field,
                        limit,
                        found,
                        unit: "bytes",
                    })
                    .into());
                }
                Some(Part::Start(_)) | None => {
                    let message = "the stream ended before the upload did; go on from where UploadStatus says";
                    return Err(Rejection::new(Kind::Busy, "upload-unfinished", message).into());
                }
            };
            whole = self.uploads.add(key, turn, &data, Instant::now())?;
        }
        Ok(self
            .take_in(peer, start, shape, whole.unwrap_or_default())
            .await?)
    }

    async fn take_in(
        &self,
        peer: Arc<Peer>,
        start: Start,
        shape: Shape,
        bytes: Vec<u8>,
    ) -> Result<Response, Rejection> {
        let (service, uploads) = (self.service.clone(), self.uploads.clone());
        let key = (peer.id, start.round);
        // The certificate may have been revoked while the bytes came.
        self.service
            .admit(&peer)
            .inspect_err(|_| self.uploads.forget(key))?;
        let task = tokio::spawn(async move {
            let answer = match upload(&start, shape, bytes) {
                Ok(request) => service.handle(&peer, request).await,
                Err(error) => Err(error.into()),
            };
            uploads.end(key, answer.as_ref().ok().cloned(), Instant::now());
            answer
        });
        task.await.unwrap_or_else(|_| {
            self.uploads.forget(key);
            Err(Rejection::broken())
        })
    }
}

async fn next(stream: &mut Streaming<proto::UploadChunk>) -> Result<Option<Part>, Status> {
    let message = timeout(CHUNK_DEADLINE, stream.message())
        .await
        .map_err(|_| {
            Rejection::new(
                Kind::Busy,
                "upload-slow",
                "nothing came for too long; go on from where UploadStatus says",
            )
        })??;
    Ok(message.and_then(|message| message.part))
}

#[tonic::async_trait]
impl<S: Service> Calls for Training<S> {
    type FetchModelStream = Pin<Box<dyn Stream<Item = Result<proto::ModelChunk, Status>> + Send>>;

    async fn check_in(
        &self,
        request: Incoming<proto::CheckInRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn fetch_log(
        &self,
        request: Incoming<proto::FetchLogRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn fetch_model(
        &self,
        request: Incoming<proto::FetchModelRequest>,
    ) -> Result<Outgoing<Self::FetchModelStream>, Status> {
        let peer = self.admit(&request)?;
        let request = Request::try_from(request.into_inner()).map_err(Rejection::from)?;
        let Request::FetchModel { digest, offset } = request else {
            return Err(Rejection::broken().into());
        };
        let model = self.service.model(&peer, digest).await?;
        let begin = usize::try_from(offset)
            .ok()
            .filter(|begin| *begin <= model.len())
            .ok_or_else(|| {
                let reason = format!("{offset} is beyond the end at {}", model.len());
                Rejection::from(WireError::Value {
                    field: "FetchModelRequest.offset",
                    reason,
                })
            })?;
        Ok(Outgoing::new(Box::pin(stream::iter(
            chunks(model, begin).map(Ok),
        ))))
    }

    async fn advertise_keys(
        &self,
        request: Incoming<proto::AdvertiseKeysRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn share_keys(
        &self,
        request: Incoming<proto::ShareKeysRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn confirm_shares(
        &self,
        request: Incoming<proto::ConfirmSharesRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn upload(
        &self,
        request: Incoming<Streaming<proto::UploadChunk>>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        let peer = self.admit(&request)?;
        let response = self.receive(peer, request.into_inner()).await?;
        Ok(reply(response)?)
    }

    async fn upload_status(
        &self,
        request: Incoming<proto::UploadStatusRequest>,
    ) -> Result<Outgoing<proto::UploadStatusReply>, Status> {
        let peer = self.admit(&request)?;
        let message = request.into_inner();
        version(
            "UploadStatusRequest.protocol_version",
            message.protocol_version,
        )
        .map_err(Rejection::from)?;
        let status = self.uploads.status((peer.id, RoundId(message.round)));
        Ok(Outgoing::new(match status {
            Some((received_bytes, sha256)) => proto::UploadStatusReply {
                received_bytes,
                sha256: sha256.0.to_vec(),
            },
            None => proto::UploadStatusReply::default(),
        }))
    }

    async fn endorse(
        &self,
        request: Incoming<proto::EndorseRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn unmask(
        &self,
        request: Incoming<proto::UnmaskRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }

    async fn r#await(
        &self,
        request: Incoming<proto::AwaitRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await
    }
}

/// The file from `begin` on, in messages; at least one, so that the length of the whole is always said.
fn chunks(model: Arc<[u8]>, begin: usize) -> impl Iterator<Item = proto::ModelChunk> + Send {
    let count = (model.len() - begin).div_ceil(CHUNK_BYTES).max(1);
    (0..count).map(move |number| {
        let from = begin + number * CHUNK_BYTES;
        let to = model.len().min(from + CHUNK_BYTES);
        proto::ModelChunk {
            offset: from as u64,
            total_bytes: model.len() as u64,
            data: model.get(from..to).unwrap_or_default().to_vec(),
        }
    })
}
