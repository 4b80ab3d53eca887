//! Pages that are made from tables in the code, compared with the code.
//!
//! `UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use shadowcat::limits::{LimitField, ResourceLimits, Unit, display_value};
use shadowcat::session::latency::PHASES;
use shadowcat::telemetry::families::{FAMILIES, Family, Kind};

const LIMITS_HEAD: &str = "\
# Limits

Nothing in shadowcat-tui grows without one of these bounds. Set them with the flag of that name, or with the name with
underscores under `[limits]` in a `shadowcat.toml` (see [configuration](configuration.md)).

The Resources screen shows the use of each, and how often it was reached:

- Of what is held (connections, bytes in a queue), what is held now and what was held at most.
- Of sizes of messages and heads, and of times, which are over when they are known: the largest of the last 10 to 20
  seconds, and the largest so far. `session_idle_timeout` shows the longest silence of a session that is not idle,
  `drain_timeout` for how long the program has been ending.
- Limits where somebody waits or is refused stand first and turn red when nine tenths are in use; limits where the oldest
  goes, or less is kept, may be full for hours without anything being wrong.

Defaults that need more open files than the machine gives are lowered at the start, and the log and the screen say so. A connection
counts twice, a program four times, a link of `wrap` once, and 64 are kept for the rest: programs and links get a quarter each at most,
`max_connections` what remains. A limit that you set yourself is never lowered: if it cannot be met,
the program ends with exit code 2 and says what to do. The soft bound (`ulimit -n`) is raised to the hard one first.

Sizes are written as `4096`, `64KiB`, `16MiB` or `1GiB`, times as `500ms`, `30s`, `5m` or `1h`.

| flag | in | default | at least | what it bounds | at the limit |
|---|---|---|---|---|---|
";

const LIMITS_TAIL: &str = "
This page is made from the table in `src/limits.rs`; `UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs` makes it
anew.
";

fn limits_page() -> String {
    let mut page = LIMITS_HEAD.to_owned();
    for field in ResourceLimits::FIELDS {
        page.push_str(&limit_line(field));
    }
    page.push_str(LIMITS_TAIL);
    page
}

fn limit_line(field: &LimitField) -> String {
    let LimitField {
        name,
        unit,
        reason,
        at_limit,
        minimum,
    } = field;
    let flag = name.replace('_', "-");
    let counts = match unit {
        Unit::Count => "things",
        Unit::Bytes => "bytes",
        Unit::Time => "time",
    };
    let default = ResourceLimits::default().get(name).unwrap();
    let (default, minimum) = (display_value(*unit, default), display_value(*unit, *minimum));
    let mut line = String::new();
    writeln!(
        line,
        "| `--{flag}` | {counts} | {default} | {minimum} | {reason} | {at_limit} |"
    )
    .unwrap();
    line
}

const METRICS_HEAD: &str = "\
# Metrics and spans

## Metrics

`--metrics ADDR` serves OpenMetrics text, as Prometheus scrapes it, at `http://ADDR/metrics`. ADDR is written as for
`--listen`: `:9464` is the loopback address of both families, port 0 a free one. The address that was bound is printed by
`--headless` and shown on the Resources screen.

```yaml
scrape_configs:
  - job_name: shadowcat
    static_configs:
      - targets: [\"127.0.0.1:9464\"]
```

Metrics are read from the engine's state when somebody asks; counting costs the traffic nothing. Label values come from
closed lists: names in the program, and the names of the upstreams that you configured. No tool, URL, session or
anything else from the traffic becomes a label. On a loopback address `Host` and `Origin` are checked as for clients of
the proxy (`--allow-host`, `--allow-origin`). At most `max_scrapes` connections are open at once, and each is closed
after its answer.

Limits are one family with a label rather than one metric each, so that one rule watches all of them, the ones of later
versions too:

```text
shadowcat_limit_used / shadowcat_limit_max > 0.9
increase(shadowcat_limit_reached_total[5m]) > 0
histogram_quantile(0.99, sum by (le, phase) (rate(shadowcat_exchange_phase_seconds_bucket[5m])))
```

| metric | kind | labels | what it says |
|---|---|---|---|
";

const PHASES_HEAD: &str = "
Counters of messages, calls, exchanges and latency come from the ledger, which is a moment behind the traffic
(`shadowcat_queue_lag_seconds`); what it shows is published at most 30 times a second.

### The phases of an exchange

`shadowcat_exchange_phase_seconds` has buckets from 50 µs to one minute. Only exchanges that an upstream answered are in
it, each once in each phase. Phases do not overlap.

