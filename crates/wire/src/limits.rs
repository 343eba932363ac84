//! How large and how slow things may be. Both sides enforce them.

use std::time::Duration;

/// No message is longer, in either direction.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Most bytes of a file in one message.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Most bytes of an upload in one message. Uploads come in tiles so small that those on their way need little memory
/// beside what they will become.
pub const TILE_BYTES: usize = 64 << 10;

/// Longest message to the coordinator: a tile, or sealed shares for every neighbour, and room for fields to come.
pub const MAX_REQUEST_BYTES: usize = TILE_BYTES + (4 << 10);

/// Bytes that a peer may send in one call before the server reads them: HTTP/2 stops it there. An upload that waits for
/// room, see [`Limits::upload_bytes`](crate::server::Limits::upload_bytes), costs the server no more than this.
pub const STREAM_WINDOW_BYTES: u32 = 128 << 10;

/// The same for all calls of a connection, so that one that waits does not stop the others.
pub const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;

/// Most neighbours of a client: its secrets are shared over GF(2^8), 255 shares at most.
pub const MAX_NEIGHBOURS: usize = 254;
/// Seeds of layers of noise that one client gives out.
pub const MAX_LAYERS: usize = 64;

/// Most clients in a cohort.
pub const MAX_COHORT: u32 = 1 << 20;

/// Most nodes beside the way from a leaf of a tree over a cohort to its root: the cohort has at most 2^20 leaves.
pub const MAX_PATH: usize = 20;

/// Longest certificate or certificate request, DER.
pub const MAX_CERTIFICATE_BYTES: usize = 4096;

/// Longest message to the witness: a round's number and a digest, and room for fields to come.
pub const MAX_WITNESS_REQUEST_BYTES: usize = 1024;

/// Longest message of the witness: a certificate, a signature and 32 bytes, and room for fields to come.
pub const MAX_WITNESS_REPLY_BYTES: usize = MAX_CERTIFICATE_BYTES + 1024;

/// Longest round plan, JSON.
pub const MAX_PLAN_BYTES: usize = 64 << 10;

/// Longest entry of the model log, JSON.
pub const MAX_LOG_ENTRY_BYTES: usize = 16 << 10;

/// Most entries of the model log in one answer. A longer log comes in several: ask again from where it ended.
pub const LOG_ENTRIES_PER_ANSWER: usize = 1024;

/// Most bytes of log entries in one answer; it is cut before the entry that would not fit.
pub const LOG_BYTES_PER_ANSWER: usize = 3 << 20;

/// Longest revocation list, JSON.
pub const MAX_REVOCATIONS_BYTES: usize = 3 << 20;

/// Longest sentence that travels with a refusal or an aborted round.
pub const MAX_SENTENCE_BYTES: usize = 1024;

/// Longest model file.
pub const MAX_MODEL_BYTES: u64 = chorus_protocol::MODEL_BYTES;

/// Most bytes of a model file that one call of the client collects.
pub const MODEL_BYTES_PER_ANSWER: usize = 64 << 20;

/// Longest upload.
pub const MAX_UPLOAD_BYTES: u64 = 1 << 30;

/// A long poll is answered within this time.
pub const LONG_POLL: Duration = Duration::from_secs(25);

/// A call that got no answer after this time has failed.
pub const CALL_DEADLINE: Duration = Duration::from_secs(40);

/// A call to the witness that got no answer after this time has failed. The same can be asked again.
pub const WITNESS_DEADLINE: Duration = Duration::from_secs(15);

/// A connection (TCP and TLS) that does not stand after this time has failed.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// An upload that is slower than this gets in the way: the client gives it up, and the server does when room is short.
pub const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

/// A stream on which nothing came for this time is broken.
pub const CHUNK_DEADLINE: Duration = Duration::from_secs(20);
