//! Bytes to frames to messages: pure code that knows no socket, no file and no clock.
//!
//! Forwarding never depends on this module: whatever cannot be decoded is still passed on, and every decoder here
//! reports a broken input instead of failing on it.

pub mod content;
pub mod cut;
pub mod envelope;
pub mod event;
pub mod fingerprint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod hidden;
pub mod json;
pub mod lines;
pub mod rpc_id;
pub mod sse;
pub(crate) mod text;
pub mod websocket;

/// The UTF-8 byte order mark, which some peers put in front of a body, a stream or a first line.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
