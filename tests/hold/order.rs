//! Random traffic and random decisions: order is kept, nothing is lost, and nobody hangs.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::{Actor, HeldState};
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::snapshot::{Command, Reply};
use tokio::runtime::Runtime;

use crate::support::stage::{EVENTS, Stage, call, json};
use crate::support::*;
use crate::verdicts::unchunked;
use crate::{RESULT, ask, end, held, progress, ruled, ruled_with};

/// What becomes of an event.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// No rule means it.
    Pass,
    Forward,
    Edit,
    Drop,
    Delay,
    Duplicate,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        2 => Just(Deed::Pass),
        1 => Just(Deed::Forward),
        1 => Just(Deed::Edit),
        1 => Just(Deed::Drop),
        1 => Just(Deed::Delay),
        1 => Just(Deed::Duplicate),
    ];
    proptest::collection::vec(deed, 1..8)
}

fn event(number: usize, deed: Deed) -> String {
    let is_held = u8::from(!matches!(deed, Deed::Pass));
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"n\":{number},\"hold\":{is_held}}}}}\n\n"
    )
}

fn edited(number: usize) -> String {
    format!("{{\"edited\":{number}}}")
}

/// What goes on of an event.
fn left(number: usize, deed: Deed) -> String {
    let event = event(number, deed);
    match deed {
        Deed::Pass | Deed::Forward | Deed::Delay => event,
        Deed::Edit => format!("data: {}\n\n", edited(number)),
        Deed::Drop => String::new(),
        Deed::Duplicate => event.repeat(2),
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Cases {
        cases,
        failure_persistence: None,
        max_shrink_iters: 16,
        ..Cases::default()
    })
}

#[test]
fn a_stream_leaves_in_the_order_in_which_it_came_whatever_is_decided() {
    let runtime = Runtime::new().unwrap();
    let rule = "[[rule]]\nname = \"r\"\nwhen = \"$.params.hold=1\"\nthen = \"hold\"\n";
    let stage = RefCell::new(runtime.block_on(ruled(rule)));
    runner(12)
        .run(&(deeds(), 1..200_usize), |(deeds, cut)| {
            let arrived = runtime.block_on(decide_all(&mut stage.borrow_mut(), &deeds, cut));
            let expected: Vec<String> = deeds
                .iter()
                .enumerate()
                .map(|(number, deed)| left(number, *deed))
                .collect();
            prop_assert_eq!(arrived, expected.concat());
            Ok(())
        })
        .unwrap();
}

