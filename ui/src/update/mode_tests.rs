//! Filter line, menus, prompts and palette, as a person at the keyboard would say it.

use shadowcat::intercept::interceptor::InterceptReply;
use shadowcat::snapshot::{Command, RecorderState, Reply, Source};

use super::Event;
use super::held_tests::{at_the_oldest, id};
use crate::effect::{Effect, Purpose};
use crate::fake::Fake;
use crate::model::{Mode, Pane, Screen};
use crate::stage::Stage;

fn stage() -> Stage {
    Stage::new(Fake::typical(), 80, 24)
}

fn cursor(stage: &Stage) -> u64 {
    stage
        .model
        .messages
        .cursor
        .map_or(0, shadowcat::ids::MessageId::get)
}

fn toast(stage: &Stage) -> &str {
    stage.model.toast.as_ref().map_or("", |toast| &toast.text)
}

#[test]
fn a_filter_works_while_it_is_typed_and_esc_brings_back_the_one_of_before() {
    let mut stage = stage();
    stage.keys("/tools<enter>");
    assert_eq!(stage.model.query.filter, "tools");
    stage.keys("/ xyz");
    assert_eq!(stage.model.query.filter, "tools xyz");
    assert!(stage.text().contains("0 of 13, 13 hidden"));
    stage.keys("<esc>");
    assert_eq!(stage.model.query.filter, "tools");
    assert!(stage.text().contains("7 of 13, 6 hidden"));
}

#[test]
fn a_filter_that_cannot_be_read_says_where_and_keeps_the_rows() {
    let mut stage = stage();
    stage.keys("/tool??");
    let text = stage.text();
    assert!(
        text.contains("       ^^ is no comparison; write field:value"),
        "{text}"
    );
    assert!(text.contains("longRunning"));
}

#[test]
fn tab_completes_the_filter_and_offers_the_next() {
    let mut stage = stage();
    stage.keys("/se<tab>");
    assert_eq!(stage.model.filter, "session:");
    stage.keys("<tab>");
    assert_eq!(stage.model.filter, "server:");
    stage.keys("a");
    assert_eq!(stage.model.filter, "server:a");
}

#[test]
fn earlier_filters_come_back_with_the_up_key() {
    let mut stage = stage();
    stage.keys("/one<enter>/<ctrl-u>two<enter>/<up><up>");
    assert_eq!(stage.model.filter, "one");
    stage.keys("<down><enter>");
    assert_eq!(stage.model.filter, "two");
}

#[test]
fn a_filter_is_made_from_the_row_under_the_cursor() {
    let mut stage = stage();
    stage.keys("kf");
    assert_eq!(stage.model.filter, "method:tools/call tool:longRunningOperation");
    assert!(matches!(stage.model.mode, Mode::Normal));
    stage.keys("f");
    assert_eq!(stage.model.filter, "method:tools/call tool:longRunningOperation");
    stage.keys("/ x");
    assert_eq!(
        stage.model.filter,
        "method:tools/call tool:longRunningOperation x"
    );
}

#[test]
fn a_filter_made_from_an_answer_names_the_tool_that_answered() {
    let mut stage = stage();
    let answer = stage.model.snapshot.messages.rows.iter().find(|row| {
        row.method.as_deref() == Some("tools/call") && row.kind == shadowcat::snapshot::RowKind::Result
    });
    let id = answer.unwrap().id;
    let up = stage.model.messages.cursor.unwrap().get() - id.get();
    stage.keys(&"k".repeat(usize::try_from(up).unwrap()));
    stage.keys("f");
    assert_eq!(stage.model.filter, "method:tools/call tool:echo");
}

#[test]
fn copied_headers_have_no_hints_about_keys_and_say_when_secrets_are_in_them() {
    let mut stage = stage();
    stage.keys("kkyh");
    stage.keys("<enter>mhyh");
    let copied: Vec<_> = stage
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Copy { what, text } => Some((what.as_str(), text.as_str())),
            _ => None,
        })
        .collect();
    let [(masked, hidden), (unmasked, shown)] = copied.as_slice() else {
        panic!("{copied:?}");
    };
    assert_eq!((*masked, *unmasked), ("headers, masked", "headers with secrets"));
    assert!(
        hidden.contains("***") && !hidden.contains("m shows it"),
        "{hidden}"
    );
    assert!(!shown.contains("***"), "{shown}");
    stage.keys("y");
    assert!(!stage.text().contains("headers, masked"));
}

