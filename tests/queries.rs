//! What a frontend asks for, with real traffic behind it.

mod support;

use support::stage::*;
use support::*;

use shadowcat::frontend::Frontend;
use shadowcat::ids::MessageId;
use shadowcat::snapshot::{Command, Reply, Snapshot, ViewQuery};

async fn asked(frontend: &mut Frontend, serial: u64, filter: &str) -> Snapshot {
    frontend.queries.send_replace(ViewQuery {
        serial,
        filter: filter.to_owned(),
        ..ViewQuery::default()
    });
    snapshot_when(frontend, "the answer to the query", |snapshot| {
        snapshot.query_serial == serial && snapshot.messages.scanned == snapshot.messages.total
    })
    .await
}

#[tokio::test]
async fn a_filter_shows_what_matches_and_a_bad_one_says_what_is_wrong_with_it() {
    let mut stage = stage(|_| {}).await;
    for (id, tool) in [(1, "echo"), (2, "add"), (3, "echo")] {
        stage.call("s", id, tool, "x").await;
    }
    snapshot_when(&mut stage.frontend, "all rows", |snapshot| {
        snapshot.messages.total == 6
    })
    .await;
    let echoes = asked(&mut stage.frontend, 1, "tool:echo").await;
    assert_eq!((echoes.messages.matched, echoes.messages.total), (4, 6));
    let ids: Vec<_> = echoes
        .messages
        .rows
        .iter()
        .map(|row| row.rpc_id.as_deref())
        .collect();
    assert_eq!(ids, [Some("1"), Some("1"), Some("3"), Some("3")]);
    let bad = asked(&mut stage.frontend, 2, "tool:echo tol:x").await;
    let problem = bad.messages.filter_error.unwrap();
    assert_eq!((problem.column, problem.length), (10, 3), "{problem:?}");
    assert!(problem.message.contains("tool"), "{problem:?}");
    assert_eq!(bad.messages.rows, echoes.messages.rows);
    let all = asked(&mut stage.frontend, 3, "").await;
    assert_eq!(all.messages.filter_error, None);
    assert_eq!(all.messages.rows.len(), 6);
}

#[tokio::test]
async fn the_next_error_is_found_in_both_directions() {
    let mut stage = stage(|_| {}).await;
    let failing = |id: u64| {
        let body = call(id, "print");
        let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"jam"}}}}"#);
        (stage.request("POST", "s", &body), json(&error))
    };
    let failures = [failing(2), failing(4)];
    stage.call("s", 1, "echo", "x").await;
    stage.exchange(&failures[0].0, &failures[0].1).await;
    stage.call("s", 3, "echo", "x").await;
    stage.exchange(&failures[1].0, &failures[1].1).await;
    snapshot_when(&mut stage.frontend, "all rows", |snapshot| {
        snapshot.messages.total == 8 && snapshot.totals.open_calls == 0
    })
    .await;
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let find = Command::Find {
            from,
            is_backwards: false,
            filter: "kind:error".to_owned(),
            scope: String::new(),
            session: None,
        };
        match reply(&stage.frontend, find).await {
            Reply::Found(Some(next)) => {
                found.push(next.get());
                from = Some(next);
            }
            Reply::Found(None) => break,
            other => panic!("{other:?}"),
        }
        assert!(found.len() < 10, "{found:?}");
    }
    assert_eq!(found, [4, 8]);
    let back = Command::Find {
        from,
        is_backwards: true,
        filter: "kind:error".to_owned(),
        scope: String::new(),
        session: None,
    };
    assert_eq!(
        reply(&stage.frontend, back).await,
        Reply::Found(MessageId::new(4))
    );
}
