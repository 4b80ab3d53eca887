//! Everything that goes wrong around a proxy, with raw sockets: who notices it, and that nobody else does.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

#[path = "faults/aborts.rs"]
mod aborts;
#[path = "faults/clients.rs"]
mod clients;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/crowd.rs"]
mod crowd;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/house.rs"]
mod house;
#[path = "faults/tasks.rs"]
mod tasks;
#[path = "faults/upstream.rs"]
mod upstream;
