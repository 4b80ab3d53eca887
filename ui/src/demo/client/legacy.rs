//! A legacy client: one session, with its GET stream, its resumed streams and its answers to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use shadowcat::tasks::{TaskKind, Tasks};

use super::DemoError;
use super::exchange::{Answer, EventStream, Http, is_event_stream};
use super::replies;
use crate::demo::summary::Seen;
use crate::demo::wire::{
    self, Kind, LAST_EVENT_HEADER, SESSION_HEADER, VERSION_HEADER, at, method_of, text_at,
};

/// How often one answer is fetched again after its stream was cut.
const MAX_RESUMES: usize = 8;
/// The longest delay before a stream is taken up again, whatever the server says.
const MAX_RETRY: Duration = Duration::from_secs(10);
/// The delay before the GET stream is opened again when the server names none.
const RETRY: Duration = Duration::from_secs(1);

/// An open session.
#[derive(Debug)]
pub(super) struct Legacy {
    pub(super) http: Arc<Http>,
    version: String,
    session: String,
    next_id: AtomicU64,
}

impl Legacy {
    /// Opens a session: `initialize`, then `notifications/initialized`.
    pub(super) async fn connect(http: Arc<Http>, version: &str) -> Result<Arc<Self>, DemoError> {
        let step = "initialize";
        let params = json!({
            "protocolVersion": version,
            "capabilities": replies::capabilities(),
            "clientInfo": replies::client_info(),
        });
        let request = wire::request(&json!(0), step, params);
        let opened = async {
            http.tally.saw(Seen::Request);
            let response = http.send(step, http.post().body(request.to_string())).await?;
            let response = http.success(step, response).await?;
            let session = response.headers().get(SESSION_HEADER);
            let session = session.and_then(|value| value.to_str().ok()).map(str::to_owned);
            Ok((session, http.json(step, response).await?))
        };
        let (session, message) = http.within(step, opened).await?;
        let unexpected = |expected: &str| DemoError::Unexpected {
            step: step.to_owned(),
            expected: expected.to_owned(),
            got: message.to_string(),
        };
        let session = session.ok_or_else(|| unexpected("a session id"))?;
        let agreed = text_at(&message, &["result", "protocolVersion"]);
        let version = agreed.ok_or_else(|| unexpected("a revision"))?.to_owned();
        http.conclude(&message);
        let client = Arc::new(Self {
            http,
            version,
            session,
            next_id: AtomicU64::new(1),
        });
        client.notify("notifications/initialized", Value::Null).await?;
        Ok(client)
    }

    fn in_session(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header(SESSION_HEADER, &self.session)
            .header(VERSION_HEADER, &self.version)
    }

    async fn post(&self, step: &str, message: &Value) -> Result<reqwest::Response, DemoError> {
        let request = self.in_session(self.http.post()).body(message.to_string());
        let response = self.http.send(step, request).await?;
        self.http.success(step, response).await
    }

    /// Sends what needs no answer.
    pub(super) async fn notify(&self, method: &str, params: Value) -> Result<(), DemoError> {
        let message = wire::notification(method, params);
        let sent = async { self.post(method, &message).await.map(drop) };
        self.http.within(method, sent).await
    }

