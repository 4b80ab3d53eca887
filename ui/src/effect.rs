//! What `update` wants done outside of the model.

use std::path::PathBuf;
use std::time::Duration;

use shadowcat::ids::{HoldId, MessageId};
use shadowcat::snapshot::{Command, ViewQuery};

use crate::recordings::Errand;

/// Something for the app to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The view has changed.
    Query(ViewQuery),
    /// Ask the engine; the answer comes back as an event with the same purpose.
    Ask(Purpose, Command),
    /// Give `text` to the terminal's clipboard.
    Copy { what: String, text: String },
    /// Ring the terminal, and have it say `text` where it can.
    Ring(String),
    /// Give the terminal to the user's editor with this text of a held message, or of a copy; what comes back is an event.
    Edit { id: Option<HoldId>, text: Vec<u8> },
    /// Look into folders or files of recordings; what comes of it is an event.
    Recordings(Errand),
    /// Give the terminal to another run of this program that shows this recording, until that has ended.
    OpenRecording(PathBuf),
    /// Let a beat come after this time, in the place of one that was to come.
    Beat(Duration),
    /// Take or leave the mouse.
    Mouse(bool),
    /// Back to the shell.
    Suspend,
    /// Draw every cell anew.
    Redraw,
    /// Leave.
    Quit,
}

/// Why a command was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To show it in the detail.
    Detail(MessageId),
    /// To go there.
    Find { is_backwards: bool },
    /// To start or stop recording.
    Record,
    /// To have requests tried again.
    ResetBreakers,
    /// To show a held message.
    HeldText(HoldId),
    /// To send a request again: the number of the copy on this screen.
    Resend(u64),
    /// To answer a held call as its tool did last.
    LastGood(HoldId),
    /// To put another text or head in the place of a held message's.
    HeldEdit(HoldId),
    /// To decide about held messages, or to change rules.
    Intercept,
}
