//! What comes before the rows: numbers, failures, sessions, and the filters.

use std::io::{self, Write};

use super::item::{Item, What};
use super::text::escaped;
use super::{KINDS, MAX_PICK, MAX_PICKS, Page, duration, shortened};

/// Failures that are listed before the rows.
const MAX_LISTED: usize = 50;
/// Sessions that are listed, and can be picked.
const MAX_SESSIONS: usize = 100;

impl Page<'_> {
    pub(super) fn cards(&self, out: &mut dyn Write) -> io::Result<()> {
        let sessions = &self.tape.sessions;
        let messages: usize = sessions.iter().map(|session| session.messages.len()).sum();
        let calls: usize = sessions.iter().map(|session| session.calls.len()).sum();
        let bad = self.bad().count();
        let first = self.items.first().map_or(0, |item| item.us);
        let ends = self
            .items
            .iter()
            .map(|item| item.us + item.ending.took_us.unwrap_or(0));
        let last = ends.max().unwrap_or(first);
        let cards = [
            ("Calls", calls.to_string()),
            ("Messages", messages.to_string()),
            ("Sessions", sessions.len().to_string()),
            ("From first to last", duration(last - first)),
            ("Slowest call", duration(self.slowest_us)),
        ];
        writeln!(out, "<ul class=\"cards\">")?;
        let class = if bad > 0 { " class=\"hurt\"" } else { "" };
        writeln!(out, "<li{class}><b>{bad}</b>Errors</li>")?;
        for (name, value) in cards {
            writeln!(out, "<li><b>{value}</b>{name}</li>")?;
        }
        writeln!(out, "</ul>")
    }

    pub(super) fn what_went_wrong(&self, out: &mut dyn Write) -> io::Result<()> {
        let count = self.bad().count();
        if count == 0 {
            return Ok(());
        }
        writeln!(out, "<section class=\"wrong\"><h2>What went wrong</h2>\n<ol>")?;
        for (number, item) in self.bad().take(MAX_LISTED) {
            let reason = shortened(&item.ending.reason, 200);
            let colon = if reason.is_empty() { "" } else { ": " };
            writeln!(
                out,
                "<li><time>{}</time> {} <a href=\"#i{number}\">{}</a> <b>{}</b>{colon}{}</li>",
                self.clock(item.us),
                escaped(&self.session_name(item.place)),
                escaped(&shortened(&item.title, 120)),
                escaped(&item.ending.word),
                escaped(&reason)
            )?;
        }
        writeln!(out, "</ol>")?;
        if count > MAX_LISTED {
            writeln!(
                out,
                "<p class=\"dim\">And {} more: “Errors” below shows all.</p>",
                count - MAX_LISTED
            )?;
        }
        writeln!(out, "</section>")
    }

    pub(super) fn sessions(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>Sessions</h2>\n<div class=\"scroll\"><table><tr><th></th><th>Server</th><th>Transport</th><th>Revision</th>\
             <th class=\"n\">Calls</th><th class=\"n\">Messages</th><th class=\"n\">Errors</th></tr>"
        )?;
        let mut bad = vec![0_usize; self.tape.sessions.len()];
        self.bad().for_each(|(_, item)| bad[item.place] += 1);
        for (place, session) in self.tape.sessions.iter().enumerate().take(MAX_SESSIONS) {
            writeln!(
                out,
                "<tr><td><label for=\"s{place}\">{}</label></td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n{}\">{}</td></tr>",
                escaped(&self.session_name(place)),
                escaped(&session.server),
                session.carrier.name(),
                escaped(session.revision.as_deref().unwrap_or("not known")),
                session.calls.len(),
                session.messages.len(),
                if bad[place] > 0 { " hurt" } else { "" },
                bad[place]
            )?;
        }
        writeln!(out, "</table></div>")?;
        let more = self.tape.sessions.len().saturating_sub(MAX_SESSIONS);
        if more > 0 {
            writeln!(out, "<p class=\"dim\">And {more} more sessions.</p>")?;
        }
        Ok(())
    }

    /// What the style sheet does when a button is pressed.
    pub(super) fn filter_styles(&self, out: &mut dyn Write) -> io::Result<()> {
        for all in ["k-all", "s-all", "p-all"] {
            mark_pressed(out, all)?;
        }
        for (class, ..) in self.kinds() {
            hide_others(out, &format!("k-{class}"), class)?;
        }
        for place in 0..self.session_picks() {
            hide_others(out, &format!("s{place}"), &format!("g{place}"))?;
        }
        for number in 0..self.picks.len() {
            hide_others(out, &format!("p{number}"), &format!("m{number}"))?;
        }
        Ok(())
    }

    /// The buttons, which stand before what they filter and are pressed by their labels.
    pub(super) fn buttons(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut button = |group: &str, id: &str| {
            let checked = if id.ends_with("-all") { " checked" } else { "" };
            let label = match id {
                "k-all" => " aria-label=\"All rows\"",
                "s-all" => " aria-label=\"All sessions\"",
                "p-all" => " aria-label=\"All names\"",
                _ => "",
            };
            writeln!(
                out,
                "<input type=\"radio\" name=\"{group}\" id=\"{id}\"{checked}{label}>"
            )
        };
        button("kind", "k-all")?;
        for (class, ..) in self.kinds() {
            button("kind", &format!("k-{class}"))?;
        }
        button("session", "s-all")?;
        (0..self.session_picks()).try_for_each(|place| button("session", &format!("s{place}")))?;
        button("pick", "p-all")?;
        (0..self.picks.len()).try_for_each(|number| button("pick", &format!("p{number}")))
    }

    /// The labels of the buttons.
    pub(super) fn bar(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<h2>Timeline</h2>\n<p class=\"dim\">Rows open on a click. All times are UTC.</p>\n<nav class=\"bar\">"
        )?;
        writeln!(
            out,
            "<div><span>Show</span><label for=\"k-all\">All {}</label>",
            self.items.len()
        )?;
        for (class, name, count) in self.kinds() {
            writeln!(out, "<label for=\"k-{class}\">{name} {count}</label>")?;
        }
        writeln!(out, "</div>")?;
        if self.tape.sessions.len() > 1 {
            writeln!(out, "<div><span>Session</span><label for=\"s-all\">All</label>")?;
            for place in 0..self.session_picks() {
                let name = escaped(&self.session_name(place));
                writeln!(out, "<label for=\"s{place}\">{name}</label>")?;
            }
            writeln!(out, "</div>")?;
        }
        if self.picks.len() > 1 {
            self.names(out)?;
        }
        writeln!(out, "</nav>")
    }

    fn names(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut picks: Vec<(&String, &usize)> = self.picks.iter().collect();
        picks.sort();
        let more = if picks.len() == MAX_PICKS {
            ", the most frequent"
        } else {
            ""
        };
        writeln!(
            out,
            "<details><summary>By name{more}</summary><div><label for=\"p-all\">All</label>"
        )?;
        for (title, number) in picks {
            let title = escaped(&shortened(title, MAX_PICK));
            writeln!(out, "<label for=\"p{number}\">{title}</label>")?;
        }
        writeln!(out, "</div></details>")
    }

    /// Class, name and count of the kinds that there are.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str, usize)> {
        let count = |class| self.items.iter().filter(|item| has(item, class)).count();
        let kinds = KINDS
            .into_iter()
            .map(move |(class, name)| (class, name, count(class)));
        kinds.filter(|(.., count)| *count > 0)
    }

    fn session_picks(&self) -> usize {
        self.tape.sessions.len().min(MAX_SESSIONS)
    }
}

