//! Finds out which values are secrets somewhere in a recording.
//!
//! The lines are masked as they would be written, and what was replaced is what the line had in the place of a tag: the
//! tag itself tells that the value is the right one. So whatever the mask takes for a secret is found, wherever it is.

use std::collections::BTreeMap;

use memchr::memmem;

use super::values::Values;
use crate::codec::text::decode;
use crate::ids::ExchangeId;
use crate::recording::format::{FrameLine, Line};
use crate::recording::head_line::HeadLine;
use crate::recording::mask::LineMask;
use crate::recording::redact::{TAG_BYTES, TAG_START, Tagger, percent_decoded};
use crate::snapshot::{Carrier, Direction, SentHead};

/// Longest frame that is looked into; of longer ones the secrets are masked in their own place only.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// Bytes of all frames that are under way.
const MAX_OPEN_BYTES: usize = 64 << 20;

/// Bytes of what follows a tag by which the end of the value is found.
const ANCHOR_BYTES: usize = 64;

/// Places that are tried as the end of a value.
const MAX_ENDS: usize = 256;

/// Longest value whose end is looked for.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Which stream of bytes a frame belongs to.
type Place = (ExchangeId, Direction, bool);

/// A frame that is under way, as it was and as it would be written.
#[derive(Debug, Default)]
struct Frame {
    number: u32,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Collects the values of the lines of one recording, in their order.
#[derive(Debug)]
pub(super) struct Gatherer {
    mask: LineMask,
    tagger: Tagger,
    open: BTreeMap<Place, Frame>,
    open_bytes: usize,
    values: Values,
    /// Frames that were too long to be looked into.
    skipped: u64,
}

impl Gatherer {
    pub(super) fn new(tagger: &Tagger, max_exchanges: usize) -> Self {
        Self {
            mask: LineMask::new(tagger.clone(), max_exchanges),
            tagger: tagger.clone(),
            open: BTreeMap::new(),
            open_bytes: 0,
            values: Values::default(),
            skipped: 0,
        }
    }

    /// Lines are missing here.
    pub(super) fn lose(&mut self) {
        self.mask.lose();
    }

    /// What was found, and how many frames were too long.
    pub(super) fn finish(mut self) -> (Values, u64) {
        while let Some((_, frame)) = self.open.pop_first() {
            self.compare(&frame.before, &frame.after);
        }
        (self.values, self.skipped)
    }

    pub(super) fn line(&mut self, line: Line) {
        let before = line.clone();
        let mut masked = Vec::new();
        self.mask.mask(line, &mut |line| masked.push(line));
        let Some(after) = masked.pop() else { return };
        for rest in masked {
            self.rest(rest);
        }
        match (before, after) {
            (Line::Request(before), Line::Request(after)) => {
                self.compare(before.target.as_bytes(), after.target.as_bytes());
                self.heads(&before.head, &after.head);
                self.sent(before.sent.as_deref(), after.sent.as_deref());
            }
            (Line::Response(before), Line::Response(after)) => {
                self.heads(&before.head, &after.head);
                self.sent(before.sent.as_deref(), after.sent.as_deref());
            }
            (Line::Rewrite(before), Line::Rewrite(after)) => {
                self.sent(before.sent.as_deref(), after.sent.as_deref());
            }
            (Line::Verdict(before), Line::Verdict(after)) => {
                if let (Some(before), Some(after)) = (before.sent, after.sent) {
                    self.compare(before.as_bytes(), after.as_bytes());
                }
            }
            (Line::Frame(before), Line::Frame(after)) => self.frame(before, after),
            (Line::ExchangeEnd(end), _) => {
                let of_exchange = self.open.keys().filter(|place| place.0 == end.exchange);
                let places: Vec<Place> = of_exchange.copied().collect();
                for place in places {
                    self.close(place);
                }
            }
            _ => {}
        }
    }

    fn heads(&mut self, before: &HeadLine, after: &HeadLine) {
        self.compare(&before.line.0, &after.line.0);
        for (before, after) in before.fields.iter().zip(&after.fields) {
            self.compare(&before.value.0, &after.value.0);
        }
    }

    fn sent(&mut self, before: Option<&SentHead>, after: Option<&SentHead>) {
        let (Some(before), Some(after)) = (before, after) else {
            return;
        };
        if let (Some(before), Some(after)) = (&before.line, &after.line) {
            self.compare(before.as_bytes(), after.as_bytes());
        }
        for ((_, before), (_, after)) in before.set.iter().zip(&after.set) {
            self.compare(before.as_bytes(), after.as_bytes());
        }
    }

    /// What was held back of a frame that is broken off.
    fn rest(&mut self, line: Line) {
        if let Line::Frame(mut line) = line
            && let Some(frame) = self.open.get_mut(&place_of(&line))
        {
            let bytes = line.take_bytes();
            self.open_bytes += bytes.len();
            frame.after.extend(bytes);
        }
    }

    fn frame(&mut self, mut before: FrameLine, mut after: FrameLine) {
        let place = place_of(&before);
        let (number, is_last) = (before.frame, before.last);
        let is_withheld = after.withheld > before.withheld;
        let (before, after) = (before.take_bytes(), after.take_bytes());
        if self.open.get(&place).is_some_and(|frame| frame.number != number) {
            self.close(place);
        }
        if is_last && !self.open.contains_key(&place) {
            return self.compare(&before, &after);
        }
        let frame = self.open.entry(place).or_default();
        frame.number = number;
        self.open_bytes += before.len() + after.len();
        frame.before.extend(before);
        frame.after.extend(after);
        if is_withheld || frame.before.len() > MAX_FRAME_BYTES || self.open_bytes > MAX_OPEN_BYTES {
            self.skipped += 1;
            self.forget(place);
        } else if is_last {
            self.close(place);
        }
    }

