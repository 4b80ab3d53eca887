//! A socket that keeps the HTTP/1 heads that pass through it, exactly as they were sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::resource::meters::Meters;

use super::framing::{RequestFramer, WireHead, head_end};

/// Heads kept for requests that hyper has not handed on yet. It reads ahead by a buffer at most; a client that pipelines
/// more loses its raw heads (they are then shown as hyper understood them), never the requests.
const HEADS_KEPT: usize = 1024;

/// How long a client that has closed its half of the connection still waits for the beginning of its answer. TCP does not
/// tell it from one that has left, which the upstream has to know within a second.
const HALF_CLOSED: Duration = Duration::from_millis(300);

/// The first byte of a TLS connection (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// The heads of a client's requests, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct RequestHeads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    heads: Mutex<Heads>,
    has_switched: AtomicBool,
}

#[derive(Debug, Default)]
struct Heads {
    waiting: VecDeque<WireHead>,
    has_overflowed: bool,
    is_too_large: bool,
    has_begun: bool,
}

impl RequestHeads {
    /// The head of the next request. `None` on HTTP/2.
    pub(crate) fn next(&self) -> Option<WireHead> {
        self.lock().waiting.pop_front()
    }

    /// From here on the connection carries something else: nothing is looked at any more.
    pub(crate) fn switch(&self) {
        self.0.has_switched.store(true, Ordering::Release);
    }

    fn has_switched(&self) -> bool {
        self.0.has_switched.load(Ordering::Acquire)
    }

    /// Whether a head was larger than `max_head_bytes`.
    pub(crate) fn is_too_large(&self) -> bool {
        self.lock().is_too_large
    }

    /// Whether the client has sent anything.
    pub(crate) fn has_begun(&self) -> bool {
        self.lock().has_begun
    }

    fn add(&self, heads: SmallVec<[WireHead; 1]>) {
        if heads.is_empty() {
            return;
        }
        let mut state = self.lock();
        // Once one head is missing none of the later ones could be matched to its request.
        if state.has_overflowed || state.waiting.len() + heads.len() > HEADS_KEPT {
            state.has_overflowed = true;
            state.waiting = VecDeque::new();
            return;
        }
        state.waiting.extend(heads);
    }

    fn lock(&self) -> MutexGuard<'_, Heads> {
        self.0.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection. Ends a head that takes too long, and everything after a head that must not be forwarded.
#[derive(Debug)]
pub(crate) struct ClientTap<S> {
    socket: S,
    framer: RequestFramer,
    heads: RequestHeads,
    meters: Arc<Meters>,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    is_refused: bool,
    is_fresh: bool,
    /// A head has come in since we wrote last.
    is_owed: bool,
    /// Until when the end of what the client says is not told.
    half_closed: Option<Pin<Box<Sleep>>>,
}

impl<S> ClientTap<S> {
    /// Wraps `socket`. A first byte and the rest of a begun head have `patience` to come.
    pub(crate) fn new(
        socket: S,
        max_head_bytes: usize,
        patience: Duration,
        meters: &Arc<Meters>,
    ) -> (Self, RequestHeads) {
        let heads = RequestHeads::default();
        let tap = Self {
            socket,
            framer: RequestFramer::new(max_head_bytes),
            heads: heads.clone(),
            meters: Arc::clone(meters),
            patience,
            deadline: Some(Box::pin(tokio::time::sleep(patience))),
            is_refused: false,
            is_fresh: true,
            is_owed: false,
            half_closed: None,
        };
        (tap, heads)
    }

