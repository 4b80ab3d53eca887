//! What is remarkable about frames.

use crate::session::observation::{FrameObserved, PlacedMessage};
use crate::snapshot::{Finding, RowKind, Severity};

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
    if frame.is_injected {
        findings.push(Finding {
            severity: Severity::Info,
            text: "sent again from here: its client did not send it".to_owned(),
        });
    }
    findings.extend(frame_findings(frame, max_body));
    findings
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
