//! What filters and rule files call the things of a row.

use crate::snapshot::{Direction, RowKind};

/// A kind as filters call it.
pub(crate) const fn kind_word(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Request => "request",
        RowKind::Result => "result",
        RowKind::Error => "error",
        RowKind::Notification => "notification",
        RowKind::Event => "event",
        RowKind::Malformed => "malformed",
        RowKind::Http | RowKind::HttpResponse => "http",
        RowKind::Tunnel => "tunnel",
        RowKind::Run => "run",
        RowKind::Stderr => "stderr",
    }
}

/// A direction as filters call it.
pub(crate) const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "c2s",
        Direction::ServerToClient => "s2c",
    }
}
