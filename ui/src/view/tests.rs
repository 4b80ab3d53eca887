//! The screens as they look. Each is read like code before it is accepted.

use insta::assert_snapshot;
use shadowcat::intercept::rules::RulesMistake;
use shadowcat::snapshot::Source;

use crate::effect::Effect;
use crate::fake::{Fake, recordings};
use crate::recordings::{Checked, Listing, Outcome};
use crate::stage::Stage;
use crate::theme::Palette;
use crate::update::Event;

/// The same keys on engines in every state, at the sizes of small and ordinary terminals.
fn screens(name: &str, keys: &str) {
    let states = [
        ("empty", Fake::empty()),
        ("typical", Fake::typical()),
        ("overfull", Fake::overfull()),
        ("failing", Fake::failing()),
    ];
    for (state, fake) in states {
        for (columns, rows) in [(80, 24), (120, 40), (40, 12)] {
            let mut stage = Stage::new(fake.clone(), columns, rows);
            stage.keys(keys);
            assert_snapshot!(format!("{name}_{state}_{columns}x{rows}"), stage.text());
        }
    }
}

#[test]
fn traffic() {
    screens("traffic", "");
}

/// The same keys where something is held.
fn holding(name: &str, keys: &str) {
    for (columns, rows) in [(80, 24), (120, 40), (40, 12)] {
        let mut stage = Stage::new(Fake::holding(), columns, rows);
        stage.keys(keys);
        assert_snapshot!(format!("{name}_{columns}x{rows}"), stage.text());
    }
}

#[test]
fn held() {
    holding("held_badge", "");
    holding("held", "gh");
    holding("held_edited", "ghjjjD");
    holding("held_refuse", "ghx");
    holding("held_fields", "ghEjjj");
    holding("rules", "I");
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("7");
    assert_snapshot!("held_nothing_80x24", stage.text());
}

/// The Recordings screen with a list, after these keys and what was read then.
fn recordings_screen(name: &str, keys: &str, read: Option<&Checked>) {
    for (columns, rows) in [(80, 24), (120, 40), (40, 12)] {
        let mut stage = Stage::new(Fake::typical(), columns, rows);
        stage.keys("9");
        stage.event(Event::Recordings(Outcome::Listed(recordings::listing())));
        stage.keys(keys);
        if let Some(checked) = read {
            let path = stage.model.recordings.selected().unwrap().path.clone();
            let outcome = Ok(checked.clone());
            stage.event(Event::Recordings(Outcome::Checked { path, outcome }));
        }
        assert_snapshot!(format!("{name}_{columns}x{rows}"), stage.text());
    }
}

#[test]
fn recordings_of_a_folder() {
    recordings_screen("recordings", "j", None);
    recordings_screen("recordings_whole", "j", Some(&recordings::whole()));
    recordings_screen("recordings_damaged", "jjl", Some(&recordings::damaged()));
    recordings_screen("recordings_marked", "j<space><space>", None);
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("9");
    stage.event(Event::Recordings(Outcome::Listed(recordings::listing())));
    stage.keys("j<space><space>D");
    stage.event(Event::Recordings(recordings::comparison()));
    assert_snapshot!("recordings_compared_80x24", stage.text());
    let mut stage = Stage::new(Fake::empty(), 80, 24);
    stage.keys("9");
    stage.event(Event::Recordings(Outcome::Listed(Listing::default())));
    assert_snapshot!("recordings_none_80x24", stage.text());
}

#[test]
fn a_recording_that_is_played_shows_time_and_speed_and_dims_what_is_to_come() {
    let mut fake = Fake::typical();
    fake.open("recordings/a.jsonl", 9, 9);
    let mut stage = Stage::new(fake, 100, 20);
    stage.keys("ggjjjt>");
    assert_snapshot!("playing_looks", stage.text_and_looks());
}

#[test]
fn the_bars_of_held_messages_turn_yellow_and_red() {
    let mut stage = Stage::new(Fake::holding(), 120, 20);
    stage.keys("gh");
    assert_snapshot!("held_looks", stage.text_and_looks());
}

#[test]
fn sessions() {
    screens("sessions", "<shift-tab>j");
}

