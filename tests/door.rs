//! The control door: who is let in, what a shim tells, and what is seen of it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use shadowcat::config::Config;
use shadowcat::door::message::{Answered, GapReason, HELD, RunBegin, RunExit, RunPipe, SHIM, ToProxy};
use shadowcat::door::{ConnectDoorError, DoorLink, FrameWriter, HeldClient, connect, place};
use shadowcat::engine::{Engine, EngineHandle};
use shadowcat::frontend::Frontend;
use shadowcat::ids::HoldId;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::snapshot::{Carrier, Command, Direction, Outcome, Reply, RowKind, RowState, SessionState};
use support::stage::reply;
use support::{gauge, rows, snapshot_when, soon};
use tempfile::TempDir;

struct House {
    place: TempDir,
    engine: EngineHandle,
    frontend: Frontend,
}

impl House {
    fn open(change: impl FnOnce(&mut Config)) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), change)
    }

    fn open_in(place: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            door: Some(place.path().join("door")),
            ..Config::default()
        };
        change(&mut config);
        let engine = Engine::start(config).unwrap();
        Self {
            frontend: engine.frontend().unwrap(),
            place,
            engine,
        }
    }

    fn door(&self) -> PathBuf {
        self.place.path().join("door")
    }

    /// The door's socket, once it is there.
    async fn socket(&self) -> PathBuf {
        let door = self.door();
        soon("the door", async {
            loop {
                let mut sockets = place::sockets(&door).into_iter();
                if let Some(path) = sockets.find(|path| is_ours(path)) {
                    return path;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    async fn come_in(&self) -> DoorLink {
        soon("a welcome", connect(&self.socket().await, SHIM))
            .await
            .unwrap()
    }

    async fn refusal(&self, role: &str) -> String {
        match soon("an answer", connect(&self.socket().await, role)).await {
            Err(ConnectDoorError::Refused { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

/// Whether it is the socket of a proxy in this process.
fn is_ours(path: &Path) -> bool {
    let end = format!("-{}.sock", std::process::id());
    path.to_str().is_some_and(|path| path.ends_with(&end))
}

fn begin(name: &str) -> ToProxy {
    let begin = RunBegin {
        name: Some(name.to_owned()),
        argv: ["weather", "--token=s3cr3t"].map(str::to_owned).to_vec(),
        env_names: vec!["API_KEY".to_owned()],
        child_pid: 4711,
        parent: Some("editor".to_owned()),
        parent_pid: Some(17),
        ..RunBegin::default()
    };
    ToProxy::Begin(Box::new(begin))
}

async fn say(writer: &mut FrameWriter, message: ToProxy, payload: &[u8]) {
    writer.put(&message, payload).unwrap();
    soon("a write", writer.flush()).await.unwrap();
}

async fn bytes(writer: &mut FrameWriter, stream: RunPipe, bytes: &[u8]) {
    say(writer, ToProxy::Bytes { stream }, bytes).await;
}

const CALL: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"forecast\"}}\n";
const ANSWER: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";

#[tokio::test]
async fn what_a_shim_tells_is_a_session_of_the_forward_side_with_its_calls() {
    let mut house = House::open(|_| {});
    let DoorLink {
        mut reader,
        mut writer,
        welcome,
    } = house.come_in().await;
    assert_eq!(welcome.pid, std::process::id());
    say(&mut writer, begin("weather"), b"").await;
    let (half, rest) = CALL.split_at(20);
    bytes(&mut writer, RunPipe::In, half).await;
    bytes(&mut writer, RunPipe::In, rest).await;
    bytes(&mut writer, RunPipe::Err, b"asking\n").await;
    bytes(&mut writer, RunPipe::Out, ANSWER).await;
    let exit = RunExit {
        code: Some(3),
        signal: None,
    };
    say(&mut writer, ToProxy::Exit(exit), b"").await;
    assert!(soon("the end", reader.next()).await.unwrap().is_none());
    let snapshot = snapshot_when(&mut house.frontend, "the end of the run", |snapshot| {
        snapshot
            .sessions
            .rows
            .iter()
            .any(|session| session.state == SessionState::Ended)
    })
    .await;
    let session = &snapshot.sessions.rows[0];
    assert_eq!(
        (session.id.to_string().as_str(), session.server.as_str()),
        ("F1", "weather")
    );
    let rows = rows(&house.frontend).await;
    let told: Vec<(Carrier, Direction, &str)> = rows
        .iter()
        .map(|row| (row.carrier, row.direction, row.summary.as_str()))
        .collect();
    let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
    assert_eq!(
        told[1..],
        [
            (Carrier::Stdio, up, "forecast"),
            (Carrier::Stderr, down, "asking"),
            (Carrier::Stdio, down, "forecast"),
        ]
    );
    let calls: Vec<_> = rows.iter().filter_map(|row| row.call).collect();
    assert_eq!(calls.len(), 2, "the request and its answer: {rows:?}");
    assert_eq!(calls[0], calls[1]);
}

#[tokio::test]
async fn a_gap_is_counted_and_the_line_behind_it_is_read() {
    let mut house = House::open(|_| {});
    let DoorLink { mut writer, .. } = house.come_in().await;
    say(&mut writer, begin("weather"), b"").await;
    bytes(&mut writer, RunPipe::In, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"meth").await;
    let gap = ToProxy::Gap {
        stream: RunPipe::In,
        reason: GapReason::Full,
        chunks: 12,
        bytes: 3456,
    };
    say(&mut writer, gap, b"").await;
    bytes(&mut writer, RunPipe::In, CALL).await;
    let snapshot = snapshot_when(&mut house.frontend, "a notice", |snapshot| {
        snapshot
            .notices
            .iter()
            .any(|notice| notice.text.contains("12 chunks of 3456 bytes"))
    })
    .await;
    assert!(
        snapshot
            .notices
            .iter()
            .any(|notice| notice.text.contains("weather"))
    );
    snapshot_when(&mut house.frontend, "one call", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| row.method.as_deref() == Some("tools/call") && row.summary.contains("forecast"))
    })
    .await;
}

#[tokio::test]
async fn who_is_not_known_is_told_what_to_do() {
    let house = House::open(|_| {});
    let reason = house.refusal("ghost").await;
    assert!(
        reason.contains("role `ghost`") && reason.contains("same version"),
        "{reason}"
    );
    let _still_open = house.come_in().await;
}

#[tokio::test]
async fn beyond_max_shims_a_shim_is_refused_until_one_leaves() {
    let mut house = House::open(|config| config.limits.max_shims = 1);
    let first = house.come_in().await;
    let reason = house.refusal(SHIM).await;
    assert!(reason.contains("--max-shims"), "{reason}");
    snapshot_when(&mut house.frontend, "one link", |snapshot| {
        let gauge = gauge(snapshot, "max_shims", "");
        (gauge.used, gauge.limit, gauge.reached) == (1, 1, 1)
    })
    .await;
    drop(first);
    snapshot_when(&mut house.frontend, "no link", |snapshot| {
        gauge(snapshot, "max_shims", "").used == 0
    })
    .await;
    house.come_in().await;
}

#[tokio::test]
async fn beyond_sixteen_scripts_one_is_refused_and_shims_still_come_in() {
    let house = House::open(|_| {});
    let socket = house.socket().await;
    let mut scripts = Vec::new();
    for _ in 0..16 {
        scripts.push(soon("a welcome", connect(&socket, HELD)).await.unwrap());
    }
    let reason = house.refusal(HELD).await;
    assert!(reason.contains("16 scripts"), "{reason}");
    house.come_in().await;
    let mut client = HeldClient::new(scripts.pop().unwrap());
    let id = HoldId::new(1).unwrap();
    let answered = soon("an answer", client.ask(&InterceptCommand::Forward { id }))
        .await
        .unwrap();
    assert!(matches!(answered, Answered::Refused(reason) if reason.contains("h1 is not held")));
}

#[tokio::test]
async fn a_shim_that_goes_without_a_word_ends_its_run_and_nothing_else() {
    let mut house = House::open(|_| {});
    let DoorLink {
        reader, mut writer, ..
    } = house.come_in().await;
    say(&mut writer, begin("weather"), b"").await;
    bytes(&mut writer, RunPipe::In, CALL).await;
    drop((reader, writer));
    snapshot_when(&mut house.frontend, "the end of the run", |snapshot| {
        snapshot
            .sessions
            .rows
            .iter()
            .any(|session| session.state == SessionState::Ended)
    })
    .await;
    let run = ended_run(&house).await;
    assert_eq!(run.outcome, Outcome::Unwatched);
    assert!(
        run.failure
            .contains("not known: the shim that watched it has gone"),
        "{}",
        run.failure
    );
    let _still_open = house.come_in().await;
}

struct EndedRun {
    outcome: Outcome,
    failure: String,
}

/// How the only run that was told of has ended.
async fn ended_run(house: &House) -> EndedRun {
    let row = rows(&house.frontend).await.remove(0);
    let RowState::Answered { outcome, .. } = row.state else {
        panic!("{row:?}");
    };
    let Reply::Detail(detail) = reply(&house.frontend, Command::Inspect { id: row.id }).await else {
        panic!("the row is gone: {row:?}");
    };
    EndedRun {
        outcome,
        failure: detail.exchange.unwrap().failure.unwrap_or_default(),
    }
}

#[tokio::test]
async fn a_run_whose_server_never_answered_has_failed_whatever_its_exit_code() {
    const REFUSED: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-33001,\"message\":\"http://a:1/mcp could not be reached\",\"data\":{\"origin\":\"shadowcat\"}}}\n";
    for (answers, outcome, failure) in [
        (
            &[REFUSED][..],
            Outcome::Unanswered,
            "no server answered: http://a:1/mcp could not be reached",
        ),
        (&[REFUSED, ANSWER], Outcome::Ok, ""),
    ] {
        let mut house = House::open(|_| {});
        let DoorLink { mut writer, .. } = house.come_in().await;
        say(&mut writer, begin("weather"), b"").await;
        for answer in answers {
            bytes(&mut writer, RunPipe::In, CALL).await;
            bytes(&mut writer, RunPipe::Out, answer).await;
        }
        let exit = RunExit {
            code: Some(0),
            signal: None,
        };
        say(&mut writer, ToProxy::Exit(exit), b"").await;
        snapshot_when(&mut house.frontend, "the end of the run", |snapshot| {
            let mut rows = snapshot.messages.rows.iter();
            rows.any(|row| row.kind == RowKind::Run && matches!(row.state, RowState::Answered { .. }))
        })
        .await;
        let run = ended_run(&house).await;
        assert_eq!((run.outcome, run.failure.as_str()), (outcome, failure));
    }
}

#[tokio::test]
async fn the_end_of_the_proxy_ends_its_links_and_removes_its_socket() {
    let house = House::open(|_| {});
    let DoorLink {
        mut reader,
        mut writer,
        ..
    } = house.come_in().await;
    say(&mut writer, begin("weather"), b"").await;
    let (door, engine) = (house.door(), house.engine);
    assert_eq!(engine.shut_down().to_string(), "");
    let last = soon("the end", reader.next()).await;
    assert!(!matches!(last, Ok(Some(_))), "{last:?}");
    assert_eq!(place::sockets(&door), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_socket_that_was_left_behind_goes_when_the_next_proxy_comes() {
    let place = tempfile::tempdir().unwrap();
    let door = place.path().join("door");
    place::prepare(&door).unwrap();
    let left = door.join("0000000000000001-1.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let house = House::open_in(place, |_| {});
    let link = house.come_in().await;
    assert_eq!(link.welcome.pid, std::process::id());
    assert!(!left.exists());
}

#[tokio::test]
async fn a_directory_that_others_can_enter_closes_the_door_and_says_so() {
    let place = tempfile::tempdir().unwrap();
    let door = place.path().join("door");
    open_to_all(&door);
    let mut house = House::open_in(place, |_| {});
    let snapshot = snapshot_when(&mut house.frontend, "a notice", |snapshot| {
        snapshot
            .notices
            .iter()
            .any(|notice| notice.text.contains("is not only ours"))
    })
    .await;
    let text = &snapshot.notices[0].text;
    assert!(
        text.contains("Wrapped commands are not shown here") && text.contains("SHADOWCAT_DOOR_DIR"),
        "{text}"
    );
    assert!(std::fs::read_dir(&door).unwrap().next().is_none());
}

fn open_to_all(directory: &Path) {
    std::fs::create_dir(directory).unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
}
