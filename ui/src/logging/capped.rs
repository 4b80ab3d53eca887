//! A writer that stops at so many bytes a day, because a log that is cut by time only can fill a disk.

use std::io::{self, Write};
use std::sync::Arc;

use shadowcat::resource::meters::Level;

/// Passes on what is written until a day's bytes are used up; the rest of that day is dropped.
pub(super) struct CappedWriter<W, D> {
    inner: W,
    bytes_a_day: u64,
    /// The number of the present day.
    today: D,
    day: u64,
    written: u64,
    is_full: bool,
    /// What the Resources screen shows of it.
    level: Arc<Level>,
}

impl<W: Write, D: FnMut() -> u64> CappedWriter<W, D> {
    pub(super) fn new(inner: W, bytes_a_day: u64, level: Arc<Level>, mut today: D) -> Self {
        let day = today();
        Self {
            inner,
            bytes_a_day,
            today,
            day,
            written: 0,
            is_full: false,
            level,
        }
    }

    fn turn_page(&mut self) {
        let today = (self.today)();
        if today != self.day {
            (self.day, self.written, self.is_full) = (today, 0, false);
        }
    }
}

impl<W: Write, D: FnMut() -> u64> Write for CappedWriter<W, D> {
    /// A line that does not fit is dropped as a whole, and so are all after it until the day is over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.turn_page();
        let written = self.written.saturating_add(line.len() as u64);
        if !self.is_full && written <= self.bytes_a_day {
            self.written = written;
            self.level.set(written);
            self.inner.write_all(line)?;
            return Ok(line.len());
        }
        self.level.reach();
        if std::mem::replace(&mut self.is_full, true) {
            return Ok(line.len());
        }
        let limit = self.bytes_a_day;
        writeln!(
            self.inner,
            "the log has reached its {limit} bytes for this day (log_file_bytes); what follows is on the Log screen only"
        )?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_day_has_its_share_and_the_next_day_a_new_one() {
        let today = Cell::new(1);
        let mut out = Vec::new();
        let level: Arc<Level> = Arc::default();
        let mut writer = CappedWriter::new(&mut out, 10, Arc::clone(&level), || today.get());
        for line in ["12345\n", "too long\n", "1\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        today.set(2);
        writer.write_all(b"next day\n").unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.first(), lines.last()), (Some(&"12345"), Some(&"next day")));
        assert_eq!(lines.len(), 3);
        assert_eq!(
            level.read(),
            (9, 9, 2),
            "bytes of the new day, lines dropped on the day before"
        );
        assert!(lines[1].starts_with("the log has reached its 10 bytes"), "{text}");
    }
}
