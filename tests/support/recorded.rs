//! What a recording has of the wire.

use std::path::Path;

use shadowcat::config::{Config, RecordConfig};
use shadowcat::recording::RecordingReader;
use shadowcat::recording::format::Line;
use shadowcat::snapshot::{Carrier, Direction};

/// Lets an engine record everything as it is.
pub fn with_secrets(config: &mut Config, path: &Path) {
    config.record = Some(RecordConfig {
        path: Some(path.to_owned()),
    });
    config.records_secrets = true;
}

/// The bytes of one direction over one transport, as a recording has them.
pub fn recorded(path: &Path, transport: Carrier, direction: Direction) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in RecordingReader::open(path).unwrap() {
        if let Line::Frame(frame) = record.unwrap().line
            && (frame.transport, frame.direction) == (transport, direction)
        {
            bytes.extend(frame.into_bytes());
        }
    }
    bytes
}

/// Fails unless both directions over `transport` are recorded as they were.
#[track_caller]
pub fn assert_recorded(path: &Path, transport: Carrier, up: &[u8], down: &[u8]) {
    for (direction, wire) in [(Direction::ClientToServer, up), (Direction::ServerToClient, down)] {
        let bytes = recorded(path, transport, direction);
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(wire),
            "{transport:?} {direction:?}"
        );
        assert_eq!(bytes, wire, "{transport:?} {direction:?}");
    }
}
