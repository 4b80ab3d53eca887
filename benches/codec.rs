//! How fast bytes are scanned and cut: `cargo bench --bench codec`.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use shadowcat::codec::envelope::scan;
use shadowcat::codec::event::single_data_line;
use shadowcat::codec::sse::SseCutter;

fn main() {
    divan::main();
}

/// Documents by the kind of work they make.
const DOCUMENTS: [&str; 6] = ["small", "result", "numbers", "escapes", "base64", "pretty"];

fn document(name: &str) -> Vec<u8> {
    let text = |content: String| format!(r#"{{"result":{{"content":[{content}]}},"jsonrpc":"2.0","id":17}}"#);
    let document = match name {
        "small" => {
            r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"deploy","arguments":{"region":"eu-1","count":3,"labels":["a","b"]},"_meta":{"progressToken":"token-4","traceparent":"00-0af7651916cd43dd8448eb211c80319c-01"}}}"#
                .to_owned()
        }
        "result" => text(vec![r#"{"type":"text","text":"a line of some length, as tools return it","uri":"file:///a/b"}"#; 10_000].join(",")),
        "numbers" => text((0..100_000).map(|number| number.to_string()).collect::<Vec<_>>().join(",")),
        "escapes" => text(format!(r#""{}""#, r#"{\"key\":\"value\",\n\"n\":1}"#.repeat(40_000))),
        "base64" => text(format!(r#""{}""#, "iVBORw0KGgoAAAANSUhEUgAA".repeat(200_000))),
        _ => text("\n            {\n                \"name\": \"value\",\n                \"list\": [\n                    1\n                ]\n            },".repeat(10_000) + "1"),
    };
    document.into_bytes()
}

#[divan::bench(args = DOCUMENTS)]
fn scan_document(bencher: Bencher<'_, '_>, name: &str) {
    let document = document(name);
    bencher
        .counter(BytesCount::of_slice(&document))
        .bench(|| scan(black_box(&document)));
}

/// A stream of events of about 250 bytes, in reads of `chunk_bytes`.
#[divan::bench(args = [1_400, 16_384, 262_144])]
fn cut_events(bencher: Bencher<'_, '_>, chunk_bytes: usize) {
    let event = [b"event: message\ndata: ", &document("small")[..], b"\n\n"].concat();
    let stream = event.repeat(4_000);
    let chunks: Vec<Bytes> = stream.chunks(chunk_bytes).map(Bytes::copy_from_slice).collect();
    bencher
        .counter(BytesCount::of_slice(&stream))
        .bench(|| cut_all(black_box(&chunks)));
}

/// One event of 16 MiB in reads of 16 KiB.
#[divan::bench]
fn cut_one_large_event(bencher: Bencher<'_, '_>) {
    let stream = [b"data: ".to_vec(), vec![b'x'; 16 << 20], b"\n\n".to_vec()].concat();
    let chunks: Vec<Bytes> = stream.chunks(16_384).map(Bytes::copy_from_slice).collect();
    bencher
        .counter(BytesCount::of_slice(&stream))
        .bench(|| cut_all(black_box(&chunks)));
}

/// What every proxied event costs: cut, find its data, scan that.
#[divan::bench]
fn decode_events(bencher: Bencher<'_, '_>) {
    let event = [b"event: message\ndata: ", &document("small")[..], b"\n\n"].concat();
    let stream = Bytes::from(event.repeat(4_000));
    bencher.counter(BytesCount::of_slice(&stream)).bench(|| {
        let mut pieces = Vec::new();
        SseCutter::new(1 << 24).push(black_box(&stream), &mut pieces);
        let scans = pieces.iter().filter_map(|piece| match piece {
            shadowcat::codec::sse::SsePiece::Frame(frame) => Some(scan(&frame[single_data_line(frame)?])),
            _ => None,
        });
        scans.map(|scan| scan.messages.len()).sum::<usize>()
    });
}

fn cut_all(chunks: &[Bytes]) -> usize {
    let mut cutter = SseCutter::new(1 << 26);
    let mut pieces = Vec::new();
    let mut count = 0;
    for chunk in chunks {
        cutter.push(chunk, &mut pieces);
        count += pieces.len();
        pieces.clear();
    }
    count
}
