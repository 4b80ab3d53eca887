//! The proxy's side of a shim: what it tells becomes the run of a command.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval};

use super::frame::Frame;
use super::frame::MAX_PAYLOAD_BYTES;
use super::link::{FrameReader, FrameWriter, LinkError};
use super::message::{FromProxy, GapReason, RunBegin, RunExit, RunPipe, ToProxy, read_message};
use crate::ids::Side;
use crate::recording::redact::{Behind, secret_of_argument};
use crate::snapshot::Severity;
use crate::transport::hub::Hub;
use crate::transport::run::{Run, RunEnd, RunFacts, RunStream, RunTap, Settled};
use crate::transport::runs::Listening;

/// How often it is looked whether rules were armed, and a shim behind a gate hears that we are there.
const TICK: Duration = Duration::from_millis(200);
/// What notices about gaps are about.
const GAPS: &str = "shim gaps";

/// Shows the run that the shim tells of, until that ends, the shim goes, or the engine stops.
pub(super) async fn observe(
    hub: &Arc<Hub>,
    mut reader: FrameReader,
    writer: FrameWriter,
) -> Result<(), LinkError> {
    let stopping = hub.tasks.stopping().clone();
    let beginning = async {
        while let Some(frame) = reader.next().await? {
            if let ToProxy::Begin(begin) = read_message(&frame)? {
                return Ok(Some(begin));
            }
        }
        Ok::<_, LinkError>(None)
    };
    let Some(Some(begin)) = stopping.run_until_cancelled(beginning).await.transpose()? else {
        return Ok(());
    };
    let mut observed = Observed::begin(hub, *begin, writer).await;
    let told = stopping.run_until_cancelled(observed.follow(&mut reader)).await;
    let end = match &told {
        None => RunEnd::Left,
        Some(Ok(end)) => *end,
        Some(Err(_)) => RunEnd::Unknown,
    };
    observed.end(end).await;
    told.transpose().map(|_| ())
}

/// A run that a shim tells of.
struct Observed {
    hub: Arc<Hub>,
    name: Arc<str>,
    run: Run,
    taps: [RunTap; RunPipe::ALL.len()],
    lost: (u64, u64),
    writer: FrameWriter,
    /// The shim asks about lines.
    has_gate: bool,
    /// What is to be said to the command in the place of its client.
    words: Option<Listening>,
}

impl Observed {
    async fn begin(hub: &Arc<Hub>, begin: RunBegin, writer: FrameWriter) -> Self {
        let facts = facts(begin);
        let name = Arc::clone(&facts.server);
        let run = Run::begin(hub, facts, None).await;
        let session = run.session_id();
        Self {
            words: session.map(|session| hub.runs.listen(run.exchange_id(), session)),
            hub: Arc::clone(hub),
            name,
            taps: RunPipe::ALL.map(|pipe| run.tap(stream(pipe))),
            run,
            lost: (0, 0),
            writer,
            has_gate: false,
        }
    }

