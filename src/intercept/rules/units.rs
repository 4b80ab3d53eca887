//! Times and sizes as rules write them.

use std::time::Duration;

const TIMES: [(u64, &str); 5] = [
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

const SIZES: [(u64, &[&str]); 4] = [
    (1 << 30, &["gib", "g"]),
    (1 << 20, &["mib", "m"]),
    (1 << 10, &["kib", "k"]),
    (1, &["b", ""]),
];

/// Reads `250ms`, `1.5s`, `2m`. The unit has to be there: a bare number does not say what it counts.
pub(super) fn read_time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let (nanoseconds, _) = TIMES.into_iter().find(|(_, name)| *name == unit)?;
    if let Ok(whole) = number.parse::<u64>() {
        return Some(Duration::from_nanos(whole.checked_mul(nanoseconds)?));
    }
    let seconds = number.parse::<f64>().ok()? * Duration::from_nanos(nanoseconds).as_secs_f64();
    Duration::try_from_secs_f64(seconds).ok()
}

/// A time in the largest unit of which it is a whole number.
pub(super) fn time_text(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let unit = TIMES
        .into_iter()
        .find(|(unit, _)| nanoseconds.is_multiple_of(u128::from(*unit)));
    let (unit, name) = unit.unwrap_or((1, "ns"));
    format!("{}{name}", nanoseconds / u128::from(unit))
}

/// Reads `100`, `64k`, `1KiB`, `2MiB`; units are of 1,024.
pub(super) fn read_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let unit = unit.to_lowercase();
    let (bytes, _) = SIZES
        .into_iter()
        .find(|(_, names)| names.contains(&unit.as_str()))?;
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// A size in the largest unit of which it is a whole number, such as `64 KiB`, with `between` before the unit.
pub(super) fn size_text(bytes: u64, between: &str) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{between}{name}", bytes / unit);
        }
    }
    format!("{bytes}{between}B")
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(read_time("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read_time("1.5 s"), Some(Duration::from_millis(1500)));
        assert_eq!(read_time("2m"), Some(Duration::from_mins(2)));
        for text in ["250", "", "s", "1.5.2s", "-1s", "99999999999999999999s"] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_would_be_typed() {
        let texts = [(1500, "1500ms"), (2000, "2s"), (120_000, "2m"), (0, "0s")];
        for (millis, text) in texts {
            assert_eq!(time_text(Duration::from_millis(millis)), text);
            assert_eq!(read_time(text), Some(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn sizes_are_of_1024() {
        assert_eq!(read_size("64k"), Some(65_536));
        assert_eq!(read_size("1KiB"), Some(1024));
        assert_eq!(read_size("7"), Some(7));
        assert_eq!(read_size("7 apples"), None);
        assert_eq!(size_text(65_536, ""), "64KiB");
        assert_eq!(size_text(100, " "), "100 B");
    }
}