#[test]
fn detail_pretty() {
    screens("detail_pretty", "k<enter>");
}

#[test]
fn detail_raw() {
    screens("detail_raw", "<enter>]");
}

#[test]
fn what_was_decided_about_messages() {
    for (columns, rows) in [(80, 24), (120, 40), (40, 12)] {
        let mut stage = Stage::new(Fake::decided(), columns, rows);
        stage.keys("G");
        assert_snapshot!(format!("decided_{columns}x{rows}"), stage.text());
        stage.keys("<enter>]]");
        assert_snapshot!(format!("decided_sent_{columns}x{rows}"), stage.text());
    }
    let mut stage = Stage::new(Fake::decided(), 80, 24);
    stage.keys("Gk<enter>");
    assert_snapshot!("decided_pretty_80x24", stage.text());
}

#[test]
fn a_file_of_rules_with_a_mistake() {
    for (columns, rows) in [(80, 24), (40, 12)] {
        let mut fake = Fake::holding();
        fake.intercept.mistake = Some(RulesMistake {
            path: "rules.toml".into(),
            place: Some((3, 8)),
            message: "`then` cannot be `hodl`; did you mean `hold`?".to_owned(),
            kept: 2,
        });
        let mut stage = Stage::new(fake, columns, rows);
        stage.keys("I");
        assert_snapshot!(format!("rules_mistake_{columns}x{rows}"), stage.text());
    }
}

#[test]
fn detail_headers() {
    screens("detail_headers", "<enter>]]]+");
}

#[test]
fn detail_call() {
    screens("detail_call", "<enter>]]]]");
}

#[test]
fn detail_timing() {
    screens("detail_timing", "<enter>[");
}

#[test]
fn streams() {
    screens("streams", "2");
}

#[test]
fn resources() {
    screens("resources", "3");
}

#[test]
fn log() {
    screens("log", "4");
}

#[test]
fn an_opened_line_of_the_log() {
    for (columns, rows) in [(80, 24), (40, 12)] {
        let mut stage = Stage::new(Fake::failing(), columns, rows);
        stage.keys("4<enter>");
        assert_snapshot!(format!("log_line_{columns}x{rows}"), stage.text());
    }
}

#[test]
fn a_notice_that_does_not_fit_says_where_all_of_it_is() {
    let mut fake = Fake::failing();
    fake.notices.last_mut().unwrap().text = format!("it begins {} and ends", "and goes on ".repeat(20));
    let mut stage = Stage::new(fake, 80, 24);
    assert!(stage.text().contains("… 3 all of it"), "{}", stage.text());
    stage.keys("3");
    while !stage.text().contains("and ends") {
        let before = stage.text();
        stage.keys("j");
        assert_ne!(stage.text(), before, "it is nowhere");
    }
}

#[test]
fn the_footer_says_where_q_leads() {
    let mut stage = Stage::new(Fake::typical(), 160, 40);
    for screen in ["2", "3", "4", "5"] {
        stage.keys(screen);
        let text = stage.text();
        assert!(
            text.contains("q to Traffic") && !text.contains("q quit"),
            "{text}"
        );
    }
}

#[test]
fn servers() {
    let many = (0..60)
        .map(|number| crate::fake::server(&format!("server-{number}"), Some(number % 5 != 0), number * 31));
    let failing = Fake::failing();
    let servers = failing.failing_servers();
    let states = [
        ("empty", Fake::empty().with_servers(Vec::new())),
        ("typical", Fake::typical().with_servers(Fake::several_servers())),
        ("overfull", Fake::overfull().with_servers(many.collect())),
        ("failing", failing.with_servers(servers)),
    ];
    for (state, fake) in states {
        for (columns, rows) in [(80, 24), (120, 40), (40, 12)] {
            let mut stage = Stage::new(fake.clone(), columns, rows);
            stage.keys("5");
            assert_snapshot!(format!("servers_{state}_{columns}x{rows}"), stage.text());
        }
    }
}

#[test]
fn a_server_alone_where_there_is_little_room() {
    let mut stage = Stage::new(Fake::typical().with_servers(Fake::several_servers()), 40, 12);
    stage.keys("5j<enter>");
    assert_snapshot!(stage.text());
}

