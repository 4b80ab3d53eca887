//! What was asked of a recording in all, for its end.

use std::collections::HashMap;
use std::fmt;

use shadowcat::replay::mock::{Found, MockCall};

use crate::format::plural;

/// Different requests that have a line of their own; further ones are counted together.
const LINES: usize = 100;

/// Requests so far, equal ones together.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    lines: Vec<Line>,
    places: HashMap<(String, Option<String>), usize>,
    rest: Count,
    all: Count,
}

/// Requests of one method, about one thing.
#[derive(Debug)]
struct Line {
    title: String,
    count: Count,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    asked: u64,
    missed: u64,
}

impl Count {
    fn add(&mut self, is_miss: bool) {
        self.asked += 1;
        self.missed += u64::from(is_miss);
    }
}

impl Summary {
    /// Counts a request.
    pub(crate) fn add(&mut self, call: &MockCall) {
        let is_miss = call.found == Found::Missed;
        self.all.add(is_miss);
        let key = (call.method.clone(), call.subject.clone());
        if let Some(place) = self.places.get(&key) {
            return self.lines[*place].count.add(is_miss);
        }
        if self.lines.len() == LINES {
            return self.rest.add(is_miss);
        }
        let subject = call.subject.as_ref().map(|subject| format!(" {subject}"));
        let mut line = Line {
            title: call.method.clone() + &subject.unwrap_or_default(),
            count: Count::default(),
        };
        line.count.add(is_miss);
        self.places.insert(key, self.lines.len());
        self.lines.push(line);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missed = match self.all.missed {
            0 => "none missed".to_owned(),
            missed => format!("{missed} NOT RECORDED"),
        };
        let requests = plural(self.all.asked, "request");
        if self.all.asked == 0 {
            return write!(f, "{requests}");
        }
        write!(f, "{requests}, {missed}")?;
        for line in &self.lines {
            write!(f, "\n  {}{}", line.title, Times(line.count))?;
        }
        if self.rest.asked > 0 {
            write!(f, "\n  others{}", Times(self.rest))?;
        }
        Ok(())
    }
}

/// How often, if that is worth a word.
struct Times(Count);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.asked, self.0.missed) {
            (1, 0) => Ok(()),
            (1, _) => write!(f, ": NOT RECORDED"),
            (asked, 0) => write!(f, ": {asked} times"),
            (asked, missed) if asked == missed => write!(f, ": {asked} times, NOT RECORDED"),
            (asked, missed) => write!(f, ": {asked} times, {missed} of them NOT RECORDED"),
        }
    }
}