    fn next_id(&self) -> Value {
        json!(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a request and waits for its answer, on whatever stream it comes.
    pub(super) async fn request(&self, method: &str, params: Value) -> Result<Answer, DemoError> {
        let id = self.next_id();
        let message = wire::request(&id, method, params);
        let answered = async {
            self.http.tally.saw(Seen::Request);
            let response = self.post(method, &message).await?;
            if is_event_stream(&response) {
                return self.follow(method, &id, self.http.events(method, response)).await;
            }
            self.http.json(method, response).await
        };
        let message = self.http.within(method, answered).await?;
        Ok(self.http.conclude(&message))
    }

    /// Reads a stream to the answer; comes back for it when the stream is cut and the server said how.
    async fn follow(&self, step: &str, id: &Value, mut stream: EventStream) -> Result<Value, DemoError> {
        for resumes in 0..MAX_RESUMES {
            if let Some(answer) = self.read_to_end(&mut stream, Some(id)).await? {
                if resumes > 0 {
                    self.http.tally.saw(Seen::Resumed);
                }
                return Ok(answer);
            }
            let (Some(last), Some(retry)) = (stream.last_id(), stream.retry()) else {
                break;
            };
            tokio::time::sleep(retry.min(MAX_RETRY)).await;
            stream = self.open(step, Some(&last)).await?;
        }
        Err(DemoError::Unexpected {
            step: step.to_owned(),
            expected: "an answer".to_owned(),
            got: "the end of the stream".to_owned(),
        })
    }

    /// Reads a stream to its end, answers what the server asks on it, and returns the answer to `id`.
    async fn read_to_end(
        &self,
        stream: &mut EventStream,
        id: Option<&Value>,
    ) -> Result<Option<Value>, DemoError> {
        let mut answer = None;
        while let Some(message) = stream.next().await? {
            match wire::kind(&message) {
                Kind::Request => self.reply(&message).await?,
                Kind::Notification => self.http.note(&message),
                Kind::Response if id.is_some_and(|id| message.get("id") == Some(id)) => {
                    answer = Some(message);
                }
                Kind::Response | Kind::Unknown => {}
            }
        }
        Ok(answer)
    }

    async fn reply(&self, request: &Value) -> Result<(), DemoError> {
        let id = at(request, &["id"]);
        let method = method_of(request);
        let message = match replies::reply(method) {
            Ok(result) => wire::result(id, result),
            Err(fault) => wire::error(Some(id), &fault),
        };
        self.http.pause().await?;
        self.post(method, &message).await?;
        if message.get("result").is_some() {
            self.http.tally.answered(method);
        }
        Ok(())
    }

    async fn open(&self, step: &str, last: Option<&str>) -> Result<EventStream, DemoError> {
        let mut request = self.in_session(self.http.get());
        if let Some(last) = last {
            request = request.header(LAST_EVENT_HEADER, last);
        }
        let response = self.http.send(step, request).await?;
        let response = self.http.success(step, response).await?;
        Ok(self.http.events(step, response))
    }

    /// Reads the session's general stream in a task of its own until the session ends.
    pub(super) fn listen(self: &Arc<Self>, tasks: &Tasks) {
        let client = Arc::clone(self);
        tasks.spawn(TaskKind::Frontend, async move {
            let stop = client.http.stop.clone();
            if let Some(Err(error)) = stop.run_until_cancelled(client.read_general()).await {
                tracing::info!(%error, "a GET stream of the demonstration ended");
            }
        });
    }

    /// Opens the general stream again as often as it ends.
    async fn read_general(&self) -> Result<(), DemoError> {
        let mut last: Option<String> = None;
        loop {
            let mut stream = self.open("GET stream", last.as_deref()).await?;
            self.http.tally.saw(Seen::GetStream);
            self.read_to_end(&mut stream, None).await?;
            last = stream.last_id().or(last);
            let retry = stream.retry().unwrap_or(RETRY);
            tokio::time::sleep(retry.min(MAX_RETRY)).await;
        }
    }

    /// Starts a call, cancels it after its first progress, and reads its stream to the end.
    pub(super) async fn cancelled_call(&self, params: Value) -> Result<(), DemoError> {
        let step = "cancelled call";
        let id = self.next_id();
        let message = wire::request(&id, "tools/call", params);
        let cancelled = async {
            self.http.tally.saw(Seen::Request);
            let response = self.post(step, &message).await?;
            let mut stream = self.http.events(step, response);
            while let Some(message) = stream.next().await? {
                self.http.note(&message);
                if method_of(&message) == "notifications/progress" {
                    break;
                }
            }
            let params = json!({ "requestId": id, "reason": "the demonstration changed its mind" });
            self.notify("notifications/cancelled", params).await?;
            self.read_to_end(&mut stream, Some(&id)).await
        };
        if self.http.within(step, cancelled).await?.is_none() {
            self.http.tally.saw(Seen::Cancelled);
        }
        Ok(())
    }

    /// Ends the session with DELETE.
    pub(super) async fn close(&self) -> Result<(), DemoError> {
        let step = "DELETE";
        let closed = async {
            let response = self.http.send(step, self.in_session(self.http.delete())).await?;
            self.http.success(step, response).await.map(drop)
        };
        self.http.within(step, closed).await?;
        self.http.tally.saw(Seen::Deleted);
        Ok(())
    }
}
