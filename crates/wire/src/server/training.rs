use std::{future::Future, pin::Pin, sync::Arc};

use chorus_protocol::{Request, Response, RoundId};
use futures_util::{Stream, stream};
use prost::Message;
use tokio::{
    net::TcpListener,
    time::{Instant, interval, timeout},
};
use tonic::{Request as Incoming, Response as Outgoing, Status, Streaming};

use super::{
    Calls, Limits, Peer, ServeError, ServerTls, Service,
    peer::gate,
    refusals::{Door, Refused},
    run::run,
    uploads::{Begun, Key, STALE, Uploads},
};
use crate::{
    Clock, Kind, Rejection, WireError,
    certificate::Role,
    error::{at_most, version},
    limits::{CHUNK_BYTES, CHUNK_DEADLINE, MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES, TILE_BYTES},
    proto::{
        self,
        training_server::{Training as Served, TrainingServer},
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
    let gate = gate(
        authority,
        Role::Client,
        clock.clone(),
        limits.connections_per_key,
    );
    let uploads = Arc::new(Uploads::new(limits.upload_bytes));
    let calls = calls(service.clone(), uploads.clone(), clock);
    let sweeping = sweep(&*service, &uploads);
    tokio::select! {
        served = run(listener, config, limits, gate, calls, shutdown) => served,
        never = sweeping => never,
    }
}

/// The calls of [`serve_training`], for whoever brings a transport of their own. Uploads whose round is over are not
/// let go of. Needs a tokio runtime.
pub fn training_calls<S: Service>(
    service: Arc<S>,
    clock: &Clock,
    limits: &Limits,
) -> impl Calls + use<S> {
    let uploads = Arc::new(Uploads::new(limits.upload_bytes));
    calls(service, uploads, clock.clone())
}

fn calls<S: Service>(service: Arc<S>, uploads: Arc<Uploads>, clock: Clock) -> impl Calls {
    let calls = TrainingServer::new(Training {
        service: service.clone(),
        uploads,
        clock,
    })
    .max_decoding_message_size(MAX_REQUEST_BYTES)
    .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Door::new(service, calls)
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
    let length =
        |reply: &proto::Reply| at_most("Reply", "bytes", reply.encoded_len(), MAX_MESSAGE_BYTES);
    proto::Reply::try_from(response)
        .and_then(|reply| length(&reply).map(|()| Outgoing::new(reply)))
        .map_err(|error| {
            tracing::error!(%error, "the service gave an answer that cannot be sent");
            Rejection::broken()
        })
}

impl<S: Service> Training<S> {
    /// Every refusal of this server's own code is made here.
    fn refuse(&self, rejection: impl Into<Rejection>) -> Refused {
        Refused::by(&*self.service, rejection)
    }

    fn admit<T>(&self, request: &Incoming<T>) -> Result<Arc<Peer>, Refused> {
        let peer = peer(request).map_err(|broken| self.refuse(broken))?;
        if self.clock.now() > peer.not_after {
            let message = "the certificate expired during this connection; enrol again";
            let rejection = Rejection::new(Kind::Forbidden, "certificate-expired", message);
            return Err(self.refuse(rejection));
        }
        self.service
            .admit(&peer)
            .map_err(|rejection| self.refuse(rejection))?;
        Ok(peer)
    }

    async fn unary<T>(&self, request: Incoming<T>) -> Result<Outgoing<proto::Reply>, Refused>
    where
        Request: TryFrom<T, Error = WireError>,
    {
        let peer = self.admit(&request)?;
        let request =
            Request::try_from(request.into_inner()).map_err(|error| self.refuse(error))?;
        let response = if matches!(request, Request::Await { .. } | Request::CheckIn { .. }) {
            let answer = self.service.handle(&peer, request).await;
            answer.map_err(|rejection| self.refuse(rejection))?
        } else {
            let service = self.service.clone();
            self.carry_through(async move { service.handle(&peer, request).await })
                .await?
        };
        reply(response).map_err(|broken| self.refuse(broken))
    }

    /// In a task of its own: when the caller goes away, its call is not dropped half done.
    async fn carry_through(
        &self,
        call: impl Future<Output = Result<Response, Rejection>> + Send + 'static,
    ) -> Result<Response, Refused> {
        let service = self.service.clone();
        let told = async move {
            let answer = call.await;
            answer.map_err(|rejection| Refused::by(&*service, rejection))
        };
        let task = tokio::spawn(told);
        task.await
            .unwrap_or_else(|_| Err(self.refuse(Rejection::broken())))
    }

    async fn receive(
        &self,
        request: Incoming<Streaming<proto::UploadChunk>>,
    ) -> Result<Outgoing<proto::Reply>, Refused> {
        let peer = self.admit(&request)?;
        let response = self.gather(peer, request.into_inner()).await?;
        reply(response).map_err(|broken| self.refuse(broken))
    }

    async fn gather(
        &self,
        peer: Arc<Peer>,
        mut stream: Streaming<proto::UploadChunk>,
    ) -> Result<Response, Refused> {
        let start = match self.next(&mut stream).await? {
            Some(Part::Start(start)) => Start::try_from(start),
            _ => Err(WireError::Missing {
                field: "UploadChunk.start",
            }),
        };
        let start = start.map_err(|error| self.refuse(error))?;
        let key = (peer.id, start.round);
        if let Some(response) = self.uploads.done(key, &start) {
            return Ok(response);
        }
        let shape = self.service.upload_shape(&peer, start.round).await;
        let shape = shape.map_err(|rejection| self.refuse(rejection))?;
        let expected = shape.bytes();
        if start.total != expected || start.total == 0 {
            let (field, found) = ("UploadStart.total_bytes", start.total);
            let reason = format!("expected {expected}, found {found}");
            return Err(self.refuse(WireError::Value { field, reason }));
        }
        // Until there is room nothing more of the stream is asked for, and its sender stops.
        let begun = self.uploads.begin(&peer, &start).await;
        let turn = match begun.map_err(|rejection| self.refuse(rejection))? {
            Begun::Open(turn) => turn,
            Begun::Done(response) => return Ok(*response),
        };
        let add = |data| {
            let added = self.uploads.add(key, turn, data, Instant::now());
            added.map_err(|rejection| self.refuse(rejection))
        };
        // An upload of which all bytes were here before needs one more step, not one more byte.
        let mut whole = add(Vec::new())?;
        while whole.is_none() {
            let Some(Part::Data(data)) = self.next(&mut stream).await? else {
                let message =
                    "the stream ended before the upload did; go on from where UploadStatus says";
                return Err(self.refuse(Rejection::new(Kind::Busy, "upload-unfinished", message)));
            };
            at_most("UploadChunk.data", "bytes", data.len(), TILE_BYTES)
                .map_err(|error| self.refuse(error))?;
            whole = add(data)?;
        }
        self.take_in(peer, start, shape, whole.unwrap_or_default())
            .await
    }

    async fn take_in(
        &self,
        peer: Arc<Peer>,
        start: Start,
        shape: Shape,
        bytes: Vec<u8>,
    ) -> Result<Response, Refused> {
        let (service, uploads) = (self.service.clone(), self.uploads.clone());
        let key = (peer.id, start.round);
        // The certificate may have been revoked while the bytes came.
        self.service.admit(&peer).map_err(|rejection| {
            self.uploads.forget(key);
            self.refuse(rejection)
        })?;
        self.carry_through(async move {
            let mut taken = Taken {
                uploads,
                key,
                answer: None,
            };
            let request = upload(&start, shape, bytes)?;
            let answer = service.handle(&peer, request).await;
            taken.answer = answer.as_ref().ok().cloned();
            answer
        })
        .await
    }

    async fn next(
        &self,
        stream: &mut Streaming<proto::UploadChunk>,
    ) -> Result<Option<Part>, Refused> {
        match timeout(CHUNK_DEADLINE, stream.message()).await {
            Ok(Ok(message)) => Ok(message.and_then(|message| message.part)),
            Ok(Err(unnamed)) => Err(Refused(unnamed)),
            Err(_) => {
                let message = "nothing came for too long; go on from where UploadStatus says";
                Err(self.refuse(Rejection::new(Kind::Busy, "upload-slow", message)))
            }
        }
    }

    async fn begin_model(
        &self,
        request: Incoming<proto::FetchModelRequest>,
    ) -> Result<impl Iterator<Item = proto::ModelChunk> + Send + use<S>, Refused> {
        let peer = self.admit(&request)?;
        let request =
            Request::try_from(request.into_inner()).map_err(|error| self.refuse(error))?;
        let Request::FetchModel { digest, offset } = request else {
            return Err(self.refuse(Rejection::broken()));
        };
        let model = self.service.model(&peer, digest).await;
        let model = model.map_err(|rejection| self.refuse(rejection))?;
        match usize::try_from(offset) {
            Ok(begin) if begin <= model.len() => Ok(chunks(model, begin)),
            _ => {
                let reason = format!("{offset} is beyond the end at {}", model.len());
                let field = "FetchModelRequest.offset";
                Err(self.refuse(WireError::Value { field, reason }))
            }
        }
    }

    fn received(
        &self,
        request: Incoming<proto::UploadStatusRequest>,
    ) -> Result<proto::UploadStatusReply, Refused> {
        let peer = self.admit(&request)?;
        let message = request.into_inner();
        version(
            "UploadStatusRequest.protocol_version",
            message.protocol_version,
        )
        .map_err(|error| self.refuse(error))?;
        let status = self.uploads.status((peer.id, RoundId(message.round)));
        Ok(match status {
            Some((received_bytes, sha256)) => proto::UploadStatusReply {
                received_bytes,
                sha256: sha256.0.to_vec(),
            },
            None => proto::UploadStatusReply::default(),
        })
    }
}

/// An upload that was handed on. Without an answer, as after a panic of the service, it leaves nothing behind.
struct Taken {
    uploads: Arc<Uploads>,
    key: Key,
    answer: Option<Response>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let answer = self.answer.take();
        self.uploads.end(self.key, answer, Instant::now());
    }
}

