//! With `--record-secrets` the frames of a recording are the bytes of the wire, on both sides of a bridge.

use shadowcat::snapshot::{Carrier, Direction};

use crate::peer::*;
use crate::recorded::{assert_recorded, recorded, with_secrets};

/// A server that keeps what it reads and what it writes in two files.
const SERVER: &str = r#"
while IFS= read -r line; do
  printf '%s\n' "$line" >> "$0.in"
  case $line in *'"id"'*) ;; *) continue;; esac
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  printf '{"jsonrpc":"2.0", "id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"},"access_token":"s3cr3t-%s","content":[]}}\n' "$id" "$id" | tee -a "$0.out"
done
"#;

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_bridge_are_recorded_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("server").display().to_string();
    let path = directory.path().join("w.jsonl");
    let engine = bridge(command("sh", &["-c", SERVER, &place]), |config| {
        with_secrets(config, &path);
    });
    let mut client = Client::new(&engine);
    let messages = [
        initialize("2025-11-25"),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        call("7", "login", r#"{"password":"s3cr3t-1","note":"☃"}"#),
    ];
    let (mut bodies, mut answers) = (String::new(), Vec::new());
    for message in &messages {
        let answer = client.post(message).await;
        client.session = client
            .session
            .or_else(|| answer.field("mcp-session-id").map(str::to_owned));
        bodies.push_str(message);
        answers.push(answer);
    }
    tokio::task::block_in_place(|| engine.shut_down());
    let file = |end: &str| std::fs::read(format!("{place}.{end}")).unwrap();
    let (read, written) = (file("in"), file("out"));
    assert!(String::from_utf8_lossy(&read).contains("s3cr3t-1"));
    assert_eq!(String::from_utf8_lossy(&written).matches("s3cr3t-").count(), 2);
    assert_recorded(&path, Carrier::Stdio, &read, &written);
    let came: String = answers.iter().map(|answer| answer.body.as_str()).collect();
    assert_eq!(came.matches("s3cr3t-").count(), 2, "{came}");
    let down =
        [Carrier::Http, Carrier::Sse].map(|carrier| recorded(&path, carrier, Direction::ServerToClient));
    let by_carrier = |is_stream: bool| -> String {
        let of = |answer: &&Answer| answer.head.contains("text/event-stream") == is_stream;
        answers
            .iter()
            .filter(of)
            .map(|answer| answer.body.as_str())
            .collect()
    };
    assert_eq!(String::from_utf8_lossy(&down[0]), by_carrier(false));
    assert_eq!(String::from_utf8_lossy(&down[1]), by_carrier(true));
    let up = recorded(&path, Carrier::Http, Direction::ClientToServer);
    assert_eq!(String::from_utf8_lossy(&up), bodies);
}
