//! Two files, compared: recordings call by call, lists of tools by what clients rely on.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::{Extent, OpenRecordingError, RecordingReader, Segments, Spool, shown};
use shadowcat::replay::compare::drift::{ToolList, drift, is_page, tools_of};
use shadowcat::replay::compare::{CompareOptions, Report, compare_recordings, lacks_tools, tools_in};
use shadowcat::replay::tape::{Tape, TapeError, TapeOptions};

use super::{tell_unmet, text};
use crate::cli::ReportFormat;
use crate::console::say;
use crate::input::{is_standard, spool};
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// Longest list of tools in a file of its own, in bytes.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// What to compare, and how.
#[derive(Debug)]
pub(crate) struct DiffJob {
    pub(crate) before: PathBuf,
    pub(crate) after: PathBuf,
    pub(crate) extent: Extent,
    pub(crate) options: CompareOptions,
    pub(crate) format: ReportFormat,
}

/// A file.
enum Side {
    Recording(Box<Tape>),
    Tools { tools: Vec<Value>, is_page: bool },
}

/// A file cannot be compared.
#[derive(Debug, thiserror::Error)]
enum DiffError {
    #[error("could not read {}; check that it exists and is readable", shown(.path))]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is neither a recording nor a JSON file with a result of tools/list", shown(.0))]
    Neither(PathBuf),
    #[error(transparent)]
    Tape(#[from] TapeError),
    #[error("{} has no answer to tools/list, so there is nothing to compare with a list of tools", shown(.0))]
    NoTools(PathBuf),
    #[error("both files are standard input, which can be read only once; name a file for one of them")]
    Same,
}

impl From<DiffError> for Failure {
    fn from(error: DiffError) -> Self {
        let code = match error {
            DiffError::Read { .. } | DiffError::Neither(_) | DiffError::Tape(_) => CANNOT_OPEN,
            DiffError::NoTools(_) | DiffError::Same => BAD_USAGE,
        };
        Self::with_code(code, error)
    }
}

/// Compares. Gives what is to be printed, and whether nothing differs.
///
/// # Errors
/// A file that cannot be opened or read, or is neither kind.
pub(crate) fn run(job: &DiffJob, limits: &ResourceLimits) -> Result<(String, bool), Failure> {
    if [&job.before, &job.after]
        .into_iter()
        .all(|path| is_standard(path))
    {
        return Err(DiffError::Same.into());
    }
    let before = open(&job.before, job.extent, limits)?;
    let after = open(&job.after, job.extent, limits)?;
    for (side, path) in [(&before, &job.before), (&after, &job.after)] {
        side.warn(path);
    }
    let report = match (&before, &after) {
        (Side::Recording(one), Side::Recording(other)) => Some(compare_recordings(one, other, &job.options)),
        _ => None,
    };
    let drifts = match (&report, before.tools(), after.tools()) {
        (_, Some(old), Some(new)) => {
            let [old, new] = [(&old, &before), (&new, &after)].map(|(tools, side)| ToolList {
                tools,
                is_page: side.lacks_tools(),
            });
            Some(drift(old, new, &job.options.ignore))
        }
        (None, None, _) => return Err(DiffError::NoTools(job.before.clone()).into()),
        (None, _, None) => return Err(DiffError::NoTools(job.after.clone()).into()),
        _ => None,
    };
    tell_unmet(&job.options);
    let is_same = report.as_ref().is_none_or(Report::is_same) && drifts.as_ref().is_none_or(Vec::is_empty);
    if job.format == ReportFormat::Json {
        return Ok((text::json(report.as_ref(), drifts.as_deref(), is_same), is_same));
    }
    // The damage is told as warnings.
    let damage = before.damage().len() + after.damage().len();
    let remarks = report
        .iter()
        .flat_map(|report| report.remarks.iter().skip(damage));
    remarks.for_each(|remark| say(format_args!("note: {remark}")));
    let mut out = String::new();
    if let Some(drifts) = &drifts {
        out.push_str(&text::drifts(drifts));
    }
    if let Some(report) = &report {
        out.push_str(&text::report(report));
    }
    Ok((out, is_same))
}

impl Side {
    /// Tells what is missing of a recording, since it may be what differs.
    fn warn(&self, path: &Path) {
        if self.lacks_tools() {
            say(format_args!(
                "warning: {}: its list of tools has a nextCursor: it is only a page, and what is on the others is not compared",
                shown(path)
            ));
        }
        if let Self::Recording(tape) = self {
            let name = tape.path.display();
            let damage = self.damage().iter();
            damage.for_each(|damage| say(format_args!("warning: {name}: {damage}")));
        }
    }

    fn damage(&self) -> &[String] {
        match self {
            Self::Recording(tape) => &tape.damage,
            Self::Tools { .. } => &[],
        }
    }

    fn lacks_tools(&self) -> bool {
        match self {
            Self::Recording(tape) => lacks_tools(tape),
            Self::Tools { is_page, .. } => *is_page,
        }
    }

    fn tools(&self) -> Option<Vec<Value>> {
        match self {
            Self::Recording(tape) => tools_in(tape),
            Self::Tools { tools, .. } => Some(tools.clone()),
        }
    }
}

/// A recording is known by its first line; what has none may be a list.
fn open(path: &Path, extent: Extent, limits: &ResourceLimits) -> Result<Side, DiffError> {
    let options = TapeOptions::as_it_arrived().within(limits).reading(extent);
    let spool = spool(path).map_err(|source| DiffError::Read {
        path: path.to_owned(),
        source,
    })?;
    match tape(path, spool.as_ref(), &options) {
        Ok(tape) => Ok(Side::Recording(Box::new(tape))),
        Err(TapeError::Open(OpenRecordingError::NotARecording { .. })) => list(path, spool),
        Err(TapeError::Open(OpenRecordingError::Read { path, source })) => {
            Err(DiffError::Read { path, source })
        }
        Err(error) => Err(error.into()),
    }
}

fn tape(path: &Path, spool: Option<&Spool>, options: &TapeOptions) -> Result<Tape, TapeError> {
    let Some(spool) = spool else {
        return Tape::load(path, options);
    };
    let segments = Segments::of_spool(path, spool.clone());
    let name = shown(path);
    Tape::read(
        RecordingReader::open_segments(&segments)?,
        Path::new(&*name),
        options,
    )
}

fn list(path: &Path, spool: Option<Spool>) -> Result<Side, DiffError> {
    let mut text = Vec::new();
    let read = match spool {
        Some(spool) => spool.reader().take(MAX_LIST_BYTES).read_to_end(&mut text),
        None => File::open(path).and_then(|file| file.take(MAX_LIST_BYTES).read_to_end(&mut text)),
    };
    read.map_err(|source| DiffError::Read {
        path: path.to_owned(),
        source,
    })?;
    let tools = tools_of(&text).ok_or_else(|| DiffError::Neither(path.to_owned()))?;
    Ok(Side::Tools {
        tools,
        is_page: is_page(&text),
    })
}
