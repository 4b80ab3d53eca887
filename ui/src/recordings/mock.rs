//! A recording served by another run of this program, which ends with us.

use std::path::PathBuf;
use std::time::Duration;

use shadowcat::child::{ChildEnd, ChildPipes, ChildProcess, CommandConfig, EndGraces};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::ChildStderr;
use tokio_util::sync::CancellationToken;

use super::{MockState, Outcome};

/// How long it may take to end in order.
const GRACES: EndGraces = EndGraces {
    after_end_of_input: Duration::ZERO,
    after_terminate: Duration::from_secs(2),
};

/// Longest line that is looked at for the address, in bytes.
const LINE_BYTES: u64 = 16 << 10;

/// What its first line has before the address.
const BEFORE_URL: &str = " at http://";

/// A run that serves a recording. Dropping it kills the run.
pub(super) struct Mock {
    path: PathBuf,
    process: ChildProcess,
    pipes: ChildPipes,
}

/// Starts to serve `path` on a free port. Gives how that went, and the run if it serves.
///
/// # Cancel safety
/// A dropped future kills the run.
pub(super) async fn start(path: PathBuf, stop: CancellationToken) -> (Outcome, Option<Mock>) {
    match Mock::start(path.clone(), &stop).await {
        Ok((mock, url)) => (told(path, Some(MockState::Serving { url })), Some(mock)),
        Err(reason) => (told(path, reason.map(MockState::Failed)), None),
    }
}

fn told(path: PathBuf, state: Option<MockState>) -> Outcome {
    Outcome::Mock { path, state }
}

impl Mock {
    /// # Errors
    /// Why it does not serve; `None` if it was told to end.
    async fn start(path: PathBuf, stop: &CancellationToken) -> Result<(Self, String), Option<String>> {
        let program = std::env::current_exe().map_err(|error| Some(error.to_string()))?;
        // What stands behind `--` would be a command there, so a name that looks like a flag is called by its folder.
        let file = if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
            PathBuf::from(".").join(&path)
        } else {
            path.clone()
        };
        let words = ["--listen", "127.0.0.1:0", "--headless", "--format", "none"];
        let arguments = ["replay".into(), file.into_os_string()]
            .into_iter()
            .chain(words.map(Into::into));
        let config = CommandConfig {
            guard: crate::guard::command(),
            ..CommandConfig::new(program, arguments)
        };
        let (process, pipes) = ChildProcess::start(&config).map_err(|error| Some(error.to_string()))?;
        let mut mock = Self { path, process, pipes };
        let said = tokio::select! {
            said = first_words(&mut mock.pipes.errors) => said,
            () = stop.cancelled() => {
                mock.process.end(GRACES).await;
                return Err(None);
            }
        };
        match url_in(&said) {
            Some(url) => Ok((mock, url)),
            None => Err(Some(
                super::child::reason(said.as_bytes()).unwrap_or_else(|| "it ended".to_owned()),
            )),
        }
    }

    /// Waits for its end, or for `stop`, and says which it was.
    pub(super) async fn served(mut self, stop: CancellationToken) -> (Outcome, Option<Self>) {
        let Self { process, pipes, .. } = &mut self;
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            ended = process.ended() => Some(ended),
            never = drained(&mut pipes.output, &mut pipes.errors) => match never {},
        };
        let state = match ended {
            None => {
                self.process.end(GRACES).await;
                None
            }
            Some(ChildEnd::Code(0)) => None,
            Some(other) => Some(MockState::Failed(format!("it ended by itself: {other}"))),
        };
        (told(self.path.clone(), state), None)
    }
}

/// What it says up to the line with the address, or up to its end.
async fn first_words(errors: &mut ChildStderr) -> String {
    let mut lines = BufReader::new(errors).take(LINE_BYTES);
    let mut said = String::new();
    while let Ok(1..) = lines.read_line(&mut said).await {
        if url_in(&said).is_some() {
            break;
        }
    }
    said
}

/// Where clients find it.
fn url_in(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.starts_with("replaying "))?;
    // The file's own name may look like an address; what follows it does not change.
    let (line, _) = line.rsplit_once("/mcp; ")?;
    let (_, address) = line.rsplit_once(BEFORE_URL)?;
    Some(format!("http://{address}/mcp"))
}

/// Reads both to nowhere for ever, so that the run never waits for us.
async fn drained(
    output: &mut (impl AsyncRead + Unpin),
    errors: &mut (impl AsyncRead + Unpin),
) -> std::convert::Infallible {
    let mut sink = tokio::io::sink();
    let mut other_sink = tokio::io::sink();
    // An end, or an error, is its own end too, which is waited for elsewhere.
    let _ = tokio::join!(
        tokio::io::copy(output, &mut sink),
        tokio::io::copy(errors, &mut other_sink)
    );
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_behind_any_name_of_a_file() {
        let said = "warning: x\nreplaying a at http:// b.jsonl at http://127.0.0.1:4711/mcp; clients of HTTP+SSE use http://127.0.0.1:4711/sse\n";
        assert_eq!(url_in(said).as_deref(), Some("http://127.0.0.1:4711/mcp"));
        assert_eq!(url_in("error: could not read a.jsonl\n"), None);
    }
}
