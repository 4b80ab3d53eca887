//! The one table of keys. Input, footer, help, palette and documentation read it.

use super::{Action, Binding, Context};

/// How far in front an entry of the footer is; entries with 0 are not in it.
type Priority = u8;

const fn row(
    context: Context,
    keys: &'static [&'static str],
    action: Action,
    names: &'static [&'static str],
    label: &'static str,
    help: &'static str,
    priority: Priority,
) -> Binding {
    Binding {
        context,
        keys,
        action,
        names,
        label,
        help,
        priority,
    }
}

use Action as A;
use Context::{
    Asking, Copying, CopyingServer, Detail, Doubting, Events, Faulting, Fields, Filtering, Global, Heads,
    Held, Help, List, Log, Messages, Palette, Prompt, RecordingPage, Recordings, Refusing, Rules, Servers,
    Sessions, Streams, Traffic,
};

/// All of them, in the order of help and documentation. The first name is the one the palette and the configuration use.
#[rustfmt::skip] // A table is read by its lines.
pub(crate) const TABLE: &[Binding] = &[
    row(Global, &["?"], A::Help, &["help", "h"], "help", "keys of this view; type to search all of them", 10),
    row(Global, &[":", "ctrl-p"], A::Palette, &["palette"], "commands", "find any action by its name", 9),
    row(Global, &["1"], A::ShowTraffic, &["traffic"], "traffic", "Traffic: sessions, messages, details", 0),
    row(Global, &["2"], A::ShowStreams, &["streams"], "streams", "Streams: one lane for each SSE stream", 0),
    row(Global, &["3"], A::ShowResources, &["resources", "limits"], "resources", "Resources: limits, tasks, rates", 0),
    row(Global, &["4"], A::ShowLog, &["log"], "log", "Log: what the program itself did", 0),
    row(Global, &["5"], A::ShowServers, &["servers", "upstreams"], "servers", "Servers: how they are, and where clients find them", 0),
    row(Global, &["6"], A::HelpAll, &["keys"], "keys", "Help: the keys of all views", 0),
    row(Global, &["7"], A::ShowHeld, &["held"], "held", "Held: messages that wait for a decision", 0),
    row(Global, &["8", "I"], A::ShowRules, &["rules"], "rules", "Rules: what holds or changes messages, and how often it did", 0),
    row(Global, &["9"], A::ShowRecordings, &["recordings"], "recordings", "Recordings: those in the folder, to be opened, checked and compared", 0),
    row(Global, &["g h"], A::GoHeld, &["go-held"], "held", "to the message that is held longest", 0),
    row(Global, &["i"], A::Intercept, &["intercept"], "intercept", "rules on or off; off lets all that is held go on unchanged", 0),
    row(Global, &["tab"], A::NextPane, &["next-pane"], "pane", "next pane", 3),
    row(Global, &["shift-tab"], A::PreviousPane, &["previous-pane"], "", "previous pane", 0),
    row(Global, &["+"], A::Zoom, &["zoom"], "zoom", "this pane alone on the screen", 0),
    row(Global, &["_"], A::Unzoom, &["unzoom"], "", "all panes again", 0),
    row(Global, &["esc"], A::Back, &["back"], "back", "one level out: search, pane, screen, filter, session; never quits", 0),
    row(Global, &["R"], A::Record, &["record", "rec"], "record", "start recording to a file, or stop", 4),
    row(Global, &["z"], A::Theme, &["theme"], "theme", "dark, light, no colours", 0),
    row(Global, &["M"], A::Mouse, &["mouse"], "mouse", "mouse on or off; off lets the terminal select text", 0),
    row(Global, &["ctrl-l"], A::Redraw, &["redraw"], "redraw", "draw the screen anew", 0),
    row(Global, &["ctrl-z"], A::Suspend, &["suspend"], "suspend", "back to the shell until `fg`; traffic stops as long", 0),
    row(Global, &["q"], A::Quit, &["quit", "q"], "quit", "quit, from the Traffic screen, and ask if something is held; elsewhere back to it", 2),
    row(Global, &["Q", "ctrl-c"], A::QuitNow, &["quit-now", "q!", "exit"], "", "quit from anywhere; asks if something is held, and once more is a yes; traffic is drained first", 0),

    row(List, &["j", "down"], A::Down, &["down"], "", "down one row", 0),
    row(List, &["k", "up"], A::Up, &["up"], "", "up one row; leaves follow mode", 0),
    row(List, &["ctrl-d"], A::HalfDown, &["half-page-down"], "", "down half a page", 0),
    row(List, &["ctrl-u"], A::HalfUp, &["half-page-up"], "", "up half a page", 0),
    row(List, &["ctrl-f", "pgdn"], A::PageDown, &["page-down"], "", "down a page", 0),
    row(List, &["ctrl-b", "pgup"], A::PageUp, &["page-up"], "", "up a page", 0),
    row(List, &["g g", "home"], A::First, &["first"], "first", "first row", 0),
    row(List, &["G", "end"], A::Last, &["follow", "last"], "follow", "last row; follow what comes", 3),

    row(Traffic, &["/"], A::Filter, &["filter"], "filter", "filter messages as you type", 8),
    row(Traffic, &["f"], A::FilterFromRow, &["filter-row"], "like this", "filter by the method and tool of the row under the cursor", 5),
    row(Traffic, &["}"], A::NextError, &["next-error"], "next error", "next message that failed", 6),
    row(Traffic, &["{"], A::PreviousError, &["previous-error"], "", "previous message that failed", 0),
    row(Traffic, &["["], A::PreviousTab, &["previous-tab"], "", "previous tab of the detail", 0),
    row(Traffic, &["]"], A::NextTab, &["next-tab"], "tab", "next tab of the detail", 4),
    row(Traffic, &["y"], A::Copy, &["copy"], "copy", "copy menu", 4),
    row(Traffic, &["s"], A::LimitSession, &["session"], "session", "show only the session under the cursor", 4),
    row(Traffic, &["g r"], A::GoRequest, &["go-request"], "request", "to the request of this call", 0),
    row(Traffic, &["g a"], A::GoAnswer, &["go-answer"], "answer", "to the answer of this call", 0),
    row(Traffic, &["g s"], A::GoStream, &["go-stream"], "stream", "to the stream that carried this message", 0),

    row(Traffic, &["p"], A::RepeatRow, &["send-again"], "send again", "send a copy of this request under an id of its own, in its session; its client hears nothing of it", 4),
    row(Traffic, &["P"], A::RepeatEdited, &["edit-and-send"], "edit and send", "the same, changed in $VISUAL or $EDITOR before", 3),
    row(Traffic, &["b"], A::Break, &["break-like"], "", "hold messages like the one under the cursor from now on", 0),
    row(Traffic, &["B"], A::BreakAnswer, &["break-answer"], "", "hold the answer to the request under the cursor", 0),

    row(Traffic, &["t"], A::Play, &["play"], "play", "in an opened recording: play it from this row on at its own pace, or end that", 9),
    row(Traffic, &["space"], A::PausePlay, &["pause"], "pause", "while it plays: stand still, or go on from the row under the cursor", 10),
    row(Traffic, &[">"], A::PlayFaster, &["faster"], "faster", "while it plays: faster", 9),
    row(Traffic, &["<"], A::PlaySlower, &["slower"], "slower", "while it plays: slower", 9),

    row(Sessions, &["enter", "l", "right"], A::LimitSession, &["limit"], "limit", "show only this session", 7),

    row(Messages, &["enter", "l", "right"], A::Open, &["open"], "detail", "to the detail of this message", 7),
    row(Messages, &["h", "left"], A::FocusSessions, &["focus-sessions"], "", "to the sessions", 0),

    row(Detail, &["enter"], A::Follow, &["jump"], "jump", "on the Call tab: to that message", 5),
    row(Detail, &["/"], A::Search, &["search"], "search", "search in the detail", 8),
    row(Detail, &["n"], A::NextHit, &["next-hit"], "", "next hit", 0),
    row(Detail, &["N"], A::PreviousHit, &["previous-hit"], "", "previous hit", 0),
    row(Detail, &["w"], A::Wrap, &["wrap"], "wrap", "wrap long lines, or scroll them with h and l", 5),
    row(Detail, &["x"], A::Hex, &["hex"], "hex", "on the Raw tab: bytes in hex, or text", 4),
    row(Detail, &["m"], A::Unmask, &["unmask"], "secrets", "on the Headers tab: show or mask secrets", 3),
    row(Detail, &["h", "left"], A::Left, &["left"], "", "scroll left; at the left edge back to the messages", 0),
    row(Detail, &["l", "right"], A::Right, &["right"], "", "scroll right", 0),

    row(Streams, &["enter", "l", "right"], A::Open, &["open-stream"], "events", "to the events of this stream", 7),

    row(Events, &["enter"], A::Follow, &["jump-event"], "message", "to the message that this event carried", 7),
    row(Events, &["h", "left"], A::Left, &["focus-streams"], "", "back to the streams", 0),

    row(Servers, &["enter", "l", "right"], A::Open, &["open-server"], "more", "to all that is known of this server", 7),
    row(Servers, &["y"], A::CopyServer, &["copy-server"], "copy for a client", "what to paste into a client so that it reaches this server through here", 8),
    row(Servers, &["r"], A::ResetBreakers, &["reset-breakers", "retry"], "retry servers", "forget failed connects: the next request to each server is tried", 7),
    row(Servers, &["h", "left"], A::Left, &["focus-servers"], "", "back to the list of servers", 0),

    row(Log, &["enter"], A::Open, &["open-line"], "all of it", "all of this line, and back with h or Esc", 8),
    row(Log, &["v"], A::LogLevel, &["log-level"], "level", "least level shown: all, info, warnings, errors", 7),
    row(Log, &["h", "left"], A::Left, &["log-left"], "", "scroll long lines left; from an opened line back to the list", 0),
    row(Log, &["l", "right"], A::Right, &["log-right"], "", "scroll long lines right", 0),

    row(Held, &["f"], A::Forward, &["forward"], "forward", "it goes on, as edited or as it came", 10),
    row(Held, &["F"], A::ForwardLane, &["forward-lane"], "lane", "all of its lane go on, in their order", 6),
    row(Held, &["A"], A::ForwardAll, &["forward-all"], "", "all of all lanes go on", 0),
    row(Held, &["s"], A::StepCall, &["step"], "step", "it goes on, and the next message of its call is held", 7),
    row(Held, &["c"], A::ContinueRule, &["continue"], "", "it goes on, and the rule that held it is switched off", 0),
    row(Held, &["e"], A::EditHeld, &["edit"], "edit", "change it in $VISUAL or $EDITOR; secrets are hidden there", 8),
    row(Held, &["E"], A::EditFields, &["edit-fields"], "values", "change single values in place, without an editor", 5),
    row(Held, &["H"], A::EditHead, &["headers"], "", "headers that follow the edit, each of which can be left as it is", 0),
    row(Held, &["m"], A::AnswerHeld, &["answer"], "answer", "answer this request yourself; it never reaches the server", 7),
    row(Held, &["x"], A::Refuse, &["refuse"], "refuse", "refuse it: an error, an HTTP status, a closed connection", 7),
    row(Held, &["d"], A::DropHeld, &["drop"], "drop", "it does not go on; the sender of a request gets an error", 6),
    row(Held, &["p"], A::RepeatHeld, &["repeat"], "repeat", "send a copy under an id of its own to the server; this one stays held", 5),
    row(Held, &["z"], A::DelayHeld, &["delay"], "", "it goes on after some seconds, or more than once", 0),
    row(Held, &["<"], A::MoveEarlier, &["earlier"], "", "one place nearer to the head of its lane, out of order", 0),
    row(Held, &[">"], A::MoveLater, &["later-place"], "", "behind the next message of its lane, out of order", 0),
    row(Held, &["W"], A::KeepHeld, &["keep"], "keep", "nothing happens by itself when its time is over", 4),
    row(Held, &["u"], A::RevertHeld, &["revert"], "", "take the edit back: it is as it came", 0),
    row(Held, &["U"], A::UndoEdit, &["undo"], "", "take the last edit back, and then the one before", 0),
    row(Held, &["w"], A::Always, &["always"], "always", "do the same to all messages like it: its edit, or else what was decided last, becomes a rule", 5),
    row(Held, &["D"], A::HeldDiff, &["diff"], "diff", "what the edit changed, and back", 3),
    row(Held, &["space"], A::Mark, &["mark"], "mark", "mark it, or take its mark away; f, F, d and x act on all that are marked", 4),
    row(Held, &["v"], A::MarkRange, &["mark-range"], "", "mark all from here to where the cursor goes", 0),
    row(Held, &["y"], A::CopyHeld, &["copy-held"], "", "copy the message", 0),
    row(Held, &["enter", "l", "right"], A::Open, &["open-held"], "", "to the text of this message", 0),
    row(Held, &["h", "left"], A::Left, &["focus-held"], "", "back to the list of held messages", 0),

    row(Rules, &["space", "enter"], A::ToggleRule, &["toggle-rule"], "on or off", "this rule on or off", 9),
    row(Rules, &["n"], A::NextOnly, &["next-only"], "next only", "hold only the next message that matches its filter", 7),
    row(Rules, &["b"], A::NewRule, &["break"], "new", "hold messages that match a filter; `:break FILTER` and `:break next FILTER` do it at once", 8),
    row(Rules, &["d"], A::RemoveRule, &["remove-rule"], "remove", "take away a rule that was made at the keyboard", 6),

    row(Recordings, &["enter"], A::OpenRecording, &["open-recording"], "open", "show it on this terminal; q there comes back, and traffic goes on meanwhile", 9),
    row(Recordings, &["V"], A::VerifyRecording, &["verify"], "verify", "read it to its end: what it holds, and what is missing or broken in which line", 8),
    row(Recordings, &["space"], A::MarkRecording, &["mark-recording"], "mark", "mark it, or take its mark away", 6),
    row(Recordings, &["D"], A::CompareRecordings, &["compare-recordings"], "compare", "what differs between the two that are marked, or the one and that under the cursor; `:replay-to URL` asks a live server anew", 6),
    row(Recordings, &["r"], A::ServeRecording, &["serve-recording"], "serve", "answer clients from it, at an address of its own; again to end that", 7),
    row(Recordings, &["u"], A::CopyMockUrl, &["copy-mock-url"], "", "copy the address at which it is served", 0),
    row(Recordings, &["y"], A::CopyPath, &["copy-path"], "copy path", "copy its path", 4),
    row(Recordings, &["l", "right"], A::Open, &["more-recording"], "", "to all that is known of it", 0),

    row(RecordingPage, &["enter", "h", "left"], A::Left, &["focus-recordings"], "to the list", "back to the list; j and k scroll here", 10),

    row(Asking, &["y"], A::Yes, &["yes"], "yes", "do it", 9),
    row(Asking, &["n", "esc", "ctrl-c"], A::Back, &["no"], "no", "leave it; so does every other key", 8),

    row(Refusing, &["m"], A::RefuseMethod, &["refuse-method"], "-32601", "JSON-RPC error: Method not found", 9),
    row(Refusing, &["p"], A::RefuseParams, &["refuse-params"], "-32602", "JSON-RPC error: Invalid params", 8),
    row(Refusing, &["i"], A::RefuseInternal, &["refuse-internal"], "-32603", "JSON-RPC error: Internal error", 7),
    row(Refusing, &["s"], A::RefuseServer, &["refuse-server"], "-32000", "JSON-RPC error: Server error", 7),
    row(Refusing, &["t"], A::RefuseTool, &["refuse-tool"], "tool error", "a tool result that says isError; models read it", 7),
    row(Refusing, &["4"], A::RefuseAuth, &["refuse-401"], "HTTP 401", "as if the client were not logged in", 6),
    row(Refusing, &["9"], A::RefuseBusy, &["refuse-429"], "HTTP 429", "as if it had asked too often", 6),
    row(Refusing, &["5"], A::RefuseDown, &["refuse-503"], "HTTP 503", "as if the server were down", 6),
    row(Refusing, &["c"], A::RefuseClose, &["refuse-close"], "close", "the connection ends without an answer", 5),
    row(Refusing, &["n"], A::DropSilently, &["drop-silently"], "no word", "it is dropped and nobody is told; its sender waits until it gives up", 5),
    row(Refusing, &["esc", "q"], A::Back, &["close-refuse"], "leave it", "nothing is done", 3),

    row(Doubting, &["e"], A::EditAgain, &["edit-again"], "edit again", "back to the editor with what was typed", 9),
    row(Doubting, &["r"], A::KeepEdit, &["keep-edit"], "keep as edited", "it stays held with this text; a copy is sent", 8),
    row(Doubting, &["u", "esc"], A::DiscardEdit, &["discard-edit"], "discard", "leave the message as it was before the edit", 7),

    row(Fields, &["enter"], A::Accept, &["edit-field"], "change", "change this value; texts without quotes, all else as JSON", 9),
    row(Fields, &["esc", "q"], A::Back, &["close-fields"], "close", "back to the held messages; what was changed stays so", 8),
    row(Fields, &["j", "down"], A::Down, &["next-field"], "", "next value", 0),
    row(Fields, &["k", "up"], A::Up, &["previous-field"], "", "previous value", 0),
    row(Fields, &["ctrl-f", "pgdn"], A::PageDown, &["fields-down"], "", "down a page", 0),
    row(Fields, &["ctrl-b", "pgup"], A::PageUp, &["fields-up"], "", "up a page", 0),
    row(Fields, &["home"], A::First, &["first-field"], "", "first value", 0),
    row(Fields, &["G", "end"], A::Last, &["last-field"], "", "last value", 0),

    row(Faulting, &["s"], A::Later, &["later"], "later", "it goes on after some seconds, which are asked for", 9),
    row(Faulting, &["2"], A::Twice, &["twice"], "twice", "it goes on twice", 8),
    row(Faulting, &["3"], A::Thrice, &["three-times"], "three times", "it goes on three times", 7),
    row(Faulting, &["esc", "q"], A::Back, &["close-faulting"], "leave it", "nothing is done", 3),

    row(Heads, &["space", "enter"], A::Accept, &["toggle-header"], "follow or not", "it follows the edit, or stays as it came", 9),
    row(Heads, &["esc", "q"], A::Back, &["close-headers"], "close", "back to the held messages", 8),
    row(Heads, &["j", "down"], A::Down, &["next-header"], "", "next header", 0),
    row(Heads, &["k", "up"], A::Up, &["previous-header"], "", "previous header", 0),

    row(Copying, &["p", "y"], A::CopyPretty, &["copy-pretty"], "body, pretty", "the body, indented", 9),
    row(Copying, &["b"], A::CopyBody, &["copy-body"], "body, as received", "the body as it came", 8),
    row(Copying, &["w"], A::CopyWire, &["copy-wire"], "bytes on the wire", "the whole event or body as it was on the wire", 7),
    row(Copying, &["h"], A::CopyHeaders, &["copy-headers"], "headers, masked", "both HTTP heads; secrets stay masked unless unmasked", 6),
    row(Copying, &["i"], A::CopyId, &["copy-id"], "JSON-RPC id", "the JSON-RPC id as spelled", 5),
    row(Copying, &["r"], A::CopyRow, &["copy-row"], "row, as JSON", "what the list says about it, as JSON", 4),
    row(Copying, &["esc", "q"], A::Back, &["close-copy"], "close", "close the menu", 3),

    row(CopyingServer, &["u", "y"], A::CopyUrl, &["copy-url"], "URL", "where clients find it on the common port", 9),
    row(CopyingServer, &["p"], A::CopyPortUrl, &["copy-port-url"], "URL, own port", "where they find it alone (--ports)", 8),
    row(CopyingServer, &["j"], A::CopyMcpServers, &["copy-mcp-servers"], "mcpServers", "JSON for Claude Code, Cursor and others", 7),
    row(CopyingServer, &["c"], A::CopyClaude, &["copy-claude"], "claude mcp add", "the command that tells Claude Code", 6),
    row(CopyingServer, &["v"], A::CopyVsCode, &["copy-vs-code"], "VS Code", "JSON for its mcp.json", 5),
    row(CopyingServer, &["esc", "q"], A::Back, &["close-copy-server"], "close", "close the menu", 3),

    row(Filtering, &["enter"], A::Accept, &["keep-filter"], "keep", "keep the filter", 9),
    row(Filtering, &["esc", "ctrl-c"], A::Back, &["drop-filter"], "as before", "back to the filter of before", 8),
    row(Filtering, &["tab"], A::Complete, &["complete"], "complete", "complete the word; again for the next proposal", 7),
    row(Filtering, &["up"], A::Up, &["older-filter"], "older", "earlier filters", 5),
    row(Filtering, &["down"], A::Down, &["newer-filter"], "", "later filters", 0),

    row(Prompt, &["enter"], A::Accept, &["accept"], "go", "do it", 9),
    row(Prompt, &["esc", "ctrl-c"], A::Back, &["cancel"], "cancel", "leave it", 8),
    row(Prompt, &["tab"], A::Complete, &["next-choice"], "", "among the values of a message: the next one that is allowed there", 0),
    row(Prompt, &["up"], A::Up, &["last-search"], "", "in a search of the detail: the last one again", 0),

    row(Palette, &["enter"], A::Accept, &["run"], "run", "run the chosen command", 9),
    row(Palette, &["esc", "ctrl-c"], A::Back, &["close-palette"], "close", "close the palette", 8),
    row(Palette, &["tab"], A::Complete, &["complete-command"], "complete", "complete the command's name", 7),
    row(Palette, &["up", "ctrl-p"], A::Up, &["palette-up"], "", "previous command", 0),
    row(Palette, &["down", "ctrl-n"], A::Down, &["palette-down"], "choose", "next command", 6),

    row(Help, &["esc", "enter", "ctrl-c"], A::Back, &["close-help"], "close", "clear the search, then close", 9),
    row(Help, &["up"], A::Up, &["help-up"], "", "scroll up", 0),
    row(Help, &["down"], A::Down, &["help-down"], "scroll", "scroll down", 7),
    row(Help, &["pgup", "ctrl-b"], A::PageUp, &["help-page-up"], "", "scroll up a page", 0),
    row(Help, &["pgdn", "ctrl-f"], A::PageDown, &["help-page-down"], "", "scroll down a page", 0),
];
