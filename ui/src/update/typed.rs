//! Commands that are typed with what they are about, such as `:filter method:ping`.

use std::path::PathBuf;

use shadowcat::snapshot::{Command, RecorderState, Source};

use super::{disabled, modes, show};
use crate::effect::{Effect, Purpose};
use crate::keymap::{Action, TABLE};
use crate::model::{Model, Screen};
use crate::theme::{Palette, Role};

/// A command that takes words behind its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypedCommand {
    /// Its name, then aliases.
    pub(super) names: &'static [&'static str],
    /// Its name with what goes behind it.
    pub(crate) usage: &'static str,
    pub(crate) help: &'static str,
    /// No action of the key table has its name, so that the palette lists it itself.
    pub(crate) is_listed: bool,
}

impl TypedCommand {
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

pub(crate) const TYPED: &[TypedCommand] = &[
    TypedCommand {
        names: &["open"],
        usage: "open FILE",
        help: "show this recording on this terminal; Tab completes its name",
        is_listed: true,
    },
    TypedCommand {
        names: &["replay-to"],
        usage: "replay-to URL|NAME",
        help: "send the recorded client to a live server, and compare its answers",
        is_listed: true,
    },
    TypedCommand {
        names: &["break"],
        usage: "break [next] FILTER",
        help: "hold the messages that match, or only the next one",
        is_listed: false,
    },
    TypedCommand {
        names: &["filter"],
        usage: "filter TEXT",
        help: "show the messages that match",
        is_listed: false,
    },
    TypedCommand {
        names: &["theme"],
        usage: "theme NAME",
        help: "dark, light or mono",
        is_listed: false,
    },
    TypedCommand {
        names: &["record", "rec"],
        usage: "record PATH",
        help: "start recording to this file",
        is_listed: false,
    },
];

/// A line of the palette, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A name, or part of one: it is looked for.
    Name,
    /// A command with its words.
    With(&'static TypedCommand),
    /// Words behind a command that takes none.
    TakesNone(&'static str),
}

/// What `line` means. A command that takes words means itself as soon as there is a space behind its name.
pub(crate) fn meaning(line: &str) -> Meaning {
    let Some((name, words)) = bare(line).split_once(char::is_whitespace) else {
        return Meaning::Name;
    };
    if let Some(command) = TYPED.iter().find(|command| command.names.contains(&name)) {
        return Meaning::With(command);
    }
    let mut commands = TABLE.iter().filter(|binding| modes::is_command(binding.context));
    let exact = commands.find_map(|binding| binding.names.iter().find(|known| **known == name));
    match exact {
        Some(name) if !words.trim().is_empty() => Meaning::TakesNone(name),
        _ => Meaning::Name,
    }
}

/// The line without a colon, and without spaces before it.
pub(crate) fn bare(line: &str) -> &str {
    line.trim_start().trim_start_matches(':').trim_start()
}

/// Does what `line` says; `false` if that is no command with words behind it.
pub(super) fn run(model: &mut Model, line: &str, effects: &mut Vec<Effect>) -> bool {
    let line = bare(line).trim_end();
    if super::rules::typed(model, line, effects)
        || super::replay_to::typed(model, line, effects)
        || super::open_file::typed(line, effects)
    {
        return true;
    }
    let Some((_, words)) = line.split_once(char::is_whitespace) else {
        return false;
    };
    let words = words.trim();
    match meaning(line) {
        Meaning::TakesNone(name) => model.say(
            Role::Warn,
            format!("`{name}` takes no argument; nothing was done"),
        ),
        Meaning::With(command) => match command.name() {
            "filter" => filter(model, words),
            "theme" => theme(model, words),
            "record" => record(model, words, effects),
            _ => return false,
        },
        Meaning::Name => return false,
    }
    true
}

fn filter(model: &mut Model, text: &str) {
    show(model, Screen::Traffic);
    modes::remember(model, text);
}

fn theme(model: &mut Model, name: &str) {
    if let Some(reason) = disabled(model, Action::Theme) {
        return model.say(Role::Warn, reason);
    }
    match Palette::named(name) {
        Some(palette) => {
            model.theme.palette = palette;
            model.say(Role::Accent, format!("colours: {name}"));
        }
        None => model.say(Role::Warn, format!("`{name}` is none of dark, light and mono")),
    }
}

fn record(model: &mut Model, path: &str, effects: &mut Vec<Effect>) {
    if let Some(reason) = disabled(model, Action::Record) {
        return model.say(Role::Warn, reason);
    }
    if matches!(model.snapshot.recorder, RecorderState::On { .. }) {
        return model.say(Role::Warn, "a recording is under way; R ends it first");
    }
    let path = Some(PathBuf::from(path));
    effects.push(Effect::Ask(Purpose::Record, Command::StartRecording { path }));
}

/// Names that could stand behind `command` and go on like `typed`.
pub(super) fn words_for(model: &Model, command: &TypedCommand, typed: &str) -> Vec<String> {
    let all: Vec<String> = match (command.name(), &model.snapshot.source) {
        ("theme", _) => ["dark", "light", "mono"].map(str::to_owned).to_vec(),
        ("replay-to", Source::Live { upstreams, .. }) => {
            upstreams.iter().map(|upstream| upstream.name.clone()).collect()
        }
        _ => Vec::new(),
    };
    all.into_iter().filter(|name| name.starts_with(typed)).collect()
}