#[test]
fn the_copy_menu_copies_what_it_names_without_control_characters() {
    let mut stage = Stage::new(Fake::hostile(), 80, 24);
    stage.keys("kyb");
    let copied = stage.effects.iter().find_map(|effect| match effect {
        Effect::Copy { what, text } => Some((what.as_str(), text.as_str())),
        _ => None,
    });
    let (what, text) = copied.unwrap();
    assert_eq!(what, "body (control characters as shown)");
    assert!(text.contains("␛[2J") && !text.contains('\x1b'), "{text}");
    assert!(
        text.contains("\u{202e}txet") && text.contains("zero\u{200b}width"),
        "all else is as it came: {text}"
    );
}

#[test]
fn the_text_of_a_held_message_is_copied_exactly() {
    let copied = |text: &str| {
        let mut stage = at_the_oldest();
        let message = InterceptReply::Message(Box::new(crate::fake::held_message(text)));
        let reply = Ok(Reply::Intercept(message));
        stage.event(Event::Reply(Purpose::HeldText(id(1)), reply));
        stage.keys("y");
        match stage.effects.pop() {
            Some(Effect::Copy { what, text }) => (what, text),
            other => panic!("{other:?}"),
        }
    };
    let text = "{\"a\":\"\u{1f469}\u{200d}\u{1f4bb}\"}\r\n";
    assert_eq!(copied(text), ("h1".to_owned(), text.to_owned()));
    let (what, _) = copied("{\"a\":\"\u{fffd}\"}");
    assert_eq!(what, "h1 (what is not UTF-8 as shown)");
}

#[test]
fn every_entry_of_the_copy_menu_copies_something() {
    for key in "pybwhir".chars() {
        let mut stage = stage();
        stage.keys(&format!("kky{key}"));
        let copied = stage
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Copy { text, .. } if !text.is_empty()));
        assert!(copied, "{key}: {}", toast(&stage));
    }
}

#[test]
fn an_event_of_a_stream_leads_to_its_message_even_if_a_filter_hides_it() {
    let mut stage = stage();
    stage.keys("/echo<enter>2<enter><enter>");
    assert_eq!(
        (stage.model.screen, stage.model.pane()),
        (Screen::Traffic, Pane::Messages)
    );
    assert_eq!((cursor(&stage), stage.model.filter.as_str()), (13, ""));
}

#[test]
fn search_in_the_detail_counts_hits_and_goes_round() {
    let mut stage = stage();
    stage.keys("kk<enter>/t");
    assert!(stage.model.detail.hits.len() > 1);
    stage.keys("<enter>n");
    assert_eq!(stage.model.detail.hit, 1);
    stage.keys("NN");
    assert_eq!(stage.model.detail.hit, stage.model.detail.hits.len() - 1);
    stage.keys("<esc>");
    assert!(stage.model.detail.hits.is_empty());
    stage.keys("/");
    assert!(stage.model.detail.hits.is_empty());
    stage.keys("<up><enter>");
    assert_eq!(stage.model.detail.search, "t");
}

#[test]
fn recording_stops_at_once_and_starts_with_a_path_that_can_be_changed() {
    let mut stage = stage();
    stage.keys("R");
    assert_eq!(
        stage.effects,
        [Effect::Ask(Purpose::Record, Command::StopRecording)]
    );
    assert!(toast(&stage).starts_with("recorded to ") && toast(&stage).contains(".jsonl, "));
    stage.publish();
    stage.effects.clear();
    stage.keys("R");
    assert!(
        stage
            .text()
            .contains("record to: recordings/session-20261123T1203")
    );
    stage.keys("<ctrl-u>my.jsonl<enter>");
    let path = Some("my.jsonl".into());
    assert_eq!(
        stage.effects,
        [Effect::Ask(Purpose::Record, Command::StartRecording { path })]
    );
    assert!(matches!(&stage.fake.recorder, RecorderState::On { path, .. } if path.ends_with("my.jsonl")));
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut stage = stage();
    stage.model.is_read_only = true;
    stage.keys("R");
    assert!(toast(&stage).contains("read-only"));
    let mut stage = Stage::new(Fake::empty(), 80, 24);
    stage.keys("y");
    assert!(toast(&stage).contains("no message"));
    stage.fake.source = Source::File {
        path: "a.jsonl".into(),
        created: stage.fake.now(),
        read_bytes: 1,
        total_bytes: 2,
        damage: vec!["line 7: torn".to_owned()],
        upstreams: Vec::new(),
    };
    stage.publish();
    stage.keys("R");
    assert!(toast(&stage).contains("a recording is open"));
    assert!(stage.effects.is_empty());
}

#[test]
fn the_palette_finds_commands_by_name_alias_and_likeness() {
    for (typed, screen) in [
        ("streams", Screen::Streams),
        ("limits", Screen::Resources),
        ("strm", Screen::Streams),
    ] {
        let mut stage = stage();
        stage.keys(&format!(":{typed}<enter>"));
        assert_eq!(stage.model.screen, screen, "{typed}");
    }
    let mut stage = stage();
    stage.keys(":resou<tab>");
    assert!(stage.text().contains(":resources"));
    stage.keys("<esc>");
    assert!(matches!(stage.model.mode, Mode::Normal));
}

