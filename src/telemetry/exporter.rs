//! Takes spans to their receiver, in batches, patiently, and without anyone waiting for it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, StatusCode, header};

use crate::transport::causes::describe;
use crate::transport::own_client;

use super::span::{Span, export_request};
use super::spans::SpanQueue;

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after a failure; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last deliveries may take when the program ends, whatever `drain_timeout` says.
const LAST_DELIVERIES: Duration = Duration::from_secs(2);
/// How much of a receiver's answer is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Spans cannot be exported at all.
#[derive(Debug, thiserror::Error)]
#[error("no spans can be sent to {url}: {cause}")]
pub struct ExporterError {
    url: String,
    cause: String,
}

/// Takes the spans of a queue to their receiver.
#[derive(Debug)]
pub(crate) struct Exporter {
    queue: Arc<SpanQueue>,
    client: Client,
    last_deliveries: Duration,
}

/// Why a batch was not taken in.
#[derive(Debug)]
struct Failure {
    cause: String,
    /// It will not be taken in another time either.
    is_final: bool,
}

impl Exporter {
    /// An exporter for `queue`. After the last span it goes on for `drain` at most.
    ///
    /// # Errors
    /// [`ExporterError`] if the machine has no certificates to trust and the receiver is an https one.
    pub(crate) fn new(queue: Arc<SpanQueue>, drain: Duration) -> Result<Self, ExporterError> {
        let client = client(queue.url().as_str()).map_err(|cause| ExporterError {
            url: queue.url().to_string(),
            cause,
        })?;
        Ok(Self {
            queue,
            client,
            last_deliveries: drain.min(LAST_DELIVERIES),
        })
    }

    /// The queue that it empties.
    pub(crate) fn queue(&self) -> &Arc<SpanQueue> {
        &self.queue
    }

    /// Exports until the queue is closed and empty, or its time after that is over.
    ///
    /// # Cancel safety
    /// Dropping the future drops the batch that is under way.
    pub(crate) async fn run(self) {
        {
            let mut exporting = std::pin::pin!(self.export());
            tokio::select! {
                () = &mut exporting => {}
                () = self.queue.closed().cancelled() => {
                    let in_time = tokio::time::timeout(self.last_deliveries, exporting);
                    if in_time.await.is_err() {
                        tracing::debug!("the receiver of spans did not take in the last ones in time");
                    }
                }
            }
        }
        let left = self.queue.give_up();
        if left > 0 {
            tracing::warn!(url = %self.queue.url(), left, "spans were not exported before the end");
        }
    }

    async fn export(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.queue.gathered().await;
            let is_last = self.queue.closed().is_cancelled();
            let batch = self.queue.take();
            if batch.is_empty() {
                if is_last {
                    return;
                }
                continue;
            }
            match self.deliver(&batch).await {
                Ok(refused) => {
                    pause = FIRST_PAUSE;
                    self.queue.settle(batch.len() - refused, refused);
                    self.tell(None);
                }
                Err(failure) => {
                    self.give_back(batch, failure);
                    if is_last {
                        return;
                    }
                    self.rest(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn give_back(&self, batch: Vec<Span>, failure: Failure) {
        if failure.is_final {
            self.queue.settle(0, batch.len());
        } else {
            self.queue.put_back(batch);
        }
        self.tell(Some(failure.cause));
    }

    async fn rest(&self, pause: Duration) {
        let resting = tokio::time::sleep(pause);
        // At the end there is one more attempt, at once.
        self.queue.closed().run_until_cancelled(resting).await;
    }

    /// Says once when an outage begins and once when it is over.
    fn tell(&self, failure: Option<String>) {
        let (url, dropped) = (self.queue.url(), self.queue.dropped());
        let cause = failure.clone();
        if !self.queue.set_failure(failure) {
            return;
        }
        if let Some(cause) = cause {
            tracing::warn!(
                %url, cause,
                "spans cannot be exported; they wait, and the oldest go when otlp_queue is full. Check the URL and the receiver"
            );
        } else {
            tracing::info!(%url, dropped, "spans are exported again");
        }
    }

    /// Delivers a batch. Returns how many spans of it the receiver did not want.
    async fn deliver(&self, batch: &[Span]) -> Result<usize, Failure> {
        let request = self
            .client
            .post(self.queue.url().as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(export_request(batch));
        let response = request.send().await.map_err(|error| Failure {
            cause: describe(&error.without_url()),
            is_final: false,
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure {
                cause: format!("it answers {status}"),
                is_final: !is_temporary(status),
            });
        }
        let refused = rejected_spans(&read_some(response).await);
        Ok(refused.min(batch.len()))
    }
}

/// Source: OpenTelemetry Protocol, "Failures": only these may be tried again.
const fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

async fn read_some(mut response: reqwest::Response) -> Vec<u8> {
    let mut answer = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER_BYTES {
            break;
        }
    }
    answer
}

/// Source: OpenTelemetry Protocol, "Partial Success". A 64-bit number may be spelled as text.
fn rejected_spans(answer: &[u8]) -> usize {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(answer) else {
        return 0;
    };
    let rejected = &answer["partialSuccess"]["rejectedSpans"];
    let number = rejected
        .as_u64()
        .or_else(|| rejected.as_str()?.parse().ok())
        .unwrap_or(0);
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn client(url: &str) -> Result<Client, String> {
    let builder = own_client::builder(url)?.timeout(PATIENCE);
    builder.build().map_err(|error| describe(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_did_not_want_is_read_from_its_answer() {
        for (answer, rejected) in [
            ("", 0),
            ("{}", 0),
            (r#"{"partialSuccess":{"rejectedSpans":"3"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":4}}"#, 4),
        ] {
            assert_eq!(rejected_spans(answer.as_bytes()), rejected, "{answer}");
        }
    }
}
