//! For every limit the test that reaches it: a new one cannot come without.

use std::path::Path;

use shadowcat::limits::ResourceLimits;

/// Tests of this program, which have to exist to be named here.
macro_rules! reached_by {
    ($($limit:ident: $($test:path),+;)+) => {
        const HERE: &[(&str, &[(&str, fn())])] = &[
            $((stringify!($limit), &[$((stringify!($test), $test)),+]),)+
        ];
    };
}

reached_by! {
    max_connections: crate::a_client_beyond_max_connections_waits_until_one_leaves;
    max_concurrent_tasks: crate::a_client_that_finds_no_room_for_its_task_gets_503_with_its_own_id;
    max_tasks_per_kind: crate::places::a_flood_of_tunnels_gets_503_and_leaves_room_for_calls,
        crate::places::tunnels_leave_a_quarter_of_the_connections_to_others;
    max_idle_per_upstream:
        crate::places::beyond_max_idle_per_upstream_a_connection_is_closed_and_the_kept_one_is_used_again;
    max_sessions: crate::beyond_max_sessions_the_ended_one_is_forgotten_first;
    max_open_calls: crate::beyond_max_open_calls_the_oldest_is_given_up_and_its_answer_still_arrives;
    max_event_tracker_events: crate::messages::of_too_many_event_ids_the_oldest_can_no_longer_be_linked;
    event_tracker_age: crate::messages::an_event_id_that_is_too_old_can_no_longer_be_linked;
    max_memory_per_session: crate::a_session_above_its_memory_loses_its_oldest_bodies_and_then_rows;
    max_history_memory: crate::history_above_its_memory_takes_from_the_loud_session_only;
    max_body_kept: crate::messages::of_a_message_above_max_body_kept_history_has_the_head;
    max_parse_bytes:
        crate::messages::a_message_above_max_parse_bytes_passes_and_no_filter_on_content_finds_it;
    max_message_bytes:
        crate::messages::an_event_above_max_message_bytes_passes_whole_and_is_shown_by_its_head;
    max_buffer_pool: crate::a_flooded_forward_side_leaves_the_reverse_side_its_buffers;
    max_ended_streams: crate::only_the_latest_ended_streams_are_listed;
    observation_queue: crate::queues::a_full_observation_queue_makes_traffic_wait_and_loses_nothing;
    observation_queue_bytes:
        crate::queues::observations_too_heavy_for_their_queue_make_traffic_wait_and_lose_nothing;
    recording_queue: crate::queues::a_full_recording_queue_makes_traffic_wait_and_loses_nothing;
    recording_queue_bytes:
        crate::queues::records_too_heavy_for_their_queue_make_traffic_wait_and_lose_nothing;
    max_disk: crate::queues::the_recordings_of_a_run_take_no_more_than_max_disk_and_end_with_the_latest;
    recording_wait:
        crate::queues::a_disk_slower_than_recording_wait_costs_counted_records_and_no_traffic;
    max_head_bytes:
        crate::heads::a_request_head_above_either_limit_is_431_and_each_is_counted_for_itself,
        crate::heads::a_response_head_above_the_limit_is_502;
    max_headers: crate::heads::a_request_head_above_either_limit_is_431_and_each_is_counted_for_itself;
    head_timeout: crate::a_head_that_does_not_come_ends_the_connection_and_a_slow_body_does_not;
    upstream_connect_timeout:
        crate::times::an_upstream_that_does_not_take_the_connection_in_time_is_a_502_that_says_so;
    queue_timeout: crate::a_client_that_finds_no_room_for_its_task_gets_503_with_its_own_id;
    drain_timeout: crate::the_end_cuts_streams_that_do_not_finish_and_says_so,
        crate::the_end_waits_for_an_exchange_that_finishes_in_time;
    session_idle_timeout:
        crate::times::a_silent_session_is_idle_after_its_time_and_its_stream_stays_open;
    log_ring: crate::the_log_keeps_its_latest_lines_and_says_how_many_went;
    max_held_messages: crate::held::a_message_beyond_max_held_messages_waits_for_a_place;
    max_held_bytes: crate::held::messages_beyond_max_held_bytes_wait_for_a_place;
    max_lane_events: crate::held::behind_a_held_event_max_lane_events_wait_and_then_the_sender;
    max_lane_bytes: crate::held::behind_a_held_event_max_lane_bytes_wait_and_then_the_sender;
    max_frontends: crate::a_frontend_beyond_max_frontends_is_refused_until_one_leaves;
}

/// Tests of other programs: file and name.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "max_exchanges_per_connection",
        "tests/http2.rs",
        "a_connection_takes_no_more_exchanges_than_its_limit",
    ),
    (
        "max_certificates",
        "tests/intercept/certificates.rs",
        "beyond_max_certificates_one_goes_and_is_made_again",
    ),
    (
        "max_tasks_per_kind",
        "tests/http2.rs",
        "a_request_that_finds_no_room_among_its_kind_gets_503_until_a_stream_ends",
    ),
    (
        "max_children",
        "tests/bridge/stops.rs",
        "one_program_too_many_is_a_503_that_names_the_limit",
    ),
    (
        "replay_buffer",
        "tests/bridge/stops.rs",
        "of_more_messages_than_replay_buffer_the_oldest_cannot_be_resumed",
    ),
    (
        "replay_buffer_bytes",
        "tests/bridge/stops.rs",
        "a_program_waits_for_a_slow_reader_at_replay_buffer_bytes_and_nothing_is_lost",
    ),
    (
        "breaker_failures",
        "tests/breaker.rs",
        "after_five_failed_connects_a_client_is_told_at_once_what_is_wrong_and_nothing_is_dialled",
    ),
    (
        "breaker_pause",
        "tests/breaker.rs",
        "of_fifty_clients_at_once_one_each_pause_dials",
    ),
    (
        "breaker_max_pause",
        "tests/breaker.rs",
        "where_connecting_hangs_most_clients_are_told_after_one_pause",
    ),
    (
        "max_shims",
        "tests/door.rs",
        "beyond_max_shims_a_shim_is_refused_until_one_leaves",
    ),
    (
        "max_scrapes",
        "tests/metrics.rs",
        "one_scrape_too_many_waits_and_traffic_does_not",
    ),
    (
        "otlp_queue",
        "tests/metrics.rs",
        "without_a_receiver_traffic_goes_on_and_the_oldest_spans_are_dropped_and_counted",
    ),
    (
        "log_file_bytes",
        "ui/tests/cli/machine.rs",
        "a_log_file_that_has_its_bytes_of_the_day_says_so_and_grows_no_further",
    ),
];

#[test]
fn every_limit_is_reached_by_a_test() {
    let here = HERE.iter().map(|(limit, _)| *limit);
    let elsewhere = ELSEWHERE.iter().map(|(limit, ..)| *limit);
    let reached: Vec<&str> = here.chain(elsewhere).collect();
    let fields = ResourceLimits::FIELDS.iter().map(|field| field.name);
    let untested: Vec<&str> = fields.filter(|name| !reached.contains(name)).collect();
    assert!(
        untested.is_empty(),
        "no test reaches {untested:?}; write one and name it in {}",
        file!()
    );
    let unknown: Vec<&&str> = reached
        .iter()
        .filter(|name| ResourceLimits::default().get(name).is_none())
        .collect();
    assert!(unknown.is_empty(), "there are no limits called {unknown:?}");
}

#[test]
fn tests_of_other_programs_are_where_the_table_says() {
    for (_, file, test) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
}
