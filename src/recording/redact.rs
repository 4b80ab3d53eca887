//! Keeps secrets out of recordings: each is replaced by a tag, the same for the same secret.
//!
//! All redactors here take their input in parts of any size, keep a bounded state, change nothing but the secrets, and
//! hold nothing back but the start of a URL's authority. What counts as a secret is written in
//! `docs/recording-format.md`.

mod body;
mod head;
mod json;
mod names;
mod output;
mod pattern;
mod prose;
mod sse;
mod tag;
mod text;

#[cfg(test)]
mod tests;

use crate::snapshot::Carrier;

pub(crate) use body::{BodyFacts, BodyRedactor};
pub use head::{masked_argument, secret_of_argument};
pub(crate) use head::{redact_argument, redact_field, redact_urls};
pub(crate) use output::Output;
pub(crate) use pattern::PatternWindow;
pub use pattern::{RedactPattern, RedactPatternError, RedactPatterns};
pub(crate) use tag::{NoRandomnessError, Tagger};

/// Replaces secrets in texts that leave the program beside a recording, such as printed lines.
#[derive(Debug, Clone)]
pub struct UrlMask(Tagger);

impl UrlMask {
    /// A mask whose tags mean something only beside each other. `None` if the system has no random bytes to offer.
    pub fn random() -> Option<Self> {
        Tagger::random().ok().map(Self)
    }

    /// The text without the users, passwords and token-like query values of the URLs and request targets in it, and, if it
    /// has a JSON object from somewhere on, or the start of one, without the secret members that a recording would not have.
    pub fn masked(&self, text: &str) -> String {
        let facts = BodyFacts {
            is_known: true,
            ..BodyFacts::default()
        };
        let mut out = Output::new(&self.0);
        let mut document = BodyRedactor::new(Carrier::Http, facts, false);
        let (before, object) = text.split_at(text.find('{').unwrap_or(text.len()));
        out.bytes.extend_from_slice(before.as_bytes());
        document.push(object.as_bytes(), &mut out);
        document.finish(&mut out);
        let text = std::mem::take(&mut out.bytes);
        redact_urls(&text, &mut out);
        String::from_utf8_lossy(&out.bytes).into_owned()
    }
}

/// The text with `***` in place of the secrets that [`UrlMask::masked`] replaces by tags: for screens and logs, where nobody
/// compares them.
pub fn hide_url_secrets(text: &str) -> String {
    let tagger = Tagger::hiding();
    let mut out = Output::new(&tagger);
    redact_urls(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out.bytes).into_owned()
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
