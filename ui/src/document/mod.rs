//! A message as lines of text, one way for each tab.

mod call;
pub(crate) mod headers;
pub(crate) mod pretty;
mod raw;
mod sent;
mod timing;

pub(crate) use pretty::{as_it_is, lay_out};
pub(crate) use sent::difference_lines;

use jiff::tz::TimeZone;
use shadowcat::clock::Timestamp;
use shadowcat::ids::MessageId;
use shadowcat::snapshot::{Body, Carrier, Direction, MessageDetail, RowVerdict, Severity};

use crate::copies::Copies;
use crate::detail::{Switches, Tab};
use crate::format;
use crate::paint::Line;
use crate::theme::{Role, Theme};
use crate::verdict_text;

/// Most lines that are made of one message.
const MOST_LINES: usize = 50_000;

/// One line of the detail.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DocLine {
    pub(crate) line: Line,
    /// The message that the line stands for.
    pub(crate) target: Option<MessageId>,
}

impl From<Line> for DocLine {
    fn from(line: Line) -> Self {
        Self { line, target: None }
    }
}

/// How lines are to look.
pub(crate) struct Look<'a> {
    pub(crate) columns: usize,
    pub(crate) switches: Switches,
    pub(crate) theme: Theme,
    pub(crate) zone: &'a TimeZone,
    /// The time of live traffic, for what is under way.
    pub(crate) now: Option<Timestamp>,
    /// What was sent again from this screen.
    pub(crate) copies: &'a Copies,
    /// The lines go to the clipboard: nothing about keys in them.
    pub(crate) is_for_copy: bool,
}

/// The lines of `tab`.
pub(crate) fn lines(message: &MessageDetail, tab: Tab, look: &Look<'_>) -> Vec<DocLine> {
    if tab == Tab::Call {
        return call::lines(message, look);
    }
    let whole = match tab {
        Tab::Pretty => pretty_tab(message, look),
        Tab::Raw => raw_tab(message, look),
        Tab::Sent => sent::lines(message, look),
        Tab::Headers => headers::lines(message, look),
        Tab::Timing | Tab::Call => timing::lines(message, look),
    };
    let wraps = look.switches.wraps;
    let fitted = whole.into_iter().flat_map(|line| {
        if wraps {
            line.wrapped(look.columns)
        } else {
            vec![line]
        }
    });
    fitted.take(MOST_LINES).map(DocLine::from).collect()
}

fn pretty_tab(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let mut lines = findings(message, look.theme);
    lines.extend(decided(message, look.theme));
    lines.extend(event_fields(message));
    lines.extend(changes(message, look.theme));
    match &message.body {
        Some(body) => {
            lines.extend(body_note(body));
            lines.extend(pretty::lines(&body.bytes, MOST_LINES));
        }
        None => lines.push(no_body(message)),
    }
    lines
}

fn raw_tab(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let Some(body) = &message.body else {
        return vec![no_body(message)];
    };
    let mut lines: Vec<Line> = body_note(body).into_iter().collect();
    let bytes = if body.wire.is_empty() {
        &body.bytes
    } else {
        &body.wire
    };
    lines.extend(raw::lines(bytes, look.switches.is_hex, MOST_LINES));
    lines
}

fn no_body(message: &MessageDetail) -> Line {
    let text = if message.row.size == 0 {
        "no body"
    } else if message.row.has_body {
        "the body cannot be shown"
    } else {
        "history no longer has the body; a recording would have kept it"
    };
    Line::of(Role::Dim, text)
}

/// What is remarkable about the message, worst first.
fn findings(message: &MessageDetail, theme: Theme) -> Vec<Line> {
    let mut findings: Vec<_> = message.row.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let shown = findings.into_iter().map(|finding| {
        let (role, word) = match finding.severity {
            Severity::Error => (Role::Bad, "error: "),
            Severity::Warning => (Role::Warn, "warning: "),
            Severity::Info => (Role::Accent, "note: "),
        };
        Line::of(role, theme.sign("⚑ ", "! "))
            .with(role, word)
            .say(Role::Text, &finding.text)
    });
    shown.collect()
}

