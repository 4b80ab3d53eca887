//! One page with everything in it: no script, nothing fetched, and all text of peers escaped.

use std::io::{self, Write};

use super::markdown::ending;
use super::words::{arrow, name_of, pretty, session_name, shown, time, title};
use crate::replay::tape::{Tape, TapeCall, TapeSession};

/// A browser that reads this does nothing but draw, whatever is in the page.
const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1c1c1c;background:#fff}
h1{font-size:1.3em}h2{font-size:1.1em;margin-top:2em}
summary{cursor:pointer;padding:.2em .4em;font-family:ui-monospace,monospace}
summary:hover{background:#eef3fa}details{border-bottom:1px solid #ddd}
pre{background:#f6f6f6;padding:.7em;overflow:auto;max-height:40em;white-space:pre-wrap;overflow-wrap:anywhere}
.word{float:right;color:#555}.bad{color:#b00020}ul{margin:.3em 1.5em;padding:0;font-family:ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{background:#151515;color:#ddd}pre{background:#222}summary:hover{background:#223}details{border-color:#333}.word{color:#aaa}.bad{color:#ff6b81}}
</style>
"#;

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    let name = escaped(&name_of(tape));
    out.write_all(HEAD.as_bytes())?;
    writeln!(out, "<title>{name}</title></head><body>\n<h1>{name}</h1>")?;
    let secrets = if tape.is_redacted {
        " Secrets are tags."
    } else {
        ""
    };
    writeln!(
        out,
        "<p>Recorded {} with shadowcat-tui.{secrets}</p>",
        time(tape, 0)
    )?;
    for damage in &tape.damage {
        writeln!(out, "<p class=\"bad\">{}</p>", escaped(damage))?;
    }
    for session in tape
        .sessions
        .iter()
        .filter(|session| !session.messages.is_empty())
    {
        let revision = escaped(session.revision.as_deref().unwrap_or("unknown revision"));
        let (name, server) = (session_name(session), escaped(&session.server));
        writeln!(
            out,
            "<h2>{name}: {server}</h2>\n<p>{}, {revision}</p>",
            session.carrier.name()
        )?;
        for call in &session.calls {
            details(tape, session, call, out)?;
        }
    }
    out.write_all(b"</body></html>\n")
}

fn details(tape: &Tape, session: &TapeSession, call: &TapeCall, out: &mut dyn Write) -> io::Result<()> {
    let request = &session.messages[call.request];
    let (word, took) = ending(session, call);
    let class = if word.contains("error") || word.starts_with("no") {
        " bad"
    } else {
        ""
    };
    writeln!(
        out,
        "<details><summary>{} {}<span class=\"word{class}\">{} {took}</span></summary>\n<p>{}</p>",
        arrow(call.direction),
        escaped(&title(session, request)),
        escaped(&word),
        time(tape, request.us)
    )?;
    writeln!(out, "<pre>{}</pre>", escaped(&pretty(&request.text)))?;
    if !call.between.is_empty() {
        out.write_all(b"<ul>\n")?;
        for message in call.between.iter().map(|place| &session.messages[*place]) {
            let title = escaped(&title(session, message));
            writeln!(out, "<li>{} {title}</li>", arrow(message.direction))?;
        }
        out.write_all(b"</ul>\n")?;
    }
    if let Some(answer) = call.answer {
        writeln!(
            out,
            "<pre>{}</pre>",
            escaped(&pretty(&session.messages[answer].text))
        )?;
    }
    out.write_all(b"</details>\n")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in shown(text, "\n\t").chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
