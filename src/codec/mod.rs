//! Bytes to frames to messages: pure code that knows no socket, no file and no clock.

pub mod content;
pub mod envelope;
pub mod event;
pub mod json;
pub mod lines;
pub mod sse;
