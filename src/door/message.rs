//! What is said through the control door: the headers of its frames.
//!
//! A field that is not known is skipped, and so is a message whose `type` is not known, in both directions: an older
//! shim and a newer proxy understand each other as far as the older one goes. What cannot be skipped raises the version.

use bytes::BytesMut;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameTooLongError, put_frame};
use crate::intercept::interceptor::InterceptReply;

/// The version of what is said.
pub const DOOR_VERSION: u32 = 1;

/// The role of a shim.
pub const SHIM: &str = "shim";

/// The role of a script that decides about held messages.
pub const HELD: &str = "held";

/// What someone who comes through the door says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToProxy {
    /// Who it is; always the first.
    Hello(Hello),
    /// A shim: the run that it tells of.
    Begin(Box<RunBegin>),
    /// A shim: the payload passed in a stream.
    Bytes {
        /// Which stream.
        stream: RunPipe,
    },
    /// A shim behind a [gate](FromProxy::Gate): the payload came in a stream, and waits until it is
    /// [settled](FromProxy::Settled). The first one begins a line.
    Asked {
        /// Which stream.
        stream: RunPipe,
    },
    /// A shim: something passed that it did not tell. What follows in that stream begins a line.
    Gap {
        /// Which stream.
        stream: RunPipe,
        /// Why.
        reason: GapReason,
        /// Chunks that are missing.
        chunks: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A shim: a stream is at its end.
    End {
        /// Which stream.
        stream: RunPipe,
    },
    /// A shim: the command ended. The last message of a run.
    Exit(RunExit),
    /// A script: the payload is a part of a question, an
    /// [`InterceptCommand`](crate::intercept::interceptor::InterceptCommand) as JSON.
    Ask {
        /// Nothing of it follows.
        is_last: bool,
    },
    /// A script: it wants to hear what happens among held messages.
    Watch,
    /// Something newer than this build.
    #[serde(other)]
    Unknown,
}

/// What the proxy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromProxy {
    /// The role is taken.
    Welcome(Welcome),
    /// It is not; the link ends here.
    Refused {
        /// Why, in a sentence for people.
        reason: String,
    },
    /// To a script: the payload is a part of the answer, [`Answered`] as JSON.
    Answer {
        /// Nothing of it follows.
        is_last: bool,
    },
    /// To a script: the payload is a part of what happened, [`HoldEvents`](crate::intercept::hold::HoldEvents) as JSON.
    Events {
        /// Nothing of it follows.
        is_last: bool,
    },
    /// To a shim: lines of input and output are [asked](ToProxy::Asked) about from the next one on, or no longer.
    Gate {
        /// Whether.
        is_on: bool,
        /// Most lines of a stream that wait; further ones are not read.
        lines: u64,
        /// Most of their bytes.
        bytes: u64,
    },
    /// To a shim: the payload goes on in a stream, once what it stands for is settled.
    Onward {
        /// Which stream.
        stream: RunPipe,
    },
    /// To a shim: the payload is whole lines that go back to whoever says this stream, at the same time.
    Back {
        /// Which stream.
        stream: RunPipe,
    },
    /// To a shim: what was asked about next in a stream, so many bytes, is replaced by what was said to go on and back.
    Settled {
        /// Which stream.
        stream: RunPipe,
        /// How many.
        bytes: u64,
    },
    /// To a shim: nothing more goes on, neither way. What was settled is still written, then both pipes are closed, as if the
    /// server had ended.
    Close,
    /// To a shim behind a gate: the proxy is still there. One that is silent for longer than a second does not hold
    /// anything any more.
    Alive,
    /// Something newer than this build, such as a question of a later version.
    #[serde(other)]
    Unknown,
}

/// What a script is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// It was done.
    Done(InterceptReply),
    /// It was not; why, in a sentence for people.
    Refused(String),
}

/// Who comes through the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`DOOR_VERSION`] of the speaker.
    pub version: u32,
    /// What it wants to be: [`SHIM`] or [`HELD`].
    pub role: String,
}

/// Who opened the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`DOOR_VERSION`] of the proxy.
    pub version: u32,
    /// Its process.
    pub pid: u32,
    /// Where it accepts clients.
    pub listen: Vec<String>,
}

/// One of the three pipes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPipe {
    /// Standard input.
    In,
    /// Standard output.
    Out,
    /// Standard error output.
    Err,
}

impl RunPipe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::In, Self::Out, Self::Err];
}

/// Why something that passed was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// There was no link: it passed before this proxy was found, or after the last one was lost.
    Away,
    /// The proxy did not take it fast enough.
    Full,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

