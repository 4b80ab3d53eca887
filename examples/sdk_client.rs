//! A session of the Rust SDK that tries everything a server says it has. What it saw goes to standard output as JSON: the
//! outcome of each step, what the server sent by itself, and the methods that passed.
//!
//!     sdk_client http URL legacy|auto
//!     sdk_client stdio legacy|auto COMMAND [ARGUMENTS...]
//!
//! What it tries is written in `.ci/interop.d/plan.json`, as for the clients of the other SDKs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "whoever starts it reads what it prints, and sees it fail by panicking"
)]
#![expect(
    deprecated,
    reason = "sampling and roots are deprecated by SEP-2577 and still what servers ask for"
)]

use std::collections::BTreeSet;
use std::env;
use std::time::Duration;

use futures_util::future::join_all;
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ArgumentInfo, CallToolRequest, CallToolRequestParams, ClientConfig, ClientRequest, CompleteRequestParams,
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    GetPromptRequestParams, Implementation, JsonObject, ListRootsResult, LoggingLevel,
    LoggingMessageNotificationParam, PingRequest, ProgressNotificationParam, ProtocolVersion,
    ReadResourceRequestParams, Reference, ResourceUpdatedNotificationParam, Root, SamplingMessage,
    SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RequestContext, RoleClient, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, ErrorData, ServiceError};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

const STEP: Duration = Duration::from_secs(30);

/// What the server sent by itself, by its method and in its order.
#[derive(Clone, Default)]
struct Listener(watch::Sender<Heard>);

#[derive(Default)]
struct Heard {
    inbound: Map<String, Value>,
    /// Progress that belongs to no step: it is counted and not kept.
    is_over: bool,
    progress: usize,
}

impl Listener {
    fn note(&self, method: &str, params: impl serde::Serialize) {
        let params = serde_json::to_value(params).unwrap();
        self.0.send_modify(|heard| {
            let all = heard.inbound.entry(method).or_insert_with(|| json!([]));
            all.as_array_mut().unwrap().push(params);
        });
    }

    async fn until(&self, is_enough: impl FnMut(&Heard) -> bool) {
        let mut news = self.0.subscribe();
        tokio::time::timeout(STEP, news.wait_for(is_enough))
            .await
            .unwrap()
            .map(drop)
            .unwrap();
    }
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let capabilities =
            json!({"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {"listChanged": true}});
        let capabilities = serde_json::from_value(capabilities).unwrap();
        ClientConfig::new(capabilities, Implementation::new("survey", "1.0.0"))
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.note("sampling/createMessage", params);
        let message = SamplingMessage::assistant_text("Hello from the stub \u{2603}");
        Ok(CreateMessageResult::new(message, "stub".to_owned()))
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let asked = serde_json::to_value(&params).unwrap();
        self.note("elicitation/create", params);
        let mut answer = ElicitResult::new(ElicitationAction::Accept);
        answer.content = asked["requestedSchema"]["properties"].as_object().map(|fields| {
            fields
                .iter()
                .map(|(name, schema)| (name.clone(), given(schema)))
                .collect()
        });
        Ok(answer)
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.note("roots/list", Value::Null);
        Ok(ListRootsResult::new(vec![Root::new("file:///tmp/one")]))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.send_modify(|heard| heard.progress += 1);
        if !self.0.borrow().is_over {
            self.note("notifications/progress", params);
        }
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.note("notifications/message", params);
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.note("notifications/resources/updated", params);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.note("notifications/resources/list_changed", Value::Null);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.note("notifications/tools/list_changed", Value::Null);
    }
}

/// A value for a schema: the first that it names, or a small one of its type.
fn given(schema: &Value) -> Value {
    if let Some(value) = schema["enum"].get(0).or(schema.get("default")) {
        return value.clone();
    }
    if let Some(choice) = schema["oneOf"].get(0).or(schema["anyOf"].get(0)) {
        return choice.get("const").cloned().unwrap_or_else(|| given(choice));
    }
    let minimum = schema.get("minimum").cloned().unwrap_or(json!(1));
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("email")) => json!("ada@example.com"),
        (Some("string"), Some("uri")) => json!("https://example.com/"),
        (Some("string"), Some("date")) => json!("2026-01-02"),
        (Some("string"), Some("date-time")) => json!("2026-01-02T03:04:05Z"),
        (Some("string"), _) => json!("x"),
        (Some("integer" | "number"), _) => minimum,
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => match schema["minItems"].as_u64() {
            Some(count) => (0..count).map(|_| given(&schema["items"])).collect(),
            None => json!([]),
        },
        _ => json!({}),
    }
}