#[test]
fn help_shows_the_keys_of_this_view_and_searches_all() {
    let mut stage = stage();
    stage.keys("4?");
    let text = stage.text();
    assert!(
        text.contains("least level shown") && !text.contains("filter by the method"),
        "{text}"
    );
    stage.keys("filter by");
    assert!(stage.text().contains("filter by the method"));
    stage.keys("<esc><esc>");
    assert!(matches!(stage.model.mode, Mode::Normal));
}

#[test]
fn after_a_key_that_begins_a_sequence_its_ends_are_shown() {
    let mut stage = stage();
    stage.keys("kg");
    let text = stage.text();
    assert!(
        text.contains("first row") && text.contains("to the request of this call"),
        "{text}"
    );
    stage.keys("z");
    assert_eq!(toast(&stage), "gz does nothing here");
}

#[test]
fn a_copied_row_is_the_line_that_printing_gives() {
    let mut stage = stage();
    stage.keys("kkyr");
    let row = stage.model.selected().map(crate::lines::as_json).unwrap();
    assert!(row.contains("\"state\":"), "{row}");
    let is_copied = |effect: &Effect| matches!(effect, Effect::Copy { text, .. } if *text == row);
    assert!(stage.effects.iter().any(is_copied));
}

#[test]
fn the_footer_has_only_keys_that_do_something_in_this_view() {
    let footer = |stage: &mut Stage| stage.text().lines().last().unwrap().to_owned();
    let mut stage = Stage::new(Fake::typical(), 160, 24);
    stage.keys("2");
    assert!(footer(&mut stage).contains("R record"));
    stage.model.is_read_only = true;
    assert!(!footer(&mut stage).contains("R record"));
    stage.keys("1kk<enter>");
    let pretty = footer(&mut stage);
    assert!(
        !pretty.contains("x hex") && !pretty.contains("Enter jump"),
        "{pretty}"
    );
    stage.keys("]");
    assert!(footer(&mut stage).contains("x hex"));
}

#[test]
fn a_toast_goes_with_the_next_key() {
    let mut stage = stage();
    stage.keys("z");
    assert!(toast(&stage).contains("colours"));
    stage.keys("j");
    assert_eq!(toast(&stage), "");
}

#[test]
fn what_is_copied_of_a_server_can_be_pasted_into_a_client() {
    let fake = Fake::typical().with_servers(Fake::several_servers());
    let copied = |keys: &str| {
        let mut stage = Stage::new(fake.clone(), 80, 24);
        stage.keys(keys);
        let copies = stage.effects.iter().rev().find_map(|effect| match effect {
            Effect::Copy { text, .. } => Some(text.clone()),
            _ => None,
        });
        copies.unwrap_or_else(|| toast(&stage).to_owned())
    };
    assert_eq!(copied("5jyu"), "http://127.0.0.1:8080/files");
    assert_eq!(copied("5yp"), "http://127.0.0.1:9004/mcp");
    assert_eq!(
        copied("5jjyc"),
        "claude mcp add --transport http everything http://127.0.0.1:8080/everything"
    );
    let json: serde_json::Value = serde_json::from_str(&copied("5yj")).unwrap();
    assert_eq!(json["mcpServers"]["docs"]["url"], "http://127.0.0.1:8080/docs");
    let json: serde_json::Value = serde_json::from_str(&copied("5yv")).unwrap();
    assert_eq!(json["servers"]["docs"]["type"], "http");
    assert_eq!(copied("5yz"), "nothing copied");
}

#[test]
fn a_copy_that_cannot_be_made_says_why() {
    let mut stage = Stage::new(Fake::empty().with_servers(Vec::new()), 80, 24);
    stage.keys("5y");
    assert!(toast(&stage).contains("--upstream"), "{}", toast(&stage));
    // The one server of this engine has no port of its own.
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("5yp");
    assert!(toast(&stage).contains("--ports"), "{}", toast(&stage));
}

#[test]
fn the_servers_screen_leads_in_and_out_like_the_others() {
    let fake = Fake::typical().with_servers(Fake::several_servers());
    let mut stage = Stage::new(fake, 80, 24);
    stage.keys(":servers<enter>");
    assert_eq!(stage.model.screen, Screen::Servers);
    stage.keys("jj<enter>");
    assert!(stage.text().contains("Server everything"));
    stage.keys("h");
    assert_eq!(stage.model.pane(), crate::model::Pane::Servers);
    stage.keys("l<esc><esc>");
    assert_eq!(stage.model.screen, Screen::Traffic);
}