fn hide_others(out: &mut dyn Write, button: &str, class: &str) -> io::Result<()> {
    writeln!(out, "#{button}:checked~main>.i:not(.{class}){{display:none}}")?;
    mark_pressed(out, button)
}

fn mark_pressed(out: &mut dyn Write, button: &str) -> io::Result<()> {
    writeln!(
        out,
        "#{button}:checked~main .bar label[for={button}]{{background:var(--on);border-color:var(--on);color:#fff}}\n\
         #{button}:focus-visible~main .bar label[for={button}]{{outline:2px solid var(--c2s)}}"
    )
}

fn has(item: &Item<'_>, class: &str) -> bool {
    match class {
        "bad" => item.ending.is_bad,
        "touched" => item.verdict().is_some(),
        class => item.class() == class,
    }
}

impl Item<'_> {
    /// What the proxy did about it, if anything.
    pub(super) fn verdict(&self) -> Option<&'static str> {
        let of = |place: usize| {
            let message = &self.session.messages[place];
            Some(self.session.frame_of(message).verdict?.name())
        };
        match self.what {
            What::Call(call) => of(call.request).or_else(|| of(call.answer?)),
            What::Message(message) => Some(self.session.frame_of(message).verdict?.name()),
            What::Exchange(_) => None,
        }
    }

    /// Session and place of a call.
    pub(super) fn call_place(&self) -> Option<(usize, usize)> {
        match self.what {
            What::Call(call) => Some((self.place, self.session.messages[call.request].call?)),
            _ => None,
        }
    }
}