fn call(name: &str, arguments: &Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(name.to_owned());
    params.with_arguments(arguments.as_object().cloned().unwrap_or_default())
}

async fn cancelled(
    client: &RunningService<RoleClient, Listener>,
    params: CallToolRequestParams,
) -> Result<(), ServiceError> {
    let listener = client.service();
    let before = listener.0.borrow().progress;
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let running = client
        .send_cancellable_request(request, PeerRequestOptions::no_options())
        .await?;
    listener.until(|heard| heard.progress > before).await;
    running
        .cancel(Some("the survey is done with it".to_owned()))
        .await
}

struct Survey {
    client: RunningService<RoleClient, Listener>,
    plan: Value,
    is_legacy: bool,
    steps: Map<String, Value>,
    methods: BTreeSet<String>,
}

impl Survey {
    /// Notes how one step ends, and gives what it gave.
    async fn step<T: serde::Serialize>(
        &mut self,
        name: &str,
        method: &str,
        run: impl AsyncFnOnce(&RunningService<RoleClient, Listener>) -> Result<T, ServiceError>,
    ) -> Value {
        self.methods.insert(method.to_owned());
        let ended = tokio::time::timeout(STEP, run(&self.client)).await;
        let (outcome, value) = match ended {
            Ok(Ok(result)) => ("result", serde_json::to_value(result).unwrap()),
            Ok(Err(ServiceError::McpError(error))) => ("error", serde_json::to_value(error).unwrap()),
            Ok(Err(error)) => ("error", json!(error.to_string())),
            Err(_) => ("error", json!("late")),
        };
        self.steps
            .insert(name.to_owned(), json!({"events": [], outcome: value}));
        self.steps[name]["result"].clone()
    }

    async fn greetings(&mut self) {
        let name = self.steps["connect"]["result"]["serverInfo"]["name"].clone();
        let wanted = &self.plan["greetings"][name.as_str().unwrap_or_default()];
        let wanted: Vec<&str> = wanted
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let has_all = |heard: &Heard| wanted.iter().all(|method| heard.inbound.contains_key(*method));
        self.client.service().until(has_all).await;
    }

    async fn ping(&mut self, name: &str) {
        let ping = ClientRequest::PingRequest(PingRequest::default());
        self.step(name, "ping", async |client| client.send_request(ping).await)
            .await;
    }

    async fn tools(&mut self) {
        let listed = self
            .step("tools", "tools/list", async |client| {
                client.list_tools(None).await
            })
            .await;
        let left_out = self.plan["leftOut"].clone();
        let tools: Vec<Value> = listed["tools"].as_array().cloned().unwrap_or_default();
        for tool in &tools {
            let name = tool["name"].as_str().unwrap();
            if left_out.as_array().unwrap().contains(&tool["name"]) {
                continue;
            }
            let params = call(name, &self.arguments_for(tool));
            let run = async |client: &RunningService<_, Listener>| client.call_tool(params).await;
            self.step(&format!("tool {name}"), "tools/call", run).await;
        }
        let unknown = call("no-such-tool", &json!({}));
        self.step("unknown tool", "tools/call", async |client| {
            client.call_tool(unknown).await
        })
        .await;
        if tools.iter().any(|tool| tool["name"] == "echo") {
            self.large_and_parallel().await;
        }
    }