/// A run, as the shim before it knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBegin {
    /// What the user calls the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Names of the environment variables, never their values.
    #[serde(default)]
    pub env_names: Vec<String>,
    /// The shim's process.
    pub shim_pid: u32,
    /// The command's process.
    pub child_pid: u32,
    /// Name of the process that started the shim: the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// That process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_pid: Option<u32>,
}

/// Most bytes of an argument, a name or a path that are told.
const MAX_WORD_BYTES: usize = 4096;
/// Most words of a list that are told.
const MAX_WORDS: usize = 512;
/// Most bytes of all words of a list. JSON may need six for one, and a frame's header has room for two lists then.
const MAX_LIST_BYTES: usize = 12 * 1024;

impl RunBegin {
    /// The same, cut to what fits into a frame whatever the words are.
    #[must_use]
    pub fn within_bounds(mut self) -> Self {
        self.argv = bounded(self.argv);
        self.env_names = bounded(self.env_names);
        for word in [&mut self.name, &mut self.cwd, &mut self.parent]
            .into_iter()
            .flatten()
        {
            cut_word(word);
        }
        self
    }
}

fn bounded(words: Vec<String>) -> Vec<String> {
    let mut room = MAX_LIST_BYTES;
    let mut kept = Vec::new();
    for mut word in words.into_iter().take(MAX_WORDS) {
        cut_word(&mut word);
        if word.len() > room {
            kept.push("…".to_owned());
            break;
        }
        room -= word.len();
        kept.push(word);
    }
    kept
}

fn cut_word(word: &mut String) {
    if word.len() > MAX_WORD_BYTES {
        word.truncate(word.floor_char_boundary(MAX_WORD_BYTES));
        word.push('…');
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunExit {
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

/// A header that is no JSON object of this protocol, or too long for a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It cannot be read or written as JSON.
    #[error("a message through the control door is not understood; is the other side another version?")]
    Json(#[from] serde_json::Error),
    /// It does not fit into a frame.
    #[error(transparent)]
    TooLong(#[from] FrameTooLongError),
}

/// Appends `message` with `payload` to `out`.
///
/// # Errors
/// [`MessageError`] if it does not fit into a frame; `out` is as before.
pub fn put_message(message: &impl Serialize, payload: &[u8], out: &mut BytesMut) -> Result<(), MessageError> {
    let header = serde_json::to_vec(message)?;
    Ok(put_frame(&header, payload, out)?)
}

/// Reads the header of `frame`.
///
/// # Errors
/// [`MessageError::Json`] if it is none of this protocol.
pub fn read_message<T: DeserializeOwned>(frame: &Frame) -> Result<T, MessageError> {
    Ok(serde_json::from_slice(&frame.header)?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::door::frame::{FrameCutter, MAX_HEADER_BYTES};

    fn header(text: &'static str) -> Frame {
        Frame {
            header: Bytes::from_static(text.as_bytes()),
            payload: Bytes::new(),
        }
    }

    #[test]
    fn what_a_newer_side_adds_is_skipped() {
        let newer = header(r#"{"type":"verdict_wanted","stream":"in","more":[1]}"#);
        assert_eq!(read_message::<FromProxy>(&newer).unwrap(), FromProxy::Unknown);
        assert_eq!(read_message::<ToProxy>(&newer).unwrap(), ToProxy::Unknown);
        let more = header(r#"{"type":"bytes","stream":"out","at":17}"#);
        let bytes = ToProxy::Bytes { stream: RunPipe::Out };
        assert_eq!(read_message::<ToProxy>(&more).unwrap(), bytes);
    }

    #[test]
    fn a_header_that_is_no_message_is_an_error() {
        for text in ["", "[]", "{}", r#"{"type":7}"#] {
            assert!(read_message::<ToProxy>(&header(text)).is_err(), "{text}");
        }
    }

    fn words() -> impl Strategy<Value = Vec<String>> {
        let word = prop_oneof!["[a-z\\-=/ ]{0,30}", "\\PC{0,20}", Just("\u{1}".repeat(9000))];
        prop::collection::vec(word, 0..700)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_run_can_be_told(argv in words(), env_names in words(), cwd in "\\PC{0,50}") {
            let begin = RunBegin {
                argv,
                env_names,
                cwd: Some(cwd.repeat(400)),
                ..RunBegin::default()
            }
            .within_bounds();
            let message = ToProxy::Begin(Box::new(begin));
            let mut out = BytesMut::new();
            put_message(&message, b"", &mut out).unwrap();
            prop_assert!(out.len() <= MAX_HEADER_BYTES);
            let mut cutter = FrameCutter::default();
            cutter.space().extend_from_slice(&out);
            let frame = cutter.next_frame().unwrap().unwrap();
            prop_assert_eq!(read_message::<ToProxy>(&frame).unwrap(), message);
        }
    }
}