fn status(refused: Refused) -> Status {
    refused.0
}

#[tonic::async_trait]
impl<S: Service> Served for Training<S> {
    type FetchModelStream = Pin<Box<dyn Stream<Item = Result<proto::ModelChunk, Status>> + Send>>;

    async fn check_in(
        &self,
        request: Incoming<proto::CheckInRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn fetch_log(
        &self,
        request: Incoming<proto::FetchLogRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn fetch_model(
        &self,
        request: Incoming<proto::FetchModelRequest>,
    ) -> Result<Outgoing<Self::FetchModelStream>, Status> {
        let chunks = self.begin_model(request).await.map_err(status)?;
        Ok(Outgoing::new(Box::pin(stream::iter(chunks.map(Ok)))))
    }

    async fn advertise_keys(
        &self,
        request: Incoming<proto::AdvertiseKeysRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn share_keys(
        &self,
        request: Incoming<proto::ShareKeysRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn confirm_shares(
        &self,
        request: Incoming<proto::ConfirmSharesRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn upload(
        &self,
        request: Incoming<Streaming<proto::UploadChunk>>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.receive(request).await.map_err(status)
    }

    async fn upload_status(
        &self,
        request: Incoming<proto::UploadStatusRequest>,
    ) -> Result<Outgoing<proto::UploadStatusReply>, Status> {
        self.received(request).map(Outgoing::new).map_err(status)
    }

    async fn endorse(
        &self,
        request: Incoming<proto::EndorseRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn unmask(
        &self,
        request: Incoming<proto::UnmaskRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
    }

    async fn r#await(
        &self,
        request: Incoming<proto::AwaitRequest>,
    ) -> Result<Outgoing<proto::Reply>, Status> {
        self.unary(request).await.map_err(status)
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
