//! Secrets that are planted in bodies: what is to become of each is known beforehand.

use super::redacted::{FORM, KNOWN, redacted};
use crate::fuzzing::{Draw, cuttings};
use crate::recording::redact::{BodyFacts, Tagger};
use crate::snapshot::Carrier;

/// Names of members as they are spelled, and whether their values are secrets.
const MEMBERS: [(&str, bool); 14] = [
    ("a", false),
    ("token", true),
    ("name", false),
    ("api_key", true),
    ("pass\\u0077ord", true),
    ("progressToken", false),
    ("clientSecret", true),
    ("content", false),
    ("X-Auth-Key", true),
    ("nextPageToken", false),
    ("mcp-session-id", true),
    ("url", false),
    ("tokens", false),
    ("\\u0061ssertion", true),
];

/// Names that are secrets in the outermost object only.
const TOP_MEMBERS: [&str; 2] = ["code", "st\\u0061te"];

/// Names of parameters.
const PARAMETERS: [(&str, bool); 8] = [
    ("scope", false),
    ("code", true),
    ("client%5Fsecret", true),
    ("page", false),
    ("Session-Id", true),
    ("sig", true),
    ("grant_type", false),
    ("nextPageToken", false),
];

const MAX_DEPTH: u8 = 6;

/// From here on not every split is tried.
const MAX_SPLITS: usize = 160;

/// A body, and what is to be written of it.
struct Planted {
    tagger: Tagger,
    body: Vec<u8>,
    expected: Vec<u8>,
    /// How the lines of the data end, in an event.
    line_break: Option<&'static str>,
}

/// Every planted secret is replaced and every other byte stays, in every split of the body.
pub(crate) fn redact_planted(bytes: &[u8]) {
    let draw = &mut Draw::new(bytes);
    let mut planted = Planted {
        tagger: Tagger::fixed(),
        body: Vec::new(),
        expected: Vec::new(),
        line_break: None,
    };
    let (carrier, facts) = planted.any(draw);
    let check = |parts: &[&[u8]]| {
        let (text, withheld) = redacted(carrier, facts, parts, &planted.tagger);
        assert_eq!(
            String::from_utf8_lossy(&text),
            String::from_utf8_lossy(&planted.expected)
        );
        assert_eq!((text, withheld), (planted.expected.clone(), 0));
    };
    let (again, _) = redacted(carrier, facts, &[&planted.expected], &planted.tagger);
    assert_eq!(
        String::from_utf8_lossy(&again),
        String::from_utf8_lossy(&planted.expected),
        "a tag is no secret"
    );
    for parts in cuttings(&planted.body) {
        check(&parts);
    }
    if planted.body.len() <= MAX_SPLITS {
        for at in 0..planted.body.len() {
            let (before, after) = planted.body.split_at(at);
            check(&[before, after]);
        }
    }
}

