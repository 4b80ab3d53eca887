//! Secrets that a user describes: regular expressions over the text that would be recorded.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::tag::{TAG_END, TAG_START, Tagger};

/// What is held back of a frame that comes in parts, so that a match across two parts is found.
const WINDOW: usize = 4096;

/// The most that is held back, for the sake of a match that has not ended yet.
const MAX_HELD: usize = 1 << 16;

/// What stays of the text before, so that `^` and `\b` know where they are.
const CONTEXT: usize = 8;

/// Bytes that one compiled pattern may take.
const MAX_COMPILED: usize = 1 << 20;

/// A tag, or what stands for any tag: no secret any more.
const TAG: &str = "\u{2039}secret(?::[0-9a-f]{12})?\u{203a}";

/// What stands for a secret, whichever tag it had.
const ANY_TAG: &[u8] = "\u{2039}secret\u{203a}".as_bytes();

/// A regular expression whose matches are replaced like other secrets.
#[derive(Debug, Clone)]
pub struct RedactPattern {
    text: String,
    /// Matches tags too, so that no part of one is taken for a secret.
    regex: Regex,
}

impl PartialEq for RedactPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RedactPattern {}

/// A pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactPatternError {
    /// It is no regular expression.
    #[error("cannot redact `{text}`: {problem}; write a regular expression such as acme-[0-9a-f]{{32}}")]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It matches the empty text.
    #[error(
        "cannot redact `{text}`: it matches everywhere, since it matches nothing at all; write what a secret has at least"
    )]
    Empty {
        /// What was given.
        text: String,
    },
}

impl RedactPattern {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for RedactPattern {
    type Err = RedactPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let compile = |pattern: &str| {
            let built = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
            built.map_err(|error| RedactPatternError::Syntax {
                text: text.to_owned(),
                problem: problem(&error),
            })
        };
        if compile(text)?.is_match(b"") {
            let text = text.to_owned();
            return Err(RedactPatternError::Empty { text });
        }
        Ok(Self {
            text: text.to_owned(),
            regex: compile(&format!("{TAG}|(?:{text})"))?,
        })
    }
}

/// The last line of what the parser says; the lines before show the place.
fn problem(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// All patterns of a user. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedactPatterns(Arc<[RedactPattern]>);

impl FromIterator<RedactPattern> for RedactPatterns {
    fn from_iter<I: IntoIterator<Item = RedactPattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

impl RedactPatterns {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in order.
    pub fn iter(&self) -> impl Iterator<Item = &RedactPattern> {
        self.0.iter()
    }

    /// Replaces the matches in a whole text; gives the text and how many there were.
    pub(super) fn replace(&self, text: Vec<u8>, tagger: &Tagger) -> (Vec<u8>, u32) {
        let spans = self.spans(&text, 0);
        if spans.is_empty() {
            return (text, 0);
        }
        let mut out = Vec::with_capacity(text.len());
        let replaced = write(&text, 0..text.len(), &spans, tagger, &mut out);
        (out, replaced)
    }

    /// Where the matches are from `start` on, in order; those that overlap are one.
    fn spans(&self, text: &[u8], start: usize) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        for pattern in &*self.0 {
            let mut at = start;
            while at < text.len()
                && let Some(found) = pattern.regex.find_at(text, at)
            {
                if !is_tag(found.as_bytes()) {
                    spans.push(found.range());
                }
                at = found.end().max(at + 1);
            }
        }
        spans.sort_by_key(|span| span.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => merged.push(span),
            }
        }
        merged
    }
}