    fn arguments_for(&self, tool: &Value) -> Value {
        if let Some(arguments) = self.plan["arguments"].get(tool["name"].as_str().unwrap()) {
            return arguments.clone();
        }
        let schema = &tool["inputSchema"];
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let arguments: Map<_, _> = required
            .map(|key| (key.to_owned(), given(&schema["properties"][key])))
            .collect();
        arguments.into()
    }

    async fn large_and_parallel(&mut self) {
        let letters = usize::try_from(self.plan["large"].as_u64().unwrap()).unwrap();
        let large = call("echo", &json!({"message": "\u{fc}".repeat(letters)}));
        let run = async |client: &RunningService<_, Listener>| {
            let answer = serde_json::to_value(client.call_tool(large).await?).unwrap();
            Ok(answer["content"][0]["text"].as_str().map(str::len))
        };
        self.step("large message", "tools/call", run).await;
        let many = self.plan["parallel"].as_u64().unwrap();
        let run = async |client: &RunningService<_, Listener>| {
            let calls = (0..many).map(|number| {
                client.call_tool(call("echo", &json!({"message": format!("number {number}")})))
            });
            join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()
        };
        self.step("parallel calls", "tools/call", run).await;
    }

    async fn prompts(&mut self) {
        let listed = self
            .step("prompts", "prompts/list", async |client| {
                client.list_prompts(None).await
            })
            .await;
        for prompt in listed["prompts"].as_array().into_iter().flatten() {
            let name = prompt["name"].as_str().unwrap();
            let names: Vec<&str> = prompt["arguments"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|argument| argument["name"].as_str())
                .collect();
            let arguments: JsonObject = names
                .iter()
                .map(|name| ((*name).to_owned(), json!("x")))
                .collect();
            let params = GetPromptRequestParams::new(name).with_arguments(arguments);
            let run = async |client: &RunningService<_, Listener>| client.get_prompt(params).await;
            self.step(&format!("prompt {name}"), "prompts/get", run).await;
            for argument in names {
                let params =
                    CompleteRequestParams::new(Reference::for_prompt(name), ArgumentInfo::new(argument, "S"));
                let run = async |client: &RunningService<_, Listener>| client.complete(params).await;
                self.step(
                    &format!("completion {name} {argument}"),
                    "completion/complete",
                    run,
                )
                .await;
            }
        }
        let unknown = GetPromptRequestParams::new("no-such-prompt");
        self.step("unknown prompt", "prompts/get", async |client| {
            client.get_prompt(unknown).await
        })
        .await;
    }

    async fn resources(&mut self) {
        let listed = self
            .step("resources", "resources/list", async |client| {
                client.list_resources(None).await
            })
            .await;
        let templates =
            async |client: &RunningService<_, Listener>| client.list_resource_templates(None).await;
        self.step("templates", "resources/templates/list", templates)
            .await;
        let found = listed["resources"].as_array().into_iter().flatten();
        let uris: Vec<&str> = found.filter_map(|resource| resource["uri"].as_str()).collect();
        for uri in &uris {
            self.read(&format!("resource {uri}"), uri).await;
        }
        self.read("unknown resource", "test://none").await;
        if let (true, Some(uri)) = (self.is_legacy, uris.first()) {
            let params = SubscribeRequestParams::new(*uri);
            self.step("subscribe", "resources/subscribe", async |client| {
                client.subscribe(params).await
            })
            .await;
            let params = UnsubscribeRequestParams::new(*uri);
            self.step("unsubscribe", "resources/unsubscribe", async |client| {
                client.unsubscribe(params).await
            })
            .await;
        }
    }

    async fn read(&mut self, name: &str, uri: &str) {
        let params = ReadResourceRequestParams::new(uri);
        self.step(name, "resources/read", async |client| {
            client.read_resource(params).await
        })
        .await;
    }

