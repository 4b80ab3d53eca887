//! The clients: each calls over its carrier until the time is over, and every call has to end.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::client::{Legacy, Link, Session, Target};
use crate::clock::now_ns;
use crate::events::{Event, Spec};
use crate::message;
use crate::websocket;

use super::{Dice, Ends};

/// Longest wait for the end of one call. Whoever waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses between two calls of a client are random, up to this.
const PAUSE: u64 = 200;
/// Most calls that are under way at once where a carrier has one lane.
const BURST: u64 = 4;

/// One client.
pub(super) struct Client {
    pub(super) target: Arc<Target>,
    pub(super) seed: u64,
    pub(super) deadline: u64,
    pub(super) ends: Arc<Ends>,
}

/// What a lane has carried last.
#[derive(Debug, Default)]
struct Order(u64);

impl Order {
    /// Notes the next number.
    ///
    /// # Errors
    /// It was sent before one that has come already.
    fn note(&mut self, number: Option<u64>) -> Result<()> {
        let Some(number) = number else { return Ok(()) };
        if number <= self.0 {
            bail!("number {number} of a lane came behind number {}", self.0);
        }
        self.0 = number;
        Ok(())
    }
}

fn has_id(body: &[u8], id: u64) -> bool {
    String::from_utf8_lossy(body).contains(&format!("\"id\":{id},"))
}

fn call(id: u64) -> Vec<u8> {
    let mut body = Vec::new();
    message::call(id, 300, 300, &mut body);
    body
}

impl Client {
    fn is_over(&self) -> bool {
        now_ns() > self.deadline
    }

    fn count(&self, body: &[u8]) {
        let is_error = String::from_utf8_lossy(body).contains("\"error\":");
        let end = if is_error {
            &self.ends.refused
        } else {
            &self.ends.answered
        };
        end.fetch_add(1, Ordering::Relaxed);
    }

    fn id(&self, call: u64) -> u64 {
        self.seed * 1_000_000 + call
    }

    async fn pause(dice: &mut Dice) {
        tokio::time::sleep(Duration::from_millis(dice.roll(PAUSE))).await;
    }

    pub(super) async fn over_documents(self) -> Result<()> {
        self.over_http(false).await
    }

    pub(super) async fn over_streams(self) -> Result<()> {
        self.over_http(true).await
    }

    /// Calls over HTTP; some are left by their client.
    async fn over_http(self, streams: bool) -> Result<()> {
        let mut dice = Dice(self.seed + 1);
        let mut opening = Link::open(&self.target).await?;
        let session = Session::open(&mut opening).await?;
        let mut link = Link::open(&self.target).await?;
        for number in 1.. {
            if self.is_over() {
                break;
            }
            Self::pause(&mut dice).await;
            let id = self.id(number);
            let mut fields = session.fields().to_owned();
            if streams {
                let spec = Spec::new(id, dice.roll(4)).to_field();
                fields.extend(["X-Load: ", &spec, "\r\n"]);
            }
            let patience = if dice.roll(20) == 0 {
                Duration::from_millis(dice.roll(100))
            } else {
                PATIENCE
            };
            let is_open = match timeout(patience, link.post(&fields, &call(id))).await {
                Err(_) if patience < PATIENCE => {
                    self.ends.left.fetch_add(1, Ordering::Relaxed);
                    false
                }
                Err(_) => bail!("call {id} has no end after {patience:?}"),
                Ok(Err(_)) => {
                    self.ends.cut.fetch_add(1, Ordering::Relaxed);
                    false
                }
                Ok(Ok(head)) => {
                    if head.status() == 200 && !has_id(link.body(), id) && !streams {
                        bail!("call {id} got {:?}", String::from_utf8_lossy(link.body()));
                    }
                    in_order(link.body()).with_context(|| format!("call {id}"))?;
                    self.count(link.body());
                    true
                }
            };
            if !is_open {
                link = Link::open(&self.target).await?;
            }
        }
        session.handle().close(&mut opening).await
    }

