//! What keys and events do, as a person at the keyboard would say it.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use shadowcat::frontend::EngineGoneError;
use shadowcat::ids::MessageId;
use shadowcat::snapshot::Command;

use super::{Event, update};
use crate::detail::Tab;
use crate::effect::{Effect, Purpose};
use crate::fake::{Fake, reverse};
use crate::model::{Mode, Pane, Screen};
use crate::stage::Stage;

fn stage() -> Stage {
    Stage::new(Fake::typical(), 80, 24)
}

fn cursor(stage: &Stage) -> u64 {
    stage.model.messages.cursor.map_or(0, MessageId::get)
}

fn toast(stage: &Stage) -> &str {
    stage.model.toast.as_ref().map_or("", |toast| &toast.text)
}

#[test]
fn the_list_follows_until_the_cursor_is_moved_up_and_again_after_the_last_row_key() {
    let mut stage = stage();
    assert!(stage.model.messages.is_following);
    stage.traffic(3);
    assert_eq!(cursor(&stage), 19);
    stage.keys("k");
    stage.traffic(40);
    assert_eq!(cursor(&stage), 18);
    assert!(stage.text().contains("80 new ↓ G"));
    stage.keys("G");
    stage.traffic(1);
    assert_eq!(cursor(&stage), 101);
    assert!(stage.text().contains("● follow"));
}

#[test]
fn new_rows_never_move_the_cursor_nor_the_rows_on_screen() {
    let mut stage = stage();
    stage.keys("kkk");
    let before = stage.text();
    let rows_before: Vec<&str> = before.lines().skip(2).take(8).collect();
    stage.traffic(500);
    let after = stage.text();
    let rows_after: Vec<&str> = after.lines().skip(2).take(8).collect();
    let without_edge = |rows: &[&str]| {
        rows.iter()
            .map(|row| row.chars().skip(20).take(58).collect())
            .collect::<Vec<String>>()
    };
    assert_eq!(without_edge(&rows_before), without_edge(&rows_after));
}

#[test]
fn a_row_that_history_loses_leaves_the_cursor_on_its_nearest_neighbour() {
    let mut stage = stage();
    stage.keys("gg");
    assert_eq!(cursor(&stage), 1);
    stage.fake.evict(5);
    stage.publish();
    assert_eq!(cursor(&stage), 6);
}

#[test]
fn the_first_row_of_a_long_history_is_reached_and_shown() {
    let mut stage = stage();
    stage.traffic(2_000);
    stage.keys("gg");
    assert_eq!(cursor(&stage), 1);
    assert!(stage.text().contains("initialize"));
    stage.keys("<ctrl-d><ctrl-f>jj");
    assert!(cursor(&stage) > 12, "{}", cursor(&stage));
}

#[test]
fn moving_far_asks_for_other_rows_and_never_shows_a_gap() {
    let mut stage = stage();
    stage.traffic(1_000);
    stage.keys("k");
    for _ in 0..300 {
        stage.keys("<ctrl-b>");
        let shown = stage.model.snapshot.messages.rows.len() - stage.model.messages.top_position;
        assert!(shown >= 7, "{shown}");
    }
    assert_eq!(cursor(&stage), 1);
}

#[test]
fn esc_goes_out_one_level_at_a_time_and_never_quits() {
    let mut stage = stage();
    stage.keys("ks/tools<enter><enter>/jsonrpc<enter>+");
    let levels = |stage: &Stage| {
        let model = &stage.model;
        (
            !model.detail.search.is_empty(),
            model.is_zoomed,
            model.pane() == Pane::Detail,
            !model.filter.is_empty(),
            model.session.is_some(),
        )
    };
    assert_eq!(levels(&stage), (true, true, true, true, true));
    for expected in [
        (false, true, true, true, true),
        (false, false, true, true, true),
        (false, false, false, true, true),
        (false, false, false, false, true),
        (false, false, false, false, false),
        (false, false, false, false, false),
    ] {
        stage.keys("<esc>");
        assert_eq!(levels(&stage), expected);
    }
    assert!(!stage.effects.contains(&Effect::Quit));
    assert!(toast(&stage).contains("q quits"));
}