    fn look(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let is_first = std::mem::take(&mut self.is_fresh);
        if is_first {
            self.heads.lock().has_begun = true;
        }
        if is_first && buffer.filled().get(before) == Some(&TLS_HANDSHAKE) {
            tracing::warn!(
                "a client speaks TLS to this port, which speaks plain HTTP; use http:// in its URL"
            );
        }
        let framed = self.framer.push(&buffer.filled()[before..]);
        self.is_owed |= !framed.heads.is_empty();
        self.is_refused = framed.heads.last().is_some_and(|head| head.refusal.is_some());
        buffer.set_filled(before + framed.allowed);
        self.heads.add(framed.heads);
        if self.framer.is_too_large() {
            self.heads.lock().is_too_large = true;
        }
        match (self.framer.is_inside_head(), &self.deadline) {
            (true, None) => self.deadline = Some(Box::pin(tokio::time::sleep(self.patience))),
            (false, Some(deadline)) => {
                let left = deadline.deadline().saturating_duration_since(Instant::now());
                self.meters
                    .head_time
                    .note_time(self.patience.saturating_sub(left));
                self.deadline = None;
            }
            _ => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientTap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_refused {
            return Poll::Ready(Ok(()));
        }
        if this.heads.has_switched() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        if let Some(until) = &mut this.half_closed {
            return until.as_mut().poll(cx).map(Ok);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before {
                    this.look(buffer, before);
                } else if this.is_owed && this.framer.is_between_requests() {
                    let until = this.half_closed.insert(Box::pin(tokio::time::sleep(HALF_CLOSED)));
                    return until.as_mut().poll(cx).map(Ok);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                let is_late = this
                    .deadline
                    .as_mut()
                    .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
                if !is_late {
                    return Poll::Pending;
                }
                this.meters.head_time.note_time(this.patience);
                this.meters.head_time.reach();
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the request head took too long",
                )))
            }
            other @ Poll::Ready(Err(_)) => other,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientTap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_owed = false;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_owed = false;
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The head of the latest response on an upstream connection, as it was sent.
#[derive(Debug, Default, Clone)]
pub(crate) struct ResponseHead(Arc<Mutex<Capture>>);

#[derive(Debug, Default)]
struct Capture {
    head: Vec<u8>,
    finished: Option<Bytes>,
    is_listening: bool,
}

impl ResponseHead {
    /// The latest final head, if it was captured.
    pub(crate) fn take(&self) -> Option<Bytes> {
        self.lock().finished.take()
    }

    fn lock(&self) -> MutexGuard<'_, Capture> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// hyper writes a request's head with or before its body, and never before the last response was read whole, so a
    /// write that begins like a request line means that the next bytes are a head.
    pub(super) fn wrote(&self, bytes: &[u8]) {
        let name = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        if name >= 3 && bytes.get(name) == Some(&b' ') {
            let mut capture = self.lock();
            capture.head.clear();
            capture.finished = None;
            capture.is_listening = true;
        }
    }

    pub(super) fn read(&self, bytes: &[u8], max_head_bytes: usize) {
        let mut capture = self.lock();
        if !capture.is_listening {
            return;
        }
        // Nearly always a head comes in one piece, and can be found where it stands.
        if capture.head.is_empty() && bytes.len() <= max_head_bytes {
            let left = capture.take_heads(bytes);
            if capture.is_listening {
                capture.head.extend_from_slice(left);
            }
            return;
        }
        let room = max_head_bytes.saturating_sub(capture.head.len()).min(bytes.len());
        let mut head = std::mem::take(&mut capture.head);
        head.extend_from_slice(&bytes[..room]);
        let left = capture.take_heads(&head).len();
        if room < bytes.len() {
            capture.is_listening = false;
        } else if capture.is_listening {
            head.drain(..head.len() - left);
            capture.head = head;
        }
    }
}

impl Capture {
    /// Takes interim heads and the final one from the front of `bytes`. Gives what is left; the final head ends listening.
    fn take_heads<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some(end) = head_end(bytes) {
            let (head, rest) = bytes.split_at(end);
            bytes = rest;
            let is_interim = head
                .get(9..12)
                .is_some_and(|status| status.starts_with(b"1") && status != b"101");
            if !is_interim {
                let is_http = head.starts_with(b"HTTP/1.");
                self.finished = is_http.then(|| Bytes::copy_from_slice(head));
                self.is_listening = false;
                break;
            }
        }
        bytes
    }
}

/// What happened last on a connection to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Asked,
    Answered,
    Ended,
}

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) struct UpstreamTap<S> {
    socket: S,
    head: ResponseHead,
    max_head_bytes: usize,
    last: Last,
}

