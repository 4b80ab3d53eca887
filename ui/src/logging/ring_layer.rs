//! Log lines on their way to the Log screen.

use std::fmt::{self, Write as _};

use shadowcat::clock::Clock;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::LogRow;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Bytes of one line that the ring keeps, because the ring is bounded in lines. Longer: cut.
const LINE_BYTES: usize = 2_048;

/// Puts every event into the ring.
pub(super) struct RingLayer {
    ring: LogRing,
    clock: Clock,
}

impl RingLayer {
    pub(super) const fn new(ring: LogRing, clock: Clock) -> Self {
        Self { ring, clock }
    }
}

impl<S: Subscriber> Layer<S> for RingLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.ring.push(LogRow {
            number: 0,
            at: self.clock.now(),
            level: event.metadata().level().to_string(),
            target: event.metadata().target().to_owned(),
            text: line.finish(),
        });
    }
}

/// The message, then the fields as `name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        if self.message.len() > LINE_BYTES {
            let end = self.message.floor_char_boundary(LINE_BYTES);
            self.message.truncate(end);
            self.message.push('…');
        }
        self.message
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use shadowcat::snapshot::Window;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn logged(log: impl FnOnce()) -> Vec<LogRow> {
        let ring = LogRing::new(16);
        let layer = RingLayer::new(ring.clone(), Clock::start());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        ring.page(Window::default()).rows
    }

    #[test]
    fn an_event_becomes_a_line_with_its_fields() {
        let rows = logged(|| tracing::warn!(port = 8080, who = "me", "cannot listen"));
        assert_eq!(rows[0].text, "cannot listen port=8080 who=me");
        assert_eq!((rows[0].level.as_str(), rows[0].number), ("WARN", 1));
    }

    #[test]
    fn a_long_line_is_cut_where_a_character_ends() {
        let rows = logged(|| tracing::info!("x{}", "é".repeat(LINE_BYTES)));
        assert!(rows[0].text.len() <= LINE_BYTES + "…".len());
        assert!(rows[0].text.ends_with("é…"));
    }
}
