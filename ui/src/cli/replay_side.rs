//! Which flags of `replay` mean something, by what the recording is: a flag without an effect is refused.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::builder::Command;
use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;

use crate::input::is_standard;

/// What a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A server behind a proxy, which a screen shows.
    Shown,
    /// The same without a screen.
    Headless,
    /// A server on standard input and output.
    Stdio,
    /// A client of a live server.
    Client,
}

/// Flags that do not mean something everywhere.
struct Family {
    ids: &'static [&'static str],
    sides: &'static [Side],
    /// What they are about, and where that is.
    about: &'static str,
}

const FAMILIES: [Family; 5] = [
    Family {
        ids: &["latency", "on_miss"],
        sides: &[Side::Shown, Side::Headless, Side::Stdio],
        about: "a recording that is the server: use it with --listen or --stdio",
    },
    #[cfg(unix)]
    Family {
        ids: &["rules"],
        sides: &[Side::Shown, Side::Headless, Side::Stdio],
        about: "answers of a recording that is the server: use it with --listen or --stdio",
    },
    #[cfg(not(unix))]
    Family {
        ids: &["rules"],
        sides: &[Side::Shown, Side::Headless],
        about: "the proxy in front of a recording that is the server: use it with --listen",
    },
    Family {
        ids: &[
            "intercept",
            "record",
            "record_secrets",
            "redact",
            "rotate_size",
            "rotate_age",
            "metrics",
            "otlp",
            "headless",
        ],
        sides: &[Side::Shown, Side::Headless],
        about: "the proxy in front of a recording that is the server: use it with --listen",
    },
    Family {
        ids: &[
            "theme",
            "no_mouse",
            "no_alt_screen",
            "read_only",
            "filter",
            "ascii",
        ],
        sides: &[Side::Shown],
        about: "the screen: use it with --listen, without --headless",
    },
    Family {
        ids: &["ignore", "exact"],
        sides: &[Side::Client],
        about: "a recording that is sent to a live server: use it with --upstream or a COMMAND",
    },
];

/// Refuses a flag of `replay` that would have no effect. What the environment says is for all runs, and may have none.
///
/// # Errors
/// As clap has them, for the first such flag.
pub(super) fn check(matches: &ArgMatches, command: &Command) -> Result<(), Error> {
    let Some((side, place)) = side(matches) else {
        return Ok(());
    };
    if side == Side::Stdio
        && matches
            .get_one::<PathBuf>("file")
            .is_some_and(|file| is_standard(file))
    {
        let text = "with --stdio, standard input has what the client says, so the recording cannot come from there; write it to a file and name that\n";
        return Err(Error::raw(ErrorKind::ArgumentConflict, text));
    }
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    for family in FAMILIES.iter().filter(|family| !family.sides.contains(&side)) {
        if let Some(id) = family.ids.iter().find(|id| is_given(id)) {
            let flag = long(command, id);
            let text = format!("{flag} has no effect with {place}: it is about {}", family.about);
            return Err(Error::raw(ErrorKind::ArgumentConflict, text + "\n"));
        }
    }
    Ok(())
}

fn side(matches: &ArgMatches) -> Option<(Side, &'static str)> {
    let has = |id: &str| matches.contains_id(id);
    if has("listen") {
        let is_headless = matches.get_flag("headless");
        return Some(if is_headless {
            (Side::Headless, "--headless")
        } else {
            (Side::Shown, "--listen")
        });
    }
    if matches.get_flag("stdio") {
        return Some((Side::Stdio, "--stdio"));
    }
    if has("upstream") {
        return Some((Side::Client, "--upstream"));
    }
    has("command").then_some((Side::Client, "a COMMAND"))
}

fn long(command: &Command, id: &str) -> String {
    let argument = command.get_arguments().find(|argument| argument.get_id() == id);
    let name = argument.and_then(clap::Arg::get_long).unwrap_or(id);
    format!("--{name}")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::super::arguments::CommandLine;
    use super::*;

    fn checked(words: &str) -> Result<(), String> {
        checked_of("a.jsonl", words)
    }

    fn checked_of(file: &str, words: &str) -> Result<(), String> {
        let words = format!("shadowcat-tui replay {file} {words}");
        let mut command = CommandLine::command();
        let matches = command
            .try_get_matches_from_mut(words.split(' '))
            .map_err(|error| error.to_string())?;
        let replay = command.find_subcommand("replay").unwrap();
        let of_replay = matches.subcommand_matches("replay").unwrap();
        check(of_replay, replay).map_err(|error| error.to_string())?;
        CommandLine::from_arg_matches(&matches)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_flag_that_is_named_here_is_one_of_replay() {
        let command = CommandLine::command();
        let replay = command.find_subcommand("replay").unwrap();
        for id in FAMILIES.iter().flat_map(|family| family.ids) {
            assert!(
                replay.get_arguments().any(|argument| argument.get_id() == *id),
                "{id}"
            );
        }
    }

    #[test]
    fn a_flag_without_an_effect_is_refused_and_says_where_it_has_one() {
        for (words, said) in [
            (
                "--upstream http://h/mcp --latency 1s",
                "--latency has no effect with --upstream: it is about a recording that is the server",
            ),
            (
                "--on-miss nearest -- sh",
                "--on-miss has no effect with a COMMAND",
            ),
            ("--record -- sh", "--record has no effect with a COMMAND"),
            ("--rules r.toml -- sh", "use it with --listen"),
            (
                "--stdio --record-secrets",
                "--record-secrets has no effect with --stdio",
            ),
            ("--stdio --rotate-age 1h", "use it with --listen"),
            ("--stdio --read-only", "the screen"),
            (
                "--listen 127.0.0.1:0 --headless --filter tool:a",
                "--filter has no effect with --headless",
            ),
            (
                "--listen 127.0.0.1:0 --ignore $.result",
                "--ignore has no effect with --listen",
            ),
            ("--listen 127.0.0.1:0 --timeout 5", "--upstream"),
        ] {
            let refused = checked(words).unwrap_err();
            assert!(refused.contains(said), "{words}: {refused}");
        }
    }

    #[test]
    fn a_recording_from_standard_input_cannot_be_served_there() {
        let refused = checked_of("-", "--stdio").unwrap_err();
        assert!(refused.contains("what the client says"), "{refused}");
        for words in [
            "--listen 127.0.0.1:0",
            "--upstream http://h/mcp",
            "--yes -- sh server.sh",
        ] {
            assert_eq!(checked_of("-", words), Ok(()), "{words}");
        }
    }

    #[test]
    fn flags_with_an_effect_are_taken() {
        for words in [
            "--listen 127.0.0.1:0 --rules r.toml --record --theme mono --latency 1s --filter tool:a",
            "--listen 127.0.0.1:0 --headless --format json --otlp http://127.0.0.1:4318 --on-miss nearest",
            #[cfg(unix)]
            "--stdio --rules r.toml",
            "--stdio --format json --speed 2 --on-miss nearest --max-message-bytes 1MiB",
            "--upstream http://h/mcp --speed 2 --format json --ignore $.result --timeout 5",
            "--exact --yes -- sh server.sh",
        ] {
            assert_eq!(checked(words), Ok(()), "{words}");
        }
    }
}
