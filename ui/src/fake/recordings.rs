//! Recordings of a made-up folder, and what reading them has shown.

use std::path::PathBuf;
use std::time::Duration;

use shadowcat::clock::Timestamp;

use super::START;
use crate::recordings::{Checked, Compared, Found, Head, Listing, Outcome, Problem, Tail};

/// Recordings in every state, the newest first; the first is the one under way in [`super::Fake::typical`].
pub(crate) fn listing() -> Listing {
    let mut found = vec![
        recording("recordings/session-1.jsonl", 1_258_291, 0, Tail::Open),
        recording("recordings/session-0.jsonl", 34_000, 125, Tail::Ended { lost: 0 }),
        recording("recordings/killed.jsonl", 812, 9_000, Tail::Torn),
        recording(
            "recordings/slow disk.jsonl",
            70 << 20,
            300_000,
            Tail::Ended { lost: 120 },
        ),
        recording("recordings/archive.jsonl.zst", 1 << 30, 9_000_000, Tail::Unknown),
        recording("recordings/newer.jsonl", 4_096, 9_100_000, Tail::Open),
    ];
    if let Some(secret) = found.get_mut(1)
        && let Head::Read { is_redacted, .. } = &mut secret.head
    {
        *is_redacted = false;
    }
    if let Some(newer) = found.last_mut() {
        newer.head = Head::Unreadable("it uses recording format 7; upgrade shadowcat-tui".to_owned());
    }
    Listing {
        found,
        ..Listing::default()
    }
}

fn recording(path: &str, bytes: u64, seconds_old: u64, tail: Tail) -> Found {
    let ago = |seconds: u64| Timestamp::from_micros(START - seconds * 1_000_000);
    Found {
        path: PathBuf::from(path),
        bytes,
        modified: ago(seconds_old),
        head: Head::Read {
            created: ago(seconds_old + Duration::from_mins(10).as_secs()),
            is_redacted: true,
            proxy: "shadowcat-tui 0.1.0".to_owned(),
            segment: None,
        },
        tail,
    }
}

/// A whole one.
pub(crate) fn whole() -> Checked {
    Checked {
        is_whole: true,
        lines: 96,
        sessions: 2,
        messages: 41,
        frames: 44,
        problems: Vec::new(),
        more: 0,
    }
}

/// One with a torn end.
pub(crate) fn damaged() -> Checked {
    let problem = |line: Option<u64>, text: &str, is_damage| Problem {
        line,
        text: text.to_owned(),
        is_damage,
    };
    Checked {
        is_whole: false,
        problems: vec![
            problem(
                Some(5),
                "lines are missing before it (1), and no gap tells of them",
                true,
            ),
            problem(
                Some(9),
                "has the type `weather`, which this build does not know",
                false,
            ),
            problem(
                None,
                "the recording has no end: it is still being written, or its writer was killed",
                true,
            ),
        ],
        ..whole()
    }
}

/// What differs between the third of the list and the second.
pub(crate) fn comparison() -> Outcome {
    let lines = [
        "same     R1  initialize",
        "changed  R1  tools/call greet",
        "           $.result.content[0].text: \"hello\" → \"hallo\"",
        "missing  R1  tools/call echo",
        "3 calls: 1 same, 1 changed, 1 missing",
    ];
    Outcome::Compared {
        before: "recordings/killed.jsonl".into(),
        after: "recordings/session-0.jsonl".into(),
        outcome: Ok(Compared {
            lines: lines.map(ToOwned::to_owned).to_vec(),
            is_cut: true,
        }),
    }
}
