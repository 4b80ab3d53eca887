//! The proxy without a screen: one line a message on stdout, the log and what people should know on stderr.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use shadowcat::engine::{EngineHandle, ShutdownReport};
use shadowcat::frontend::{Commands, Frontend};
use shadowcat::intercept::hold::Actor;
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::recording::{TextMask, hide_url_secrets};
use shadowcat::snapshot::{Command, Reply, ServerKind, Source, UpstreamRow};
use shadowcat::views::AttachError;

use crate::address::dialled_text;
use crate::cli::Lines;
use crate::console::say;
use crate::lines::LineWriter;
use crate::printer::Printer;
use crate::puller::{PullError, Puller, no_rows};
use crate::shutdown::{Ending, LeftAtOnceError, unless_told};
use crate::signals::Signals;
use crate::text::Safe;

/// Headless mode could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadlessError {
    #[error("could not prepare headless mode; check the limits on processes and open files")]
    Prepare(#[source] io::Error),
    #[error(transparent)]
    Frontend(#[from] AttachError),
    #[error("could not write to stdout; messages were lost from the output, but not from a recording")]
    Output(#[source] io::Error),
    #[error("the messages cannot be read: {0}")]
    Pull(PullError),
    #[error(transparent)]
    LeftAtOnce(#[from] LeftAtOnceError),
}

/// Runs until SIGINT or SIGTERM, or until the reader of stdout goes away; then ends the engine in order.
///
/// `lines` is how messages are printed, `None` for not at all. `before_end` is called when the end begins. A second
/// signal leaves at once.
///
/// # Errors
/// [`HeadlessError`]; the engine is ended then too.
pub(crate) async fn run(
    engine: EngineHandle,
    lines: Option<Lines>,
    before_end: impl FnOnce(),
) -> Result<ShutdownReport, HeadlessError> {
    let mut signals = Signals::listen().map_err(HeadlessError::Prepare)?;
    let frontend = engine.frontend()?;
    frontend.queries.send_replace(no_rows());
    announce(&engine);
    let mut output = pin!(output(frontend, lines));
    let early = tokio::select! {
        outcome = &mut output => Some(outcome),
        () = signals.next() => None,
    };
    before_end();
    let ending = Ending::begin(engine).map_err(HeadlessError::Prepare)?;
    let rest = async {
        if let Some(outcome) = early {
            (ending.finish().await, outcome)
        } else {
            // The last messages are printed while the engine drains.
            tokio::join!(ending.finish(), output)
        }
    };
    let (report, outcome) = unless_told(&mut signals, rest).await?;
    outcome.and(Ok(report?))
}

/// Says at once what scripts wait for: where clients can connect, and where metrics are.
fn announce(engine: &EngineHandle) {
    for address in engine.addresses() {
        say(format_args!("listening on http://{address}"));
    }
    for address in engine.metrics_addresses() {
        say(format_args!("metrics on http://{address}/metrics"));
    }
}

/// Says what clients should use, prints what passes, and ends with the engine or when nobody reads.
async fn output(mut frontend: Frontend, lines: Option<Lines>) -> Result<(), HeadlessError> {
    say_upstreams(&mut frontend).await;
    let Some(lines) = lines else {
        while frontend.snapshots.changed().await.is_ok() {}
        return Ok(());
    };
    let printer = Printer::to_stdout().map_err(HeadlessError::Prepare)?;
    let outcome = print(frontend, &lines, &printer).await;
    printer.finish().await.map_err(HeadlessError::Output)?;
    outcome
}

async fn say_upstreams(frontend: &mut Frontend) {
    let is_ready = |source: &Source| matches!(source, Source::Live { listen, .. } if !listen.is_empty());
    let ready = frontend.snapshots.wait_for(|snapshot| is_ready(&snapshot.source));
    let Ok(snapshot) = ready.await.map(|snapshot| Arc::clone(&snapshot)) else {
        return;
    };
    if let Source::Live {
        listen, upstreams, ..
    } = &snapshot.source
    {
        if let (true, Some(address)) = (upstreams.is_empty(), listen.first()) {
            let address = dialled_text(address);
            say(format_args!(
                "no --upstream: clients reach their servers through HTTP_PROXY=http://{address}"
            ));
        }
        for upstream in upstreams {
            say(clients_of(upstream).as_str());
        }
    }
}

/// Where clients find a server. What is secret in its URL is left to the one who configured it.
fn clients_of(upstream: &UpstreamRow) -> Safe {
    let UpstreamRow {
        name,
        kind,
        url,
        client_url,
        port_url,
        ..
    } = upstream;
    let alone = port_url
        .as_ref()
        .map(|url| format!(" or {url}"))
        .unwrap_or_default();
    // Arguments of a command may be secrets, and this line ends up in logs.
    let instead = match kind {
        // A recording, which has no URL.
        ServerKind::Http if url == name => String::new(),
        ServerKind::Http => format!(" in place of {url}"),
        ServerKind::Command => " for a command that is started here".to_owned(),
    };
    let text = format!("clients of {name} use {client_url}{alone}{instead}");
    Safe::of(&hide_url_secrets(&text))
}

async fn print(mut frontend: Frontend, lines: &Lines, printer: &Printer) -> Result<(), HeadlessError> {
    let writer = LineWriter::new(lines.format, lines.is_ascii);
    let writer = if lines.shows_secrets {
        writer
    } else {
        let mask = TextMask::random().map_err(HeadlessError::Prepare)?;
        writer.masking(mask.with_patterns(lines.redact.clone()))
    };
    let mut puller = Puller::new(frontend.commands.clone(), lines.filter.clone());
    let mut holds = HoldNews::new(frontend.commands.clone());
    loop {
        let newest = frontend.snapshots.borrow_and_update().messages.newest;
        if puller.is_behind(newest) && !drain(&mut puller, newest, &writer, printer).await? {
            return Ok(());
        }
        if !holds.print(&writer, printer).await {
            return Ok(());
        }
        if frontend.snapshots.changed().await.is_err() {
            break;
        }
    }
    // There may be rows that no snapshot told of.
    if drain(&mut puller, None, &writer, printer).await? {
        holds.print(&writer, printer).await;
    }
    Ok(())
}

/// What happened among held messages and was not printed yet.
struct HoldNews {
    commands: Commands,
    told: u64,
}

impl HoldNews {
    const fn new(commands: Commands) -> Self {
        Self { commands, told: 0 }
    }

    /// Prints all there is. `false` if there is nobody to print for.
    async fn print(&mut self, writer: &LineWriter, printer: &Printer) -> bool {
        let what = InterceptCommand::Events { after: self.told };
        let actor = Actor::Release;
        // A question changes nothing, whoever asks. Without an engine nothing happens any more.
        let Ok(Reply::Intercept(InterceptReply::Events(news))) =
            self.commands.ask(Command::Intercept { what, actor }).await
        else {
            return true;
        };
        self.told = news.newest;
        let mut out = Vec::new();
        writer.holds(&mut out, &news);
        printer.print(out).await
    }
}

/// Prints all there is. `false` if there is nobody to print for, or nothing more to come.
async fn drain(
    puller: &mut Puller,
    newest: Option<shadowcat::ids::MessageId>,
    writer: &LineWriter,
    printer: &Printer,
) -> Result<bool, HeadlessError> {
    loop {
        let batch = match puller.next(newest).await {
            Ok(batch) => batch,
            Err(PullError::Gone(_)) => return Ok(false),
            Err(error) => return Err(HeadlessError::Pull(error)),
        };
        let mut out = Vec::new();
        if batch.missed > 0 {
            writer.gap(&mut out, batch.missed);
        }
        batch.rows.iter().for_each(|row| writer.row(&mut out, row, None));
        if !printer.print(out).await {
            return Ok(false);
        }
        if batch.is_last {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_is_printed() {
        let upstream = UpstreamRow {
            name: "db".to_owned(),
            url: "https://db.dev/mcp?api_key=***".to_owned(),
            client_url: "http://127.0.0.1:8080/mcp?api_key=s3cret&page=2".to_owned(),
            port_url: Some("http://127.0.0.1:9001/mcp?api_key=s3cret".to_owned()),
            ..UpstreamRow::default()
        };
        assert_eq!(
            clients_of(&upstream).as_str(),
            "clients of db use http://127.0.0.1:8080/mcp?api_key=***&page=2 or http://127.0.0.1:9001/mcp?api_key=*** in place of https://db.dev/mcp?api_key=***"
        );
    }
}
