//! Times, sizes and counts as people read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use shadowcat::clock::Timestamp;
use shadowcat::limits::Unit;

/// `12:03:11.204` in local time, or `12:03:11` if `is_short`.
pub(crate) fn time_of_day(at: Timestamp, zone: &TimeZone, is_short: bool) -> String {
    let pattern = if is_short { "%H:%M:%S" } else { "%H:%M:%S.%3f" };
    moment(at, zone, pattern)
}

/// `2026-11-23 12:03:11` in local time.
pub(crate) fn date_and_time(at: Timestamp, zone: &TimeZone) -> String {
    moment(at, zone, "%Y-%m-%d %H:%M:%S")
}

/// `20261123T120311Z`, in UTC, as in the names that the engine itself gives to recordings.
pub(crate) fn for_file_name(at: Timestamp) -> String {
    moment(at, &TimeZone::UTC, "%Y%m%dT%H%M%SZ")
}

fn moment(at: Timestamp, zone: &TimeZone, pattern: &str) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map_or_else(
        |_| "?".to_owned(),
        |moment| moment.to_zoned(zone.clone()).strftime(pattern).to_string(),
    )
}

/// `0.8 ms`, `3 ms`, `1.2 s`, `4 min 02 s`, `1 h 05 min`.
pub(crate) fn duration(span: Duration) -> String {
    let (micros, millis, seconds) = (span.as_micros(), span.as_millis(), span.as_secs());
    match seconds {
        0 if micros == 0 => "0 ms".to_owned(),
        0 if micros < 100 => "<0.1 ms".to_owned(),
        0 if micros < 1_000 => format!("0.{} ms", micros / 100),
        0 => format!("{millis} ms"),
        1..=9 => format!("{seconds}.{} s", span.subsec_millis() / 100),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

const STEPS: [(u64, &str); 4] = [
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
];

/// `212 B`, `1.2 KiB`, `34 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    match STEPS.iter().find(|(step, _)| bytes >= *step) {
        Some((step, unit)) => format!("{} {unit}", scaled(bytes, *step)),
        None => format!("{bytes} B"),
    }
}

/// `988`, `1.3k`, `12k`, `4.5M`.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{}k", scaled(number, 1_000)),
        _ => format!("{}M", scaled(number, 1_000_000)),
    }
}

/// With one digit after the point below ten, without above; cut, not rounded.
fn scaled(number: u64, step: u64) -> String {
    let whole = number / step;
    if whole >= 10 || number.is_multiple_of(step) {
        return whole.to_string();
    }
    format!("{whole}.{}", number % step * 10 / step)
}

/// A number in the unit of a limit.
pub(crate) fn in_unit(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Count => number.to_string(),
        Unit::Bytes => size(number),
        Unit::Time => duration(Duration::from_millis(number)),
    }
}

/// `number` of `thing`s: `1 row`, `3 rows`.
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{end}")
}

/// A number that has to fit into screen coordinates.
pub(crate) fn cells(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// An index into something in memory.
pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_at_every_scale() {
        let shown = [870, 3_200, 1_250_000, 12_000_000, 242_000_000, 3_900_000_000]
            .map(|micros| duration(Duration::from_micros(micros)));
        assert_eq!(
            shown,
            ["0.8 ms", "3 ms", "1.2 s", "12 s", "4 min 02 s", "1 h 05 min"]
        );
    }

    #[test]
    fn sizes_and_counts_never_round_up_to_what_was_not_reached() {
        assert_eq!(
            [0, 1023, 1024, 1_300, 20_000_000].map(size),
            ["0 B", "1023 B", "1 KiB", "1.2 KiB", "19 MiB"]
        );
        assert_eq!(
            [999, 1_000, 1_999, 12_000_000].map(count),
            ["999", "1k", "1.9k", "12M"]
        );
    }

    #[test]
    fn a_moment_is_shown_in_the_zone_asked_for() {
        let at = Timestamp::from_micros(1_780_000_000_123_456);
        assert_eq!(time_of_day(at, &TimeZone::UTC, false), "20:26:40.123");
        assert_eq!(for_file_name(at), "20260528T202640Z");
    }
}