    /// Takes all that is told, and says what becomes of what is asked about. The result is how the run ended.
    async fn follow(&mut self, reader: &mut FrameReader) -> Result<RunEnd, LinkError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.writer.flush().await?;
            tokio::select! {
                _ = ticks.tick() => self.keep_gate()?,
                (pipe, settled) = settled(&mut self.taps) => self.settle(pipe, settled).await?,
                message = next(&mut self.words) => self.say_as_client(&message).await?,
                frame = reader.next() => match frame? {
                    None => return Ok(RunEnd::Unknown),
                    Some(frame) => match read_message(&frame)? {
                        ToProxy::Exit(exit) => return Ok(ended(exit)),
                        message => self.take(message, &frame).await,
                    },
                },
            }
            // A chunk more may have been read before the bound was met.
            let most = self.most_waiting().saturating_add(2 * MAX_PAYLOAD_BYTES);
            if self.taps.iter().any(|tap| tap.asked() > most) {
                return Err(LinkError::Torn);
            }
        }
    }

    /// Opens or closes the gate as rules are armed or not, and says that we are there as long as something waits for us.
    fn keep_gate(&mut self) -> Result<(), LinkError> {
        let is_on = self.hub.is_intercepting();
        if is_on != self.has_gate {
            self.has_gate = is_on;
            let limits = &self.hub.limits;
            let gate = FromProxy::Gate {
                is_on,
                lines: limits.max_lane_events as u64,
                bytes: self.most_waiting() as u64,
            };
            self.writer.put(&gate, b"")?;
        }
        if is_on || self.taps.iter().any(|tap| tap.asked() > 0) {
            self.writer.put(&FromProxy::Alive, b"")?;
        }
        Ok(())
    }

    /// How much of a stream may wait: what is behind a held line, and one that is not whole yet.
    fn most_waiting(&self) -> usize {
        let limits = &self.hub.limits;
        limits.max_lane_bytes.saturating_add(limits.max_message_bytes)
    }

    async fn settle(&mut self, stream: RunPipe, settled: Settled) -> Result<(), LinkError> {
        self.tap(stream).flush().await;
        for piece in settled
            .onward
            .iter()
            .flat_map(|piece| piece.chunks(MAX_PAYLOAD_BYTES))
        {
            self.writer.put(&FromProxy::Onward { stream }, piece)?;
        }
        let back = self.put_back(stream, &settled.back)?;
        if settled.bytes > 0 {
            let bytes = settled.bytes as u64;
            self.writer.put(&FromProxy::Settled { stream, bytes }, b"")?;
        }
        if settled.is_closed {
            self.writer.put(&FromProxy::Close, b"")?;
        }
        self.make_up(&settled.synthetic).await?;
        self.tell_back(stream, &back).await;
        Ok(())
    }

    /// Gives whoever speaks in `stream` these messages, each as a line. They go on with what is settled next.
    fn put_back(&mut self, stream: RunPipe, messages: &[Bytes]) -> Result<Vec<Bytes>, LinkError> {
        let lines: Vec<Bytes> = messages.iter().map(with_end).collect();
        for piece in lines.iter().flat_map(|line| line.chunks(MAX_PAYLOAD_BYTES)) {
            self.writer.put(&FromProxy::Back { stream }, piece)?;
        }
        Ok(lines)
    }

    async fn tell_back(&mut self, stream: RunPipe, lines: &[Bytes]) {
        let other = match stream {
            RunPipe::In => RunPipe::Out,
            RunPipe::Out | RunPipe::Err => RunPipe::In,
        };
        if !lines.is_empty() && !self.taps[other as usize].is_within_line() {
            self.tap(other).says(lines).await;
        }
    }

    /// Says a message to the command. Its client hears neither of it nor of the answer, so the shim has to ask about lines
    /// from before on.
    async fn say_as_client(&mut self, message: &Bytes) -> Result<(), LinkError> {
        self.keep_gate()?;
        let stream = RunPipe::Out;
        let lines = self.put_back(stream, std::slice::from_ref(message))?;
        self.writer.put(&FromProxy::Settled { stream, bytes: 0 }, b"")?;
        if !self.tap(RunPipe::In).is_within_line() {
            self.tap(RunPipe::In).repeats(&lines).await;
        }
        Ok(())
    }

    /// Says messages that we made up to the client, between two lines.
    async fn make_up(&mut self, messages: &[Bytes]) -> Result<(), LinkError> {
        if messages.is_empty() {
            return Ok(());
        }
        let stream = RunPipe::In;
        let lines = self.put_back(stream, messages)?;
        self.writer.put(&FromProxy::Settled { stream, bytes: 0 }, b"")?;
        if !self.tap(RunPipe::Out).is_within_line() {
            self.tap(RunPipe::Out).makes_up(&lines).await;
        }
        Ok(())
    }

    async fn take(&mut self, message: ToProxy, frame: &Frame) {
        match message {
            ToProxy::Bytes { stream } => self.tap(stream).push(&frame.payload).await,
            ToProxy::Asked { stream } => self.tap(stream).ask(&frame.payload).await,
            ToProxy::End { stream } => self.tap(stream).finish().await,
            ToProxy::Gap {
                stream,
                reason,
                chunks,
                bytes,
            } => {
                self.tap(stream).lost().await;
                self.note_gap(reason, chunks, bytes);
            }
            // Nothing that concerns a run under way, or newer than this build.
            ToProxy::Hello(_)
            | ToProxy::Begin(_)
            | ToProxy::Exit(_)
            | ToProxy::Ask { .. }
            | ToProxy::Watch
            | ToProxy::Unknown => {}
        }
    }

    fn tap(&mut self, pipe: RunPipe) -> &mut RunTap {
        let [input, output, errors] = &mut self.taps;
        match pipe {
            RunPipe::In => input,
            RunPipe::Out => output,
            RunPipe::Err => errors,
        }
    }

    fn note_gap(&mut self, reason: GapReason, chunks: u64, bytes: u64) {
        let name = &self.name;
        if reason == GapReason::Away {
            tracing::info!(%name, chunks, bytes, "a command was under way already; what passed before is not shown");
            return;
        }
        self.lost.0 += chunks;
        self.lost.1 += bytes;
        let text = format!("What passed of {name} is not all shown: {}.", self.missing());
        tracing::warn!("{text}");
        self.hub
            .door
            .say(GAPS, self.hub.clock.now(), Severity::Warning, text);
    }

    fn missing(&self) -> String {
        let (chunks, bytes) = self.lost;
        format!(
            "this proxy was too slow for {chunks} chunks of {bytes} bytes together, which passed without it"
        )
    }

    async fn end(mut self, end: RunEnd) {
        for tap in &mut self.taps {
            tap.finish().await;
        }
        let missing = (self.lost.0 > 0).then(|| self.missing());
        drop(self.taps);
        if let Some(missing) = missing {
            self.run.fail(missing);
        }
        self.run.ended(end, true).await;
    }
}