#[test]
fn looks_of_failing_servers() {
    let fake = Fake::failing();
    let servers = fake.failing_servers();
    let mut stage = Stage::new(fake.with_servers(servers), 80, 24);
    stage.keys("5j");
    assert_snapshot!(stage.text_and_looks());
}

#[test]
fn the_copy_menu_of_a_server() {
    let mut stage = Stage::new(Fake::typical().with_servers(Fake::several_servers()), 80, 24);
    stage.keys("5y");
    assert_snapshot!(stage.text());
}

#[test]
fn looks_of_the_traffic_screen() {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("kk<enter>");
    assert_snapshot!(stage.text_and_looks());
}

#[test]
fn looks_of_a_failing_traffic_screen() {
    let mut stage = Stage::new(Fake::failing(), 80, 24);
    assert_snapshot!(stage.text_and_looks());
}

#[test]
fn a_large_terminal_has_three_columns() {
    let mut stage = Stage::new(Fake::overfull(), 200, 50);
    stage.keys("kk");
    assert_snapshot!(stage.text());
}

#[test]
fn filter_with_a_mistake() {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("/tool:echo ??");
    assert_snapshot!(stage.text_and_looks());
}

#[test]
fn search_in_the_detail_marks_what_it_found() {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("kk<enter>/TE");
    assert_snapshot!(stage.text_and_looks());
}

#[test]
fn menus_and_windows() {
    for (name, keys) in [
        ("copy", "ky"),
        ("prefix", "kg"),
        ("palette", ":str"),
        ("help", "?"),
        ("record", "RR"),
    ] {
        let mut stage = Stage::new(Fake::typical(), 80, 24);
        stage.keys(keys);
        stage.publish();
        assert_snapshot!(format!("window_{name}"), stage.text());
    }
}

#[test]
fn traffic_that_tries_to_take_over_the_terminal_is_only_shown() {
    let mut stage = Stage::new(Fake::hostile(), 120, 40);
    for keys in ["", "<enter>", "]", "]", "]", "4", "2", "5", "1<esc>/\u{202e}"] {
        stage.keys(keys);
        let text = stage.text();
        let is_dangerous = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}')
        };
        assert_eq!(
            text.chars().find(|c| is_dangerous(*c)),
            None,
            "after {keys}:\n{text}"
        );
    }
    let mut stage = Stage::new(Fake::hostile(), 80, 24);
    stage.keys("k");
    assert_snapshot!(stage.text());
}

#[test]
fn without_colours_nothing_has_one() {
    let mut stage = Stage::new(Fake::failing(), 120, 40);
    stage.model.theme.palette = Palette::Mono;
    for keys in ["", "<enter>", "2", "3", "4", "5", "1?", "<esc>:"] {
        stage.keys(keys);
        let buffer = stage.draw();
        let reset = ratatui::style::Color::Reset;
        let coloured = buffer
            .content
            .iter()
            .find(|cell| cell.fg != reset || cell.bg != reset);
        assert_eq!(coloured, None, "after {keys}");
    }
}

#[test]
fn with_ascii_only_our_own_signs_are_ascii() {
    for fake in [Fake::typical(), Fake::failing()] {
        let mut stage = Stage::new(fake, 120, 40);
        stage.model.theme.is_ascii = true;
        stage.wait(1);
        for keys in ["", "<enter>", "[", "[", "2", "4", "5", "1y", "<esc>g"] {
            stage.keys(keys);
            let text = stage.text();
            assert_eq!(
                text.chars().find(|c| !c.is_ascii()),
                None,
                "after {keys}:\n{text}"
            );
        }
    }
}

#[test]
fn a_terminal_that_is_too_small_says_what_it_takes() {
    let mut stage = Stage::new(Fake::typical(), 39, 9);
    assert_eq!(stage.text().trim_end(), "too small: 40x10 at least\nthis is 39x9");
    stage.event(Event::Resize(12, 6));
    let told: Vec<_> = stage.text().split_whitespace().map(str::to_owned).collect();
    assert_eq!(told.join(" "), "too small: 40x10 at least this is 12x6");
    stage.event(Event::Resize(40, 10));
    assert!(stage.text().contains("Messages"));
}