#[test]
fn q_goes_back_to_traffic_first_and_quits_there() {
    let mut stage = stage();
    stage.keys("3q");
    assert_eq!(
        (stage.model.screen, stage.effects.contains(&Effect::Quit)),
        (Screen::Traffic, false)
    );
    stage.keys("q");
    assert!(stage.effects.contains(&Effect::Quit));
}

#[test]
fn ctrl_c_and_the_command_quit_from_anywhere() {
    for keys in ["4<ctrl-c>", "4Q", "4:q!<enter>", ":q<enter>"] {
        let mut stage = stage();
        stage.keys(keys);
        assert!(stage.effects.contains(&Effect::Quit), "{keys}");
    }
}

#[test]
fn a_session_is_chosen_in_its_list_or_by_a_message_of_it() {
    let mut stage = stage();
    stage.keys("<shift-tab>j<enter>");
    assert_eq!(
        (stage.model.query.session, stage.model.pane()),
        (Some(reverse(1)), Pane::Messages)
    );
    stage.keys("s");
    assert_eq!(stage.model.query.session, None);
    stage.keys("s");
    assert_eq!(stage.model.query.session, Some(reverse(1)));
}

#[test]
fn a_key_acts_on_the_row_that_was_on_screen_not_on_one_that_came_after() {
    let mut stage = stage();
    stage.wait(500);
    stage.traffic(1);
    assert_eq!(cursor(&stage), 15);
    // Nothing has been drawn since: on screen the cursor is still on 13.
    stage.press("enter");
    assert_eq!((cursor(&stage), stage.model.pane()), (13, Pane::Detail));
    assert!(!stage.model.messages.is_following);
}

#[test]
fn a_row_that_moved_under_the_cursor_a_moment_ago_is_held_and_the_key_asked_for_again() {
    let mut stage = stage();
    stage.wait(500);
    stage.traffic(1);
    stage.draw();
    stage.wait(100);
    stage.press("y");
    assert!(matches!(stage.model.mode, Mode::Normal));
    assert!(toast(&stage).contains("press again"));
    stage.traffic(5);
    stage.keys("y");
    assert!(matches!(stage.model.mode, Mode::Copy));
    assert_eq!(cursor(&stage), 15);
}

#[test]
fn keys_typed_faster_than_drawn_act_on_the_row_that_they_lead_to() {
    let mut stage = stage();
    stage.press("k");
    stage.press("k");
    stage.press("y");
    assert_eq!(cursor(&stage), 11);
    assert!(matches!(stage.model.mode, Mode::Copy));
}

#[test]
fn the_last_row_key_counts_for_the_key_behind_it_in_the_same_burst() {
    let mut live = stage();
    live.keys("gg");
    live.press("G");
    live.press("enter");
    assert_eq!((cursor(&live), live.model.pane()), (13, Pane::Detail));
    let mut live = stage();
    live.keys("gg");
    live.press("G");
    live.press("k");
    live.press("y");
    assert_eq!(cursor(&live), 12);
    let mut fake = Fake::typical();
    fake.open("recordings/a.jsonl", 9, 9);
    let mut opened = Stage::new(fake, 80, 24);
    opened.keys("gg");
    opened.press("G");
    opened.press("enter");
    assert_eq!((cursor(&opened), opened.model.pane()), (13, Pane::Detail));
}

#[test]
fn a_key_behind_one_whose_row_is_still_to_come_is_meant_for_that_row() {
    let mut stage = stage();
    stage.traffic(2_000);
    stage.keys("gg");
    let now = stage.fake.now();
    for code in [
        crossterm::event::KeyCode::Char('G'),
        crossterm::event::KeyCode::Enter,
    ] {
        let key = crossterm::event::KeyEvent::new(code, KeyModifiers::NONE);
        update(&mut stage.model, Event::Key(key), now);
    }
    assert_eq!(
        stage.model.pane(),
        Pane::Messages,
        "the engine has not answered yet"
    );
    stage.publish();
    assert_eq!((cursor(&stage), stage.model.pane()), (4_013, Pane::Detail));
}

