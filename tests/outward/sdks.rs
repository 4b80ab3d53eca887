//! Clients of an SDK see through the shim what they see over HTTP.

use rmcp::model::{CallToolRequestParams, ClientRequest, Request};
use rmcp::service::PeerRequestOptions;
use shadowcat::outward::OutwardEnd;
use tokio::sync::oneshot;

use crate::sdk::*;
use crate::shim::*;
use crate::support::*;

async fn sdk_client_of(server: &SdkServer, speaks: Speaks) -> (Running, oneshot::Receiver<Ended>) {
    let shim = Shim::before(&server.url());
    let transport = (shim.output.into_inner(), shim.input.unwrap());
    (connect_over(transport, speaks, "piped").await, shim.ended)
}

async fn sees_the_same(speaks: Speaks) {
    let server = SdkServer::start().await;
    let way = Way {
        url: server.url(),
        proxy: None,
    };
    let direct = act_out(&way, speaks, "piped").await;
    let (client, ended) = sdk_client_of(&server, speaks).await;
    assert_eq!(act(&client).await, direct);
    soon("the client's leaving", client.cancel()).await.unwrap();
    assert_eq!(
        soon("the end", ended).await.unwrap().unwrap(),
        OutwardEnd::InputEnded
    );
}

#[tokio::test]
async fn a_legacy_sdk_client_sees_what_it_sees_over_http() {
    sees_the_same(Speaks::Legacy).await;
}

#[tokio::test]
async fn a_modern_sdk_client_sees_what_it_sees_over_http() {
    sees_the_same(Speaks::Modern).await;
}

#[tokio::test]
async fn a_cancelled_modern_call_is_cancelled_at_the_server() {
    let mut server = SdkServer::start().await;
    let (client, _ended) = sdk_client_of(&server, Speaks::Modern).await;
    let call = Request::new(CallToolRequestParams::new("wait"));
    let handle = client
        .send_cancellable_request(
            ClientRequest::CallToolRequest(call),
            PeerRequestOptions::no_options(),
        )
        .await
        .unwrap();
    soon("the call", server.waiting.wait_for(|count| *count == 1))
        .await
        .unwrap();
    handle.cancel(None).await.unwrap();
    soon("its end", server.cancelled.wait_for(|count| *count == 1))
        .await
        .unwrap();
}
