//! The tag that stands in a recording in place of a secret.

use ring::hmac;
use ring::rand::SystemRandom;
use smallvec::SmallVec;

use super::pattern::{RedactPatterns, is_tag};

/// Bytes of the fingerprint that are shown: two secrets of a recording get the same tag by chance once in
/// 2^48 pairs.
const SHOWN_BYTES: usize = 6;

/// How every tag starts.
pub(crate) const TAG_START: &str = "\u{2039}secret:";

/// How it ends, behind the hexadecimal digits of its fingerprint.
pub(crate) const TAG_END: &str = "\u{203a}";

/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = TAG_START.len() + 2 * SHOWN_BYTES + TAG_END.len();

/// What stands for every secret where secrets are not told apart.
const HIDDEN: &str = "***";

/// Makes the tags of one recording: equal secrets get equal tags, and nobody can find a short secret by trying,
/// because the key is random and forgotten with the recorder. Without a key all secrets look the same.
#[derive(Debug, Clone)]
pub(crate) struct Tagger {
    key: Option<hmac::Key>,
    /// What the user takes for secrets.
    patterns: RedactPatterns,
}

/// The machine has no randomness to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes for the key that masks secrets")]
pub(crate) struct NoRandomnessError;

impl Tagger {
    /// A tagger with a random key of its own.
    pub(crate) fn random() -> Result<Self, NoRandomnessError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.map(|key| Self::of(Some(key))).map_err(|_| NoRandomnessError)
    }

    /// A tagger that tells no secret from another.
    pub(super) fn hiding() -> Self {
        Self::of(None)
    }

    fn of(key: Option<hmac::Key>) -> Self {
        Self {
            key,
            patterns: RedactPatterns::default(),
        }
    }

    /// The same, for which what matches `patterns` is a secret too.
    pub(crate) fn with_patterns(self, patterns: RedactPatterns) -> Self {
        Self { patterns, ..self }
    }

    /// What the user takes for secrets.
    pub(crate) const fn patterns(&self) -> &RedactPatterns {
        &self.patterns
    }

    /// A tagger whose tags are the same in every run.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn fixed() -> Self {
        Self::of(Some(hmac::Key::new(hmac::HMAC_SHA256, b"a key for tests")))
    }

    /// Starts on a secret that comes in parts.
    pub(super) fn begin(&self) -> Secret {
        let context = self.key.as_ref().map(hmac::Context::with_key);
        Secret {
            context: context.map(Box::new),
            start: SmallVec::new(),
        }
    }

    /// The tag of a whole secret.
    pub(crate) fn tag(&self, secret: &[u8]) -> String {
        let mut begun = self.begin();
        begun.push(secret);
        begun.tag()
    }
}

/// A secret that is being swallowed. No more of it is kept than is needed to see that it is a tag already.
#[derive(Clone)]
pub(super) struct Secret {
    context: Option<Box<hmac::Context>>,
    start: SmallVec<[u8; TAG_BYTES + 1]>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Takes the next bytes of the secret, decoded.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(context) = &mut self.context {
            context.update(bytes);
        }
        let room = TAG_BYTES + 1 - self.start.len();
        self.start.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The secret itself, if it is the tag of one that was replaced before.
    pub(super) fn as_tag(&self) -> Option<&[u8]> {
        Some(&self.start[..]).filter(|start| is_tag(start))
    }

    /// What is written instead of it.
    pub(super) fn tag(self) -> String {
        use std::fmt::Write as _;

        let Some(context) = self.context else {
            return HIDDEN.to_owned();
        };
        let digest = context.sign();
        let mut tag = String::from(TAG_START);
        for byte in digest.as_ref().iter().take(SHOWN_BYTES) {
            // Writing to a string does not fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push_str(TAG_END);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_have_equal_tags_in_one_recording_only() {
        let one = Tagger::random().unwrap();
        assert_eq!(one.tag(b"abc"), one.tag(b"abc"));
        assert_ne!(one.tag(b"abc"), one.tag(b"abd"));
        assert_ne!(one.tag(b"abc"), Tagger::random().unwrap().tag(b"abc"));
    }

    #[test]
    fn a_tagger_without_a_key_tells_nothing_of_a_secret() {
        let hiding = Tagger::hiding();
        assert_eq!(hiding.tag(b"abc"), HIDDEN);
        assert_eq!(hiding.tag(b"a much longer one"), HIDDEN);
    }
}