#[test]
fn what_was_in_view_is_not_new() {
    let mut stage = stage();
    stage.keys("k");
    stage.traffic(20);
    assert!(stage.text().contains("40 new ↓ G"), "{}", stage.text());
    stage.keys("<ctrl-f><ctrl-f>");
    let text = stage.text();
    assert!(!text.contains("40 new") && text.contains(" new ↓ G"), "{text}");
    for _ in 0..10 {
        stage.keys("<ctrl-f>");
    }
    assert!(!stage.text().contains(" new ↓"), "{}", stage.text());
}

#[test]
fn a_filter_that_is_wrong_counts_nothing() {
    let mut stage = stage();
    stage.keys("/tools");
    assert!(stage.text().contains(" hidden"));
    stage.keys("<space>??");
    assert!(!stage.text().contains(" hidden"), "{}", stage.text());
}

#[test]
fn the_detail_shows_the_row_under_the_cursor_and_its_latest_state() {
    let mut stage = stage();
    stage.keys("kk");
    assert_eq!(stage.model.detail.shown(), stage.model.messages.cursor);
    let row = stage.fake.rows.iter_mut().find(|row| row.id.get() == 11).unwrap();
    row.summary = "changed".to_owned();
    stage.publish();
    assert_eq!(
        stage.model.detail.message.as_ref().unwrap().row.summary,
        "changed"
    );
}

#[test]
fn only_one_detail_is_asked_for_at_a_time() {
    let mut stage = stage();
    let now = stage.fake.now();
    let asked = |effects: Vec<Effect>| {
        effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Ask(Purpose::Detail(_), _)))
            .count()
    };
    let key = |name| {
        Event::Key(crossterm::event::KeyEvent::new(
            crossterm::event::KeyCode::Char(name),
            KeyModifiers::NONE,
        ))
    };
    assert_eq!(asked(update(&mut stage.model, key('k'), now)), 1);
    assert_eq!(asked(update(&mut stage.model, key('k'), now)), 0);
    let late = stage.fake.detail(MessageId::new(12).unwrap()).unwrap();
    let reply = shadowcat::snapshot::Reply::Detail(Box::new(late));
    let purpose = Purpose::Detail(MessageId::new(12).unwrap());
    assert_eq!(
        asked(update(&mut stage.model, Event::Reply(purpose, Ok(reply)), now)),
        1,
        "for the row where the cursor is now"
    );
}

#[test]
fn a_message_of_the_call_is_reached_from_the_call_tab() {
    let mut stage = stage();
    stage.keys("kk[[");
    assert_eq!(stage.model.detail.tab, Tab::Call);
    stage.keys("<enter>k<enter>");
    assert_eq!(cursor(&stage), 10);
    stage.keys("<esc>ga");
    assert_eq!(cursor(&stage), 11);
    stage.keys("gr");
    assert_eq!(cursor(&stage), 10);
}

#[test]
fn failures_are_found_in_both_directions() {
    let mut stage = stage();
    stage.keys("{");
    assert_eq!(cursor(&stage), 11);
    stage.keys("{");
    assert_eq!(cursor(&stage), 9);
    stage.keys("{");
    assert_eq!((cursor(&stage), toast(&stage)), (9, "no failure above"));
    stage.keys("}");
    assert_eq!(cursor(&stage), 11);
}

#[test]
fn panes_are_reached_with_tab_and_all_of_them_have_a_place() {
    let mut stage = stage();
    let mut seen = Vec::new();
    for _ in 0..3 {
        stage.keys("<tab>");
        seen.push(stage.model.pane());
    }
    assert_eq!(seen, [Pane::Detail, Pane::Sessions, Pane::Messages]);
    stage.keys("<tab>");
    stage.event(Event::Resize(40, 12));
    assert!(stage.model.areas().of(Pane::Detail).is_some());
}

