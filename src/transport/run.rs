//! The run of a command, as it is observed: what went in, what came out, what it said on the side, how it ended.
//!
//! Nothing here touches the pipes. Whoever moves their bytes (the bridge, the door for shims) hands copies to the taps.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::ids::{ConnectionId, ExchangeId, Side};
use crate::recording::redact::{Behind, masked_argument};
use crate::resource::meters::Share;
use crate::session::observation::{COMMAND_ENDED, NOT_WATCHED, Observation, SHIM_GONE};
use crate::session::registry::Session;
use crate::snapshot::{Carrier, Direction, EndKind, Finding, Head};

use super::exchange::{Exchange, Peer, RunBeginning};
use super::hub::Hub;
use super::lane::{Form, Lane, Noted, Passed, Progress};
use super::reader::{BodyKind, BodyReader, Draft};
use super::rewrite::Changes;
use super::watchers::Outbox;

/// What is told of a run when it begins.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// Forward if the client chose the command, reverse if our configuration did.
    pub side: Side,
    /// What the server is called on screen.
    pub server: Arc<str>,
    /// Who started it, in words: `claude (pid 4711)`.
    pub client: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// Names of its environment variables; their values are nobody's business.
    pub env_names: Vec<String>,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its lines are shown where the HTTP clients of the bridge before it hear them; here they are only recorded.
    pub is_bridged: bool,
}

impl RunFacts {
    /// The command line in one text, as a shell would take it, without the secrets among its arguments.
    fn command_line(&self) -> String {
        command_line(&self.argv)
    }

    fn head(&self) -> Head {
        let mut fields = Vec::new();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        for argument in self.argv.iter().skip(1) {
            add("argument", argument.clone());
        }
        if let Some(cwd) = &self.cwd {
            add("working directory", cwd.clone());
        }
        if let Some(pid) = self.pid {
            add("pid", pid.to_string());
        }
        if !self.env_names.is_empty() {
            add("environment", self.env_names.join(" "));
        }
        Head {
            line: self.argv.first().cloned().unwrap_or_default(),
            fields,
        }
    }
}

/// Words as a shell would take them, without the secrets among them.
pub(crate) fn command_line(words: &[impl AsRef<str>]) -> String {
    let mut behind = Behind::Nothing;
    let word = |word: &str| {
        let (masked, next) = masked_argument(word, behind);
        behind = next;
        masked.unwrap_or_else(|| quoted(word))
    };
    let words: Vec<String> = words.iter().map(AsRef::as_ref).map(word).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// One of the three pipes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStream {
    /// Standard input: what the client says.
    Input,
    /// Standard output: what the server says.
    Output,
    /// Standard error output: free text.
    Errors,
}

impl RunStream {
    const fn direction(self) -> Direction {
        match self {
            Self::Input => Direction::ClientToServer,
            Self::Output | Self::Errors => Direction::ServerToClient,
        }
    }

    const fn carrier(self) -> Carrier {
        match self {
            Self::Input | Self::Output => Carrier::Stdio,
            Self::Errors => Carrier::Stderr,
        }
    }

    const fn kind(self) -> BodyKind {
        match self {
            Self::Input | Self::Output => BodyKind::Lines,
            Self::Errors => BodyKind::Text,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// We ended it, because its client had gone or the proxy stops.
    Stopped,
    /// Nobody knows: the shim that watched it has gone.
    Unknown,
    /// It goes on without being watched: the proxy stops, and the command is a shim's.
    Left,
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "the command exited with code {code}"),
            Self::Killed(signal) => write!(f, "the command was ended by signal {signal}"),
            Self::Stopped => f.write_str("the command was stopped"),
            Self::Unknown => {
                f.write_str("how the command ended is not known: the shim that watched it has gone")
            }
            Self::Left => f.write_str("the command goes on without the proxy"),
        }
    }
}

impl RunEnd {
    const fn is_failure(self) -> bool {
        !matches!(self, Self::Exited(0) | Self::Stopped | Self::Left)
    }

    /// How a pipe ended with it. What went in was whole, however the command ended.
    const fn of_pipe(self, direction: Direction) -> EndKind {
        match (self, direction) {
            (Self::Stopped | Self::Left, _) => EndKind::CutByProxy,
            (Self::Unknown, _) => EndKind::Unwatched,
            (Self::Exited(0), _) | (Self::Exited(_) | Self::Killed(_), Direction::ClientToServer) => {
                EndKind::Complete
            }
            (Self::Exited(_) | Self::Killed(_), Direction::ServerToClient) => EndKind::UpstreamAborted,
        }
    }

    /// Why its session is over with it.
    const fn of_session(self) -> &'static str {
        match self {
            Self::Exited(_) | Self::Killed(_) | Self::Stopped => COMMAND_ENDED,
            Self::Unknown => SHIM_GONE,
            Self::Left => NOT_WATCHED,
        }
    }
}

/// A run that is observed. Its end is told when it and all its taps are dropped.
#[derive(Debug)]
pub struct Run {
    exchange: Arc<Exchange>,
}

