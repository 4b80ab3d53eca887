//! The copy menu: what goes to the clipboard, and how the user is told.

use crate::client_config::{self, Told};
use crate::document::{self, Look};
use crate::effect::Effect;
use crate::keymap::Action;
use crate::lines;
use crate::model::{Mode, Model};
use crate::text;
use crate::theme::Role;

/// What the menu's `action` copies; the menu closes.
pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    model.mode = Mode::Normal;
    if action == Action::Back {
        return;
    }
    match chosen(model, action) {
        Some((what, text)) => effects.push(Effect::Copy { what, text }),
        None => model.say(
            Role::Warn,
            "this message has nothing of that kind, or it has not been fetched yet",
        ),
    }
}

/// What the menu of a server copies with `action`; the menu closes.
pub(super) fn perform_server(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    model.mode = Mode::Normal;
    let Some(server) = model.selected_server() else {
        return;
    };
    let told = Told {
        name: &server.name,
        url: &server.client_url,
        speaks_sse: server.speaks_sse,
    };
    let (what, text) = match action {
        Action::CopyUrl => ("URL", server.client_url.clone()),
        Action::CopyPortUrl => ("URL", server.port_url.clone().unwrap_or_default()),
        Action::CopyMcpServers => ("mcpServers", client_config::mcp_servers([told])),
        Action::CopyClaude => ("command", client_config::claude(told)),
        Action::CopyVsCode => ("mcp.json of VS Code", client_config::vs_code([told])),
        _ => return,
    };
    let what = format!("{what} of {}", server.name);
    effects.push(Effect::Copy { what, text });
}

/// The bytes of a message for the clipboard, and how the user is told if something of them is not as it came.
pub(super) fn exact(what: &str, bytes: &[u8]) -> (String, String) {
    let (text, shown) = text::exact_for_clipboard(bytes);
    let what = shown.map_or_else(|| what.to_owned(), |shown| format!("{what} ({shown})"));
    (what, text)
}

fn chosen(model: &Model, action: Action) -> Option<(String, String)> {
    match action {
        Action::CopyId => {
            return Some((
                "JSON-RPC id".to_owned(),
                text::for_clipboard(model.selected()?.rpc_id.as_ref()?.as_bytes()),
            ));
        }
        Action::CopyRow => {
            return Some(("row as JSON".to_owned(), lines::as_json(model.selected()?)));
        }
        _ => {}
    }
    let message = model.detail.message.as_ref();
    let message = message.filter(|message| Some(message.row.id) == model.messages.cursor)?;
    if action == Action::CopyHeaders {
        let look = Look {
            columns: 0,
            switches: model.detail.switches,
            theme: model.theme,
            zone: &model.zone,
            now: None,
            copies: &model.detail.copies,
            is_for_copy: true,
        };
        message.exchange.as_ref()?;
        let what = if look.switches.is_unmasked {
            "headers with secrets"
        } else {
            "headers, masked"
        };
        return Some((what.to_owned(), document::headers_text(message, &look)));
    }
    let body = message.body.as_ref()?;
    Some(match action {
        Action::CopyPretty => ("pretty body".to_owned(), document::pretty_text(&body.bytes)),
        Action::CopyBody => exact("body", &body.bytes),
        _ => {
            let wire = if body.wire.is_empty() {
                &body.bytes
            } else {
                &body.wire
            };
            exact("bytes on the wire", wire)
        }
    })
}