#[test]
fn a_click_chooses_the_row_under_it_and_the_wheel_scrolls_the_pane_under_it() {
    let mut stage = stage();
    let mouse = |kind, column, row| {
        Event::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })
    };
    let shown = stage.model.message_rows().ids[stage.model.messages.top_position + 1];
    stage.event(mouse(MouseEventKind::Down(MouseButton::Left), 30, 4));
    assert_eq!(stage.model.messages.cursor, Some(shown));
    stage.event(mouse(MouseEventKind::ScrollDown, 30, 15));
    assert_eq!(
        (stage.model.detail.scroll, stage.model.pane()),
        (3, Pane::Messages)
    );
    stage.keys("M");
    assert_eq!(stage.effects, [Effect::Mouse(false)]);
}

#[test]
fn the_end_of_the_engine_leaves_the_last_picture_to_look_at() {
    let mut stage = stage();
    stage.event(Event::EngineGone);
    assert!(stage.text().contains("engine has ended"));
    stage.event(Event::Reply(Purpose::Record, Err(EngineGoneError)));
    stage.keys("kk]");
    assert_eq!(cursor(&stage), 11);
}

#[test]
fn a_message_that_history_lost_says_so_and_is_not_asked_for_again() {
    let mut stage = stage();
    stage.keys("k");
    let now = stage.fake.now();
    let row = stage.model.messages.cursor.unwrap();
    stage.event(Event::Reply(
        Purpose::Detail(row),
        Ok(shadowcat::snapshot::Reply::Gone),
    ));
    assert!(stage.text().contains("history no longer has this message"));
    assert_eq!(update(&mut stage.model, Event::Tick, now), []);
}

#[test]
fn toasts_go_by_themselves() {
    let mut stage = stage();
    stage.keys("z");
    assert_eq!(toast(&stage), "colours: light");
    stage.wait(5_000);
    assert_eq!(toast(&stage), "");
}

#[test]
fn the_log_shows_the_levels_asked_for() {
    let mut stage = stage();
    stage.keys("4");
    assert!(stage.text().contains("session R1 opened"));
    stage.keys("vv");
    let text = stage.text();
    assert!(
        !text.contains("session R1 opened") && text.contains("connection reset"),
        "{text}"
    );
}

#[test]
fn a_recording_is_read_from_its_beginning() {
    let mut stage = stage();
    stage.fake.open("a.jsonl", 2, 2);
    stage.publish();
    assert_eq!((cursor(&stage), stage.model.messages.is_following), (1, false));
}

#[test]
fn the_lanes_of_a_recording_show_its_events_however_long_ago_they_were() {
    let mut stage = stage();
    stage.fake.open("a.jsonl", 2, 2);
    stage.publish();
    stage.keys("2");
    stage.wait(86_400_000);
    let text = stage.text();
    assert!(text.contains('●') || text.contains('◆'), "{text}");
    assert!(!text.contains("● follow") && !text.contains(" ago"), "{text}");
}

#[test]
fn a_detail_that_differs_from_its_row_in_the_list_is_not_asked_for_again_and_again() {
    let mut stage = stage();
    stage.keys("k");
    let mut detail = stage.fake.detail(stage.model.messages.cursor.unwrap()).unwrap();
    detail.row.summary = "longer than in the list".to_owned();
    let purpose = Purpose::Detail(detail.row.id);
    let reply = shadowcat::snapshot::Reply::Detail(Box::new(detail));
    let now = stage.fake.now();
    assert_eq!(
        update(&mut stage.model, Event::Reply(purpose, Ok(reply)), now),
        []
    );
}

#[test]
fn a_detail_that_is_refused_says_so_and_is_not_asked_for_again() {
    let mut stage = stage();
    stage.keys("k");
    let purpose = Purpose::Detail(stage.model.messages.cursor.unwrap());
    let reply = shadowcat::snapshot::Reply::Refused {
        message: "the file was changed".to_owned(),
    };
    let now = stage.fake.now();
    assert_eq!(
        update(&mut stage.model, Event::Reply(purpose, Ok(reply)), now),
        []
    );
    assert_eq!(toast(&stage), "the file was changed");
}