impl Run {
    /// Tells of a run. It joins `session`; without one it is a session of its own.
    ///
    /// Waits for room in the queues of ledger and recorder. Cancel safe: what was begun is told as ended then.
    pub(crate) async fn begin(hub: &Arc<Hub>, facts: RunFacts, session: Option<Arc<Session>>) -> Self {
        let client: Arc<str> = facts.client.as_str().into();
        let peer = Peer {
            connection: ConnectionId::from(hub.ids.connections.next()),
            address: Arc::clone(&client),
            host: client,
            is_ours: false,
            is_repeat: false,
        };
        let beginning = RunBeginning {
            side: facts.side,
            server: Arc::clone(&facts.server),
            target: facts.command_line(),
            head: facts.head(),
            is_bridged: facts.is_bridged,
            session,
        };
        let mut outbox = Outbox::new(Arc::clone(&hub.watchers));
        let exchange = Exchange::begin_run(hub, &peer, beginning, &mut outbox);
        outbox.flush().await;
        Self { exchange }
    }

    /// The session that it belongs to.
    pub fn session_id(&self) -> Option<crate::ids::ProxySessionId> {
        self.exchange.session().map(|session| session.id)
    }

    /// The exchange that stands for it.
    pub(crate) fn exchange_id(&self) -> ExchangeId {
        self.exchange.id
    }

    /// What tells of the bytes of one of its pipes.
    pub fn tap(&self, stream: RunStream) -> RunTap {
        let hub = &self.exchange.hub;
        RunTap {
            stream,
            reader: BodyReader::new(stream.kind(), None, &hub.limits, hub.buffers.lease(Share::Stdio)),
            drafts: Vec::new(),
            outbox: Outbox::new(Arc::clone(&hub.watchers)),
            lane: None,
            notes: Vec::new(),
            asked: 0,
            is_closed: false,
            is_done: false,
            exchange: Arc::clone(&self.exchange),
        }
    }

    /// Notes what is wrong with it; the first word counts.
    pub(crate) fn fail(&self, failure: String) {
        self.exchange.fail(failure);
    }

    /// Notes how it ended. Its session is over with it, unless that goes on with another run (`ends_session`).
    pub async fn ended(self, end: RunEnd, ends_session: bool) {
        if end.is_failure() {
            self.exchange.fail(end.to_string());
        }
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            self.exchange.end_direction(direction, end.of_pipe(direction));
        }
        if ends_session {
            let mut outbox = Outbox::new(Arc::clone(&self.exchange.hub.watchers));
            self.exchange.end_session(end.of_session(), &mut outbox);
            outbox.flush().await;
        }
    }
}

/// Tells of the bytes of one pipe.
#[derive(Debug)]
pub struct RunTap {
    stream: RunStream,
    reader: BodyReader,
    drafts: Vec<Draft>,
    outbox: Outbox,
    /// Once it was asked about something.
    lane: Option<Box<Lane>>,
    notes: Vec<Noted>,
    /// Bytes that were asked about and are not settled.
    asked: usize,
    /// It was said that a rule has closed the pipe.
    is_closed: bool,
    is_done: bool,
    // Dropped last: its drop may tell the end of the run.
    exchange: Arc<Exchange>,
}

impl RunTap {
    /// Tells of the next bytes, wherever they end. Waits while ledger or recorder have no room.
    ///
    /// Cancel safe: what was not told by then is told with the next call, or beyond the bounds when the tap is dropped.
    pub async fn push(&mut self, bytes: &Bytes) {
        self.exchange.count(self.stream.direction(), bytes.len());
        let is_recording = self.outbox.is_recording();
        self.reader.push(bytes, false, is_recording, &mut self.drafts);
        self.tell();
        self.outbox.flush().await;
    }

    /// As [`push`](Self::push), for bytes that wait until [`settled`](Self::poll_settled) says what becomes of them. The
    /// first of them begin a line.
    pub(crate) async fn ask(&mut self, bytes: &Bytes) {
        self.asked += bytes.len();
        if self.lane.is_none() {
            let exchange = Arc::clone(&self.exchange);
            let lane = Lane::new(exchange, self.stream.direction(), Form::Lines, false);
            self.lane = Some(Box::new(lane));
        }
        self.push(bytes).await;
        if let Some(lane) = &mut self.lane {
            lane.push(bytes, self.notes.drain(..));
        }
    }

