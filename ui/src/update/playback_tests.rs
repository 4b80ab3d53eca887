//! Playing an opened recording.

use std::time::Duration;

use shadowcat::snapshot::Outcome;

use super::Event;
use crate::effect::Effect;
use crate::fake::Fake;
use crate::playback::BEAT;
use crate::stage::Stage;

/// An opened recording of some calls, with the cursor on its first row.
fn opened() -> Stage {
    let mut fake = Fake::empty();
    for number in 0..20 {
        fake.call("tools/call", &format!("tool {number}"), 100, Outcome::Ok);
    }
    fake.open("recordings/a.jsonl", 9, 9);
    let mut stage = Stage::new(fake, 80, 24);
    stage.keys("gg");
    stage.effects.clear();
    stage
}

/// So much time passes, with a beat at its end.
fn beat(stage: &mut Stage, millis: u64) {
    stage.wait(millis);
    stage.event(Event::Beat);
}

/// How long after the first row the row under the cursor was recorded.
fn reached(stage: &Stage) -> Duration {
    let first = stage.fake.rows[0].at;
    stage.model.selected().unwrap().at.since(first)
}

/// The first row later than the cursor's lies behind this time.
fn next_after(stage: &Stage) -> Duration {
    let first = stage.fake.rows[0].at;
    let cursor = stage.model.messages.cursor.unwrap();
    let next = stage.fake.rows.iter().find(|row| row.id > cursor).unwrap();
    next.at.since(first)
}

#[track_caller]
fn assert_head_at(stage: &Stage, millis: u64) {
    let head = Duration::from_millis(millis);
    let (reached, next) = (reached(stage), next_after(stage));
    assert!(
        reached <= head && head < next,
        "{reached:?} <= {head:?} < {next:?}"
    );
}

#[test]
fn the_cursor_goes_at_the_pace_of_the_recording() {
    let mut stage = opened();
    stage.keys("t");
    assert_eq!(stage.effects, [Effect::Beat(BEAT)]);
    beat(&mut stage, 350);
    assert_head_at(&stage, 350);
    beat(&mut stage, 400);
    assert_head_at(&stage, 750);
    assert_eq!(stage.effects.len(), 3, "each beat asks for the next");
    assert!(stage.text().contains("×1"), "{}", stage.text());
}

#[test]
fn speed_counts_from_where_it_is_changed() {
    let mut stage = opened();
    stage.keys("t");
    beat(&mut stage, 200);
    stage.keys(">>");
    beat(&mut stage, 100);
    assert_head_at(&stage, 700);
    for _ in 0..3 {
        stage.press("<");
    }
    beat(&mut stage, 100);
    assert_head_at(&stage, 750);
    assert!(stage.text().contains("×1/2"), "{}", stage.text());
}

#[test]
fn time_stands_still_in_a_pause_and_goes_on_from_the_cursor() {
    let mut stage = opened();
    stage.keys("t");
    beat(&mut stage, 350);
    stage.keys("<space>");
    let before = stage.model.messages.cursor;
    beat(&mut stage, 5_000);
    assert_eq!(stage.model.messages.cursor, before);
    stage.keys("gg<space>");
    beat(&mut stage, 120);
    assert_head_at(&stage, 120);
}

#[test]
fn whoever_moves_the_cursor_stops_the_time() {
    let mut stage = opened();
    stage.keys("t");
    beat(&mut stage, 350);
    stage.keys("k");
    let before = stage.model.messages.cursor;
    beat(&mut stage, 500);
    assert_eq!(stage.model.messages.cursor, before);
    assert!(stage.text().contains('⏸'), "{}", stage.text());
}

#[test]
fn it_ends_at_the_last_row_and_with_escape() {
    let mut stage = opened();
    stage.keys("t");
    beat(&mut stage, 60_000);
    assert_eq!(
        stage.model.messages.cursor,
        stage.fake.rows.last().map(|row| row.id)
    );
    assert!(stage.text().contains("played to the end"), "{}", stage.text());
    assert!(stage.model.playback.is_none());
    stage.keys("ggt<esc>");
    assert!(stage.model.playback.is_none());
    stage.effects.clear();
    stage.event(Event::Beat);
    assert_eq!(stage.effects, [], "a late beat does nothing");
}

#[test]
fn live_traffic_cannot_be_played() {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("t");
    assert!(
        stage.text().contains("only an opened recording"),
        "{}",
        stage.text()
    );
}

fn footer(stage: &mut Stage) -> String {
    stage.text().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn its_keys_are_in_the_footer_while_it_plays() {
    let mut stage = opened();
    assert!(footer(&mut stage).contains("t play"));
    stage.keys("t");
    let keys = footer(&mut stage);
    for key in ["Space pause", "> faster", "< slower", "t end"] {
        assert!(keys.contains(key), "{key}: {keys}");
    }
    stage.keys("<space>");
    assert!(footer(&mut stage).contains("Space go on"));
}

#[test]
fn escape_leaves_the_detail_before_it_ends_playing() {
    let mut stage = opened();
    stage.keys("t<enter><esc>");
    assert!(stage.model.playback.is_some());
    assert_eq!(stage.model.pane(), crate::model::Pane::Messages);
    stage.keys("<esc>");
    assert!(stage.model.playback.is_none());
}

#[test]
fn stepping_in_a_pause_shows_the_time_of_the_step() {
    let mut stage = opened();
    stage.keys("t");
    beat(&mut stage, 350);
    stage.keys("<space>jj");
    let at = stage.model.selected().unwrap().at;
    let time = crate::format::time_of_day(at, &stage.model.zone, false);
    assert!(
        stage.text().contains(&format!("⏸ {time}")),
        "{time}: {}",
        stage.text()
    );
}

#[test]
fn an_answer_is_not_told_before_it_has_come() {
    let mut stage = opened();
    assert!(stage.text().contains("✓ 100 ms"));
    stage.keys("t");
    beat(&mut stage, 50);
    let text = stage.text();
    assert!(text.contains("… 50 ms") && !text.contains('✓'), "{text}");
    beat(&mut stage, 60);
    assert!(stage.text().contains("✓ 100 ms"), "{}", stage.text());
}