fn event_fields(message: &MessageDetail) -> Option<Line> {
    let sse = message.sse.as_ref()?;
    let mut line = Line::of(Role::Dim, "event ").say(Role::Text, &sse.event);
    if let Some(id) = &sse.id {
        line = line.with(Role::Dim, "  id ").say(Role::Text, id);
    }
    if let Some(retry) = sse.retry {
        line = line
            .with(Role::Dim, "  retry ")
            .say(Role::Text, &format!("{retry} ms"));
    }
    if sse.comments > 0 {
        let comments = format::plural(sse.comments.into(), "comment");
        line = line.say(Role::Dim, &format!("  {comments}"));
    }
    Some(line)
}

/// What a rule or a person decided about it, and where the rest of that is.
fn decided(message: &MessageDetail, theme: Theme) -> Option<Line> {
    let line = verdict_text::line(&message.row, theme)?;
    Some(match message.sent {
        Some(_) => line.with(Role::Dim, "; tab Sent shows it"),
        None => line,
    })
}

/// What the receiver got in place of what is shown, which is what was sent.
fn changes(message: &MessageDetail, theme: Theme) -> Vec<Line> {
    let Some(exchange) = &message.exchange else {
        return Vec::new();
    };
    let is_changed = match message.row.carrier {
        Carrier::Http => true,
        Carrier::Sse => message.sse.as_ref().is_some_and(|sse| sse.event == "endpoint"),
        _ => false,
    };
    let (changes, sign, ascii) = match message.row.direction {
        Direction::ClientToServer => (&exchange.body_rewrites, "↳ the server got ", "> the server got "),
        Direction::ServerToClient => (
            &exchange.response_body_rewrites,
            "↳ the client got ",
            "> the client got ",
        ),
    };
    // What was decided about the message itself is said above.
    let said = message.row.verdict.as_ref().and_then(RowVerdict::words);
    let is_other = |change: &&String| said.as_ref() != Some(change);
    let line = |change: &String| Line::of(Role::Accent, theme.sign(sign, ascii)).say(Role::Text, change);
    let changes = changes.iter().filter(|_| is_changed).filter(is_other);
    changes.map(line).collect()
}

/// What is to be known about the bytes before reading them.
fn body_note(body: &Body) -> Option<Line> {
    let mut notes = Vec::new();
    if body.is_cut {
        let kept = format::size(body.bytes.len() as u64);
        notes.push(format!(
            "only the first {kept} of {} are kept",
            format::size(body.size)
        ));
    }
    if let Some(coding) = &body.coding {
        notes.push(format!("decoded from {coding}"));
    }
    (!notes.is_empty()).then(|| Line::default().say(Role::Warn, &notes.join("; ")))
}

/// The body, indented, without colours.
pub(crate) fn pretty_text(bytes: &[u8]) -> String {
    let lines: Vec<String> = pretty::lines(bytes, MOST_LINES).iter().map(Line::text).collect();
    lines.join("\n")
}

