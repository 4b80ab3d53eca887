//! Answers by hand: what the prompt begins with.

use shadowcat::codec::json::compact;
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{example, value_at};
use shadowcat::intercept::hold::HeldRow;
use shadowcat::snapshot::{Command, MessageDetail, Reply};

use super::held::prompt;
use super::like::quoted;
use crate::effect::{Effect, Purpose};
use crate::model::{HoldPurpose, Mode, Model, Screen};

/// The result that a prompt for an answer begins with.
const RESULT: &str = "{}";

/// The same for the call of a tool.
const TOOL_RESULT: &str = r#"{"content":[{"type":"text","text":""}]}"#;

/// Longest result that is put into a prompt, in bytes.
const MOST_BYTES: usize = 4_000;

/// Asks for what the tool answered last, if it is a tool; the prompt opens with that, or else with what it promises.
pub(super) fn begin(model: &mut Model, row: &HeldRow, effects: &mut Vec<Effect>) {
    let tool = row
        .name
        .as_deref()
        .filter(|_| row.method.as_deref() == Some("tools/call"));
    let Some(tool) = tool else {
        return prompt(model, HoldPurpose::Answer(row.id), RESULT);
    };
    let command = Command::Find {
        from: None,
        is_backwards: true,
        filter: format!(
            "kind:result !status:error method:tools/call tool={} server={}",
            quoted(tool),
            quoted(&row.server)
        ),
        scope: String::new(),
        session: None,
    };
    effects.push(Effect::Ask(Purpose::LastGood(row.id), command));
}

/// What the engine says of the last good answer.
pub(super) fn found(model: &mut Model, id: HoldId, reply: Reply, effects: &mut Vec<Effect>) {
    match reply {
        Reply::Found(Some(row)) => {
            effects.push(Effect::Ask(Purpose::LastGood(id), Command::Inspect { id: row }));
        }
        Reply::Detail(detail) => open(model, id, last_good(&detail)),
        _ => open(model, id, None),
    }
}

/// The result of an answer, in one line, if it fits into one and all of it is here.
fn last_good(detail: &MessageDetail) -> Option<String> {
    let body = detail.body.as_ref().filter(|body| !body.is_cut)?;
    let result = value_at(&body.bytes, "$.result")?;
    let text = String::from_utf8(compact(result.as_bytes())).ok()?;
    // Braces of its own are no places to be filled in; two of them stand in texts only.
    let text = text.replace("{{", "\\u007b\\u007b");
    (text.len() <= MOST_BYTES).then_some(text)
}

fn open(model: &mut Model, id: HoldId, last_good: Option<String>) {
    // Whoever has gone elsewhere meanwhile does not want to type an answer.
    let is_wanted = model.screen == Screen::Held && matches!(model.mode, Mode::Normal);
    if !is_wanted || model.held_row(id.get()).is_none() {
        return;
    }
    let text = last_good.or_else(|| promised(model, id));
    prompt(
        model,
        HoldPurpose::Answer(id),
        text.as_deref().unwrap_or(TOOL_RESULT),
    );
}

/// A result that follows the tool's `outputSchema`.
fn promised(model: &Model, id: HoldId) -> Option<String> {
    let text = model.held.text.as_ref().filter(|text| text.row.id == id)?;
    let structured = example(text.answer_schema.as_deref()?)?;
    let text = format!(r#"{{"content":[{{"type":"text","text":""}}],"structuredContent":{structured}}}"#);
    (text.len() <= MOST_BYTES).then_some(text)
}
