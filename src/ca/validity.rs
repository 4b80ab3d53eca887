//! When a certificate is valid, read from its DER form. Pure.
//!
//! Source: RFC 5280 §4.1, `TBSCertificate` and `Validity`; X.690 for the lengths.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when and until when `certificate` is valid. `None` if it cannot be read.
pub(super) fn of(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, outer, _) = value(certificate)?;
    let (_, mut fields, _) = value(outer)?;
    let (tag, _, rest) = value(fields)?;
    if tag == VERSION {
        fields = rest;
    }
    // Serial number, signature algorithm and issuer stand before it.
    for _ in 0..3 {
        (_, _, fields) = value(fields)?;
    }
    let (tag, times, _) = value(fields)?;
    let (from_tag, from, rest) = value(times)?;
    let (until_tag, until, _) = value(rest)?;
    (tag == SEQUENCE).then_some((time(from_tag, from)?, time(until_tag, until)?))
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