    /// What has become of bytes that were asked about, in their order. Registers for what is waited for; never ready
    /// while there is none.
    pub(crate) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Settled> {
        let Some(lane) = &mut self.lane else {
            return Poll::Pending;
        };
        let mut on = Passed {
            may_say: true,
            ..Passed::default()
        };
        let progress = lane.poll(cx, &mut on);
        let waiting = if progress == Progress::Closed {
            0
        } else {
            lane.waiting_bytes()
        };
        let at = self.exchange.hub.clock.now();
        for event in on.events {
            self.outbox.put(Observation { at, event });
        }
        let bytes = self.asked.saturating_sub(waiting);
        self.asked -= bytes;
        let is_closed = progress == Progress::Closed && !std::mem::replace(&mut self.is_closed, true);
        let is_nothing = on.pieces.is_empty() && on.back.is_empty() && on.synthetic.is_empty();
        if bytes == 0 && is_nothing && !is_closed {
            return Poll::Pending;
        }
        Poll::Ready(Settled {
            bytes,
            is_closed,
            onward: on.pieces,
            back: on.back,
            synthetic: on.synthetic,
        })
    }

    /// How many bytes it was asked about that are not settled.
    pub(crate) const fn asked(&self) -> usize {
        self.asked
    }

    /// Tells of messages that we say in this stream ourselves, each a line.
    pub(crate) async fn says(&mut self, messages: &[Bytes]) {
        for message in messages {
            let is_recording = self.outbox.is_recording();
            self.reader.push(message, false, is_recording, &mut self.drafts);
        }
        self.tell_unasked();
        self.outbox.flush().await;
    }

    /// As [`says`](Self::says), for messages of the client that are sent again.
    pub(crate) async fn repeats(&mut self, messages: &[Bytes]) {
        for message in messages {
            let is_recording = self.outbox.is_recording();
            self.reader.push(message, false, is_recording, &mut self.drafts);
        }
        let what = (self.stream.direction(), self.stream.carrier());
        self.exchange
            .tell_repeated(what, &mut self.drafts, &mut self.outbox);
        self.outbox.flush().await;
    }

    /// As [`says`](Self::says), for messages that we made up.
    pub(crate) async fn makes_up(&mut self, messages: &[Bytes]) {
        for message in messages {
            let is_recording = self.outbox.is_recording();
            self.reader.push(message, false, is_recording, &mut self.drafts);
        }
        let what = (self.stream.direction(), self.stream.carrier());
        self.exchange
            .tell_synthetic(what, &mut self.drafts, &mut self.outbox);
        self.outbox.flush().await;
    }

    /// Whether the bytes so far end inside a line.
    pub(crate) fn is_within_line(&self) -> bool {
        self.reader.is_inside_frame()
    }

    /// Tells what is still to be told.
    pub(crate) async fn flush(&mut self) {
        self.outbox.flush().await;
    }

    /// Tells what was found in what has passed; it is shown at the run.
    pub(crate) async fn found(&mut self, findings: Vec<Finding>) {
        let changes = Changes {
            findings,
            ..Changes::default()
        };
        self.exchange.tell_changes(changes, &mut self.outbox);
        self.outbox.flush().await;
    }

    /// The pipe is at its end.
    pub async fn finish(&mut self) {
        self.end();
        self.outbox.flush().await;
    }

    /// Bytes are missing here. What there is of a line is told as it is, and what comes next begins a line.
    pub(crate) async fn lost(&mut self) {
        self.reader.finish(false, &mut self.drafts);
        self.tell();
        self.outbox.flush().await;
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_done, true) {
            self.reader.finish(true, &mut self.drafts);
            self.tell();
            if let Some(lane) = &mut self.lane {
                lane.finish(self.notes.drain(..));
            }
        }
    }

    fn tell(&mut self) {
        // What passes beside the lane is not asked about.
        let is_asked = self.asked > 0;
        self.tell_noting(is_asked);
    }

    fn tell_unasked(&mut self) {
        self.tell_noting(false);
    }

    fn tell_noting(&mut self, is_asked: bool) {
        if !self.drafts.is_empty() {
            let what = (self.stream.direction(), self.stream.carrier());
            let notes = is_asked.then_some(&mut self.notes);
            self.exchange
                .tell_noted(what, &mut self.drafts, None, &mut self.outbox, notes);
        }
    }
}

/// What has become of bytes that were asked about.
#[derive(Debug)]
pub(crate) struct Settled {
    /// So many of them, in their order.
    pub(crate) bytes: usize,
    /// What goes on in their place.
    pub(crate) onward: Vec<Bytes>,
    /// Messages for whoever said them.
    pub(crate) back: Vec<Bytes>,
    /// Messages for the client that we made up.
    pub(crate) synthetic: Vec<Bytes>,
    /// A rule has closed the pipe behind what goes on: told once.
    pub(crate) is_closed: bool,
}

impl Drop for RunTap {
    fn drop(&mut self) {
        // What is held has nobody to go to.
        self.lane = None;
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_as_a_shell_would_take_it() {
        let facts = RunFacts {
            side: Side::Reverse,
            server: "x".into(),
            client: String::new(),
            argv: ["npx", "-y", "a b", "it's", "", "--api-key", "k"]
                .map(str::to_owned)
                .to_vec(),
            cwd: None,
            env_names: Vec::new(),
            pid: None,
            is_bridged: false,
        };
        assert_eq!(facts.command_line(), r"npx -y 'a b' 'it'\''s' '' --api-key ***");
    }
}
