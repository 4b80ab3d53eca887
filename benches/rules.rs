//! What it costs to ask armed rules about a message: `cargo bench --bench rules`.

use std::borrow::Cow;

use divan::{Bencher, black_box};
use shadowcat::clock::Timestamp;
use shadowcat::intercept::filter::{Field, FieldValue, Filter, Subject};
use shadowcat::intercept::rule::{Hits, Rule, Verdict, WhileHeld};
use shadowcat::intercept::rules::Armory;
use shadowcat::snapshot::Direction;

fn main() {
    divan::main();
}

/// A call of a tool, as rules ask about it.
struct Call;

const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"q":"rust","path":"/srv/data"}}}"#;

impl Subject for Call {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        match field {
            Field::Method => Some("tools/call".into()),
            Field::Tool | Field::Name => Some("search".into()),
            Field::Kind => Some("request".into()),
            Field::Direction => Some("c2s".into()),
            _ => None,
        }
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(BODY))
    }
}

/// So many rules, none of which means the call.
fn armory(rules: usize, when: &str) -> Armory {
    let armory = Armory::new();
    for number in 0..rules {
        let rule = Rule {
            name: format!("rule {number}"),
            is_on: true,
            when: Filter::parse(when).unwrap_or_else(|error| unreachable!("{error}")),
            direction: None,
            hits: Hits::Always,
            verdict: Verdict::Hold,
            on_expire: None,
            while_held: WhileHeld::default(),
        };
        let armed = armory.put(rule);
        armed.unwrap_or_else(|error| unreachable!("{error}"));
    }
    armory
}

fn ask(bencher: Bencher<'_, '_>, rules: usize, when: &str) {
    let armory = armory(rules, when);
    bencher.bench_local(|| {
        let armed = armory.load();
        black_box(armed.choose(
            black_box(&Call),
            Direction::ClientToServer,
            Timestamp::from_micros(1),
        ))
    });
}

/// Rules that look at the method and the tool.
#[divan::bench(args = [0, 1, 10, 100])]
fn by_name(bencher: Bencher<'_, '_>, rules: usize) {
    ask(bencher, rules, "method:tools/call tool:delete_*");
}

/// Rules that look into the message.
#[divan::bench(args = [0, 1, 10, 100])]
fn by_content(bencher: Bencher<'_, '_>, rules: usize) {
    ask(
        bencher,
        rules,
        r#"method:tools/call $.params.arguments.path^="/etc""#,
    );
}
