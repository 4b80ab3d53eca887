//! One flag for each capacity, made from the engine's table of limits.

use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use shadowcat::limits::{LimitField, ResourceLimits, Unit, display_value};

/// The limits that were set on the command line, in their text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LimitArguments(pub(super) Vec<(&'static str, String)>);

/// The flags' names, because clap wants names that live as long as the program.
static FLAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = ResourceLimits::FIELDS.iter();
    names.map(|field| field.name.replace('_', "-")).collect()
});

fn argument(field: &'static LimitField, flag: &'static str) -> Arg {
    Arg::new(field.name)
        .long(flag)
        .value_name(value_name(field.unit))
        .help(help(field))
        .help_heading("Limits")
        .hide_short_help(true)
        .value_parser(move |text: &str| {
            let checked = ResourceLimits::default().set(field.name, text);
            checked.map(|()| text.to_owned())
        })
}

const fn value_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "COUNT",
        Unit::Bytes => "SIZE",
        Unit::Time => "TIME",
    }
}

fn help(field: &LimitField) -> String {
    let default = ResourceLimits::default().get(field.name).unwrap_or_default();
    let default = display_value(field.unit, default);
    let LimitField { reason, at_limit, .. } = field;
    format!("{reason}. At the limit: {at_limit} [default: {default}]")
}

impl Args for LimitArguments {
    fn augment_args(command: Command) -> Command {
        let fields = ResourceLimits::FIELDS.iter().zip(FLAGS.iter());
        command.args(fields.map(|(field, flag)| argument(field, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LimitArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = ResourceLimits::FIELDS.iter().filter_map(|field| {
            let text = matches.get_one::<String>(field.name)?;
            Some((field.name, text.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
