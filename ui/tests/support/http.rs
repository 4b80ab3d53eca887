//! Requests to a proxy, as a client sends them.

use std::io::Write as _;
use std::net::TcpStream;

/// Posts `body` to the proxy at `address`; the answer is still to be read.
pub(crate) fn post(address: &str, body: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    write!(
        client,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    client
}