impl<S> UpstreamTap<S> {
    pub(crate) fn new(socket: S, max_head_bytes: usize) -> (Self, ResponseHead) {
        let head = ResponseHead::default();
        (
            Self {
                socket,
                head: head.clone(),
                max_head_bytes,
                last: Last::Asked,
            },
            head,
        )
    }

    /// Whether the upstream spoke last and has not gone.
    pub(crate) fn is_answered(&self) -> bool {
        self.last == Last::Answered
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UpstreamTap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            let is_over = buffer.filled().len() == before;
            self.last = if is_over { Last::Ended } else { Last::Answered };
            self.head.read(&buffer.filled()[before..], self.max_head_bytes);
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UpstreamTap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.last = Last::Asked;
        self.head.wrote(bytes);
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.last = Last::Asked;
        if let Some(first) = slices.first() {
            self.head.wrote(first);
        }
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_times_out_and_a_slow_body_does_not() {
        let (mut peer, socket) = tokio::io::duplex(1024);
        let (mut tap, _heads) = ClientTap::new(socket, 4096, Duration::from_secs(30), &Arc::default());
        peer.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na")
            .await
            .unwrap();
        let mut buffer = [0; 1024];
        assert!(tap.read(&mut buffer).await.unwrap() > 0);
        let slow = tokio::time::timeout(Duration::from_mins(10), tap.read(&mut buffer)).await;
        assert!(slow.is_err(), "a silent body is nobody's fault");
        peer.write_all(b"bcGET /").await.unwrap();
        assert_eq!(tap.read(&mut buffer).await.unwrap(), 7);
        assert_eq!(
            tap.read(&mut buffer).await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_what_a_client_says_waits_a_moment_for_the_beginning_of_its_answer_and_only_for_that()
    {
        let asked = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for (request, is_answered, expected) in [
            (&asked[..], false, HALF_CLOSED),
            (&asked[..], true, Duration::ZERO),
            (&asked[..asked.len() - 1], false, Duration::ZERO),
            (b"", false, Duration::ZERO),
        ] {
            let (mut peer, socket) = tokio::io::duplex(1024);
            let (mut tap, _heads) = ClientTap::new(socket, 4096, Duration::from_secs(30), &Arc::default());
            peer.write_all(request).await.unwrap();
            let mut buffer = vec![0; request.len()];
            tap.read_exact(&mut buffer).await.unwrap();
            if is_answered {
                tap.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            }
            peer.shutdown().await.unwrap();
            let asked_at = tokio::time::Instant::now();
            assert_eq!(tap.read(&mut [0; 8]).await.unwrap(), 0);
            assert_eq!(asked_at.elapsed(), expected, "{request:?} {is_answered}");
        }
    }

    #[tokio::test]
    async fn a_refused_head_is_the_last_thing_read() {
        let (mut peer, socket) = tokio::io::duplex(1024);
        let (mut tap, heads) = ClientTap::new(socket, 4096, Duration::from_secs(30), &Arc::default());
        let head = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        peer.write_all(&[&head[..], b"0\r\n\r\nGET /evil"].concat())
            .await
            .unwrap();
        let mut read = Vec::new();
        tap.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, head);
        assert!(heads.next().unwrap().refusal.is_some());
    }

    #[test]
    fn a_response_head_is_captured_after_interim_ones_and_only_for_its_own_request() {
        let head = ResponseHead::default();
        head.wrote(b"POST /mcp HTTP/1.1\r\n");
        head.read(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 Fine\r\nX-ZeTa: 1\r\n",
            1000,
        );
        assert_eq!(head.take(), None);
        head.read(b"\r\n{\"body\":1}\r\n\r\n", 1000);
        assert_eq!(head.take().unwrap(), "HTTP/1.1 200 Fine\r\nX-ZeTa: 1\r\n\r\n");
        head.wrote(b"{\"late\":\"body\"}");
        head.read(b"HTTP/1.1 not a head\r\n\r\n", 1000);
        assert_eq!(head.take(), None);
    }
}