    /// Calls in sessions of 2024-11-05, whose answers come on one stream; some sessions are left by their client.
    pub(super) async fn over_sse(self) -> Result<()> {
        let mut dice = Dice(self.seed + 1);
        let mut number = 0;
        while !self.is_over() {
            let mut session = Legacy::open(&self.target).await?;
            let mut order = Order::default();
            while !self.is_over() && dice.roll(30) > 0 {
                Self::pause(&mut dice).await;
                number += 1;
                let id = self.id(number);
                let answer = timeout(PATIENCE, session.ask(&call(id))).await;
                let answer = answer
                    .with_context(|| format!("call {id} over HTTP+SSE has no end after {PATIENCE:?}"))??;
                if !has_id(&answer, id) {
                    bail!("call {id} got {:?}", String::from_utf8_lossy(&answer));
                }
                order.note(message::number(&answer, "nth"))?;
                self.count(&answer);
            }
        }
        Ok(())
    }

    /// Calls over a WebSocket, several at once; each has to be answered under its id.
    pub(super) async fn over_socket(self) -> Result<()> {
        let mut dice = Dice(self.seed + 1);
        let target = Arc::new(self.target.at_path("/ws"));
        let mut wire = Link::open(&target).await?.into_socket().await?;
        let (mut number, mut order) = (0, Order::default());
        while !self.is_over() {
            Self::pause(&mut dice).await;
            let ids = self.burst(&mut number, &mut dice);
            for id in &ids {
                websocket::say(&mut wire, &call(*id), true).await?;
            }
            let mut waiting = ids.clone();
            while !waiting.is_empty() {
                let heard = timeout(PATIENCE, websocket::hear(&mut wire)).await;
                let heard = heard.with_context(|| {
                    format!("{waiting:?} on a WebSocket have no end after {PATIENCE:?}")
                })??;
                let message = heard.context("the WebSocket was closed")?;
                self.take(&message, &mut waiting, &mut order)?;
            }
        }
        websocket::close(&mut wire, true).await
    }

    /// Calls over the pipes of a command, several at once; each has to be answered under its id.
    pub(super) async fn over_pipes(self, command: Command) -> Result<()> {
        let mut dice = Dice(self.seed + 1);
        let mut command = tokio::process::Command::from(command);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().context("the shim cannot be started")?;
        let mut input = child.stdin.take().context("no pipe to the shim")?;
        let mut output = BufReader::new(child.stdout.take().context("no pipe from the shim")?);
        let (mut number, mut order, mut line) = (0, Order::default(), Vec::new());
        while !self.is_over() {
            Self::pause(&mut dice).await;
            let mut waiting = self.burst(&mut number, &mut dice);
            for id in &waiting {
                let mut body = call(*id);
                body.push(b'\n');
                input.write_all(&body).await?;
            }
            while !waiting.is_empty() {
                line.clear();
                let read = timeout(PATIENCE, output.read_until(b'\n', &mut line)).await;
                let read =
                    read.with_context(|| format!("{waiting:?} over pipes have no end after {PATIENCE:?}"))??;
                if read == 0 {
                    bail!("the shim ended while {waiting:?} were under way");
                }
                self.take(&line, &mut waiting, &mut order)?;
            }
        }
        drop(input);
        let status = timeout(PATIENCE, child.wait())
            .await
            .context("the shim does not end")??;
        if !status.success() {
            bail!("the shim ended with {status}");
        }
        Ok(())
    }

    /// The ids of the next calls.
    fn burst(&self, number: &mut u64, dice: &mut Dice) -> Vec<u64> {
        let first = *number + 1;
        *number += 1 + dice.roll(BURST);
        (first..=*number).map(|number| self.id(number)).collect()
    }

    /// Takes the answer to one of those that wait. Those of the server keep their order; what is answered on the way comes
    /// between them.
    fn take(&self, message: &[u8], waiting: &mut Vec<u64>, order: &mut Order) -> Result<()> {
        let place = waiting.iter().position(|id| has_id(message, *id));
        let place =
            place.with_context(|| format!("{waiting:?} got {:?}", String::from_utf8_lossy(message)))?;
        waiting.swap_remove(place);
        order.note(message::number(message, "nth"))?;
        self.count(message);
        Ok(())
    }
}

/// Whether the events of an answer came as they were sent.
fn in_order(body: &[u8]) -> Result<()> {
    let mut order = Order::default();
    let text = String::from_utf8_lossy(body);
    for block in text.split("\n\n") {
        if let Event::Numbered { seq, .. } = Event::read(block.as_bytes()) {
            order.note(Some(seq + 1))?;
        }
    }
    Ok(())
}
