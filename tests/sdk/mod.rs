//! The official Rust SDK as a client and as a server, and a script that they act out.
#![expect(
    deprecated,
    reason = "sampling is deprecated by SEP-2577 and still what servers send"
)]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and its helpers too"
)]

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use rmcp::handler::client::ClientHandler;
use rmcp::model::*;
use rmcp::service::{NotificationContext, RequestContext, RoleClient, RoleServer, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, ErrorData, ServerHandler, ServiceExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{soon, spawn};

/// How many progress notifications the tool `slow` sends.
pub const STEPS: u8 = 3;

/// What the server has to tell about its calls.
#[derive(Clone)]
struct Server {
    waiting: watch::Sender<u64>,
    cancelled: watch::Sender<u64>,
}

impl Server {
    async fn slow(&self, context: &RequestContext<RoleServer>) -> CallToolResult {
        let token = context.meta.get_progress_token().unwrap();
        for step in 1..=STEPS {
            let progress = ProgressNotificationParam::new(token.clone(), f64::from(step))
                .with_total(f64::from(STEPS))
                .with_message(format!("step {step}"));
            context.peer.notify_progress(progress).await.unwrap();
        }
        CallToolResult::success(vec![ContentBlock::text("at last")])
    }

    /// Legacy: a request of the server's own. Modern: an `input_required` round.
    async fn ask(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let question =
            CreateMessageRequestParams::new(vec![SamplingMessage::user_text("Capital of France?")], 100);
        if context
            .protocol_version()
            .is_none_or(|version| version.has_initialize())
        {
            let answer = context.peer.create_message(question).await;
            let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            let text = serde_json::to_string(&answer.message.content).unwrap();
            return Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into());
        }
        match &request.input_responses {
            None => {
                let question = InputRequest::CreateMessage(CreateMessageRequest::new(question));
                let requests = InputRequests::from([("capital".to_owned(), question)]);
                Ok(InputRequiredResult::new(Some(requests), Some("round-1".into())).into())
            }
            Some(answers) => {
                assert_eq!(request.request_state.as_deref(), Some("round-1"));
                let text = answers["capital"]["content"].to_string();
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
            }
        }
    }

    async fn wait(&self, context: &RequestContext<RoleServer>) -> CallToolResult {
        self.waiting.send_modify(|count| *count += 1);
        if let Some(token) = context.meta.get_progress_token() {
            let begun = ProgressNotificationParam::new(token, 0.0);
            context.peer.notify_progress(begun).await.unwrap();
        }
        context.ct.cancelled().await;
        self.cancelled.send_modify(|count| *count += 1);
        CallToolResult::success(Vec::new())
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("everything", "2.1"))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = JsonObject::from_iter([("type".to_owned(), json!("object"))]);
        let tool = |name: &'static str| Tool::new(name, "a tool with an \u{e9}", schema.clone());
        let names = ["echo", "slow", "fail", "refuse", "ask", "wait"];
        Ok(ListToolsResult::with_all_items(
            names.into_iter().map(tool).collect(),
        ))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &*request.name {
            "echo" => {
                let text = serde_json::to_string(&request.arguments).unwrap();
                Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
            }
            "slow" => Ok(self.slow(&context).await.into()),
            "fail" => Ok(CallToolResult::error(vec![ContentBlock::text("out of paper")]).into()),
            "ask" => self.ask(&request, &context).await,
            "wait" => Ok(self.wait(&context).await.into()),
            other => Err(ErrorData::invalid_params(
                format!("no tool {other}"),
                Some(json!({"tool": other})),
            )),
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new(
            "memo://insights",
            "insights",
        )]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        // Larger than what one read takes, so that it comes in pieces.
        let text = "An insight.\n".repeat(20_000);
        Ok(ReadResourceResult::new(vec![ResourceContents::text(text, request.uri)]).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompt = Prompt::new("greet", Some("says hello"), None);
        Ok(ListPromptsResult::with_all_items(vec![prompt]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let message = PromptMessage::new_text(Role::User, format!("hello from {}", request.name));
        Ok(GetPromptResult::new(vec![message]).into())
    }
}

/// Serves on standard input and output until the input ends.
#[allow(dead_code, reason = "for the example that is a program of its own")]
pub async fn serve_on_stdio() {
    let server = Server {
        waiting: watch::channel(0).0,
        cancelled: watch::channel(0).0,
    };
    let running = server.serve(rmcp::transport::stdio()).await.unwrap();
    running.waiting().await.unwrap();
}

/// A running server of the SDK.
pub struct SdkServer {
    pub address: SocketAddr,
    pub waiting: watch::Receiver<u64>,
    pub cancelled: watch::Receiver<u64>,
    _stop: DropGuard,
}

impl SdkServer {
    pub async fn start() -> Self {
        let (waiting, waits) = watch::channel(0);
        let (cancelled, cancels) = watch::channel(0);
        let stop = CancellationToken::new();
        let handler = Server { waiting, cancelled };
        let config = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
        let service: StreamableHttpService<Server, LocalSessionManager> =
            StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), config);
        let router = axum::Router::new().nest_service("/mcp", service);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = stop.clone();
        spawn(async move {
            let serving = axum::serve(listener, router).into_future();
            stopped.run_until_cancelled(serving).await;
        });
        Self {
            address,
            waiting: waits,
            cancelled: cancels,
            _stop: stop.drop_guard(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

/// The client's side of the conversation.
#[derive(Clone)]
pub struct Client {
    name: Cow<'static, str>,
    progress: watch::Sender<Vec<Value>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_sampling().build();
        ClientConfig::new(capabilities, Implementation::new(self.name.clone(), "1.2"))
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        assert_eq!(request.max_tokens, 100);
        let message = SamplingMessage::assistant_text("Paris");
        Ok(CreateMessageResult::new(message, "a-model".to_owned()))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let progress = json!([params.progress, params.total, params.message]);
        self.progress.send_modify(|all| all.push(progress));
    }
}

/// Where a client finds the server.
#[derive(Debug, Clone)]
pub struct Way {
    pub url: String,
    pub proxy: Option<String>,
}

pub type Running = RunningService<RoleClient, Client>;

/// The revision that a client begins to speak with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Legacy,
    Modern,
}

/// A client of the SDK, connected and through with its handshake.
pub async fn connect(way: &Way, speaks: Speaks, name: &str) -> Running {
    // A second test in this process finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder();
    let http = match &way.proxy {
        Some(proxy) => http.proxy(reqwest::Proxy::http(proxy).unwrap()),
        None => http.no_proxy(),
    };
    let config = StreamableHttpClientTransportConfig::with_uri(way.url.as_str());
    let transport = StreamableHttpClientTransport::with_client(http.build().unwrap(), config);
    connect_over(transport, speaks, name).await
}

/// The same over any transport.
pub async fn connect_over<E: std::error::Error + Send + Sync + 'static, A>(
    transport: impl IntoTransport<RoleClient, E, A>,
    speaks: Speaks,
    name: &str,
) -> Running {
    let client = Client {
        name: name.to_owned().into(),
        progress: watch::Sender::default(),
    };
    let lifecycle = match speaks {
        Speaks::Legacy => ClientLifecycleMode::Initialize,
        Speaks::Modern => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    };
    soon("a handshake", client.serve_with_lifecycle(transport, lifecycle))
        .await
        .unwrap()
}

fn told<T: serde::Serialize>(outcome: Result<T, rmcp::ServiceError>) -> Value {
    match outcome {
        Ok(result) => serde_json::to_value(result).unwrap(),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// Calls everything that the server has, one after the other, and gives what the client saw of it.
pub async fn act(client: &Running) -> Value {
    let call = |name: &'static str| {
        let arguments = JsonObject::from_iter([("big".to_owned(), json!(9_007_199_254_740_993_i64))]);
        async move {
            told(
                client
                    .call_tool(CallToolRequestParams::new(name).with_arguments(arguments))
                    .await,
            )
        }
    };
    soon("the whole script", async {
        let read = ReadResourceRequestParams::new("memo://insights");
        let mut seen = json!({
            "server": serde_json::to_value(client.peer_info()).unwrap(),
            "tools": told(client.list_tools(None).await),
            "echo": call("echo").await,
            "slow": call("slow").await,
            "fail": call("fail").await,
            "refuse": call("refuse").await,
            "ask": call("ask").await,
            "resources": told(client.list_resources(None).await),
            "resource": told(client.read_resource(read).await),
            "prompts": told(client.list_prompts(None).await),
            "prompt": told(client.get_prompt(GetPromptRequestParams::new("greet")).await),
        });
        // Notifications are handled beside the answers.
        let mut progress = client.service().progress.subscribe();
        let all = progress
            .wait_for(|all| all.len() >= usize::from(STEPS))
            .await
            .unwrap()
            .clone();
        seen["progress"] = all.into();
        seen
    })
    .await
}

/// Connects, acts and leaves.
pub async fn act_out(way: &Way, speaks: Speaks, name: &str) -> Value {
    let client = connect(way, speaks, name).await;
    let seen = act(&client).await;
    soon("the client's leaving", client.cancel()).await.unwrap();
    seen
}
