//! What is said beside a mistake on the command line: how it was probably meant.

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use strsim::damerau_levenshtein;

use super::arguments::CommandLine;

/// Tips of ours in place of those that lead nowhere here.
pub(super) fn with_better_tips(mut error: clap::Error) -> clap::Error {
    if let Some(option) = forgot_equals(&error) {
        let tip = format!("write it in one word: `{option}`");
        return with_tips(error, vec![tip.into()]);
    }
    if let Some(name) = meant_task(&error) {
        let tip = format!("a similar command exists: '{name}'");
        return with_tips(error, vec![tip.into()]);
    }
    if let Some(word) = forgot_dashes(&error) {
        let tip = format!("put -- before the command: `-- {word} …`");
        return with_tips(error, vec![tip.into()]);
    }
    match error.kind() {
        ErrorKind::UnknownArgument => {
            // `-- --upstrem` would start a program of that name.
            if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
                tips.retain(|tip| !tip.to_string().contains("as a value"));
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
            }
        }
        ErrorKind::MissingRequiredArgument if lacks_command(&error) => {
            let tips = [
                "for a server that speaks stdio: `shadowcat-tui wrap -- COMMAND`",
                "for one that speaks HTTP, and a client that speaks stdio: `shadowcat-tui wrap --upstream URL`",
            ];
            let tips = tips.map(Into::into).to_vec();
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
        _ => {}
    }
    error
}

fn with_tips(mut error: clap::Error, tips: Vec<StyledStr>) -> clap::Error {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    error
}

/// Options that stand alone as well, so that a value has to follow an equals sign.
const WITH_EQUALS: [&str; 2] = ["--record", "--print"];

/// The option with its value, if they were written as two words.
fn forgot_equals(error: &clap::Error) -> Option<String> {
    let value = unexpected_word(error)?;
    let words: Vec<_> = std::env::args_os().collect();
    let option = words.windows(2).find_map(|pair| match pair {
        [option, word] if *word == *value => WITH_EQUALS.into_iter().find(|known| *option == **known),
        _ => None,
    })?;
    Some(format!("{option}={value}"))
}

/// The command of ours that the first word is nearly the name of. Short words may as well be programs: `cat`.
fn meant_task(error: &clap::Error) -> Option<String> {
    const MIN_LENGTH: usize = 4;
    const LONG: usize = 6;

    let word = unexpected_word(error).filter(|word| word.len() >= MIN_LENGTH)?;
    if *std::env::args_os().nth(1)? != *word {
        return None;
    }
    let most = if word.len() < LONG { 1 } else { 2 };
    let grammar = CommandLine::command();
    let names = grammar.get_subcommands().map(clap::Command::get_name);
    let near = names.map(|name| (damerau_levenshtein(&word, name), name)).min()?;
    (near.0 <= most).then(|| near.1.to_owned())
}

/// The word that was not expected where it stands.
fn unexpected_word(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
        ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
        _ => None,
    }
    .map(ToString::to_string)
}

/// A word that is no option and may be the command, where one is taken behind `--`.
fn forgot_dashes(error: &clap::Error) -> Option<String> {
    let word = unexpected_word(error)?;
    let usage = error.get(ContextKind::Usage)?.to_string();
    let takes_command = ["-- <", "-- [", "|COMMAND>"]
        .iter()
        .any(|form| usage.contains(form));
    (takes_command && !word.starts_with('-')).then_some(word)
}

/// Only `wrap` cannot do without one.
fn lacks_command(error: &clap::Error) -> bool {
    error
        .get(ContextKind::InvalidArg)
        .is_some_and(|argument| argument.to_string() == "<COMMAND>...")
}
