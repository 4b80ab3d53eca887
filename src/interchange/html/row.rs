//! A row and what it opens to.

use std::io::{self, Write};

use super::super::words::{arrow, pretty, time, title};
use super::item::{Item, What};
use super::text::{escaped, marked};
use super::{MAX_PICK, Page, duration, shortened};
use crate::replay::tape::{TapeCall, TapeMessage};
use crate::snapshot::{Carrier, Direction, Head};

/// Longest title, in characters.
const MAX_TITLE: usize = 200;
/// What is left of a message once the page has enough of them, in characters.
const MAX_LATE: usize = 300;

impl Page<'_> {
    pub(super) fn row(
        &self,
        number: usize,
        item: &Item<'_>,
        left: &mut usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        write!(out, "<details class=\"{}\"><summary>", self.classes(item))?;
        self.summary(item, out)?;
        writeln!(out, "</summary><div class=\"d\" id=\"i{number}\">")?;
        self.facts(item, out)?;
        match item.what {
            What::Call(call) => self.call(item, call, left, out)?,
            What::Message(message) => text("", &message.text, left, out)?,
            What::Exchange(_) => bodies(item, left, out)?,
        }
        writeln!(out, "</div></details>")
    }

    /// By which it is drawn and filtered.
    fn classes(&self, item: &Item<'_>) -> String {
        let side = match item.direction() {
            Direction::ClientToServer => "c2s",
            Direction::ServerToClient => "s2c",
        };
        let bad = if item.ending.is_bad { " bad" } else { "" };
        let touched = item.verdict().map_or("", |_| " touched");
        let pick = self.picks.get(&item.title);
        let pick = pick.map_or_else(String::new, |pick| format!(" m{pick}"));
        format!("i {side} {} g{}{bad}{touched}{pick}", item.class(), item.place)
    }

    /// What is seen of it without opening it.
    fn summary(&self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        write!(
            out,
            "<time>{}</time><span class=\"s\">{}</span><span class=\"w\">{}</span><span class=\"m\">{}",
            self.clock(item.us),
            escaped(&shortened(&self.session_name(item.place), 12)),
            speaker(item.direction()),
            escaped(&shortened(&item.title, MAX_TITLE))
        )?;
        if item.ending.is_bad && !item.ending.reason.is_empty() {
            let reason = shortened(&item.ending.reason, MAX_PICK * 2);
            write!(out, " <em>{}</em>", escaped(&reason))?;
        }
        write!(out, "</span><span class=\"r\">")?;
        if let Some(verdict) = item.verdict() {
            write!(out, "<span class=\"v\">{verdict}</span> ")?;
        }
        write!(out, "{}</span><span class=\"t\">", escaped(&item.ending.word))?;
        if let Some(took) = item.ending.took_us {
            let part = (took.max(0) * 100)
                .checked_div(self.slowest_us)
                .unwrap_or(0)
                .min(100);
            write!(out, "{}<i style=\"width:{part}%\"></i>", duration(took))?;
        }
        write!(out, "</span>")
    }

    /// The time of day, to the millisecond; the date is in what a row opens to.
    pub(super) fn clock(&self, us: i64) -> String {
        let moment = time(self.tape, us);
        let clock = moment.split_once('T').map_or("", |(_, clock)| clock);
        let (seconds, fraction) = clock.trim_end_matches('Z').split_once('.').unwrap_or((clock, ""));
        let fraction = format!("{fraction:0<3}");
        let seconds = seconds.trim_end_matches('Z');
        format!("{seconds}.{}", fraction.get(..3).unwrap_or_default())
    }

    /// When, and over what.
    fn facts(&self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        let exchange = item.exchange();
        let since = item.us - self.items.first().map_or(0, |first| first.us);
        write!(
            out,
            "<p class=\"dim\">{} (+{}), exchange {}",
            time(self.tape, item.us),
            duration(since),
            exchange.id
        )?;
        let line = shortened(&exchange.request_head.line, MAX_TITLE);
        if !line.is_empty() {
            write!(out, ", <code>{}</code>", escaped(&line))?;
        }
        if let Some(response) = &exchange.response {
            write!(
                out,
                " → <code>{}</code>",
                escaped(&shortened(&response.head.line, MAX_TITLE))
            )?;
        }
        writeln!(out, "</p>")?;
        if !item.ending.reason.is_empty() && item.ending.is_bad {
            writeln!(out, "<p class=\"hurt\">{}</p>", escaped(&item.ending.reason))?;
        }
        Ok(())
    }

    fn call(
        &self,
        item: &Item<'_>,
        call: &TapeCall,
        left: &mut usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let request = &item.session.messages[call.request];
        writeln!(out, "<div class=\"two\"><div>")?;
        text(speaker(request.direction), &request.text, left, out)?;
        writeln!(out, "</div><div>")?;
        if let Some(answer) = call.answer.map(|answer| &item.session.messages[answer]) {
            text(speaker(answer.direction), &answer.text, left, out)?;
        } else {
            writeln!(out, "<p>There is no answer.</p>")?;
            heads(item, out)?;
        }
        writeln!(out, "</div></div>")?;
        for message in call.between.iter().map(|place| &item.session.messages[*place]) {
            self.between(item, message, left, out)?;
        }
        Ok(())
    }

    /// A message that came between request and answer: where its own row is, or all of it.
    fn between(
        &self,
        item: &Item<'_>,
        message: &TapeMessage,
        left: &mut usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let title = escaped(&shortened(&title(item.session, message), MAX_TITLE));
        let (clock, arrow) = (self.clock(message.us), arrow(message.direction));
        let own = message.call.and_then(|call| self.places.get(&(item.place, call)));
        let is_other = message.call != item.call_place().map(|(_, call)| call);
        if let Some(own) = own.filter(|_| is_other) {
            return writeln!(
                out,
                "<p><time>{clock}</time> {arrow} <a href=\"#i{own}\">{title}</a></p>"
            );
        }
        writeln!(
            out,
            "<details><summary><time>{clock}</time> {arrow} {title}</summary>"
        )?;
        text("", &message.text, left, out)?;
        writeln!(out, "</details>")
    }
}

