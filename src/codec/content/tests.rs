use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// What a compressor put out after each flushed part, and at its end.
fn encode(coding: &str, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    fn run<W: Write>(
        mut writer: W,
        parts: &[&[u8]],
        taken: impl Fn(&W) -> Vec<u8>,
        end: impl Fn(W) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let mut sizes = Vec::new();
        for part in parts {
            writer.write_all(part).unwrap();
            writer.flush().unwrap();
            sizes.push(taken(&writer).len());
        }
        let all = end(writer);
        let mut start = 0;
        sizes.push(all.len());
        sizes
            .into_iter()
            .map(|size| {
                let chunk = all[start..size].to_vec();
                start = size;
                chunk
            })
            .collect()
    }
    let level = Compression::default();
    match coding {
        "gzip" => run(
            GzEncoder::new(Vec::new(), level),
            parts,
            |w| w.get_ref().clone(),
            |w| w.finish().unwrap(),
        ),
        "deflate" => run(
            ZlibEncoder::new(Vec::new(), level),
            parts,
            |w| w.get_ref().clone(),
            |w| w.finish().unwrap(),
        ),
        "raw" => run(
            DeflateEncoder::new(Vec::new(), level),
            parts,
            |w| w.get_ref().clone(),
            |w| w.finish().unwrap(),
        ),
        "br" => run(
            brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20),
            parts,
            |w| w.get_ref().clone(),
            brotli::CompressorWriter::into_inner,
        ),
        _ => run(
            zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap(),
            parts,
            |w| w.get_ref().clone(),
            |w| w.finish().unwrap(),
        ),
    }
}

fn whole(coding: &str, text: &[u8]) -> Vec<u8> {
    encode(coding, &[text]).concat()
}

fn decoder(header: &str) -> ContentDecoder {
    ContentDecoder::for_header(header).unwrap().unwrap()
}

fn decode(header: &str, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let mut decoder = decoder(header);
    decoder.push(bytes, &mut out)?;
    decoder.finish(&mut out)?;
    Ok(out)
}

#[test]
fn headers_name_what_is_decoded() {
    for nothing in ["", "identity", " Identity , "] {
        assert!(
            ContentDecoder::for_header(nothing).unwrap().is_none(),
            "{nothing:?}"
        );
    }
    for known in [
        "gzip",
        "X-GZIP",
        "deflate",
        "BR",
        "zstd",
        "gzip, br",
        "identity,gzip",
    ] {
        assert!(ContentDecoder::for_header(known).unwrap().is_some(), "{known:?}");
    }
    let error = ContentDecoder::for_header("gzip, sdch").unwrap_err();
    assert_eq!(
        error,
        DecodeError::Unsupported {
            coding: "sdch".into()
        }
    );
    assert!(ContentDecoder::for_header("gzip,gzip,gzip,gzip,gzip").is_err());
}

#[test]
fn every_flushed_event_comes_out_at_once() {
    let events: [&[u8]; 3] = [b"data: 1\n\n", b": keepalive\n\n", b"data: {\"a\":2}\n\n"];
    for coding in CODINGS {
        let mut decoder = decoder(coding);
        for (event, chunk) in events.iter().zip(encode(coding, &events)) {
            let mut out = Vec::new();
            decoder.push(&chunk, &mut out).unwrap();
            assert_eq!(out, *event, "{coding}");
        }
    }
}

#[test]
fn both_kinds_of_deflate_are_decoded() {
    assert_eq!(decode("deflate", &whole("deflate", b"zlib")).unwrap(), b"zlib");
    assert_eq!(decode("deflate", &whole("raw", b"raw")).unwrap(), b"raw");
}

#[test]
fn members_and_frames_are_joined() {
    for coding in ["gzip", "zstd"] {
        let two = [whole(coding, b"one "), whole(coding, b"two")].concat();
        assert_eq!(decode(coding, &two).unwrap(), b"one two", "{coding}");
        let mut out = Vec::new();
        let mut decoder = decoder(coding);
        for byte in &two {
            decoder.push(&[*byte], &mut out).unwrap();
        }
        assert_eq!(
            (out.as_slice(), decoder.finish(&mut Vec::new())),
            (&b"one two"[..], Ok(())),
            "{coding}"
        );
    }
}

#[test]
fn stacked_codings_are_undone_in_reverse() {
    let body = whole("br", &whole("gzip", b"both"));
    assert_eq!(decode("gzip, br", &body).unwrap(), b"both");
    assert!(matches!(
        decode("br, gzip", &body),
        Err(DecodeError::Corrupt { coding: "gzip" })
    ));
}

#[test]
fn a_cut_body_gives_what_it_has_and_says_so() {
    let text: Vec<u8> = (0..60_000u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for coding in CODINGS {
        let body = whole(coding, &text);
        let mut out = Vec::new();
        let mut decoder = decoder(coding);
        decoder.push(&body[..body.len() / 2], &mut out).unwrap();
        assert_eq!(decoder.finish(&mut out), Err(DecodeError::Truncated { coding }));
        assert!(!out.is_empty() && text.starts_with(&out), "{coding}");
        assert_eq!(decode(coding, b"").unwrap(), b"", "{coding}");
    }
}

#[test]
fn what_is_not_in_the_coding_is_corrupt_and_stays_so() {
    for coding in CODINGS {
        let mut decoder = decoder(coding);
        let mut out = Vec::new();
        let corrupt = Err(DecodeError::Corrupt { coding });
        assert_eq!(
            decoder.push(b"\xFF\xFF{\"jsonrpc\":\"2.0\"}\xFF\xFF", &mut out),
            corrupt,
            "{coding}"
        );
        assert_eq!(decoder.push(b"more", &mut out), corrupt);
        assert_eq!(decoder.finish(&mut out), corrupt);
    }
}

#[test]
fn a_bomb_is_stopped() {
    let zeros = vec![0; 8 << 20];
    for coding in CODINGS {
        let body = whole(coding, &zeros);
        let limits = DecodeLimits {
            max_output_bytes: 3 << 20,
            max_ratio: u64::MAX,
        };
        let mut out = Vec::new();
        let mut by_size = ContentDecoder::with_limits(coding, limits).unwrap().unwrap();
        assert_eq!(
            by_size.push(&body, &mut out),
            Err(DecodeError::TooLarge { bytes: 3 << 20 }),
            "{coding}"
        );
        assert!(out.len() <= 3 << 20 && out.len() > 2 << 20, "{coding}");
        let mut out = Vec::new();
        assert!(
            matches!(
                decoder(coding).push(&body, &mut out),
                Err(DecodeError::TooLarge { .. })
            ),
            "{coding}"
        );
    }
    let nested = whole("gzip", &whole("gzip", &zeros));
    assert!(matches!(
        decode("gzip, gzip", &nested),
        Err(DecodeError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_of_any_size_decode_to_the_same(text in prop::collection::vec(any::<u8>(), 0..2_000), size in 1usize..50) {
        for coding in CODINGS {
            let mut out = Vec::new();
            let mut decoder = decoder(coding);
            for part in whole(coding, &text).chunks(size) {
                decoder.push(part, &mut out).unwrap();
            }
            decoder.finish(&mut out).unwrap();
            prop_assert_eq!(&out, &text);
        }
    }

    #[test]
    fn any_bytes_end_in_an_error_or_not(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for coding in ["gzip", "deflate", "br", "zstd", "zstd, br"] {
            let mut out = Vec::new();
            let mut decoder = decoder(coding);
            let first = decoder.push(&body, &mut out);
            prop_assert_eq!(first.is_err(), decoder.push(&[], &mut out).is_err());
        }
    }
}
