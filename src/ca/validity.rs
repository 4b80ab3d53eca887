//! When a certificate is valid and whether it may issue others, read from its DER form. Pure.
//!
//! Source: RFC 5280 §4.1, `TBSCertificate`, `Validity` and `Extensions`; X.690 for the lengths.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
/// `id-ce-basicConstraints`, 2.5.29.19.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when and until when `certificate` is valid. `None` if it cannot be read.
pub(crate) fn of(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, fields) = from_validity(certificate)?;
    let (tag, times, _) = value(fields)?;
    let (from_tag, from, rest) = value(times)?;
    let (until_tag, until, _) = value(rest)?;
    (tag == SEQUENCE).then_some((time(from_tag, from)?, time(until_tag, until)?))
}

/// Whether `certificate` may issue others. Those of version 1 cannot say that they may not.
///
/// Source: RFC 5280 §4.2.1.9 and §6.1.4 (k).
pub(crate) fn is_authority(certificate: &[u8]) -> bool {
    let Some((has_version, mut fields)) = from_validity(certificate) else {
        return false;
    };
    while let Some((tag, content, rest)) = value(fields) {
        if tag == EXTENSIONS {
            return value(content).is_some_and(|(_, list, _)| has_authority(list));
        }
        fields = rest;
    }
    !has_version
}

/// Whether one of the extensions in `list` says so.
fn has_authority(mut list: &[u8]) -> bool {
    while let Some((_, extension, rest)) = value(list) {
        if let Some((_, BASIC_CONSTRAINTS, parts)) = value(extension) {
            return asserts_authority(parts).unwrap_or(false);
        }
        list = rest;
    }
    false
}

/// What follows the name of `BasicConstraints`: perhaps `critical`, then the octets with a sequence that begins with `cA`.
fn asserts_authority(parts: &[u8]) -> Option<bool> {
    let (tag, mut content, rest) = value(parts)?;
    if tag != OCTETS {
        (_, content, _) = value(rest)?;
    }
    let (_, constraints, _) = value(content)?;
    let (tag, is_set, _) = value(constraints)?;
    Some(tag == BOOLEAN && is_set != [0])
}

/// Whether `certificate` states its version, and its fields from the validity on.
fn from_validity(certificate: &[u8]) -> Option<(bool, &[u8])> {
    let (_, outer, _) = value(certificate)?;
    let (_, mut fields, _) = value(outer)?;
    let (tag, _, rest) = value(fields)?;
    let has_version = tag == VERSION;
    if has_version {
        fields = rest;
    }
    // Serial number, signature algorithm and issuer stand before it.
    for _ in 0..3 {
        (_, _, fields) = value(fields)?;
    }
    Some((has_version, fields))
}

/// The tag and content of the first value in `bytes`, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let shift = |length: usize, digit: &u8| length.checked_mul(256)?.checked_add(usize::from(*digit));
        (digits.iter().try_fold(0, shift)?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // Years below 50 are those of this century.
        UTC_TIME if text.as_bytes().first()? < &b'5' => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    let zoned = time.to_zoned(TimeZone::UTC).ok()?;
    let micros = u64::try_from(zoned.timestamp().as_microsecond()).ok()?;
    Some(Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_no_certificate_and_no_panic() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x03\x30\x01\x00",
            &[0x30; 64],
        ] {
            assert_eq!(of(bytes), None);
            assert!(!is_authority(bytes));
        }
    }

    #[test]
    fn an_authority_is_told_from_others_by_what_it_says() {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
        let key = KeyPair::generate().unwrap();
        for (is_ca, expected) in [
            (IsCa::Ca(BasicConstraints::Unconstrained), true),
            (IsCa::Ca(BasicConstraints::Constrained(1)), true),
            (IsCa::ExplicitNoCa, false),
            (IsCa::NoCa, false),
        ] {
            let mut params = CertificateParams::new(vec!["x.dev".to_owned()]).unwrap();
            params.is_ca = is_ca;
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(is_authority(certificate.der()), expected, "{is_ca:?}");
        }
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let seconds = |tag, text: &[u8]| time(tag, text).map(|at| at.as_micros() / 1_000_000);
        assert_eq!(seconds(UTC_TIME, b"261123000000Z"), Some(1_795_392_000));
        assert_eq!(seconds(GENERALIZED_TIME, b"20261123000001Z"), Some(1_795_392_001));
        assert_eq!(seconds(UTC_TIME, b"261323000000Z"), None);
    }
}