impl Planted {
    fn any(&mut self, draw: &mut Draw<'_>) -> (Carrier, BodyFacts) {
        let json = draw.pick(&[Carrier::Http, Carrier::Stdio, Carrier::WebSocket]);
        match draw.byte() % 5 {
            0 => {
                self.blank(draw);
                self.document(draw);
                (json, KNOWN)
            }
            1 => {
                self.line_break = Some(draw.pick(&["\n", "\r\n", "\r"]));
                self.event(draw);
                (Carrier::Sse, KNOWN)
            }
            2 => {
                self.parameters(draw, true);
                (Carrier::Http, FORM)
            }
            3 => {
                self.pass(b"event: endpoint\ndata: ");
                self.url(draw);
                self.pass(b"\n\n");
                (Carrier::Sse, KNOWN)
            }
            _ => {
                self.prose(draw);
                (draw.pick(&[Carrier::Stderr, Carrier::Stdio]), KNOWN)
            }
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
        self.expected.extend_from_slice(bytes);
    }

    /// `spelled` is how `secret` stands in the body.
    fn plant(&mut self, spelled: &[u8], secret: &[u8]) {
        self.body.extend_from_slice(spelled);
        if !secret.is_empty() {
            self.expected
                .extend_from_slice(self.tagger.tag(secret).as_bytes());
        }
    }

    /// White space between tokens.
    fn blank(&mut self, draw: &mut Draw<'_>) {
        match (draw.byte() % 8, self.line_break) {
            (0, _) => self.pass(b" "),
            (1, None) => self.pass(b"\n\t"),
            (1 | 2, Some(end)) => {
                self.pass(end.as_bytes());
                let start = draw.pick(&["data:", "data: ", ": a comment\ndata:", "id: 7\ndata: "]);
                self.pass(start.as_bytes());
            }
            _ => {}
        }
    }

    fn document(&mut self, draw: &mut Draw<'_>) {
        if draw.is() {
            self.object(draw, 1);
        } else {
            self.array(draw, 1, false);
        }
        self.blank(draw);
    }

    fn event(&mut self, draw: &mut Draw<'_>) {
        self.pass(
            draw.pick(&["data:", "\u{feff}data: ", "event: message\ndata: "])
                .as_bytes(),
        );
        self.document(draw);
        let end = self.line_break.unwrap_or("\n");
        self.pass([end, end].concat().as_bytes());
    }

    fn value(&mut self, draw: &mut Draw<'_>, depth: u8, is_secret: (bool, bool)) {
        let kinds = if depth < MAX_DEPTH { 6 } else { 4 };
        match draw.byte() % kinds {
            0 => self.string(draw, is_secret.0),
            1 => self.number(draw, is_secret.1),
            2 => self.pass(b"true"),
            3 => self.pass(b"null"),
            4 => self.object(draw, depth + 1),
            _ => self.array(draw, depth + 1, is_secret.1),
        }
    }

    fn object(&mut self, draw: &mut Draw<'_>, depth: u8) {
        self.pass(b"{");
        for index in 0..draw.byte() % 4 {
            if index > 0 {
                self.pass(b",");
            }
            self.blank(draw);
            let is_top = depth == 1 && draw.byte() % 8 == 7;
            let (name, is_secret) = if is_top {
                (draw.pick(&TOP_MEMBERS), (true, false))
            } else {
                let (name, is_secret) = draw.pick(&MEMBERS);
                (name, (is_secret, is_secret))
            };
            self.pass(format!("\"{name}\"").as_bytes());
            self.blank(draw);
            self.pass(b":");
            self.blank(draw);
            self.value(draw, depth, is_secret);
            self.blank(draw);
        }
        self.pass(b"}");
    }

    fn array(&mut self, draw: &mut Draw<'_>, depth: u8, is_secret: bool) {
        self.pass(b"[");
        for index in 0..draw.byte() % 4 {
            if index > 0 {
                self.pass(b",");
            }
            self.blank(draw);
            // What is in an array that is in an array has no name.
            match draw.byte() % 4 {
                0 if depth < MAX_DEPTH => self.array(draw, depth + 1, false),
                1 if depth < MAX_DEPTH => self.object(draw, depth + 1),
                2 => self.number(draw, is_secret),
                _ => self.string(draw, is_secret),
            }
            self.blank(draw);
        }
        self.pass(b"]");
    }

    fn number(&mut self, draw: &mut Draw<'_>, is_secret: bool) {
        let number = draw.pick(&["0", "-1.5e3", "424242", "7E+2"]).as_bytes();
        if is_secret {
            self.expected.push(b'"');
            self.plant(number, number);
            self.expected.push(b'"');
        } else {
            self.pass(number);
        }
    }

    fn string(&mut self, draw: &mut Draw<'_>, is_secret: bool) {
        let text = draw.bytes(12);
        let mut spelled = Vec::new();
        let mut plain = Vec::new();
        // What passes names no secret inside of itself.
        let is_kept = |byte: &&u8| is_secret || !matches!(byte, b':' | b'=' | b' ');
        for byte in text.iter().filter(is_kept) {
            match byte {
                b'"' | b'\\' => spelled.extend([b'\\', *byte]),
                b'\n' => spelled.extend(b"\\n"),
                0..0x20 | 0x7f => spelled.extend(format!("\\u{byte:04X}").as_bytes()),
                _ => spelled.push(*byte),
            }
            plain.push(*byte);
        }
        self.pass(b"\"");
        if is_secret {
            self.plant(&spelled, &plain);
        } else {
            self.pass(&spelled);
        }
        self.pass(b"\"");
    }

    /// `a=1&b=2`. In a form a value ends nowhere but at the next `&`.
    fn parameters(&mut self, draw: &mut Draw<'_>, is_form: bool) {
        for index in 0..draw.byte() % 4 {
            if index > 0 {
                self.pass(b"&");
            }
            let (name, is_secret) = draw.pick(&PARAMETERS);
            self.pass(name.as_bytes());
            self.pass(b"=");
            if !is_secret {
                self.pass(draw.pick(&["", "abc", "a%20b", "1.5"]).as_bytes());
                continue;
            }
            let (mut spelled, mut plain) = (Vec::new(), Vec::new());
            for byte in draw.bytes(12) {
                let is_plain = byte.is_ascii_alphanumeric() || is_form && !matches!(byte, b'&' | b'%');
                if is_plain {
                    spelled.push(*byte);
                } else {
                    spelled.extend(format!("%{byte:02x}").as_bytes());
                }
                plain.push(*byte);
            }
            self.plant(&spelled, &plain);
        }
    }

    fn url(&mut self, draw: &mut Draw<'_>) {
        self.pass(draw.pick(&["https://", "see http://", "postgres://"]).as_bytes());
        let user: Vec<u8> = draw
            .bytes(12)
            .iter()
            .copied()
            .filter(|byte| *byte > b' ' && *byte != 0x7f && !b"/?#\"<>".contains(byte))
            .collect();
        if !user.is_empty() {
            self.plant(&user, &user);
            self.pass(b"@");
        }
        self.pass(b"host:80/path");
        self.pass(draw.pick(&["?", "#"]).as_bytes());
        self.parameters(draw, false);
    }

    /// A line that a program writes for people.
    fn prose(&mut self, draw: &mut Draw<'_>) {
        for _ in 0..draw.byte() % 4 {
            self.pass(
                draw.pick(&[
                    "listening, ",
                    "a = b; ",
                    "1:2 (x) ",
                    "\u{2192} ",
                    "\u{2026}\u{2039} ",
                ])
                .as_bytes(),
            );
            let start = draw.pick(&[
                "token=",
                "API_KEY: ",
                "\"password\" : \"",
                "Authorization: Bearer ",
                "secret => '",
            ]);
            self.pass(start.as_bytes());
            let kept: Vec<u8> = draw
                .bytes(12)
                .iter()
                .copied()
                .filter(u8::is_ascii_alphanumeric)
                .collect();
            // A word at least, so that it is no scheme.
            let secret = [b"s3cr3t", &kept[..]].concat();
            self.plant(&secret, &secret);
            let is_quoted = start.ends_with('"');
            let ends: &[&str] = if is_quoted {
                &["\" "]
            } else {
                &[" ", "\" ", "', ", "; ", ") "]
            };
            self.pass(draw.pick(ends).as_bytes());
        }
        self.pass(b"\n");
    }
}
