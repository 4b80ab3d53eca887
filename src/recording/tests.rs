//! The recorder and the reader together, as a user meets them.

mod docs;
mod hostile;
mod rotation;
mod round_trip;
mod schema;
mod secrets;
mod settling;
mod support;
mod verify;
mod writing;
