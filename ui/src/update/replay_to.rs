//! `:replay-to`: a recorded client against a live server.

use std::path::PathBuf;

use shadowcat::snapshot::{Source, UpstreamRow};

use super::recordings::show_comparison;
use super::show;
use crate::effect::Effect;
use crate::model::{Model, Screen};
use crate::recordings::{Agreed, Errand, Secret, Supplied};
use crate::theme::Role;

const USAGE: &str = "write :replay-to URL or :replay-to NAME of a server here, then `yes` if tools may be called that change something";

/// What may stand behind the address.
const WORDS: &str = "`yes`, `without-secrets`, `secret-env TAG=VARIABLE` or `header-env NAME=VARIABLE`";

/// Begins it, if that was typed: `replay-to URL|NAME` and any of [`WORDS`].
pub(super) fn typed(model: &mut Model, text: &str, effects: &mut Vec<Effect>) -> bool {
    let mut words = text.split_whitespace();
    if words.next() != Some("replay-to") {
        return false;
    }
    match wanted(model, words) {
        Ok((path, url, agreed)) => {
            show(model, Screen::Recordings);
            show_comparison(model, path.clone(), url.clone().into());
            effects.push(Effect::Recordings(Errand::ReplayTo { path, url, agreed }));
        }
        Err(reason) => model.say(Role::Warn, reason),
    }
    true
}

fn wanted<'a>(
    model: &Model,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<(PathBuf, String, Agreed), String> {
    if model.is_read_only {
        return Err("this view is read-only; it sends nothing".to_owned());
    }
    let to = words.next().ok_or(USAGE)?;
    let mut agreed = Agreed::default();
    while let Some(word) = words.next() {
        // As flags of `replay` they are written with dashes.
        match word.trim_start_matches("--") {
            "yes" => agreed.calls_tools = true,
            "without-secrets" => agreed.sends_tags = true,
            "secret-env" => agreed.supplied.push(supplied(Secret::Value, words.next())?),
            "header-env" => agreed.supplied.push(supplied(Secret::Header, words.next())?),
            _ => return Err(format!("`{word}` is none of {WORDS}")),
        }
    }
    let path = recording(model).ok_or("choose a recording on the Recordings screen (9) first")?;
    Ok((path, address(model, to)?, agreed))
}

/// Reads `NAME=VARIABLE`.
fn supplied(what: Secret, pair: Option<&str>) -> Result<Supplied, String> {
    let (name, variable) = pair
        .and_then(|pair| pair.split_once('='))
        .filter(|(name, variable)| !name.is_empty() && !variable.is_empty())
        .ok_or_else(|| {
            let example = match what {
                Secret::Value => "5be1c0ffee01=API_KEY",
                Secret::Header => "authorization=AUTH",
            };
            format!("write {} {example}", what.word())
        })?;
    Ok(Supplied {
        what,
        name: name.to_owned(),
        variable: variable.to_owned(),
    })
}

/// The opened recording, or the one under the cursor.
fn recording(model: &Model) -> Option<PathBuf> {
    if let Source::File { path, .. } = &model.snapshot.source {
        return Some(path.clone());
    }
    // What it would mean has to be seen.
    let shown = (model.screen == Screen::Recordings).then(|| model.recordings.selected());
    shown.flatten().map(|found| found.path.clone())
}

/// Servers of this proxy are asked through it, so that what passes is shown like all else.
fn address(model: &Model, to: &str) -> Result<String, String> {
    if to.contains("://") {
        return Ok(to.to_owned());
    }
    let Source::Live { upstreams, .. } = &model.snapshot.source else {
        return Err(format!(
            "`{to}` is no URL, and an opened recording has no servers"
        ));
    };
    let of_name = |upstream: &&UpstreamRow| upstream.name == to;
    let found = upstreams.iter().find(of_name);
    found
        .map(|upstream| upstream.client_url.clone())
        .ok_or_else(|| format!("`{to}` is neither a URL nor a server here; those are on the Servers screen"))
}
