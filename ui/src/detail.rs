//! The message that is looked at closely: its tabs, scrolling and search.

use std::sync::Arc;

use jiff::tz::TimeZone;
use shadowcat::clock::Timestamp;
use shadowcat::ids::MessageId;
use shadowcat::snapshot::{MessageDetail, MessageRow};

use crate::copies::Copies;
use crate::document::{self, DocLine, Look};
use crate::theme::Theme;

/// What is shown of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tab {
    #[default]
    Pretty,
    Raw,
    Sent,
    Headers,
    Call,
    Timing,
}

impl Tab {
    pub(crate) const ALL: [Self; 6] = [
        Self::Pretty,
        Self::Raw,
        Self::Sent,
        Self::Headers,
        Self::Call,
        Self::Timing,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Pretty => "Pretty",
            Self::Raw => "Raw",
            Self::Sent => "Sent",
            Self::Headers => "Headers",
            Self::Call => "Call",
            Self::Timing => "Timing",
        }
    }

    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Pretty => Self::Raw,
            Self::Raw => Self::Sent,
            Self::Sent => Self::Headers,
            Self::Headers => Self::Call,
            Self::Call => Self::Timing,
            Self::Timing => Self::Pretty,
        }
    }

    pub(crate) const fn previous(self) -> Self {
        match self {
            Self::Pretty => Self::Timing,
            Self::Raw => Self::Pretty,
            Self::Sent => Self::Raw,
            Self::Headers => Self::Sent,
            Self::Call => Self::Headers,
            Self::Timing => Self::Call,
        }
    }
}

/// What the lines were made from; they are made again when it changes.
#[derive(Debug, Clone, PartialEq)]
struct Made {
    message: u64,
    tab: Tab,
    columns: usize,
    look: Switches,
    theme: Theme,
    /// The second of an exchange under way.
    second: Option<u64>,
}

/// How the detail is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switches {
    pub(crate) wraps: bool,
    pub(crate) is_hex: bool,
    pub(crate) is_unmasked: bool,
}

/// The state of the detail pane.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// What was sent again from this screen.
    pub(crate) copies: Copies,
    /// What is shown.
    pub(crate) message: Option<Arc<MessageDetail>>,
    /// Counts the messages that were put in.
    serial: u64,
    /// The row that was asked for and has not come yet.
    pub(crate) asked: Option<MessageId>,
    /// The row as the list had it when it was asked for; once it is another there, it is asked for again.
    pub(crate) seen: Option<MessageRow>,
    /// The row of which history has nothing any more.
    pub(crate) gone: Option<MessageId>,
    pub(crate) tab: Tab,
    pub(crate) switches: Switches,
    pub(crate) lines: Vec<DocLine>,
    made: Option<Made>,
    pub(crate) scroll: usize,
    pub(crate) scroll_right: usize,
    /// The chosen line of the Call tab.
    pub(crate) cursor: usize,
    pub(crate) search: String,
    /// What was searched for before.
    pub(crate) last_search: String,
    /// Lines on which the search text is.
    pub(crate) hits: Vec<usize>,
    pub(crate) hit: usize,
}

impl Default for Detail {
    fn default() -> Self {
        Self {
            copies: Copies::default(),
            message: None,
            serial: 0,
            asked: None,
            seen: None,
            gone: None,
            tab: Tab::default(),
            switches: Switches {
                wraps: true,
                is_hex: false,
                is_unmasked: false,
            },
            lines: Vec::new(),
            made: None,
            scroll: 0,
            scroll_right: 0,
            cursor: 0,
            search: String::new(),
            last_search: String::new(),
            hits: Vec::new(),
            hit: 0,
        }
    }
}

impl Detail {
    /// The row that is shown.
    pub(crate) fn shown(&self) -> Option<MessageId> {
        self.message.as_ref().map(|message| message.row.id)
    }

    /// Shows `message`; the place is kept if it is the same row again.
    pub(crate) fn put(&mut self, message: MessageDetail) {
        if self.shown() != Some(message.row.id) {
            self.restart();
            let of_call = message.call.iter().position(|row| row.id == message.row.id);
            self.cursor = of_call.unwrap_or(0);
        }
        self.serial += 1;
        self.gone = None;
        self.message = Some(Arc::new(message));
    }

