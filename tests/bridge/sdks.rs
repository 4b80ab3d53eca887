//! The Rust SDK as a client over HTTP and as a server on standard input and output.

use shadowcat::snapshot::RowState;

use crate::peer::{bridge, command, example};
use crate::sdk::*;
use crate::support::*;

async fn through_the_bridge(speaks: Speaks) {
    let server = SdkServer::start().await;
    let directly = Way {
        url: server.url(),
        proxy: None,
    };
    let engine = bridge(command(&example("sdk_server"), &[]), |_| {});
    let bridged = Way {
        url: format!("http://{}/mcp", address(&engine)),
        proxy: None,
    };
    let sorted = |mut seen: serde_json::Value| {
        seen["progress"]
            .as_array_mut()
            .unwrap()
            .sort_by_key(ToString::to_string);
        seen
    };
    let expected = sorted(act_out(&directly, speaks, "inspector").await);
    assert_eq!(sorted(act_out(&bridged, speaks, "inspector").await), expected);
    let mut frontend = engine.frontend().unwrap();
    let is_open = |state: &RowState| matches!(state, RowState::Open { .. });
    snapshot_when(&mut frontend, "all answers", |snapshot| {
        let rows = &snapshot.messages.rows;
        let is_call = |method: &Option<String>| method.as_deref() == Some("prompts/get");
        rows.iter().any(|row| is_call(&row.method))
            && !rows.iter().any(|row| is_call(&row.method) && is_open(&row.state))
    })
    .await;
}

#[tokio::test]
async fn a_legacy_client_sees_a_stdio_server_as_it_sees_an_http_server() {
    through_the_bridge(Speaks::Legacy).await;
}

#[tokio::test]
async fn a_modern_client_sees_a_stdio_server_as_it_sees_an_http_server() {
    through_the_bridge(Speaks::Modern).await;
}