    /// Cancels a call once it runs, and has the server say that it saw it if it can.
    async fn cancel(&mut self) {
        self.client.service().0.send_modify(|heard| heard.is_over = true);
        let listed = self.steps["tools"]["result"]["tools"].clone();
        let names: Vec<&Value> = listed
            .as_array()
            .into_iter()
            .flatten()
            .map(|tool| &tool["name"])
            .collect();
        let candidates = self.plan["cancelled"].clone();
        let has = |name: &Value| name.is_null() || names.contains(&name);
        let is_there = |chosen: &&Value| has(&chosen["tool"]) && has(&chosen["witness"]);
        if self.is_legacy {
            self.methods.insert("notifications/cancelled".to_owned());
        }
        let Some(chosen) = candidates.as_array().unwrap().iter().find(is_there) else {
            return;
        };
        let params = call(chosen["tool"].as_str().unwrap(), &chosen["arguments"]);
        self.step("cancel", "tools/call", async |client| {
            cancelled(client, params).await
        })
        .await;
        if let Some(witness) = chosen["witness"].as_str() {
            let params = call(witness, &json!({}));
            self.step("the server saw the cancel", "tools/call", async |client| {
                client.call_tool(params).await
            })
            .await;
        }
    }

    async fn all(&mut self) {
        if self.is_legacy {
            self.methods
                .extend(["initialize", "notifications/initialized"].map(str::to_owned));
            self.greetings().await;
            self.ping("ping").await;
            let level = SetLevelRequestParams::new(LoggingLevel::Info);
            self.step("log level", "logging/setLevel", async |client| {
                client.set_level(level).await
            })
            .await;
        }
        self.tools().await;
        self.prompts().await;
        self.resources().await;
        self.cancel().await;
        if self.is_legacy {
            self.ping("ping at the end").await;
        }
    }

    /// Everything that was seen, in the shape that the driver compares.
    fn told(mut self) -> Value {
        let inbound = self.client.service().0.borrow().inbound.clone();
        // Without a handshake a server asks from inside its results only.
        let is_own = |method: &&String| self.is_legacy || method.starts_with("notifications/");
        self.methods.extend(inbound.keys().filter(is_own).cloned());
        json!({"steps": self.steps, "inbound": inbound, "methods": self.methods})
    }
}

async fn connect(arguments: &[String]) -> Result<RunningService<RoleClient, Listener>, String> {
    let listener = Listener::default();
    match arguments {
        [kind, url, mode] if kind == "http" => {
            let transport = StreamableHttpClientTransport::from_uri(url.as_str());
            listener.serve_with_lifecycle(transport, lifecycle(mode)).await
        }
        [kind, mode, program, arguments @ ..] if kind == "stdio" => {
            let mut command = tokio::process::Command::new(program);
            command.args(arguments);
            let transport = TokioChildProcess::new(command).map_err(|error| error.to_string())?;
            listener.serve_with_lifecycle(transport, lifecycle(mode)).await
        }
        _ => return Err("usage: sdk_client http URL MODE | stdio MODE COMMAND [ARGUMENTS...]".to_owned()),
    }
    .map_err(|error| error.to_string())
}

fn lifecycle(mode: &str) -> ClientLifecycleMode {
    if mode == "legacy" {
        return ClientLifecycleMode::Initialize;
    }
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    }
}

async fn survey(arguments: &[String]) -> Value {
    let client = match connect(arguments).await {
        Ok(client) => client,
        Err(error) => {
            return json!({"steps": {"connect": {"events": [], "error": error}}, "inbound": {}, "methods": []});
        }
    };
    let handshake = serde_json::to_value(client.peer_info()).unwrap();
    let mut survey = Survey {
        is_legacy: handshake["protocolVersion"]
            .as_str()
            .is_none_or(|version| version < "2026-07-28"),
        steps: Map::from_iter([("connect".to_owned(), json!({"events": [], "result": handshake}))]),
        plan: serde_json::from_str(include_str!("../.ci/interop.d/plan.json")).unwrap(),
        methods: BTreeSet::new(),
        client,
    };
    survey.all().await;
    let _ = survey.client.close_with_timeout(STEP).await;
    survey.told()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The HTTP client of the SDK is built for a provider that the program chooses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = env::args().skip(1).collect();
    println!("{}", survey(&arguments).await);
}