/// The bodies of an exchange without messages, and its heads.
fn bodies(item: &Item<'_>, left: &mut usize, out: &mut dyn Write) -> io::Result<()> {
    heads(item, out)?;
    for frame in &item.exchange().frames {
        if frame.carrier == Carrier::Http && std::str::from_utf8(&frame.payload).is_err() {
            writeln!(
                out,
                "<p>{}: {} bytes that are no text</p>",
                speaker(frame.direction),
                frame.payload.len()
            )?;
        } else {
            text(speaker(frame.direction), &frame.payload, left, out)?;
        }
    }
    Ok(())
}

fn heads(item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
    let exchange = item.exchange();
    let heads = [
        Some(&exchange.request_head),
        exchange.response.as_ref().map(|response| &response.head),
    ];
    for head in heads.into_iter().flatten().filter(|head| !head.line.is_empty()) {
        writeln!(out, "<pre>{}</pre>", escaped(&head_text(head)))?;
    }
    Ok(())
}

fn text(who: &str, text: &[u8], left: &mut usize, out: &mut dyn Write) -> io::Result<()> {
    let mut pretty = pretty(text);
    if *left < pretty.len() {
        pretty = shortened(&String::from_utf8_lossy(text), MAX_LATE);
    }
    *left = left.saturating_sub(pretty.len());
    if !who.is_empty() {
        writeln!(out, "<p class=\"dim\">{who}, {} bytes</p>", text.len())?;
    }
    writeln!(out, "<pre>{}</pre>", marked(&pretty))
}

fn head_text(head: &Head) -> String {
    let fields = head
        .fields
        .iter()
        .map(|(name, value)| format!("\n{name}: {value}"));
    let text: String = std::iter::once(head.line.clone()).chain(fields).collect();
    shortened(&text, super::super::words::MAX_SHOWN)
}

const fn speaker(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "client",
        Direction::ServerToClient => "server",
    }
}
