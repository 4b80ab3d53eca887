//! The fields a filter can ask for: one table that parsing, help, completion and `docs/filters.md` read.

use super::Needs;

/// A property of a row that a filter can ask for.
///
/// [`Field::ALL`] is the whole table in the order help shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// JSON-RPC method.
    Method,
    /// Name of the tool of a `tools/call`.
    Tool,
    /// Name of the prompt of a `prompts/get`.
    Prompt,
    /// What the call names: its tool, prompt or resource.
    Name,
    /// URI of a resource.
    Uri,
    /// JSON-RPC id, typed.
    Id,
    /// What the row is.
    Kind,
    /// Which way the message goes.
    Direction,
    /// Who chose the destination.
    Side,
    /// Session as the list shows it.
    Session,
    /// Name of the upstream.
    Server,
    /// `clientInfo.name` of the client.
    Client,
    /// HTTP status, or how the call stands.
    Status,
    /// JSON-RPC error code.
    Code,
    /// Time from request to answer.
    Duration,
    /// Bytes of the message.
    Size,
    /// What carries the message.
    Carrier,
    /// Protocol era.
    Era,
    /// Protocol revision.
    Revision,
    /// Number of the call.
    Call,
    /// Number of the exchange.
    Exchange,
    /// Number of the stream.
    Stream,
    /// SSE event name.
    Event,
    /// Text of an error.
    Error,
    /// Severity of a log message.
    Level,
    /// Marks and present fields.
    Has,
    /// An argument of a `tools/call`; read from the body, never asked of a subject.
    Argument,
    /// The row's own summary words.
    Summary,
    /// The whole body; read from the body, never asked of a subject.
    Text,
}

/// One value of a field with a fixed set of values.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    /// What a subject may say for this word to hold; one word may stand for several.
    pub(super) accepts: &'static [&'static str],
    pub(super) help: &'static str,
}

