//! A socket with a buffer for what was read beyond the last message.

use crate::socket::Socket;
use crate::wire::{Chunked, Framing, Head};
use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncReadExt as _;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// First size of the buffer: thousands of quiet connections stay small.
const FIRST_BYTES: usize = 2 * 1024;

/// One end of an HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Buffered {
    pub(crate) stream: Socket,
    input: Vec<u8>,
    /// Bytes of `input` that are taken.
    taken: usize,
}

impl Buffered {
    pub(crate) fn new(stream: impl Into<Socket>) -> Self {
        Self {
            stream: stream.into(),
            input: Vec::new(),
            taken: 0,
        }
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }

    /// Reads more; false at the end of the stream.
    async fn fill(&mut self) -> Result<bool> {
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        } else if self.taken > READ_BYTES {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        if self.input.capacity() == self.input.len() {
            let more = self.input.capacity().clamp(FIRST_BYTES, READ_BYTES);
            self.input.reserve(more);
        }
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// The next head; nothing if the peer has closed the connection before it.
    ///
    /// # Errors
    /// The connection broke, or its bytes are no HTTP.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(head) = Head::parse(self.rest())? {
                self.taken += head.length;
                return Ok(Some(head));
            }
            if !self.fill().await? {
                if self.rest().is_empty() {
                    return Ok(None);
                }
                bail!("the connection was closed inside a head");
            }
        }
    }

    /// Appends the whole body to `out`.
    ///
    /// # Errors
    /// The connection broke or was closed inside the body, or its framing is broken.
    pub(crate) async fn body(&mut self, framing: Framing, out: &mut Vec<u8>) -> Result<()> {
        let mut body = Body::new(framing);
        while self.part(&mut body, out).await? {}
        Ok(())
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// The connection broke or was closed before.
    pub(crate) async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.rest().len() < length {
            if !self.fill().await? {
                bail!("the connection was closed inside a frame");
            }
        }
        let bytes = self.rest().get(..length).unwrap_or_default().to_vec();
        self.taken += length;
        Ok(bytes)
    }

    /// Waits until the peer has left and tells how; what it sends before is kept.
    ///
    /// # Cancel safety
    /// Safe: what was read stays here.
    pub(crate) async fn closed(&mut self) -> anyhow::Error {
        loop {
            match self.fill().await {
                Ok(true) => {}
                Ok(false) => return anyhow::anyhow!("the peer closed the connection"),
                Err(error) => return error,
            }
        }
    }

    /// Appends what comes next of a body to `out`; false if that was the end, after which more may stand in `out` too.
    ///
    /// # Errors
    /// As for [`Self::body`].
    ///
    /// # Cancel safety
    /// Safe: what was read stays here.
    pub(crate) async fn part(&mut self, body: &mut Body, out: &mut Vec<u8>) -> Result<bool> {
        let before = out.len();
        loop {
            self.taken += body.decode(self.rest(), out)?;
            if body.is_done() {
                return Ok(false);
            }
            if out.len() > before {
                return Ok(true);
            }
            if !self.fill().await.context("the connection broke inside a body")? {
                if body.ends_with_connection() {
                    return Ok(false);
                }
                bail!("the connection was closed inside a body");
            }
        }
    }
}

/// Where one body is between two reads.
#[derive(Debug)]
pub(crate) struct Body {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Left(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let kind = match framing {
            Framing::Length(length) => Kind::Left(length),
            Framing::Chunked => Kind::Chunked(Chunked::default()),
            Framing::UntilClose => Kind::UntilClose,
        };
        Self { kind }
    }

    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        match &mut self.kind {
            Kind::Left(left) => {
                let part = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                out.extend_from_slice(input.get(..part).unwrap_or_default());
                *left -= part as u64;
                Ok(part)
            }
            Kind::Chunked(chunked) => chunked.decode(input, out),
            Kind::UntilClose => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
        }
    }

    fn is_done(&self) -> bool {
        match &self.kind {
            Kind::Left(left) => *left == 0,
            Kind::Chunked(chunked) => chunked.is_done(),
            Kind::UntilClose => false,
        }
    }

    fn ends_with_connection(&self) -> bool {
        matches!(self.kind, Kind::UntilClose)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What comes of these bytes: the bodies of the responses, and whether the connection ended in order.
    async fn read(bytes: &[u8], cut: usize) -> (Vec<String>, Result<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.set_nodelay(true).unwrap();
        let (first, second) = bytes.split_at(cut);
        let send = async {
            server.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            server.write_all(second).await.unwrap();
            drop(server);
        };
        let mut wire = Buffered::new(client);
        let mut bodies = Vec::new();
        let receive = async {
            while let Some(head) = wire.head().await? {
                let mut body = Vec::new();
                wire.body(head.response_framing(), &mut body).await?;
                bodies.push(String::from_utf8_lossy(&body).into_owned());
            }
            Ok(())
        };
        let ((), outcome) = tokio::join!(send, receive);
        (bodies, outcome)
    }

    const TWO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nt\r\n2\r\nwo\r\n0\r\n\r\n";

    #[tokio::test]
    async fn responses_on_one_connection_are_told_apart_however_they_are_cut() {
        for cut in 0..TWO.len() {
            let (bodies, outcome) = read(TWO, cut).await;
            assert_eq!(bodies, ["one", "two"], "{cut}");
            assert!(outcome.is_ok(), "{cut}");
        }
    }

    #[tokio::test]
    async fn a_response_that_is_cut_off_is_an_error() {
        for end in [10, 40, TWO.len() - 3] {
            assert!(read(&TWO[..end], 0).await.1.is_err(), "{end}");
        }
    }

    #[tokio::test]
    async fn a_body_without_a_length_ends_with_its_connection() {
        let (bodies, outcome) = read(b"HTTP/1.1 200 OK\r\n\r\nall of it", 22).await;
        assert_eq!(bodies, ["all of it"]);
        assert!(outcome.is_ok());
    }
}
