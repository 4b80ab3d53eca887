//! What the first bytes of a tunnel are: TLS, HTTP, or something else. Pure.
//!
//! Source: RFC 8446 §4.1.2 and §5.1 (`ClientHello` in a handshake record), RFC 9112 §3, RFC 9113 §3.4.

use rustls::server::Acceptor;

/// Most bytes that are looked at. What has not shown itself by then is passed on.
const MOST_BYTES: usize = 64 * 1024;
/// First byte of a TLS record with a handshake message.
const HANDSHAKE: u8 = 22;
/// Methods with which clients of this proxy begin. A list, since other protocols begin with capitals too.
const METHODS: [&[u8]; 8] = [
    b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE",
];
/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What a TLS client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Whom it wants to talk to; none if it dialled an address.
    pub(crate) server_name: Option<String>,
    pub(crate) offers_h2: bool,
    /// It says which protocols it speaks, and none of them is served here.
    pub(crate) speaks_others: bool,
}

/// What the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum First {
    /// Too few to tell.
    Unclear,
    Tls(Hello),
    Http,
    /// Neither.
    Other,
}

/// The first bytes of a client, and the reader of a `ClientHello` that may come in pieces.
#[derive(Default)]
pub(crate) struct FirstBytes {
    bytes: Vec<u8>,
    acceptor: Acceptor,
}

impl FirstBytes {
    /// Adds the next bytes and says what all of them are.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> First {
        self.bytes.extend_from_slice(bytes);
        match self.bytes.as_slice() {
            [] | [HANDSHAKE] => First::Unclear,
            [HANDSHAKE, 3, ..] => self.hello(bytes.len()),
            all if is_http(all) => First::Http,
            all if may_become_http(all) => First::Unclear,
            _ => First::Other,
        }
    }

    /// Whether nothing has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All bytes that came.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn hello(&mut self, added: usize) -> First {
        // The first byte alone does not reach the reader.
        let from = if self.bytes.len() - added < 2 {
            0
        } else {
            self.bytes.len() - added
        };
        let mut new = self.bytes.get(from..).unwrap_or_default();
        while !new.is_empty() {
            if !matches!(self.acceptor.read_tls(&mut new), Ok(1..)) {
                return First::Other;
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let offers = |wanted: &[u8]| {
                        let mut protocols = hello.alpn().into_iter().flatten();
                        protocols.any(|protocol| protocol == wanted)
                    };
                    let offers_h2 = offers(b"h2");
                    return First::Tls(Hello {
                        server_name: hello.server_name().map(str::to_owned),
                        offers_h2,
                        speaks_others: hello.alpn().is_some() && !offers_h2 && !offers(b"http/1.1"),
                    });
                }
                Err(_) => return First::Other,
            }
        }
        if self.bytes.len() > MOST_BYTES {
            First::Other
        } else {
            First::Unclear
        }
    }
}

/// A known method and a target in one of the forms that a server gets, or the preface of HTTP/2.
fn is_http(bytes: &[u8]) -> bool {
    let target = METHODS
        .iter()
        .find_map(|method| bytes.strip_prefix(*method)?.strip_prefix(b" "));
    let is_target =
        |target: &[u8]| matches!(target.first(), Some(b'/' | b'*')) || target.starts_with(b"http");
    target.is_some_and(is_target) || bytes.starts_with(PREFACE)
}

fn may_become_http(bytes: &[u8]) -> bool {
    let begins = |whole: &[u8]| whole.starts_with(bytes);
    let of_method = |method: &&[u8]| {
        begins(method)
            || bytes
                .strip_prefix(*method)
                .is_some_and(|rest| b" http".starts_with(rest))
    };
    begins(PREFACE) || METHODS.iter().any(of_method)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    fn hello(host: &str, protocols: &[&[u8]]) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = host.to_owned().try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The same bytes at once and one by one.
    fn first(bytes: &[u8]) -> First {
        let at_once = FirstBytes::default().push(bytes);
        let mut one_by_one = FirstBytes::default();
        let mut last = First::Unclear;
        for byte in bytes {
            last = one_by_one.push(&[*byte]);
            if last != First::Unclear {
                break;
            }
        }
        assert_eq!(last, at_once);
        at_once
    }

    #[test]
    fn a_client_hello_says_whom_it_wants_and_in_which_protocol() {
        let tls = |server_name: Option<&str>, offers_h2| {
            First::Tls(Hello {
                server_name: server_name.map(str::to_owned),
                offers_h2,
                ..Hello::default()
            })
        };
        assert_eq!(
            first(&hello("x.dev", &[b"h2", b"http/1.1"])),
            tls(Some("x.dev"), true)
        );
        let First::Tls(mail) = first(&hello("x.dev", &[b"imap"])) else {
            panic!("no TLS");
        };
        assert!(mail.speaks_others);
        assert_eq!(first(&hello("127.0.0.1", &[])), tls(None, false));
    }

    #[test]
    fn http_is_known_by_method_and_target() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"POST http://x/",
            b"OPTIONS *",
            PREFACE,
        ] {
            assert_eq!(first(bytes), First::Http, "{}", String::from_utf8_lossy(bytes));
        }
        for bytes in [
            &b"GET key"[..],
            b"EHLO x",
            b"\x05\x01\x00",
            b"word",
            b"\x16\x02\x00",
            b"PRI x",
        ] {
            assert_eq!(first(bytes), First::Other, "{}", String::from_utf8_lossy(bytes));
        }
        for bytes in [
            &b""[..],
            b"G",
            b"PU",
            b"DELETE ",
            b"GET htt",
            b"\x16",
            &hello("x.dev", &[])[..50],
        ] {
            assert_eq!(FirstBytes::default().push(bytes), First::Unclear);
        }
    }

    #[test]
    fn what_only_looks_like_tls_is_something_else() {
        assert_eq!(first(b"\x16\x03\x01\x00\x05hello"), First::Other);
        assert_eq!(first(b"\x16\x03\x01\xff\xffhello"), First::Other);
    }
}
