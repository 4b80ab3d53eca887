//! Answers that a server compresses.

use serde_json::json;

use crate::shim::*;

type Encode<'a> = &'a dyn Fn(&str) -> Vec<u8>;

/// A server that compresses whatever it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_server_compresses_unasked_are_understood() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = |text: &str| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let brotli = |text: &str| {
        let mut out = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams::default();
        brotli::BrotliCompress(&mut text.as_bytes(), &mut out, &parameters).unwrap();
        out
    };
    let zstd = |text: &str| zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let codings: [(&str, Encode<'_>); 4] = [
        ("gzip", &gzip),
        ("deflate", &deflate),
        ("br", &brotli),
        ("zstd", &zstd),
    ];
    for (coding, encode) in codings {
        for media_type in ["application/json", "text/event-stream"] {
            let (server, mut shim) = raw().await;
            shim.say(&modern(1, "ping", "")).await;
            let asked = Asked::by(&server).await;
            assert_eq!(asked.field("accept-encoding"), Some("identity"));
            let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
            let body = match media_type {
                "application/json" => answer.to_owned(),
                _ => format!("data: {answer}\n\n"),
            };
            let fields = format!("Content-Type: {media_type}\r\nContent-Encoding: {coding}\r\n");
            asked.answer_bytes("200 OK", &fields, &encode(&body)).await;
            assert_eq!(shim.hear().await, answer, "{coding} {media_type}");
        }
        let (server, mut shim) = raw().await;
        shim.say(&modern(1, "ping", "")).await;
        let fields = format!("Content-Type: text/plain\r\nContent-Encoding: {coding}\r\n");
        let asked = Asked::by(&server).await;
        asked
            .answer_bytes("500 Internal Server Error", &fields, &encode("out of memory"))
            .await;
        let error = shim.hear_json().await;
        let text = error["error"]["message"].as_str().unwrap();
        assert!(
            text.ends_with("500 Internal Server Error: out of memory"),
            "{coding}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_that_nobody_knows_and_a_broken_one_are_told() {
    for (coding, body, said) in [
        (
            "compress",
            "x",
            "content coding \"compress\" cannot be decoded; gzip, deflate, br and zstd can",
        ),
        (
            "gzip",
            "{\"jsonrpc\":\"2.0\",\"id\":1}",
            "the body is not valid gzip",
        ),
    ] {
        let (server, mut shim) = raw().await;
        shim.say(&modern(1, "ping", "")).await;
        let fields = format!("Content-Type: application/json\r\nContent-Encoding: {coding}\r\n");
        Asked::by(&server).await.answer("200 OK", &fields, body).await;
        let error = shim.hear_json().await;
        assert_ours(&error, &json!(1), "undecodable");
        let text = error["error"]["message"].as_str().unwrap();
        assert!(text.contains(said), "{text}");
    }
}