    fn forget(&mut self, place: Place) -> Option<Frame> {
        let frame = self.open.remove(&place)?;
        self.open_bytes -= frame.before.len() + frame.after.len();
        Some(frame)
    }

    fn close(&mut self, place: Place) {
        if let Some(frame) = self.forget(place) {
            self.compare(&frame.before, &frame.after);
        }
    }

    fn compare(&mut self, before: &[u8], after: &[u8]) {
        let values = &mut self.values;
        replaced(before, after, &self.tagger, &mut |value| values.add(value));
    }
}

fn place_of(line: &FrameLine) -> Place {
    (line.exchange, line.direction, line.transport == Carrier::Stderr)
}

/// Tells `found` of each value of `before` in whose place `after` has a tag. What cannot be told apart ends the search.
fn replaced(mut before: &[u8], mut after: &[u8], tagger: &Tagger, found: &mut dyn FnMut(&[u8])) {
    while let Some(at) = memmem::find(after, TAG_START.as_bytes()) {
        let (literal, behind) = after.split_at(at);
        let Some((tag, mut rest)) = behind.split_at_checked(TAG_BYTES) else {
            return;
        };
        // A number became a string, whose quotes were not there.
        let number = literal
            .strip_suffix(b"\"")
            .and_then(|literal| before.strip_prefix(literal));
        let number = number.filter(|number| !number.starts_with(b"\""));
        let Some(value_on) = number.or_else(|| before.strip_prefix(literal)) else {
            return;
        };
        if value_on.starts_with(tag) {
            (before, after) = (&value_on[TAG_BYTES..], rest);
            continue;
        }
        if number.is_some() {
            rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        }
        let Some((value, length)) = value_of(value_on, rest, tag, tagger) else {
            return;
        };
        found(&value);
        (before, after) = (&value_on[length..], rest);
    }
}

/// The value at the start of `before` that has become `tag`, decoded, and its length as it stands there. `after` follows
/// the tag.
fn value_of(before: &[u8], after: &[u8], tag: &[u8], tagger: &Tagger) -> Option<(Vec<u8>, usize)> {
    let next = memmem::find(after, TAG_START.as_bytes());
    let literal = after.get(..next.unwrap_or(after.len())).unwrap_or_default();
    // The quote before a tag was not there if it stands for a number.
    let literal = literal
        .strip_suffix(b"\"")
        .filter(|_| next.is_some())
        .unwrap_or(literal);
    let anchor = literal.get(..literal.len().min(ANCHOR_BYTES)).unwrap_or_default();
    let mut ends: Vec<usize> = Vec::new();
    if !anchor.is_empty() {
        let searched = before
            .get(..before.len().min(MAX_VALUE_BYTES))
            .unwrap_or_default();
        ends.extend(memmem::find_iter(searched, anchor).take(MAX_ENDS));
    }
    // Nothing follows, or a part of the frame that is missing.
    if after.len() == anchor.len() {
        ends.push(before.len());
    }
    for end in ends {
        let value = before.get(..end)?;
        // As in a head, inside of a JSON string, and inside of a URL or a form.
        for decoded in [value.to_vec(), decode(value), percent_decoded(value)] {
            if tagger.tag(&decoded).as_bytes() == tag {
                return Some((decoded, end));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(before: &str, after: &str) -> Vec<String> {
        let tagger = Tagger::fixed();
        let mut values = Vec::new();
        // `<x>` is the tag of x.
        let mut masked = String::new();
        for (index, part) in after.split(['<', '>']).enumerate() {
            match index % 2 {
                0 => masked.push_str(part),
                _ => masked.push_str(&tagger.tag(part.as_bytes())),
            }
        }
        replaced(before.as_bytes(), masked.as_bytes(), &tagger, &mut |value| {
            values.push(String::from_utf8_lossy(value).into_owned());
        });
        values
    }

    #[test]
    fn what_stood_in_the_place_of_a_tag_is_found() {
        assert_eq!(found("Bearer abc", "Bearer <abc>"), ["abc"]);
        assert_eq!(
            found(
                r#"{"a":"x\ny","b":"\"z\"","c":1}"#,
                "{\"a\":\"<x\ny>\",\"b\":\"<\"z\">\",\"c\":1}"
            ),
            ["x\ny", "\"z\""]
        );
        assert_eq!(
            found(r#"{"pin":-12.5,"b":7}"#, r#"{"pin":"<-12.5>","b":"<7>"}"#),
            ["-12.5", "7"]
        );
        assert_eq!(
            found(
                "?key=a%20b&sid=c+d&token=e%2Ff+g&x=1",
                "?key=<a b>&sid=<c+d>&token=<e/f+g>&x=1"
            ),
            ["a b", "c+d", "e/f+g"]
        );
    }

    #[test]
    fn tags_that_were_there_before_are_passed_over() {
        let tag = Tagger::fixed().tag(b"old");
        assert_eq!(
            found(&format!("a={tag}; b=new-one"), "a=<old>; b=<new-one>"),
            ["new-one"]
        );
    }

    #[test]
    fn a_value_that_has_what_follows_it_inside_is_found_whole() {
        assert_eq!(found("k=a;b;c; l=d", "k=<a;b;c>; l=d"), ["a;b;c"]);
        assert_eq!(found("no such thing", "k=<x>"), [""; 0]);
    }
}
