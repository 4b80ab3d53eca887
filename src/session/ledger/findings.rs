//! What is remarkable about frames.

use crate::codec::envelope::MessageKind;
use crate::session::observation::{FrameObserved, PlacedMessage};
use crate::snapshot::{Direction, Finding, RowKind, Severity, is_copy};

/// What is remarkable about a message.
pub(super) fn findings(frame: &FrameObserved, placed: &PlacedMessage, max_body: u64) -> Vec<Finding> {
    if frame.is_synthetic {
        return vec![Finding {
            severity: Severity::Info,
            text: "synthetic: this proxy made it up while a message was held".to_owned(),
        }];
    }
    let mut findings = placed.placement.findings.clone();
    if let Some(problem) = placed.envelope.problem {
        findings.push(Finding {
            severity: Severity::Warning,
            text: problem.to_string(),
        });
    }
    findings.extend(of_copy(frame, placed));
    findings.extend(frame_findings(frame, max_body));
    findings
}

/// What is remarkable about a message of a call that was sent again from here.
fn of_copy(frame: &FrameObserved, placed: &PlacedMessage) -> Option<Finding> {
    let envelope = &placed.envelope;
    let is_answer = matches!(envelope.kind, MessageKind::Result | MessageKind::Error);
    let is_of_copy = || {
        envelope
            .id
            .as_ref()
            .and_then(|id| id.token())
            .is_some_and(is_copy)
    };
    let text = if frame.is_injected && is_answer {
        "answered from here: its client was not asked"
    } else if frame.is_injected {
        "sent again from here: its client did not send it"
    } else if is_answer && frame.direction == Direction::ServerToClient && is_of_copy() {
        "the answer to a request that was sent again from here: its client does not hear it"
    } else {
        return None;
    };
    Some(Finding {
        severity: Severity::Info,
        text: text.to_owned(),
    })
}

/// What is remarkable about a frame that makes a row of `kind` and carries no message.
pub(super) fn bare_findings(frame: &FrameObserved, kind: RowKind, max_body: u64) -> Vec<Finding> {
    if kind == RowKind::HttpResponse {
        size_findings(frame, max_body)
    } else {
        frame_findings(frame, max_body)
    }
}

fn missing_message(reason: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        text: format!("a JSON-RPC message was expected here: {reason}"),
    }
}

fn frame_findings(frame: &FrameObserved, max_body: u64) -> Vec<Finding> {
    let expected = frame.unreadable.as_deref().map(missing_message);
    expected
        .into_iter()
        .chain(size_findings(frame, max_body))
        .collect()
}

/// What is missing of a frame.
fn size_findings(frame: &FrameObserved, max_body: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, text| findings.push(Finding { severity, text });
    if frame.is_fragment {
        add(Severity::Warning, "it ended before it was complete".to_owned());
    }
    if frame.is_cut || frame.payload_size > max_body {
        let kept = (frame.payload.len() as u64).min(max_body);
        add(
            Severity::Info,
            format!(
                "cut for display: the first {kept} of {} bytes were kept",
                frame.payload_size
            ),
        );
    }
    findings
}
