//! Keeps secrets out of recordings: each is replaced by a tag, the same for the same secret.
//!
//! All redactors here take their input in parts of any size, keep a bounded state, change nothing but the secrets, and
//! hold back no more than a bounded start of what may be one. What counts as a secret is written in
//! `docs/recording-format.md`.

mod body;
mod glance;
mod head;
mod json;
mod leap;
mod names;
mod output;
mod pattern;
mod prose;
mod spelling;
mod sse;
mod tag;
mod text;
mod text_mask;

#[cfg(test)]
mod tests;

use json::JsonRedactor;
use prose::ProseRedactor;

pub(crate) use body::{BodyFacts, BodyKind, BodyRedactor};
pub use head::{Behind, masked_argument, secret_of_argument};
pub(crate) use head::{redact_argument, redact_field, redact_urls};
pub(crate) use output::Output;
pub(crate) use pattern::PatternWindow;
pub use pattern::{RedactPattern, RedactPatternError, RedactPatterns};
pub(crate) use tag::{NoRandomnessError, TAG_BYTES, TAG_END, TAG_START, Tagger};
pub(crate) use text::percent_decoded;
pub use text_mask::TextMask;
pub(crate) use text_mask::is_secret_name;

/// The text with `***` in place of the secrets that [`TextMask::masked`] replaces by tags: for texts of ours that quote a
/// peer, and for logs, where nobody compares them.
pub fn hide_secrets(text: &str) -> String {
    TextMask::stars().masked(text)
}

/// The same for the secrets of URLs alone: for screens.
pub fn hide_url_secrets(text: &str) -> String {
    let tagger = Tagger::hiding();
    let mut out = Output::new(&tagger);
    redact_urls(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out.bytes).into_owned()
}

/// Writes a whole text for people, in which a JSON object may begin, without its secrets.
pub(crate) fn redact_text(text: &[u8], out: &mut Output<'_>) {
    let mut between = out.beside();
    let object = memchr::memchr(b'{', text).unwrap_or(text.len());
    between.pass(&text[..object]);
    let mut document = JsonRedactor::default();
    document.push(&text[object..], &mut between);
    document.finish(&mut between);
    out.redactions += between.redactions;
    let mut prose = ProseRedactor::default();
    prose.push(&between.bytes, out);
    prose.finish(out);
}

/// Whether secrets are kept out of a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redaction {
    /// Every secret is replaced by a tag.
    #[default]
    On,
    /// Everything is recorded as it was on the wire (`--record-secrets`).
    Off,
}