/// Waits until something that was asked about is settled.
async fn settled(taps: &mut [RunTap; RunPipe::ALL.len()]) -> (RunPipe, Settled) {
    std::future::poll_fn(|cx| {
        for (pipe, tap) in RunPipe::ALL.into_iter().zip(taps.iter_mut()) {
            if let Poll::Ready(settled) = tap.poll_settled(cx) {
                return Poll::Ready((pipe, settled));
            }
        }
        Poll::Pending
    })
    .await
}

/// The next message for the command; never where there is no way to say it.
async fn next(words: &mut Option<Listening>) -> Bytes {
    let message = match words {
        Some(words) => words.next().await,
        None => None,
    };
    match message {
        Some(message) => message,
        None => std::future::pending().await,
    }
}

/// A message as a line.
fn with_end(message: &Bytes) -> Bytes {
    let mut line = message.to_vec();
    // JSON has line ends only between its tokens: in texts they are escaped.
    line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    line.push(b'\n');
    line.into()
}

const fn stream(pipe: RunPipe) -> RunStream {
    match pipe {
        RunPipe::In => RunStream::Input,
        RunPipe::Out => RunStream::Output,
        RunPipe::Err => RunStream::Errors,
    }
}

const fn ended(exit: RunExit) -> RunEnd {
    match exit {
        RunExit {
            signal: Some(number), ..
        } => RunEnd::Killed(number),
        RunExit { code: Some(code), .. } => RunEnd::Exited(code),
        RunExit { .. } => RunEnd::Unknown,
    }
}

fn facts(begin: RunBegin) -> RunFacts {
    let name = begin.name.unwrap_or_else(|| server_name(&begin.argv));
    let parent = begin.parent.unwrap_or_else(|| "a client".to_owned());
    RunFacts {
        side: Side::Forward,
        server: name.into(),
        client: match begin.parent_pid {
            Some(pid) => format!("{parent} (pid {pid})"),
            None => parent,
        },
        argv: begin.argv,
        cwd: begin.cwd,
        env_names: begin.env_names,
        pid: Some(begin.child_pid),
        is_bridged: false,
    }
}

/// Programs that say nothing about the server that they run.
const RUNNERS: [&str; 16] = [
    "npx", "uvx", "bunx", "pnpx", "node", "deno", "bun", "python", "python3", "uv", "sh", "bash", "env",
    "npm", "pnpm", "java",
];

/// What a server is called that nobody gave a name: its program, or what its runner runs.
fn server_name(argv: &[String]) -> String {
    let program = argv.first().map_or("", |word| last_part(word));
    let is_runner = RUNNERS.contains(&program);
    let run = argv.get(1..).filter(|_| is_runner).and_then(run_by);
    let name = run.map_or(program, package_or_file);
    if name.is_empty() {
        "command".to_owned()
    } else {
        name.to_owned()
    }
}

