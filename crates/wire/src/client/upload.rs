use std::{sync::Arc, time::Duration};

use chorus_protocol::{PROTOCOL_VERSION, Response};
use futures_util::stream;
use tokio::time::sleep;

use super::{Connection, SendError};
use crate::{
    limits::CHUNK_BYTES,
    proto::{self, upload_chunk::Part},
};

/// Tries that brought nothing before the upload is given up.
const TRIES: u32 = 4;

/// Pause after the first try; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);

/// A slower line breaks the call, and the upload goes on with the next.
const BYTES_PER_SECOND: u64 = 32 << 10;

impl Connection {
    pub(super) async fn upload(
        &self,
        start: proto::UploadStart,
        bytes: Arc<[u8]>,
    ) -> Result<Response, SendError> {
        // A short upload is sent faster than it is asked about.
        let mut offset = if bytes.len() > CHUNK_BYTES {
            self.received(&start).await?
        } else {
            0
        };
        let mut fruitless = 0;
        loop {
            let error = match self.upload_from(&start, bytes.clone(), offset).await {
                Ok(reply) => return Ok(reply.try_into()?),
                Err(error @ SendError::Unreachable(_)) => error,
                Err(error) => return Err(error),
            };
            fruitless += 1;
            if fruitless >= TRIES {
                return Err(error);
            }
            sleep(PAUSE * 2u32.pow(fruitless)).await;
            match self.received(&start).await {
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
        bytes: Arc<[u8]>,
        offset: u64,
    ) -> Result<proto::Reply, SendError> {
        let start = proto::UploadStart {
            offset,
            ..start.clone()
        };
        let first = proto::UploadChunk {
            part: Some(Part::Start(start)),
        };
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let left = (bytes.len() - from) as u64;
        let chunks = (from..bytes.len()).step_by(CHUNK_BYTES).map(move |begin| {
            let end = bytes.len().min(begin + CHUNK_BYTES);
            let data = bytes.get(begin..end).unwrap_or_default().to_vec();
            proto::UploadChunk {
                part: Some(Part::Data(data)),
            }
        });
        let messages = stream::iter(std::iter::once(first).chain(chunks));
        let deadline = self.deadline + Duration::from_secs(left / BYTES_PER_SECOND);
        self.call(deadline, async |mut client| client.upload(messages).await)
            .await
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
