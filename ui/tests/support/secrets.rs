//! A session with a secret in every place where MCP and OAuth have one. Each secret begins with [`MARK`], so that one search
//! finds whatever survives somewhere.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// How each secret begins; a number follows.
pub(crate) const MARK: &str = "s3cr3t-";

/// One exchange: the request, without `Host` and `Content-Length`, and its body; the same of the response.
pub(crate) struct Exchange {
    pub(crate) request: (&'static str, &'static str),
    pub(crate) response: (&'static str, &'static str),
}

/// All exchanges. Sources: the security best practices of MCP; RFC 6749, 7591, 7636, 8628, 8693, 9449.
pub(crate) const EXCHANGES: &[Exchange] = &[
    Exchange {
        request: (
            "POST /mcp?sessionId=s3cr3t-001&token=s3cr3t-002&access_token=s3cr3t-003&api_key=s3cr3t-004&key=s3cr3t-005&sig=s3cr3t-006 HTTP/1.1\r\n\
             Content-Type: application/json\r\n\
             Authorization: Bearer s3cr3t-007\r\n\
             Proxy-Authorization: Basic s3cr3t-008\r\n\
             Cookie: a=s3cr3t-009; b=s3cr3t-010\r\n\
             X-Api-Key: s3cr3t-011\r\n\
             Mcp-Session-Id: s3cr3t-012\r\n\
             DPoP: s3cr3t-013\r\n\
             Mcp-Param-Password: s3cr3t-014\r\n\
             baggage: user=s3cr3t-015\r\n\
             Referer: http://me:s3cr3t-016@host/?token=s3cr3t-017\r\n",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"login","arguments":{"password":"s3cr3t-018","nested":{"client_secret":"s3cr3t-019","api_key":["s3cr3t-020"]}},"requestState":"s3cr3t-021","_meta":{"baggage":"s3cr3t-022"},"inputResponses":{"a":{"action":"accept","content":{"x":"s3cr3t-023"}}}}}"#,
        ),
        response: (
            "HTTP/1.1 200 OK\r\n\
             Content-Type: text/event-stream\r\n\
             Set-Cookie: sid=s3cr3t-024; Path=/\r\n\
             Mcp-Session-Id: s3cr3t-012\r\n",
            "event: endpoint\ndata: /messages?sessionId=s3cr3t-025\n\n\
             data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"elicitation/create\",\"params\":{\"mode\":\"url\",\"url\":\"http://x/s3cr3t-026\"}}\n\n\
             data: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":{\"access_token\":\"s3cr3t-027\",\"content\":[]}}\n\n",
        ),
    },
    Exchange {
        request: (
            "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nMcp-Session-Id: s3cr3t-012\r\n",
            r#"{"jsonrpc":"2.0","id":7,"result":{"action":"accept","content":{"name":"s3cr3t-028"}}}"#,
        ),
        response: ("HTTP/1.1 202 Accepted\r\n", ""),
    },
    Exchange {
        request: (
            "GET /authorize?client_id=c&code_challenge=x&state=s3cr3t-029 HTTP/1.1\r\n",
            "",
        ),
        response: (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/callback?code=s3cr3t-030&state=s3cr3t-029#id_token=s3cr3t-031\r\n",
            "",
        ),
    },
    Exchange {
        request: (
            "POST /token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nAuthorization: Basic s3cr3t-032\r\n",
            "grant_type=authorization_code&code=s3cr3t-033&code_verifier=s3cr3t-034&client_secret=s3cr3t-035&client_assertion=s3cr3t-036&assertion=s3cr3t-037&subject_token=s3cr3t-038&device_code=s3cr3t-039&refresh_token=s3cr3t-040&password=s3cr3t-041",
        ),
        response: (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
            r#"{"access_token":"s3cr3t-042","id_token":"s3cr3t-043","refresh_token":"s3cr3t-044","token_type":"Bearer","expires_in":3600}"#,
        ),
    },
    Exchange {
        request: (
            "POST /register HTTP/1.1\r\nContent-Type: application/json\r\n",
            r#"{"client_name":"x","software_statement":"s3cr3t-045"}"#,
        ),
        response: (
            "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n",
            r#"{"client_id":"c","client_secret":"s3cr3t-046","registration_access_token":"s3cr3t-047"}"#,
        ),
    },
    Exchange {
        request: (
            "POST /device HTTP/1.1\r\nContent-Type: application/json\r\n",
            "{}",
        ),
        response: (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
            r#"{"device_code":"s3cr3t-048","user_code":"s3cr3t-049","interval":5}"#,
        ),
    },
    Exchange {
        request: (
            "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer s3cr3t-007\r\n",
            "{}",
        ),
        response: (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"http://h/m?token=s3cr3t-050\"\r\nContent-Type: application/json\r\n",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32042,"message":"log in","data":{"elicitations":[{"mode":"url","url":"http://x/s3cr3t-051"}]}}}"#,
        ),
    },
];

/// How many different secrets there are.
pub(crate) const SECRETS: usize = 51;

/// The secrets in a text, each once, in order.
pub(crate) fn found_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .match_indices(MARK)
        .map(|(at, _)| {
            text.chars()
                .skip(text.get(..at).unwrap_or_default().chars().count())
                .take(10)
                .collect()
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// A server that gives the answers of [`EXCHANGES`] to connections in their order. Joining gives what it was sent.
pub(crate) fn serve() -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::Builder::new().spawn(move || {
        let mut received = String::new();
        for Exchange { request, response } in EXCHANGES {
            let (mut connection, _) = listener.accept().unwrap();
            received += &read_message(&mut connection, request.1.len());
            let (head, body) = response;
            let text = format!(
                "{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            connection.write_all(text.as_bytes()).unwrap();
        }
        received
    });
    (address, serving.unwrap())
}

/// Sends the requests through the proxy at `address`; gives what came back.
pub(crate) fn play(address: &str) -> String {
    let mut answers = String::new();
    for Exchange { request, .. } in EXCHANGES {
        let (head, body) = request;
        let text = format!(
            "{head}Host: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(text.as_bytes()).unwrap();
        connection.read_to_string(&mut answers).unwrap();
    }
    answers
}

fn read_message(connection: &mut TcpStream, body: usize) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let mut rest = vec![0; body];
    connection.read_exact(&mut rest).unwrap();
    bytes.extend(rest);
    String::from_utf8(bytes).unwrap()
}
