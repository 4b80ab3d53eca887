//! Whether two JSON texts say the same.

use std::collections::HashMap;
use std::ops::Range;

use super::reader::children;
use crate::codec::json::string_value;

/// Whether two values, both checked JSON, are equal: objects in any order, of the same name the last member; texts
/// decoded; numbers by their value, without rounding.
///
/// Source: RFC 6902, section 4.6.
pub(super) fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let mut pairs = vec![(0..left.len(), 0..right.len())];
    while let Some((one, other)) = pairs.pop() {
        let is_same = match (left[one.start], right[other.start]) {
            (b'{', b'{') => push_members(left, &one, right, &other, &mut pairs),
            (b'[', b'[') => push_elements(left, &one, right, &other, &mut pairs),
            _ => is_equal_scalar(&left[one], &right[other]),
        };
        if !is_same {
            return false;
        }
    }
    true
}

type Pairs = Vec<(Range<usize>, Range<usize>)>;

fn push_members(
    left: &[u8],
    one: &Range<usize>,
    right: &[u8],
    other: &Range<usize>,
    pairs: &mut Pairs,
) -> bool {
    let (one, mut other) = (last_members(left, one), last_members(right, other));
    if one.len() != other.len() {
        return false;
    }
    for (name, value) in one {
        match other.remove(&name) {
            Some(found) => pairs.push((value, found)),
            None => return false,
        }
    }
    true
}

fn last_members(bytes: &[u8], object: &Range<usize>) -> HashMap<String, Range<usize>> {
    let named = |key: Range<usize>| string_value(&bytes[key]).into_owned();
    children(bytes, object)
        .filter_map(|child| Some((named(child.key?), child.value)))
        .collect()
}

fn push_elements(
    left: &[u8],
    one: &Range<usize>,
    right: &[u8],
    other: &Range<usize>,
    pairs: &mut Pairs,
) -> bool {
    let (mut one, mut other) = (children(left, one), children(right, other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) => pairs.push((one.value, other.value)),
            _ => return false,
        }
    }
}

fn is_equal_scalar(left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    match (left.first(), right.first()) {
        (Some(b'"'), Some(b'"')) => string_value(left) == string_value(right),
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => {
            Decimal::of(left).is_some_and(|decimal| Some(decimal) == Decimal::of(right))
        }
        _ => false,
    }
}

/// A number as its significant digits and the power of ten behind them.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    exponent: i128,
}

impl Decimal {
    /// `None` if the exponent is beyond all reason.
    fn of(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (text, is_negative) = text.strip_prefix('-').map_or((text, false), |text| (text, true));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = [whole.as_bytes(), fraction.as_bytes()].concat();
        let places = i128::try_from(fraction.len()).ok()?;
        let mut exponent = exponent.parse::<i64>().map(i128::from).ok()? - places;
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        let is_zero = digits.is_empty();
        Some(Self {
            is_negative: is_negative && !is_zero,
            exponent: if is_zero { 0 } else { exponent },
            digits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_and_not_their_spelling() {
        for (one, other) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("0.05", "5E-2"),
            ("-0", "0.0e5"),
            ("\"\\u00e9\\/\"", "\"é/\""),
            ("{\"a\":1,\"b\":[2]}", "{ \"b\": [2.0], \"a\": 1 }"),
            ("{\"a\":0,\"a\":1}", "{\"a\":1}"),
        ] {
            assert!(is_equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("1", "\"1\""),
            ("1", "-1"),
            ("[1,2]", "[2,1]"),
            ("[1]", "[1,1]"),
            ("{\"a\":1}", "{\"b\":1}"),
            ("{\"a\":1}", "{}"),
            ("null", "false"),
            ("{}", "[]"),
            ("1e99999999999999999999", "2e99999999999999999999"),
        ] {
            assert!(!is_equal(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }
}
