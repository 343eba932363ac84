use chorus_protocol::Response;
use tokio::time::timeout;

use super::{Connection, SendError};
use crate::{
    limits::{CHUNK_BYTES, CHUNK_DEADLINE, MAX_MODEL_BYTES, MODEL_BYTES_PER_ANSWER},
    proto,
};

impl Connection {
    /// Collects a stream of chunks until it ends or breaks; whoever asked goes on from where the bytes end.
    pub(super) async fn fetch_model(
        &self,
        message: proto::FetchModelRequest,
    ) -> Result<Response, SendError> {
        let start = message.offset;
        let mut stream = self
            .call(self.deadline, async |mut client| {
                client.fetch_model(message).await
            })
            .await?;
        let mut total = None;
        let mut bytes = Vec::new();
        loop {
            let next = match timeout(CHUNK_DEADLINE, stream.message()).await {
                Ok(next) => next.map_err(SendError::from),
                Err(_) => Err(SendError::deadline()),
            };
            match (next, total) {
                (Ok(Some(chunk)), _) => {
                    check(&chunk, start + bytes.len() as u64, total)?;
                    total = Some(chunk.total_bytes);
                    bytes.extend_from_slice(&chunk.data);
                    if bytes.len() >= MODEL_BYTES_PER_ANSWER {
                        break;
                    }
                }
                (Ok(None), Some(_)) => break,
                (Ok(None), None) => {
                    return Err(SendError::Protocol(
                        "a model came without a single chunk".to_owned(),
                    ));
                }
                (Err(error), Some(_)) if !bytes.is_empty() => {
                    let _ = self.fault(error);
                    break;
                }
                (Err(error), _) => return Err(self.fault(error)),
            }
        }
        Ok(Response::Model {
            offset: start,
            total: total.unwrap_or_default(),
            bytes,
        })
    }
}

fn check(chunk: &proto::ModelChunk, offset: u64, total: Option<u64>) -> Result<(), SendError> {
    let end = chunk.offset.checked_add(chunk.data.len() as u64);
    let fits = chunk.offset == offset
        && chunk.data.len() <= CHUNK_BYTES
        && chunk.total_bytes <= MAX_MODEL_BYTES
        && end.is_some_and(|end| end <= chunk.total_bytes)
        && total.is_none_or(|total| total == chunk.total_bytes);
    if fits {
        Ok(())
    } else {
        Err(SendError::Protocol(
            "a chunk of a model does not follow the one before".to_owned(),
        ))
    }
}