/// What a runner runs: the first word that is certain to be no value of an option and no argument of a script. `None` if
/// there is none: it might be a secret.
fn run_by(words: &[String]) -> Option<&str> {
    let mut behind = Behind::Nothing;
    let mut option = None;
    for word in words {
        let (secret, next) = secret_of_argument(word.as_bytes(), behind);
        behind = next;
        let before = option.take();
        if word.starts_with('-') {
            option = (!word.contains('=')).then_some(word.as_str());
            continue;
        }
        let is_script = before.is_some_and(|option| SCRIPT_OPTIONS.contains(&option));
        let is_name = secret.is_none() && !word.contains(['=', ' ', '\n']);
        if is_script && !is_name {
            return None;
        }
        let is_other = is_verb(word) || RUNNERS.contains(&last_part(word));
        let is_certain = is_script || before.is_none_or(is_switch) || is_file(word);
        if is_name && !is_other && is_certain {
            return Some(word);
        }
    }
    None
}

/// What follows is a script for a shell, and what comes behind that are its arguments.
const SCRIPT_OPTIONS: [&str; 4] = ["-c", "-lc", "-ec", "-lic"];

/// Options of runners behind which stands what they run.
fn is_switch(option: &str) -> bool {
    const SWITCHES: [&str; 11] = [
        "-y", "--yes", "-q", "--quiet", "--silent", "-m", "-jar", "-A", "--", "-B", "-i",
    ];
    SWITCHES.contains(&option) || option.starts_with("--allow-")
}

/// A file that a runner runs, by its name.
fn is_file(word: &str) -> bool {
    const ENDINGS: [&str; 8] = ["js", "mjs", "cjs", "ts", "mts", "tsx", "py", "jar"];
    let ending = word.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

fn is_verb(word: &str) -> bool {
    ["run", "exec", "x", "tool", "start"].contains(&word)
}

/// `@scope/package@version` stays as it is without its version; of a path the last part stays.
fn package_or_file(word: &str) -> &str {
    if !word.starts_with('@') {
        return last_part(word);
    }
    match word.rsplit_once('@') {
        Some((package, _version)) if !package.is_empty() => package,
        _ => word,
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_after_what_its_runner_runs() {
        let name = |line: &str| server_name(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(name("/usr/bin/my-server --port 1"), "my-server");
        assert_eq!(
            name("npx -y @modelcontextprotocol/server-everything@1.2 stdio"),
            "@modelcontextprotocol/server-everything"
        );
        assert_eq!(name("node /opt/app/dist/server.js"), "server.js");
        assert_eq!(name("uv run tools/weather.py"), "weather.py");
        assert_eq!(name("python3"), "python3");
        assert_eq!(name("python3 -u -m weather"), "weather");
        assert_eq!(name("python3 -u server.py"), "server.py");
        assert_eq!(name("node --loader tsx/esm src/server.ts"), "server.ts");
        assert_eq!(name("deno run --allow-net server.ts"), "server.ts");
        assert_eq!(name("uv --directory /opt/x run weather"), "weather");
        assert_eq!(name("bash -lc ./serve.sh"), "serve.sh");
        assert_eq!(server_name(&[]), "command");
    }

    #[test]
    fn no_server_is_called_after_a_secret() {
        let name =
            |words: &[&str]| server_name(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            name(&["env", "API_TOKEN=s3cret", "npx", "-y", "weather"]),
            "weather"
        );
        assert_eq!(name(&["sh", "-c", "API_TOKEN=s3cret exec node x.js"]), "sh");
        assert_eq!(name(&["npx", "--token", "s3cret", "weather"]), "weather");
        assert_eq!(
            name(&["npx", "--header", "Authorization: Bearer s3cret", "weather"]),
            "weather"
        );
        let script = "echo a; cat";
        assert_eq!(name(&["sh", "-c", script, "x", "-p", "s3cret"]), "sh");
        assert_eq!(name(&["sh", "-c", "API_TOKEN=1 cat", "s3cret"]), "sh");
        assert_eq!(name(&["node", "-p", "s3cret"]), "node");
        assert_eq!(name(&["npx", "-y", "-p", "s3cret", "weather"]), "weather");
    }
}
