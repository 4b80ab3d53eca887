//! What it costs to find the call of a message, with few and with many calls open: `cargo bench --bench correlation`.

use divan::{Bencher, black_box};
use shadowcat::clock::Timestamp;
use shadowcat::codec::envelope::{Envelope, scan};
use shadowcat::ids::{ExchangeId, IdSource};
use shadowcat::session::pairing::{Carriage, Pairing};
use shadowcat::snapshot::Direction;

fn main() {
    divan::main();
}

fn message(text: &str) -> Envelope {
    scan(text.as_bytes()).messages.remove(0)
}

fn request(id: u64) -> Envelope {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","_meta":{{"progressToken":{id}}}}}}}"#
    ))
}

fn carriage(exchange: u64, direction: Direction, is_modern: bool) -> Carriage {
    Carriage {
        at: Timestamp::from_micros(exchange),
        direction,
        exchange: ExchangeId::new(exchange).unwrap_or_else(|| unreachable!("exchanges count from one")),
        is_modern,
    }
}

/// A session with `open` calls that nobody has answered.
fn talk(open: u64, is_modern: bool, ids: &IdSource) -> Pairing {
    let mut pairing = Pairing::new(2_048);
    for exchange in 1..=open {
        let asked = carriage(exchange, Direction::ClientToServer, is_modern);
        pairing.place(asked, &request(exchange), ids);
    }
    pairing
}

/// A request and its answer.
#[divan::bench(args = [0, 10, 1_000])]
fn a_call(bencher: Bencher<'_, '_>, open: u64) {
    let ids = IdSource::default();
    let mut pairing = talk(open, false, &ids);
    let asked = request(1_000_000);
    let answered = message(r#"{"jsonrpc":"2.0","id":1000000,"result":{}}"#);
    bencher.bench_local(|| {
        let there = carriage(open + 1, Direction::ClientToServer, false);
        let back = carriage(open + 1, Direction::ServerToClient, false);
        black_box(pairing.place(there, &asked, &ids));
        black_box(pairing.place(back, &answered, &ids))
    });
}

/// A progress notification for a call among others.
#[divan::bench(args = [1, 10, 1_000])]
fn progress(bencher: Bencher<'_, '_>, open: u64) {
    let ids = IdSource::default();
    let mut pairing = talk(open, false, &ids);
    let told = message(
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
    );
    let back = carriage(1, Direction::ServerToClient, false);
    bencher.bench_local(|| black_box(pairing.place(back, &told, &ids)));
}

/// A request whose exchange ends without an answer, as modern ones may.
#[divan::bench(args = [0, 10, 1_000])]
fn an_exchange_that_ends(bencher: Bencher<'_, '_>, open: u64) {
    let ids = IdSource::default();
    let mut pairing = talk(open, true, &ids);
    let asked = request(1_000_000);
    let there = carriage(open + 1, Direction::ClientToServer, true);
    bencher.bench_local(|| {
        black_box(pairing.place(there, &asked, &ids));
        pairing.end_exchange(there.exchange);
    });
}