#[test]
fn a_line_of_the_log_is_opened_as_a_whole_and_closed_again() {
    for (columns, rows) in [(80, 24), (40, 12)] {
        let mut fake = Fake::typical();
        let text = format!("begin {} end", "of a long story ".repeat(20));
        fake.log.last_mut().unwrap().text = text;
        let mut stage = Stage::new(fake, columns, rows);
        stage.keys("4");
        assert!(!stage.text().contains(" end"), "{}", stage.text());
        stage.keys("<enter>G");
        assert!(stage.text().contains(" end"), "{}", stage.text());
        stage.keys("h");
        assert_eq!(stage.model.pane(), Pane::Log);
        stage.keys("<enter><esc><esc>");
        assert_eq!(stage.model.screen, Screen::Traffic);
    }
}

#[test]
fn long_lines_of_the_log_can_be_read_to_their_end() {
    let mut stage = Stage::new(Fake::overfull(), 80, 24);
    stage.keys("4ll");
    assert!(!stage.text().contains("12:03:11.758"));
    stage.keys("hh");
    assert!(stage.text().contains("12:03:11.758"));
}

#[test]
fn the_session_under_the_cursor_is_described() {
    let mut stage = stage();
    stage.keys("<shift-tab>j");
    let text = stage.text();
    assert!(
        text.contains("Session R1") && text.contains("2025-11-25") && text.contains("Mcp-Session-Id"),
        "{text}"
    );
}

#[test]
fn the_newest_stream_is_shown_until_one_is_chosen() {
    let mut stage = stage();
    stage.keys("2");
    stage.fake.stream();
    stage.publish();
    assert_eq!(
        stage.model.streams.cursor.map(shadowcat::ids::StreamId::get),
        Some(2)
    );
    stage.keys("<enter>");
    stage.fake.stream();
    stage.publish();
    assert_eq!(
        stage.model.streams.cursor.map(shadowcat::ids::StreamId::get),
        Some(2)
    );
}

#[test]
fn a_filter_at_work_does_not_move_the_cursor_before_it_has_looked_everywhere() {
    let mut stage = stage();
    stage.keys("kk");
    let mut partly = stage.fake.snapshot(&stage.model.query);
    partly.messages.rows.retain(|row| row.id.get() > 12);
    (partly.messages.matched, partly.messages.scanned) = (1, 2);
    stage.event(Event::Snapshot(std::sync::Arc::new(partly)));
    assert_eq!(cursor(&stage), 11);
    stage.text();
    stage.publish();
    assert_eq!(cursor(&stage), 11);
}

#[test]
fn r_on_the_servers_screen_has_a_server_that_was_down_tried_at_once() {
    let mut stage = Stage::new(Fake::failing(), 120, 40);
    stage.keys("5");
    assert!(
        stage
            .text()
            .contains("open for 1.0 s so far, next try allowed in 400 ms")
    );
    stage.keys("r");
    let asked = Effect::Ask(Purpose::ResetBreakers, Command::ResetBreaker { upstream: None });
    assert_eq!(stage.effects, [asked]);
    assert_eq!(toast(&stage), "the next request to everything is tried");
    stage.publish();
    assert!(!stage.text().contains("breaker"), "{}", stage.text());
}

#[test]
fn where_no_connect_has_failed_there_is_nothing_to_reset_and_a_watcher_resets_nothing() {
    let mut stage = stage();
    stage.keys("5r");
    assert_eq!(
        toast(&stage),
        "no connect to a server has failed; every request is tried"
    );
    let mut watcher = Stage::new(Fake::failing(), 80, 24);
    watcher.model.is_read_only = true;
    watcher.keys("5r");
    assert_eq!(toast(&watcher), "this view is read-only; it resets nothing");
    assert!(stage.effects.is_empty() && watcher.effects.is_empty());
}

#[test]
fn servers_are_tried_again_from_any_screen_by_the_command_too() {
    let mut stage = Stage::new(Fake::failing(), 120, 40);
    assert!(
        stage.text().contains("everything ✗ breaker open"),
        "{}",
        stage.text()
    );
    stage.keys(":retry<enter>");
    assert_eq!(toast(&stage), "the next request to everything is tried");
}
