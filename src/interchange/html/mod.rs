//! One page with everything in it: no script, nothing fetched, and all text of peers escaped. Filters are radio buttons that the
//! style sheet acts on.

mod item;
mod overview;
mod row;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use item::{Item, items};
use text::escaped;

use super::words::{name_of, session_name, time};
use crate::replay::tape::Tape;

/// A browser that reads this does nothing but draw, whatever is in the page.
const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
"#;

/// Most things that can be picked by name, of each kind.
const MAX_PICKS: usize = 24;
/// Longest name of one, in characters.
const MAX_PICK: usize = 60;
/// Bytes of messages that are shown in all; those after it are cut short.
const MAX_TEXT_BYTES: usize = 24 << 20;

/// The filters by what a row is, with the class of its rows.
const KINDS: [(&str, &str); 6] = [
    ("bad", "Errors"),
    ("call", "Calls"),
    ("ask", "Asked by the server"),
    ("note", "Notifications"),
    ("http", "Other HTTP"),
    ("touched", "Changed or held"),
];

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    let page = Page::new(tape);
    let name = escaped(&name_of(tape));
    out.write_all(HEAD.as_bytes())?;
    out.write_all(include_bytes!("style.css"))?;
    page.filter_styles(out)?;
    let class = if tape.sessions.len() > 1 { "many" } else { "one" };
    writeln!(
        out,
        "</style>\n<title>{name}</title></head><body>\n<header><h1>{name}</h1>"
    )?;
    let secrets = if tape.is_redacted {
        " Secrets are tags."
    } else {
        " Secrets may be in it."
    };
    writeln!(
        out,
        "<p class=\"dim\">MCP traffic, recorded {} UTC with shadowcat-tui.{secrets}</p></header>",
        day_and_time(tape)
    )?;
    for damage in &tape.damage {
        writeln!(out, "<p class=\"hurt\">{}</p>", escaped(damage))?;
    }
    page.cards(out)?;
    page.what_went_wrong(out)?;
    page.buttons(out)?;
    writeln!(out, "<main class=\"{class}\">")?;
    page.sessions(out)?;
    page.bar(out)?;
    let mut left = MAX_TEXT_BYTES;
    for (number, item) in page.items.iter().enumerate() {
        page.row(number, item, &mut left, out)?;
    }
    if page.items.is_empty() {
        writeln!(out, "<p>There is nothing in this recording.</p>")?;
    }
    out.write_all(b"</main></body></html>\n")
}

/// What is in the page.
struct Page<'a> {
    tape: &'a Tape,
    items: Vec<Item<'a>>,
    /// Titles that many rows have, each with its number.
    picks: HashMap<String, usize>,
    /// Where the row of a call is, by session and place.
    places: HashMap<(usize, usize), usize>,
    /// The longest time that a call took.
    slowest_us: i64,
}

impl<'a> Page<'a> {
    fn new(tape: &'a Tape) -> Self {
        let items = items(tape);
        let mut counts = BTreeMap::<&str, usize>::new();
        for item in &items {
            *counts.entry(&item.title).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let picks = counts.into_iter().take(MAX_PICKS).enumerate();
        let picks = picks
            .map(|(number, (title, _))| (title.to_owned(), number))
            .collect();
        let places = items.iter().enumerate();
        let places = places.filter_map(|(number, item)| Some((item.call_place()?, number)));
        let took = items.iter().filter_map(|item| match item.what {
            item::What::Call(_) => item.ending.took_us,
            _ => None,
        });
        Self {
            tape,
            places: places.collect(),
            slowest_us: took.max().unwrap_or(0),
            picks,
            items,
        }
    }

    fn session_name(&self, place: usize) -> String {
        session_name(&self.tape.sessions[place])
    }

    fn bad(&self) -> impl Iterator<Item = (usize, &Item<'a>)> {
        self.items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.ending.is_bad)
    }
}

/// When the recording was begun, to the second.
fn day_and_time(tape: &Tape) -> String {
    let begun = time(tape, 0);
    begun.get(..19).unwrap_or(&begun).replace('T', " ")
}

/// At most `most` characters of it.
fn shortened(text: &str, most: usize) -> String {
    let mut cut: String = text.chars().take(most).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// A time that something took.
#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn duration(us: i64) -> String {
    match us.max(0) {
        us @ 0..10_000 => format!("{:.1} ms", us as f64 / 1000.0),
        us @ 10_000..1_000_000 => format!("{} ms", us / 1000),
        us @ 1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1_000_000.0),
        us => format!("{} min {} s", us / 60_000_000, us % 60_000_000 / 1_000_000),
    }
}