| phase | from when to when |
|---|---|
";

const METRICS_TAIL: &str = "
What bodies wait for after their head is not in there: each chunk is handed on as soon as it was read, and if a queue
makes it wait, `shadowcat_queue_waits_total` says so.

## Spans

`--otlp URL` sends a span of each JSON-RPC call, from its request to its answer, to an OpenTelemetry receiver as OTLP/HTTP
with JSON. A URL without a path gets `/v1/traces`: `--otlp http://127.0.0.1:4318`. Names and attributes follow the
semantic conventions for MCP, which are still in development.

| of the span | what it is |
|---|---|
| name | the method; for `tools/call` and `prompts/get` with the tool or prompt: `tools/call get-weather` |
| kind | server for what the client asks, internal for what the server asks of the client |
| start, end | the request's last byte was here; the answer was here, or the call ended without one |
| trace and parent | of `traceparent` in `params._meta`, else of the HTTP header, else a trace of its own. If there are both, the header's is a link. Both pass on unchanged |
| `mcp.method.name`, `jsonrpc.request.id`, `mcp.protocol.version` | as in the traffic |
| `mcp.session.id` | a tag that stands for the `Mcp-Session-Id`, the same for the same id in one run: the id itself would let its reader into the session |
| `gen_ai.operation.name`, `gen_ai.tool.name`, `gen_ai.prompt.name` | `execute_tool` and the tool; the prompt |
| `error.type`, `rpc.response.status_code` | the JSON-RPC code, the HTTP status, `tool_error`, or how else the call failed; the span's status is then an error |
| `network.transport`, `network.protocol.name`, `network.protocol.version`, `server.address`, `server.port` | HTTP version of the client's request; where the server is |
| `shadowcat.session`, `shadowcat.outcome` | the session as the screen names it; how the call ended |

Arguments, results, resource URIs and the texts of errors are never sent. A call whose `traceparent` says that its trace is
not sampled makes no span, and is counted as such.

Spans travel each second, 512 at most at once. While the receiver cannot be reached, or answers 429, 502, 503 or 504,
they wait in a queue of `otlp_queue` spans, and the oldest are dropped; anything else that it answers drops the batch.
The log says once when that begins and once when it is over, the Resources screen shows it as long as it lasts, and the
traffic never waits for it. At the end what is left is sent within `drain_timeout`, two seconds at most.

This page is made from the tables in `src/telemetry/families.rs` and `src/session/latency.rs`;
`UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs` makes it anew.
";

fn metrics_page() -> String {
    let mut page = METRICS_HEAD.to_owned();
    for family in FAMILIES {
        page.push_str(&metric_line(family));
    }
    page.push_str(PHASES_HEAD);
    for phase in &PHASES {
        writeln!(page, "| `{}` | {} |", phase.name, phase.what).unwrap();
    }
    page.push_str(METRICS_TAIL);
    page
}

fn metric_line(family: &Family) -> String {
    let kind = match family.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
    };
    let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    let help = family.help.trim_end_matches('.');
    format!(
        "| `{}` | {kind} | {} | {help} |\n",
        family.name(),
        labels.join(", ")
    )
}

fn docs(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)
}

/// Compares a page with what the code says, or writes it anew if that is wanted.
#[track_caller]
fn check(page: &str, wanted: &str) {
    let path = docs(page);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    let differing: Vec<_> = wanted
        .lines()
        .filter(|line| !found.lines().any(|other| other == *line))
        .collect();
    assert!(
        found == wanted,
        "docs/{page} lacks, or has in another order, {differing:#?}; run UPDATE_DOCS=1 cargo test -p shadowcat-tui --test docs"
    );
}

#[test]
fn docs_of_limits_say_what_the_table_says() {
    check("limits.md", &limits_page());
}

#[test]
fn docs_of_metrics_say_what_the_tables_say() {
    check("metrics.md", &metrics_page());
}

#[test]
fn docs_name_limits_by_flags_that_the_pages_of_the_table_can_set() {
    let page = limits_page();
    for field in ResourceLimits::FIELDS {
        let line = page
            .lines()
            .find(|line| line.contains(&format!("`--{}`", field.name.replace('_', "-"))))
            .unwrap();
        let default = line.split('|').nth(3).unwrap().trim();
        let mut limits = ResourceLimits::default();
        limits.set(field.name, default).unwrap();
        assert_eq!(limits, ResourceLimits::default(), "{line}");
    }
}
