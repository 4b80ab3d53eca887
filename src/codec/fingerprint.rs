//! Short stand-ins for values that are too long to keep and are only ever compared.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// The length of a value and the first 64 bits of its SHA-256: enough to tell two opaque values apart.
///
/// It is stable across builds and machines, so it may be written to a recording. It is not a secret-keeping hash: a
/// short secret could be guessed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The first eight bytes of the SHA-256 of the value, big-endian.
    pub hash: u64,
    /// How long the value is, in bytes.
    pub bytes: u64,
}

impl Fingerprint {
    /// The fingerprint of a whole value.
    pub fn of(value: &[u8]) -> Self {
        let mut hasher = Fingerprinter::default();
        hasher.push(value);
        hasher.finish()
    }
}

/// Takes a fingerprint of a value that arrives in parts; the parts' sizes make no difference.
pub(crate) struct Fingerprinter {
    context: Context,
    bytes: u64,
}

impl Default for Fingerprinter {
    fn default() -> Self {
        Self {
            context: Context::new(&SHA256),
            bytes: 0,
        }
    }
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fingerprinter")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Fingerprinter {
    pub(crate) fn push(&mut self, part: &[u8]) {
        self.context.update(part);
        self.bytes += part.len() as u64;
    }

    pub(crate) fn finish(self) -> Fingerprint {
        let digest = self.context.finish();
        let hash = digest
            .as_ref()
            .iter()
            .take(8)
            .fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        Fingerprint {
            hash,
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_does_not_depend_on_the_parts() {
        let mut hasher = Fingerprinter::default();
        hasher.push(b"ab");
        hasher.push(b"c");
        assert_eq!(hasher.finish(), Fingerprint::of(b"abc"));
        assert_eq!(
            Fingerprint::of(b"abc"),
            Fingerprint {
                hash: 0xba78_16bf_8f01_cfea,
                bytes: 3
            }
        );
    }
}
