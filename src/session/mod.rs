//! Sessions and calls: what belongs together, and the history of it.

pub mod describe;
pub mod ended_call;
pub mod history;
pub mod latency;
pub mod ledger;
pub mod observation;
pub mod pairing;
pub mod registry;
pub mod tally;
pub mod tracker;