/// How the values of a field compare.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A short text: `:` is equality without case, or a glob.
    Text,
    /// As `Text`, and its values have an order (dates).
    Ordered,
    /// A long text: `:` is "contains".
    Prose,
    /// One of a fixed set.
    Words(&'static [Word]),
    /// One of a fixed set, from the smallest to the largest.
    Ranked(&'static [Word]),
    Number,
    Duration,
    Size,
    /// A number, or one of a fixed set.
    Status(&'static [Word]),
    Session,
    /// A typed JSON-RPC id.
    Id,
    /// Marks of the row.
    Marks(&'static [Word]),
    /// A JSON value in the body.
    Json,
}

struct Entry {
    field: Field,
    name: &'static str,
    aliases: &'static [&'static str],
    shape: Shape,
    needs: Needs,
    description: &'static str,
    example: &'static str,
}

const fn word(name: &'static str, accepts: &'static [&'static str], help: &'static str) -> Word {
    Word {
        name,
        aliases: &[],
        accepts,
        help,
    }
}

const fn alias(
    name: &'static str,
    aliases: &'static [&'static str],
    accepts: &'static [&'static str],
    help: &'static str,
) -> Word {
    Word {
        name,
        aliases,
        accepts,
        help,
    }
}

const KINDS: &[Word] = &[
    word("request", &["request"], "a message with a method and an id"),
    word(
        "response",
        &["response", "result", "error"],
        "a result or an error",
    ),
    word("result", &["result"], "an answer with a result"),
    word("error", &["error"], "an answer with a JSON-RPC error"),
    word(
        "notification",
        &["notification"],
        "a message with a method and no id",
    ),
    word("event", &["event"], "an SSE event that holds no JSON-RPC message"),
    word("http", &["http"], "an HTTP exchange that is not MCP"),
    word("run", &["run"], "a run of a command"),
    word(
        "stderr",
        &["stderr"],
        "a line of a command's standard error output",
    ),
    word(
        "tunnel",
        &["tunnel"],
        "a CONNECT tunnel; what is served in it has rows of its own",
    ),
];

const DIRECTIONS: &[Word] = &[
    alias(
        "c2s",
        &["->", "→", "client"],
        &["c2s"],
        "from the client to the server",
    ),
    alias(
        "s2c",
        &["<-", "←", "server"],
        &["s2c"],
        "from the server to the client",
    ),
];

const SIDES: &[Word] = &[
    word("forward", &["forward"], "the client chose the destination"),
    word("reverse", &["reverse"], "our configuration chose the destination"),
];

const STATUSES: &[Word] = &[
    word("ok", &["ok"], "answered without an error"),
    word("error", &["error"], "answered with an error, or failed"),
    word("open", &["open"], "not answered yet"),
    word("cancelled", &["cancelled"], "given up before its answer"),
];

const CARRIERS: &[Word] = &[
    word("http", &["http"], "an HTTP body"),
    word("sse", &["sse"], "an event of an SSE stream"),
    word("tunnel", &["tunnel"], "a CONNECT tunnel"),
    word(
        "stdio",
        &["stdio"],
        "a line of a command's standard input or output",
    ),
    word(
        "stderr",
        &["stderr"],
        "a line of a command's standard error output",
    ),
    alias("websocket", &["ws"], &["web_socket"], "a message of a WebSocket"),
];

const ERAS: &[Word] = &[
    word("legacy", &["legacy"], "revisions up to 2025-11-25"),
    word("modern", &["modern"], "revisions from 2026-07-28 on"),
];

/// Source: MCP, Logging: the severities of RFC 5424, here from the smallest to the largest.
const LEVELS: &[Word] = &[
    word("debug", &["debug"], "detail for debugging"),
    word("info", &["info"], "what is going on"),
    word("notice", &["notice"], "normal but worth knowing"),
    alias("warning", &["warn"], &["warning"], "something may be wrong"),
    word("error", &["error"], "something failed"),
    word("critical", &["critical"], "a part has failed"),
    word("alert", &["alert"], "somebody must act now"),
    word("emergency", &["emergency"], "nothing works"),
];

const MARKS: &[Word] = &[
    word(
        "error",
        &["error"],
        "an error, or a tool result that says isError",
    ),
    word("warning", &["warning"], "a finding about the protocol"),
    word("progress", &["progress"], "progress came for this call"),
    word("cut", &["cut"], "only the head of its body was kept"),
    word("resent", &["resent"], "sent again from here, or its answer"),
];

const fn entry(
    field: Field,
    name: &'static str,
    shape: Shape,
    needs: Needs,
    description: &'static str,
    example: &'static str,
) -> Entry {
    Entry {
        field,
        name,
        aliases: &[],
        shape,
        needs,
        description,
        example,
    }
}

#[rustfmt::skip]
const FIELDS: &[Entry] = {
    use Needs::{Envelope, Nothing, Whole};
    &[
        entry(Field::Method, "method", Shape::Text, Envelope, "JSON-RPC method", "method:tools/*"),
        entry(Field::Tool, "tool", Shape::Text, Envelope, "name of the tool of a tools/call", "tool:search"),
        entry(Field::Prompt, "prompt", Shape::Text, Envelope, "name of the prompt of a prompts/get", "prompt:summary"),
        entry(Field::Name, "name", Shape::Text, Envelope, "what the call names: its tool, prompt or resource", "name:read_*"),
        entry(Field::Uri, "uri", Shape::Text, Envelope, "URI of a resource", r#"uri^="file:///etc""#),
        entry(Field::Id, "id", Shape::Id, Envelope, r#"JSON-RPC id, typed: id:7 is the number, id:"7" the string"#, "id:7"),
        entry(Field::Kind, "kind", Shape::Words(KINDS), Envelope, "what the row is; response is a result or an error", "kind:notification"),
        Entry {
            aliases: &["direction"],
            ..entry(Field::Direction, "dir", Shape::Words(DIRECTIONS), Nothing, "which way it goes; -> and client are c2s, <- and server are s2c", "dir:c2s")
        },
        entry(Field::Side, "side", Shape::Words(SIDES), Nothing, "who chose the destination", "side:reverse"),
        entry(Field::Session, "session", Shape::Session, Nothing, "session as the list shows it; a bare number is that number on either side", "session:R1"),
        entry(Field::Server, "server", Shape::Text, Nothing, "name of the upstream", "server:github"),
        entry(Field::Client, "client", Shape::Text, Nothing, "name the client gave itself (clientInfo)", "client:*inspector*"),
        entry(Field::Status, "status", Shape::Status(STATUSES), Envelope, "HTTP status as a number, or how the call stands as a word", "status>=400"),
        entry(Field::Code, "code", Shape::Number, Whole, "JSON-RPC error code", "code:-32601"),
        Entry {
            aliases: &["duration"],
            ..entry(Field::Duration, "dur", Shape::Duration, Envelope, "time from request to answer; units us ms s m", "dur>2s")
        },
        entry(Field::Size, "size", Shape::Size, Whole, "bytes of the message; units k M G of 1,024", "size:>64k"),
        entry(Field::Carrier, "carrier", Shape::Words(CARRIERS), Nothing, "what carries the message", "carrier:sse"),
        entry(Field::Era, "era", Shape::Words(ERAS), Envelope, "protocol era", "era:modern"),
        Entry {
            aliases: &["rev"],
            ..entry(Field::Revision, "revision", Shape::Ordered, Envelope, "protocol revision; dates have an order", "revision>=2025-06-18")
        },
        entry(Field::Call, "call", Shape::Number, Envelope, "number of the call", "call:17"),
        entry(Field::Exchange, "exchange", Shape::Number, Nothing, "number of the exchange", "exchange:#17"),
        entry(Field::Stream, "stream", Shape::Number, Nothing, "number of the stream", "stream:3"),
        entry(Field::Event, "event", Shape::Text, Envelope, "SSE event name", "event:endpoint"),
        entry(Field::Error, "error", Shape::Prose, Whole, "text of the error", r#"error:"not found""#),
        entry(Field::Level, "level", Shape::Ranked(LEVELS), Whole, "severity of a log message, in order", "level>=warning"),
        entry(Field::Has, "has", Shape::Marks(MARKS), Whole, "whether the row has a mark, a field, an argument or a path", "has:progress"),
        entry(Field::Argument, "arg.NAME", Shape::Json, Whole, "argument of a tools/call: $.params.arguments.NAME", r#"arg.query~"drop table""#),
        entry(Field::Summary, "summary", Shape::Prose, Whole, "the words the row shows of its body", r#"summary:"3 rows""#),
        Entry {
            aliases: &["body"],
            ..entry(Field::Text, "text", Shape::Prose, Whole, "the whole body as it is written", "text:secret")
        },
    ]
};

impl Field {
    /// Every field, in the order help shows them.
    pub const ALL: [Self; FIELDS.len()] = {
        let mut all = [Self::Method; FIELDS.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = FIELDS[index].field;
            index += 1;
        }
        all
    };

    fn entry(self) -> &'static Entry {
        // The order of the table is the order of the enum, which a test holds fast.
        &FIELDS[self as usize]
    }

    /// The name as it is typed; [`Field::Argument`] is `arg.NAME`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Other names the parser takes.
    pub fn aliases(self) -> &'static [&'static str] {
        self.entry().aliases
    }

    /// One line of help.
    pub fn description(self) -> &'static str {
        self.entry().description
    }

    /// A filter that uses this field.
    pub fn example(self) -> &'static str {
        self.entry().example
    }

    /// How much of a message must be known before this field can be answered.
    pub fn needs(self) -> Needs {
        self.entry().needs
    }

    /// The fixed values of this field with a line of help each; empty when any value goes.
    pub fn values(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.words().iter().map(|word| (word.name, word.help))
    }

    /// The field of this name or alias, without regard to ASCII case.
    pub fn named(name: &str) -> Option<Self> {
        FIELDS
            .iter()
            .find(|entry| entry.is_named(name))
            .map(|entry| entry.field)
    }

    pub(super) fn shape(self) -> Shape {
        self.entry().shape
    }

    pub(super) fn words(self) -> &'static [Word] {
        match self.shape() {
            Shape::Words(words) | Shape::Ranked(words) | Shape::Status(words) | Shape::Marks(words) => words,
            _ => &[],
        }
    }
}

impl Entry {
    fn is_named(&self, name: &str) -> bool {
        // `arg` is followed by a path, so its name in the table is not one to type.
        self.field != Field::Argument
            && (self.name.eq_ignore_ascii_case(name)
                || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name)))
    }
}

impl Word {
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::filter::Filter;

    #[test]
    fn the_table_has_every_field_at_its_own_place() {
        for (index, field) in Field::ALL.iter().enumerate() {
            assert_eq!(*field as usize, index, "{}", field.name());
        }
        assert_eq!(Field::ALL.last(), Some(&Field::Text));
    }

    #[test]
    fn every_example_is_a_filter_that_uses_its_field() {
        for field in Field::ALL {
            let filter = Filter::parse(field.example()).expect("an example parses");
            let name = field.name().trim_end_matches("NAME");
            assert!(filter.to_string().starts_with(name), "{filter}");
        }
    }

    #[test]
    fn names_and_aliases_are_unique() {
        let mut names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
        names.extend(Field::ALL.iter().flat_map(|field| field.aliases()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_name_is_found_without_regard_to_case() {
        assert_eq!(Field::named("Method"), Some(Field::Method));
        assert_eq!(Field::named("rev"), Some(Field::Revision));
        assert_eq!(Field::named("arg.NAME"), None);
    }
}
