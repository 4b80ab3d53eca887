//! Sessions and calls: what belongs together, and the history of it.

pub mod observation;
pub mod pairing;
