//! What the demonstration's clients do, step by step.

use std::sync::Arc;

use serde_json::{Value, json};
use shadowcat::tasks::Tasks;

use super::DemoError;
use super::exchange::Http;
use super::legacy::Legacy;
use super::modern::Modern;
use super::peer::{Peer, expect_error};
use crate::demo::catalogue::{CAT, NOTE, README};
use crate::demo::summary::Seen;
use crate::demo::wire::{HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, at, text_at};

/// The most pages that are followed.
const MAX_PAGES: usize = 16;

/// One legacy session from `initialize` to DELETE.
pub(super) async fn legacy(http: Arc<Http>, tasks: &Tasks, version: &str) -> Result<(), DemoError> {
    let client = Legacy::connect(http, version).await?;
    client.listen(tasks);
    let peer = Peer::Legacy(Arc::clone(&client));
    let played = legacy_steps(&client, &peer).await;
    if matches!(played, Err(DemoError::Stopped)) {
        return played;
    }
    // A session that failed half-way is ended all the same.
    let closed = client.close().await;
    played.and(closed)?;
    client.http.tally.saw(Seen::Session);
    Ok(())
}

async fn legacy_steps(client: &Legacy, peer: &Peer) -> Result<(), DemoError> {
    client.http.notice("GET stream", Seen::GetStream, 0).await?;
    peer.request("ping", Value::Null).await?;
    peer.request("logging/setLevel", json!({ "level": "debug" }))
        .await?;
    list_everything(peer).await?;
    use_tools(peer).await?;
    make_mistakes(peer, RESOURCE_NOT_FOUND).await?;
    ask(peer).await?;
    read_resources(peer).await?;
    let note = json!({ "uri": NOTE });
    peer.request("resources/subscribe", note.clone()).await?;
    hear_changes(peer).await?;
    peer.request("resources/unsubscribe", note).await?;
    use_prompts(peer).await?;
    peer.tool("long_report", slowly(peer)).await?;
    give_up(peer).await
}

/// One modern visit; there is no session to open or to end.
pub(super) async fn modern(http: Arc<Http>, tasks: &Tasks) -> Result<(), DemoError> {
    let client = Modern::new(http);
    let peer = Peer::Modern(Arc::clone(&client));
    peer.request("server/discover", Value::Null).await?;
    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [NOTE] });
    client.listen(tasks, wanted).await?;
    client.http.notice("listen", Seen::Acknowledged, 0).await?;
    list_everything(&peer).await?;
    use_tools(&peer).await?;
    make_mistakes(&peer, INVALID_PARAMS).await?;
    let refused = client.mislabelled("tools/list", "prompts/list").await?;
    expect_error("mislabelled request", &refused, HEADER_MISMATCH)?;
    ask(&peer).await?;
    read_resources(&peer).await?;
    hear_changes(&peer).await?;
    use_prompts(&peer).await?;
    peer.tool("long_report", slowly(&peer)).await?;
    give_up(&peer).await?;
    client.http.notice("keep-alive comment", Seen::Comment, 0).await?;
    client.http.tally.saw(Seen::Session);
    Ok(())
}

/// Follows a list page by page.
async fn list(peer: &Peer, method: &str, key: &str) -> Result<Vec<Value>, DemoError> {
    let mut entries = Vec::new();
    let mut params = json!({});
    for _ in 0..MAX_PAGES {
        let page = peer.request(method, params).await?;
        entries.extend(at(&page, &[key]).as_array().cloned().unwrap_or_default());
        let Some(cursor) = text_at(&page, &["nextCursor"]) else {
            break;
        };
        peer.http().tally.saw(Seen::NextPage);
        params = json!({ "cursor": cursor });
    }
    Ok(entries)
}

async fn list_everything(peer: &Peer) -> Result<(), DemoError> {
    let tools = list(peer, "tools/list", "tools").await?;
    if let Peer::Modern(client) = peer {
        client.learn(&tools);
    }
    peer.http().pause().await?;
    list(peer, "resources/list", "resources").await?;
    list(peer, "resources/templates/list", "resourceTemplates").await?;
    list(peer, "prompts/list", "prompts").await?;
    peer.http().pause().await
}

