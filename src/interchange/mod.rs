//! Recordings in the formats of other programs, and theirs as recordings.
//!
//! What goes out comes from a [`Tape`], so its secrets are the tags of the recording; what comes in is redacted as
//! recordings are. Nothing here reads or writes a socket.

mod curl;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod har;
mod har_form;
mod har_misread;
mod har_packed;
mod har_reader;
mod har_times;
mod html;
mod jsonl;
mod markdown;
mod mermaid;
mod words;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::recording::file;
use crate::replay::tape::Tape;

pub use har_reader::{HarImport, ImportHarError, MAX_HAR_BYTES, read_har};

/// What a recording can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    /// HTTP Archive 1.2, as the developer tools of browsers read it. Events and lines of commands are in `_sse` and
    /// `_mcp`, what a `WebSocket` carried in `_webSocketMessages`.
    Har,
    /// A `curl` command for each request, for a shell.
    Curl,
    /// One JSON object for each message.
    Jsonl,
    /// A sequence diagram in Markdown.
    Mermaid,
    /// The calls with their parameters and answers.
    Markdown,
    /// The same as one page that needs nothing else.
    Html,
}

/// Writes `tape` in another format.
///
/// # Errors
/// What `out` says.
pub fn export(tape: &Tape, format: ExportFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        ExportFormat::Har => har::write(tape, out),
        ExportFormat::Curl => curl::write(tape, out),
        ExportFormat::Jsonl => jsonl::write(tape, out),
        ExportFormat::Mermaid => mermaid::write(tape, out),
        ExportFormat::Markdown => markdown::write(tape, out),
        ExportFormat::Html => html::write(tape, out),
    }
}

/// The same into the new file `path`, for its owner only as recordings are; its folder is created. It is compressed with zstd
/// if its name ends in `.zst`.
///
/// # Errors
/// What the system says, also if the file is there already; what was written in part is removed.
pub fn export_to_file(tape: &Tape, format: ExportFormat, path: &Path) -> io::Result<()> {
    let out = file::create_new(path)?;
    let written = if file::is_compressed(path) {
        file::compressed(out).and_then(|out| {
            let mut out = BufWriter::new(out);
            export(tape, format, &mut out)?;
            let compressed = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            compressed.finish().map(drop)
        })
    } else {
        let mut out = BufWriter::new(out);
        export(tape, format, &mut out).and_then(|()| out.flush())
    };
    if written.is_err() {
        file::remove_unfinished(path);
    }
    written
}
