use std::{future::pending, time::Duration};

use chorus_protocol::{PROTOCOL_VERSION, Response};
use futures_util::{StreamExt, stream};
use tokio::{select, sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;

use super::{Connection, SendError};
use crate::{
    limits::{SLOWEST_BYTES_PER_SECOND, TILE_BYTES},
    proto::{self, upload_chunk::Part},
};

/// Tries that brought nothing before the upload is given up.
const TRIES: u32 = 4;

/// Pause after the first try; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);

/// A longer upload asks first what has arrived: an app that was ended in the middle goes on from there.
const ASKS: usize = 1 << 20;

impl Connection {
    pub(super) async fn upload(
        &self,
        start: &proto::UploadStart,
        bytes: &[u8],
    ) -> Result<Response, SendError> {
        // A short upload is sent faster than it is asked about.
        let mut offset = if bytes.len() > ASKS {
            self.received(start).await?
        } else {
            0
        };
        let mut fruitless = 0;
        loop {
            let error = match self.upload_from(start, bytes, offset).await {
                Ok(reply) => return Ok(reply.try_into()?),
                Err(error @ SendError::Unreachable(_)) => error,
                Err(error) => return Err(error),
            };
            fruitless += 1;
            if fruitless >= TRIES {
                return Err(error);
            }
            sleep(PAUSE * 2u32.pow(fruitless)).await;
            match self.received(start).await {
                Ok(received) => {
                    if received > offset {
                        fruitless = 0;
                    }
                    offset = received;
                }
                Err(SendError::Unreachable(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn upload_from(
        &self,
        start: &proto::UploadStart,
        bytes: &[u8],
        offset: u64,
    ) -> Result<proto::Reply, SendError> {
        let start = proto::UploadStart {
            offset,
            ..start.clone()
        };
        let left = usize::try_from(offset)
            .ok()
            .and_then(|offset| bytes.get(offset..))
            .unwrap_or_default();
        let seconds = left.len() as u64 / SLOWEST_BYTES_PER_SECOND;
        let deadline = self.deadline + Duration::from_secs(seconds);
        // The call outlives no borrow, so it is fed tile by tile; no more than two are on their way at once.
        let (tiles, fed) = mpsc::channel(1);
        let feeding = async move {
            for tile in left.chunks(TILE_BYTES) {
                if tiles.send(chunk(Part::Data(tile.to_vec()))).await.is_err() {
                    break;
                }
            }
        };
        let messages = stream::iter([chunk(Part::Start(start))]).chain(ReceiverStream::new(fed));
        let calling = self.call(deadline, async |mut client| client.upload(messages).await);
        select! {
            reply = calling => reply,
            never = async { feeding.await; pending().await } => never,
        }
    }

    /// How much of this very upload has arrived.
    async fn received(&self, start: &proto::UploadStart) -> Result<u64, SendError> {
        let message = proto::UploadStatusRequest {
            protocol_version: PROTOCOL_VERSION,
            round: start.round,
        };
        let status = self
            .call(self.deadline, async |mut client| {
                client.upload_status(message).await
            })
            .await?;
        let is_this = status.sha256 == start.sha256 && status.received_bytes <= start.total_bytes;
        Ok(if is_this { status.received_bytes } else { 0 })
    }
}

fn chunk(part: Part) -> proto::UploadChunk {
    proto::UploadChunk { part: Some(part) }
}
