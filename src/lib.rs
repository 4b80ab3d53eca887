//! The engine of `shadowcat-tui`.

pub mod codec;
pub mod intercept;