    /// A copy of this screen was sent, under this id.
    pub(crate) fn note_copy(&mut self, number: u64, id: &str) {
        self.copies.sent(number, id);
        // Its row may be shown already.
        self.serial += 1;
    }

    /// Shows nothing.
    pub(crate) fn clear(&mut self) {
        self.serial += 1;
        self.message = None;
        self.restart();
    }

    fn restart(&mut self) {
        (self.scroll, self.scroll_right, self.hit, self.cursor) = (0, 0, 0, 0);
    }

    pub(crate) fn show_tab(&mut self, tab: Tab) {
        self.tab = tab;
        (self.scroll, self.scroll_right, self.hit) = (0, 0, 0);
    }

    /// Makes the lines anew if anything that they show has changed.
    pub(crate) fn refresh(&mut self, columns: usize, theme: Theme, zone: &TimeZone, now: Option<Timestamp>) {
        let now = now.filter(|_| self.tab == Tab::Timing && self.is_under_way());
        let wanted = Made {
            message: self.serial,
            tab: self.tab,
            columns,
            look: self.switches,
            theme,
            second: now.map(|now| now.as_micros() / 1_000_000),
        };
        if self.made.as_ref() == Some(&wanted) {
            return;
        }
        let look = Look {
            columns,
            switches: self.switches,
            theme,
            zone,
            now,
            copies: &self.copies,
            is_for_copy: false,
        };
        self.lines = match &self.message {
            Some(message) => document::lines(message, self.tab, &look),
            None => Vec::new(),
        };
        self.made = Some(wanted);
        self.find();
    }

    /// The exchange of the message has not ended.
    fn is_under_way(&self) -> bool {
        let exchange = self
            .message
            .as_ref()
            .and_then(|message| message.exchange.as_ref());
        exchange.is_some_and(|exchange| exchange.timing.done.is_none())
    }

    /// Looks for the search text in all lines.
    pub(crate) fn find(&mut self) {
        let wanted = self.search.to_lowercase();
        let is_hit = |line: &DocLine| !wanted.is_empty() && line.line.text().to_lowercase().contains(&wanted);
        let numbered = self.lines.iter().enumerate();
        self.hits = numbered
            .filter(|(_, line)| is_hit(line))
            .map(|(number, _)| number)
            .collect();
        self.hit = self.hit.min(self.hits.len().saturating_sub(1));
    }

    /// Goes to the next (or previous) hit, round the ends.
    pub(crate) fn next_hit(&mut self, is_backwards: bool, height: usize) {
        let all = self.hits.len();
        if all == 0 {
            return;
        }
        self.hit = (self.hit + if is_backwards { all - 1 } else { 1 }) % all;
        self.show_hit(height);
    }

    /// Scrolls to the chosen hit.
    pub(crate) fn show_hit(&mut self, height: usize) {
        if let Some(line) = self.hits.get(self.hit)
            && !(self.scroll..self.scroll + height).contains(line)
        {
            self.scroll = line.saturating_sub(height / 2);
        }
    }

    /// Keeps scrolling within the lines, and the chosen line of the Call tab in view.
    pub(crate) fn settle(&mut self, height: usize) {
        let last = self.lines.len().saturating_sub(1);
        self.cursor = self.cursor.min(last);
        if self.tab == Tab::Call {
            self.scroll = self.scroll.min(self.cursor);
            self.scroll = self.scroll.max((self.cursor + 1).saturating_sub(height));
        }
        self.scroll = self.scroll.min(self.lines.len().saturating_sub(height));
    }

    pub(crate) fn step(&mut self, by: isize) {
        if self.tab == Tab::Call {
            self.cursor = self.cursor.saturating_add_signed(by);
        } else {
            self.scroll = self.scroll.saturating_add_signed(by);
        }
    }

    /// The message on the chosen line of the Call tab.
    pub(crate) fn target(&self) -> Option<MessageId> {
        (self.tab == Tab::Call).then(|| self.lines.get(self.cursor)?.target)?
    }
}