/// Whether this is a tag as [`Tagger`] makes them, or stands for any.
pub(super) fn is_tag(text: &[u8]) -> bool {
    if text == ANY_TAG {
        return true;
    }
    let digits = text
        .strip_prefix(TAG_START.as_bytes())
        .and_then(|rest| rest.strip_suffix(TAG_END.as_bytes()));
    digits.is_some_and(|digits| digits.len() == 12 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Writes `part` of the text with tags in place of the spans; gives how many were written.
fn write(text: &[u8], part: Range<usize>, spans: &[Range<usize>], tagger: &Tagger, out: &mut Vec<u8>) -> u32 {
    let (mut at, mut replaced) = (part.start, 0);
    for span in spans {
        let (start, end) = (span.start.max(part.start), span.end.min(part.end));
        if start < end {
            out.extend_from_slice(&text[at..start]);
            out.extend_from_slice(tagger.tag(&text[start..end]).as_bytes());
            at = end;
            replaced += 1;
        }
    }
    out.extend_from_slice(&text[at..part.end]);
    replaced
}

/// Text that comes in parts and is searched across them.
#[derive(Debug, Default)]
pub(crate) struct PatternWindow {
    /// Context that was written already, and what is held back.
    text: Vec<u8>,
    /// Bytes of it that were written.
    written: usize,
}

impl PatternWindow {
    /// Takes the next part and gives what may be written, with how many secrets were replaced in it.
    pub(crate) fn push(&mut self, bytes: &[u8], is_last: bool, tagger: &Tagger) -> (Vec<u8>, u32) {
        let patterns = tagger.patterns();
        self.text.extend_from_slice(bytes);
        let spans = patterns.spans(&self.text, self.written);
        let end = if is_last {
            self.text.len()
        } else {
            self.safe_end(&spans)
        };
        let mut out = Vec::new();
        let replaced = write(&self.text, self.written..end, &spans, tagger, &mut out);
        let keep = end.saturating_sub(CONTEXT);
        self.text.drain(..keep);
        self.written = end - keep;
        (out, replaced)
    }

    /// Up to where nothing that comes can change what is a match.
    fn safe_end(&self, spans: &[Range<usize>]) -> usize {
        let window = self.text.len().saturating_sub(WINDOW).max(self.written);
        let crossing = spans.iter().find(|span| span.start < window && window < span.end);
        match crossing {
            Some(span) if self.text.len() - span.start <= MAX_HELD => span.start.max(self.written),
            _ => window,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tagger(patterns: &[&str]) -> Tagger {
        let patterns = patterns.iter().map(|text| text.parse().unwrap());
        Tagger::fixed().with_patterns(patterns.collect())
    }

    fn replaced(patterns: &[&str], text: &str) -> String {
        let tagger = tagger(patterns);
        let (text, _) = tagger.patterns().replace(text.as_bytes().to_vec(), &tagger);
        String::from_utf8(text).unwrap()
    }

    fn in_parts(tagger: &Tagger, text: &[u8], cuts: &[usize]) -> (Vec<u8>, u32) {
        let mut window = PatternWindow::default();
        let (mut out, mut count, mut rest) = (Vec::new(), 0, text);
        for cut in cuts {
            let (part, after) = rest.split_at((*cut).min(rest.len()));
            let (bytes, replaced) = window.push(part, false, tagger);
            out.extend(bytes);
            count += replaced;
            rest = after;
        }
        let (bytes, replaced) = window.push(rest, true, tagger);
        out.extend(bytes);
        (out, count + replaced)
    }

    #[test]
    fn matches_are_replaced_and_overlapping_ones_are_one() {
        let tag = |text: &str| Tagger::fixed().tag(text.as_bytes());
        assert_eq!(
            replaced(&["acme-[0-9]+", "[0-9]+x"], "an acme-12x and acme-3, 4"),
            format!("an {} and {}, 4", tag("acme-12x"), tag("acme-3"))
        );
    }

    #[test]
    fn a_tag_is_never_replaced() {
        let text = format!("{} 0123456789ab", Tagger::fixed().tag(b"x"));
        let once = replaced(&["[0-9a-f]{12}", "secret"], &text);
        assert!(once.starts_with(&Tagger::fixed().tag(b"x")), "{once}");
        assert!(!once.contains("0123456789ab"), "{once}");
    }

    #[test]
    fn a_pattern_that_cannot_be_used_says_why() {
        let error = |text: &str| text.parse::<RedactPattern>().unwrap_err().to_string();
        assert!(
            error("a(").starts_with("cannot redact `a(`: unclosed group"),
            "{}",
            error("a(")
        );
        assert!(error("x*").contains("matches everywhere"));
        assert!(error("(?x) a # b").starts_with("cannot redact `(?x) a # b`: unclosed group"));
    }

    #[test]
    fn no_more_is_held_back_than_is_needed() {
        let tagger = tagger(&["s[0-9]+"]);
        let mut window = PatternWindow::default();
        let (out, _) = window.push(&vec![b'a'; 10_000], false, &tagger);
        assert_eq!(out.len(), 10_000 - WINDOW);
        let endless = [b"s".to_vec(), vec![b'1'; 1 << 20]].concat();
        window.push(&endless, false, &tagger);
        assert!(window.text.len() <= WINDOW + CONTEXT, "{}", window.text.len());
    }

    proptest! {
        #[test]
        fn parts_give_what_the_whole_gives(
            text in "(a|s1|sec-[0-9]{3}| |\n){0,30}",
            cuts in prop::collection::vec(0_usize..12, 0..12),
        ) {
            let tagger = tagger(&["sec-[0-9]+", r"\bs1\b", "^a"]);
            let whole = tagger.patterns().replace(text.clone().into_bytes(), &tagger);
            prop_assert_eq!(in_parts(&tagger, text.as_bytes(), &cuts), whole);
        }

        #[test]
        fn long_texts_in_parts_give_what_the_whole_gives(
            words in prop::collection::vec(prop_oneof![Just("padding padding ".repeat(40)), Just("sec-77".to_owned()), Just("xs1 s1".to_owned())], 0..40),
            cuts in prop::collection::vec(0_usize..5000, 0..12),
        ) {
            let text = words.concat();
            let tagger = tagger(&["sec-[0-9]+", r"\bs1\b"]);
            let whole = tagger.patterns().replace(text.clone().into_bytes(), &tagger);
            prop_assert_eq!(in_parts(&tagger, text.as_bytes(), &cuts), whole);
        }
    }
}
