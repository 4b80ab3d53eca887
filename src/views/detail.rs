//! All about one row.

use std::sync::Arc;

use crate::ids::{MessageId, ProxySessionId};
use crate::session::history::row::RareFacts;
use crate::session::history::{History as _, HistoryView, Row, RowBytes};
use crate::snapshot::{Body, Carrier, Direction, MessageDetail, MessageRow, RowKind, SessionRow, SseFields};

/// Most rows of a call in a detail.
pub(super) const MAX_CALL_ROWS: usize = 200;
/// Most rows of a call that are followed; those beyond are not counted either.
const MAX_CALL_STEPS: usize = 20_000;

/// Everything about the row `id`; `None` if history no longer has it.
pub(super) fn detail(history: &HistoryView, id: MessageId) -> Option<MessageDetail> {
    let row = history.find(id)?;
    let (call, call_cut) = call_rows(history, &row);
    Some(MessageDetail {
        row: row.to_message_row(),
        body: history.body(&row).map(|bytes| body(&row, bytes)),
        sent: history.sent(&row).map(|bytes| body(&row, bytes)),
        sse: sse(&row),
        exchange: row.exchange().detail(),
        call,
        call_cut,
        session: row.session().and_then(|id| session(history, id)),
    })
}

fn session(history: &HistoryView, id: ProxySessionId) -> Option<SessionRow> {
    history
        .sessions()
        .iter()
        .find(|row| row.id == id)
        .map(|row| (**row).clone())
}

fn body(row: &Row, bytes: RowBytes) -> Body {
    let media_type = match row.facts.direction {
        Direction::ClientToServer => row.exchange().request_media_type(),
        Direction::ServerToClient => row.exchange().response_media_type().map(str::to_owned),
    };
    Body {
        bytes: bytes.payload,
        wire: bytes.wire,
        size: bytes.size,
        is_cut: bytes.is_cut,
        coding: bytes.coding.as_deref().map(str::to_owned),
        media_type,
    }
}

fn sse(row: &Row) -> Option<SseFields> {
    if row.facts.carrier != Carrier::Sse {
        return None;
    }
    let none = RareFacts::default();
    let rare = row.facts.rare.as_deref().unwrap_or(&none);
    let implied = if row.kind() == RowKind::Event {
        ""
    } else {
        "message"
    };
    Some(SseFields {
        event: rare.event.as_deref().unwrap_or(implied).to_owned(),
        id: rare.event_id.as_deref().map(str::to_owned),
        retry: rare.retry,
        comments: rare.comments,
    })
}

/// The rows of a call, oldest first, and how many there are beside those. Of a long call the first and the last rows,
/// and the one that was asked for.
fn call_rows(history: &HistoryView, row: &Arc<Row>) -> (Vec<MessageRow>, u64) {
    if row.facts.call.is_none() {
        return (Vec::new(), 0);
    }
    let follow = |next: fn(&Row) -> Option<MessageId>| {
        let step = move |row: &Arc<Row>| next(row).and_then(|id| history.find(id));
        std::iter::successors(step(row), step).take(MAX_CALL_STEPS)
    };
    let mut rows: Vec<Arc<Row>> = follow(|row| row.facts.previous_in_call).collect();
    rows.reverse();
    let asked = rows.len();
    rows.push(Arc::clone(row));
    rows.extend(follow(Row::next_in_call));
    let cut = rows.len().saturating_sub(MAX_CALL_ROWS);
    if cut > 0 {
        let half = MAX_CALL_ROWS / 2;
        let middle = rows
            .get(asked)
            .cloned()
            .filter(|_| (half..half + cut).contains(&asked));
        rows.drain(half..half + cut);
        if let (Some(middle), Some(place)) = (middle, rows.get_mut(half)) {
            *place = middle;
        }
    }
    (
        rows.into_iter().map(|row| row.to_message_row()).collect(),
        cut as u64,
    )
}