async fn use_tools(peer: &Peer) -> Result<(), DemoError> {
    let http = peer.http();
    let greeting = json!({ "text": "Gr\u{fc}\u{df}e, \u{3053}\u{3093}\u{306b}\u{3061}\u{306f}, \u{1f431}\u{200d}\u{1f464}!" });
    peer.tool("echo", greeting).await?;
    let sum = peer.tool("add", json!({ "a": 19, "b": 23.5 })).await?;
    if sum.get("structuredContent").is_some() {
        http.tally.saw(Seen::Structured);
    }
    http.pause().await?;
    // Two at once: their answers overtake each other.
    let count = json!({ "to": 5, "delay_ms": http.pace.delay_ms() });
    let echo = json!({ "text": "meanwhile" });
    tokio::try_join!(peer.tool("slow_count", count), peer.tool("echo", echo))?;
    let flaky = peer.tool("flaky", slowly(peer)).await?;
    if at(&flaky, &["isError"]) == &json!(true) {
        http.tally.saw(Seen::ToolError);
    }
    http.pause().await?;
    let picture = peer.tool("picture", json!({})).await?;
    let content = at(&picture, &["content"]).as_array();
    let mut content = content.into_iter().flatten();
    if content.any(|item| text_at(item, &["type"]) == Some("image")) {
        http.tally.saw(Seen::Image);
    }
    peer.tool(
        "big_text",
        json!({ "language": "\u{65e5}\u{672c}\u{8a9e}", "lines": 200 }),
    )
    .await?;
    http.pause().await
}

fn slowly(peer: &Peer) -> Value {
    json!({ "delay_ms": peer.http().pace.delay_ms() })
}

async fn make_mistakes(peer: &Peer, not_found: i64) -> Result<(), DemoError> {
    let unknown = json!({ "name": "no_such_tool", "arguments": {} });
    peer.refused("tools/call", unknown, INVALID_PARAMS).await?;
    peer.refused("cats/pet", json!({}), METHOD_NOT_FOUND).await?;
    let missing = json!({ "uri": "demo://dog" });
    peer.refused("resources/read", missing, not_found).await?;
    peer.http().pause().await
}

async fn ask(peer: &Peer) -> Result<(), DemoError> {
    let question = json!({ "question": "Cat or dog? One sentence, please." });
    peer.tool("ask_model", question).await?;
    peer.http().pause().await?;
    peer.tool("ask_user", json!({})).await?;
    peer.http().pause().await
}

async fn read_resources(peer: &Peer) -> Result<(), DemoError> {
    for uri in [README, CAT, "demo://greeting/Ada"] {
        let read = peer.request("resources/read", json!({ "uri": uri })).await?;
        for content in at(&read, &["contents"]).as_array().into_iter().flatten() {
            let is_blob = content.get("blob").is_some();
            let seen = if is_blob { Seen::Blob } else { Seen::ResourceText };
            peer.http().tally.saw(seen);
        }
    }
    peer.http().pause().await
}

/// Makes the server change something, and waits to be told.
async fn hear_changes(peer: &Peer) -> Result<(), DemoError> {
    let http = peer.http();
    let changes = [
        ("touch_note", Seen::ResourceUpdated),
        ("toggle_extra", Seen::ListChanged),
    ];
    for (tool, seen) in changes {
        let before = http.tally.summary().count(seen);
        peer.tool(tool, json!({})).await?;
        http.notice(tool, seen, before).await?;
        http.pause().await?;
    }
    peer.request("resources/read", json!({ "uri": NOTE })).await?;
    list(peer, "tools/list", "tools").await?;
    http.pause().await
}

async fn use_prompts(peer: &Peer) -> Result<(), DemoError> {
    let http = peer.http();
    let completion = json!({
        "ref": { "type": "ref/prompt", "name": "introduce" },
        "argument": { "name": "tone", "value": "c" },
    });
    let completed = peer.request("completion/complete", completion).await?;
    let values = at(&completed, &["completion", "values"]).as_array();
    if values.is_some_and(|values| !values.is_empty()) {
        http.tally.saw(Seen::Completion);
    }
    let introduce = json!({ "name": "introduce", "arguments": { "name": "\u{c5}sa", "tone": "curt" } });
    for params in [introduce, json!({ "name": "review" })] {
        let prompt = peer.request("prompts/get", params).await?;
        if at(&prompt, &["messages"]).is_array() {
            http.tally.saw(Seen::Prompt);
        }
    }
    http.pause().await
}

async fn give_up(peer: &Peer) -> Result<(), DemoError> {
    let params = json!({
        "name": "slow_count",
        "arguments": { "to": 100, "delay_ms": peer.http().pace.delay_ms() },
        "_meta": { "progressToken": "given-up" },
    });
    peer.give_up(params).await?;
    peer.http().pause().await
}