#[test]
fn a_menu_that_does_not_fit_says_that_there_is_more() {
    let mut stage = Stage::new(Fake::holding(), 40, 10);
    stage.keys("ghx");
    assert!(stage.text().contains("and 7 more"), "{}", stage.text());
}

#[test]
fn sending_again_is_in_the_footer_where_there_is_room() {
    let mut stage = Stage::new(Fake::holding(), 200, 24);
    let text = stage.text();
    assert!(
        text.contains("p send again") && text.contains("P edit and send"),
        "{text}"
    );
    stage.keys("gh");
    let text = stage.text();
    assert!(text.contains("E values") && text.contains("p repeat"), "{text}");
}

#[test]
fn the_time_of_an_exchange_under_way_goes_on() {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("/longRunning<enter><enter>[");
    let before = stage.text();
    assert!(before.contains("so far"), "{before}");
    stage.wait(90_000);
    assert!(stage.text().contains("so far 1 min"), "{}", stage.text());
}

#[test]
fn latencies_of_minutes_stay_in_their_columns() {
    let mut fake = Fake::typical();
    for row in &mut fake.resources.latencies {
        (row.p50, row.p95, row.p99) = (A_MINUTE, A_MINUTE, A_MINUTE);
    }
    let mut stage = Stage::new(fake, 120, 60);
    stage.keys("3");
    let text = stage.text();
    assert!(text.contains("p95 1 min 00 s  p99 1 min 00 s  of"), "{text}");
}

const A_MINUTE: std::time::Duration = std::time::Duration::from_mins(1);

#[test]
fn every_size_can_be_drawn() {
    for columns in (1..260).step_by(7) {
        for rows in (1..75).step_by(5) {
            let mut stage = Stage::new(Fake::typical(), columns, rows);
            stage.keys("<tab>234567?<esc>:<esc>1kg<esc>y");
            stage.text();
        }
    }
}

#[test]
fn a_terminal_that_has_just_become_smaller_is_drawn_as_far_as_it_goes() {
    let mut stage = Stage::new(Fake::typical(), 200, 50);
    for keys in [
        "", "<enter>", "2", "3", "4", "5", "1?", "<esc>:", "<esc>kg", "<esc>y", "<esc>/x",
    ] {
        stage.keys(keys);
        for (width, height) in [(1, 1), (39, 9), (80, 24), (199, 49)] {
            let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, width, height));
            super::draw(&stage.model, &mut buffer);
        }
    }
}

#[test]
fn a_recording_lists_the_servers_that_its_sessions_name() {
    let mut fake = Fake::typical();
    let mut old = crate::fake::server("everything", None, 40);
    (old.url, old.client_url, old.port_url) = (String::new(), String::new(), None);
    old.speaks_sse = true;
    fake.source = Source::File {
        path: "a.jsonl".into(),
        created: fake.now(),
        read_bytes: 2,
        total_bytes: 2,
        damage: Vec::new(),
        upstreams: vec![old],
    };
    let mut stage = Stage::new(fake, 80, 24);
    stage.keys("5");
    let text = stage.text();
    for words in ["Servers 1", "everything", "recorded", "sse", "does not say where"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("clients use"), "{text}");
    stage.keys("y");
    assert!(stage.text().contains("a recording is open"), "{}", stage.text());
}

#[test]
fn a_secret_in_the_url_of_a_server_is_copied_and_not_shown() {
    let mut server = crate::fake::server("everything", Some(true), 3);
    server.client_url = "http://127.0.0.1:8080/mcp?api_key=s3cret".to_owned();
    server.port_url = None;
    let mut stage = Stage::new(Fake::typical().with_servers(vec![server]), 120, 40);
    stage.keys("5");
    let text = stage.text();
    assert!(text.contains("api_key=***") && !text.contains("s3cret"), "{text}");
    stage.keys("yu");
    assert!(
        matches!(&stage.effects[..], [Effect::Copy { text, .. }] if text.ends_with("api_key=s3cret")),
        "{:?}",
        stage.effects
    );
}