/// Sends a stream in pieces of `cut` bytes, decides about all that is held of it, and gives what arrived.
async fn decide_all(stage: &mut Stage, deeds: &[Deed], cut: usize) -> String {
    let request = stage.request("POST", "", &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    let events: Vec<String> = deeds
        .iter()
        .enumerate()
        .map(|(number, deed)| event(number, *deed))
        .collect();
    let sending = async move {
        for piece in events.concat().into_bytes().chunks(cut) {
            upstream.send(piece).await;
        }
    };
    let mut decided = BTreeSet::new();
    let deciding = async {
        for deed in deeds.iter().filter(|deed| !matches!(deed, Deed::Pass)) {
            decide(stage, *deed, &mut decided).await;
        }
        held(stage, 0).await;
    };
    let (arrived, (), ()) = tokio::join!(client.read_all_chunks(), sending, deciding);
    String::from_utf8(arrived).unwrap()
}

/// Does it to the head of the lane, once there is another one than before.
async fn decide(stage: &mut Stage, deed: Deed, decided: &mut BTreeSet<HoldId>) {
    let snapshot = snapshot_when(&mut stage.frontend, "the next head", |snapshot| {
        let head = snapshot.intercept.rows.first();
        head.is_some_and(|row| row.state == HeldState::Held && !decided.contains(&row.id))
    })
    .await;
    let id = snapshot.intercept.rows[0].id;
    decided.insert(id);
    if let Some(behind) = snapshot.intercept.rows.get(1) {
        let what = InterceptCommand::Forward { id: behind.id };
        let reply = stage
            .frontend
            .commands
            .ask(Command::Intercept {
                what,
                actor: Actor::Key,
            })
            .await;
        assert!(matches!(reply, Ok(Reply::Refused { .. })), "{reply:?}");
    }
    let what = match deed {
        Deed::Pass | Deed::Forward => InterceptCommand::Forward { id },
        Deed::Drop => InterceptCommand::Drop { id, is_silent: true },
        Deed::Delay => InterceptCommand::Delay { id, millis: 5 },
        Deed::Duplicate => InterceptCommand::Duplicate { id, times: 2 },
        Deed::Edit => {
            let text = Some(edited(number_of(stage, id).await));
            ask(stage, InterceptCommand::Edit { id, text }).await;
            InterceptCommand::Forward { id }
        }
    };
    ask(stage, what).await;
}

async fn number_of(stage: &Stage, id: HoldId) -> usize {
    let InterceptReply::Message(message) = ask(stage, InterceptCommand::Show { id }).await else {
        panic!("no message");
    };
    let message: serde_json::Value = serde_json::from_str(&message.original).unwrap();
    usize::try_from(message["params"]["n"].as_u64().unwrap()).unwrap()
}

/// How holding ends.
#[derive(Debug, Clone, Copy)]
enum Exit {
    ForwardAll,
    Off,
    End,
}

#[test]
fn however_holding_ends_each_held_message_goes_on_unchanged_and_nobody_hangs() {
    let runtime = Runtime::new().unwrap();
    let exit = prop_oneof![Just(Exit::ForwardAll), Just(Exit::Off), Just(Exit::End)];
    let tool = prop_oneof![Just("request"), Just("answer"), Just("stream"), Just("plain")];
    let tools = proptest::collection::vec(tool, 1..6);
    runner(9)
        .run(&(tools, exit), |(tools, exit)| {
            let answers = runtime.block_on(hold_and_leave(&tools, exit));
            for (tool, answer) in tools.iter().zip(answers) {
                prop_assert!(is_right(tool, &answer), "{} {:?}: {}", tool, exit, answer);
            }
            Ok(())
        })
        .unwrap();
}

fn is_right(tool: &str, answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let body = match tool {
        "stream" => unchunked(body),
        _ => (body.to_owned(), true),
    };
    head.starts_with("HTTP/1.1 200 ") && body == (body_of(tool), true)
}

fn body_of(tool: &str) -> String {
    match tool {
        "stream" => [&progress(1), &progress(2), &progress(3), RESULT].concat(),
        _ => format!("{{ \"jsonrpc\":\"2.0\",\"id\": 1,\"result\":{{\"of\":\"{tool}\"}}}}"),
    }
}

/// What each client gets in the end.
async fn hold_and_leave(tools: &[&str], exit: Exit) -> Vec<String> {
    const RULE: &str = "[[rule]]\nname = \"r\"\nwhen = '(dir:c2s tool:request) | (kind:result tool:answer) | $.params.progress=2'\nthen = \"hold\"\n";
    let mut stage = ruled_with(RULE, |config| config.limits.drain_timeout = PATIENCE).await;
    let mut clients = Vec::new();
    for tool in tools {
        let mut client = RawPeer::connect(address(&stage.engine)).await;
        client.send(stage.request("POST", "", &call(1, tool))).await;
        clients.push(client);
    }
    let asked = tools.iter().filter(|tool| **tool != "request").count();
    for _ in 0..asked {
        let upstream = stage.server.accept().await;
        spawn(serve(upstream));
    }
    let waiting = tools.iter().filter(|tool| **tool != "plain").count();
    let rows = held(&mut stage, waiting).await;
    if let (Some(row), Exit::Off | Exit::End) = (rows.first(), exit) {
        // An edit that was not sent does not go on by itself.
        let text = Some("{}".to_owned());
        ask(&stage, InterceptCommand::Edit { id: row.id, text }).await;
    }
    let Stage {
        server,
        engine,
        frontend,
    } = stage;
    let late = async {
        for _ in asked..tools.len() {
            spawn(serve(server.accept().await));
        }
    };
    let leaving = async {
        let what = match exit {
            Exit::ForwardAll => InterceptCommand::ForwardAll,
            Exit::Off => InterceptCommand::Intercept { is_on: false },
            Exit::End => {
                drop(frontend);
                assert_eq!(end(engine).await.cut, []);
                return None;
            }
        };
        let command = Command::Intercept {
            what,
            actor: Actor::Key,
        };
        frontend.commands.ask(command).await.unwrap();
        Some((engine, frontend))
    };
    let reading = async {
        let mut answers = Vec::new();
        for client in &mut clients {
            answers.push(String::from_utf8(client.read_to_end().await.0).unwrap());
        }
        answers
    };
    let ((), _engine, answers) = tokio::join!(late, leaving, reading);
    answers
}

async fn serve(mut upstream: RawPeer) {
    let (_, body) = crate::request_at(&mut upstream).await;
    let tools = ["request", "answer", "stream", "plain"];
    let tool = tools.into_iter().find(|tool| body.contains(tool)).unwrap();
    let answer = match tool {
        "stream" => [EVENTS, &body_of(tool)].concat(),
        _ => json(&body_of(tool)),
    };
    upstream.send(answer).await;
}