/// Both heads as text.
pub(crate) fn headers_text(message: &MessageDetail, look: &Look<'_>) -> String {
    let lines: Vec<String> = headers::lines(message, look).iter().map(Line::text).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use shadowcat::snapshot::{RowKind, SentHead};

    static ZONE: TimeZone = TimeZone::UTC;

    fn look(copies: &Copies) -> Look<'_> {
        Look {
            columns: 100,
            switches: Switches {
                wraps: false,
                is_hex: false,
                is_unmasked: false,
            },
            theme: Theme::default(),
            zone: &ZONE,
            now: None,
            copies,
            is_for_copy: false,
        }
    }

    fn texts(message: &MessageDetail, tab: Tab) -> Vec<String> {
        let lines = lines(message, tab, &look(&Copies::default()));
        lines.iter().map(|line| line.line.text()).collect()
    }

    #[test]
    fn the_sent_tab_of_a_copy_says_what_it_was_made_of_and_what_was_changed() {
        let fake = Fake::typical();
        let details = (1..20)
            .filter_map(MessageId::new)
            .filter_map(|id| fake.detail(id));
        let is_call = |message: &MessageDetail| {
            message.row.kind == RowKind::Request && message.row.direction == Direction::ClientToServer
        };
        let mut message = details.into_iter().find(is_call).unwrap();
        let copy = r#"{"jsonrpc":"2.0","id":"shadowcat-9","method":"ping","params":{"n":2}}"#;
        message.row.rpc_id = Some("\"shadowcat-9\"".to_owned());
        message.row.verdict = None;
        message.body.as_mut().unwrap().bytes = copy.into();
        let of = |copies: &Copies| {
            let lines = lines(&message, Tab::Sent, &look(copies));
            let texts: Vec<String> = lines.iter().map(|line| line.line.text()).collect();
            texts.join("\n")
        };
        let mut copies = Copies::default();
        assert!(of(&copies).contains("sent again by hand"), "{}", of(&copies));
        let original = copy.replace("\"shadowcat-9\"", "7");
        let number = copies.ask(&original.replace("\"n\":2", "\"n\":1"));
        copies.sent(number, "\"shadowcat-9\"");
        let text = of(&copies);
        assert!(text.contains("sent again by hand from #7"), "{text}");
        assert!(text.contains("≠ $.params.n") && !text.contains("$.id"), "{text}");
        let number = copies.ask(&original);
        copies.sent(number, "\"shadowcat-9\"");
        assert!(
            of(&copies).contains("nothing in it was changed"),
            "{}",
            of(&copies)
        );
    }

    #[test]
    fn what_the_other_side_got_is_said_above_what_was_sent_and_beside_its_own_head() {
        let fake = Fake::typical();
        let ids = (1..20).filter_map(MessageId::new);
        let mut details = ids.filter_map(|id| fake.detail(id));
        let mut message = details
            .find(|message| message.row.carrier == Carrier::Http && message.exchange.is_some())
            .unwrap();
        if let Some(exchange) = &mut message.exchange {
            exchange.body_rewrites = vec!["resource: http://own/ → http://up/".to_owned()];
            exchange.response_rewrites = vec!["Location: /a → /up/a".to_owned()];
            exchange.sent = Some(Box::new(SentHead {
                removed: vec!["te".to_owned(), "keep-alive".to_owned()],
                set: vec![
                    ("host".to_owned(), "127.0.0.1:3001".to_owned()),
                    ("x-new".to_owned(), "2".to_owned()),
                    ("x-api-key".to_owned(), "s3cret".to_owned()),
                ],
                ..SentHead::default()
            }));
            exchange.response_body_rewrites = vec!["issuer: http://up → http://own".to_owned()];
        }
        message.row.direction = Direction::ClientToServer;
        let asked = texts(&message, Tab::Pretty).join("\n");
        assert!(
            asked.contains("↳ the server got resource: http://own/ → http://up/"),
            "{asked}"
        );
        message.row.direction = Direction::ServerToClient;
        let answered = texts(&message, Tab::Pretty).join("\n");
        assert!(
            answered.contains("↳ the client got issuer: http://up → http://own"),
            "{answered}"
        );
        assert!(!answered.contains("resource:"), "{answered}");
        let headers = texts(&message, Tab::Headers);
        let place = |text: &str| headers.iter().position(|line| line.contains(text)).unwrap();
        assert!(place("resource: http://own/") < place("request body"));
        assert!(place("↳ sent on without te, keep-alive") < place("request body"));
        assert!(place("↳ sent on with x-new: 2") < place("request body"));
        let text = headers.join("\n");
        assert!(!text.contains("s3cret"), "{text}");
        let told = text.matches("127.0.0.1:3001").count();
        assert_eq!(told, 1, "{text}");
        assert!(place("request body") < place("Location: /a"));
        assert!(place("Location: /a") < place("issuer: http://up"));
        assert!(place("issuer: http://up") < place("response body"));
    }
}
