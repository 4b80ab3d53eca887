//! Paths as they are written.

use super::{Selector, Slice, Step};

/// What goes inside of brackets.
const INSIDE: &str = "inside [ ] goes a number, a slice such as 1:3, * or a name in quotes";

/// Why a path cannot be read, and what is left of it from there on.
pub(super) type Wrong<'a> = (&'a str, &'static str);

type Read<'a, T> = Result<(T, &'a str), Wrong<'a>>;

/// Reads one step: what follows `$` or the step before.
pub(super) fn step(text: &str) -> Read<'_, Step> {
    let (is_deep, rest) = text.strip_prefix("..").map_or((false, text), |rest| (true, rest));
    let dotted = if is_deep {
        (!rest.starts_with('[')).then_some(rest)
    } else {
        rest.strip_prefix('.')
    };
    let (selectors, rest) = match (dotted, rest.strip_prefix('[')) {
        (Some(name), _) => member(name, text)?,
        (None, Some(inside)) => bracket(inside)?,
        (None, None) => return Err((text, "a step begins with . or [")),
    };
    Ok((Step { is_deep, selectors }, rest))
}

/// A name without quotes, or `*`. `from` is where the step began.
fn member<'a>(text: &'a str, from: &'a str) -> Read<'a, Vec<Selector>> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err((from, "a name follows the dots; [\"…\"] takes any name")),
        ("*", after) => Ok((vec![Selector::Any], after)),
        (name, after) => Ok((vec![Selector::Key(name.to_owned())], after)),
    }
}

/// What stands behind an opening bracket, and the closing one.
fn bracket(inside: &str) -> Read<'_, Vec<Selector>> {
    let mut selectors = Vec::new();
    let mut rest = inside;
    loop {
        let (selector, after) = selector(rest.trim_start())?;
        selectors.push(selector);
        let after = after.trim_start();
        if let Some(after) = after.strip_prefix(']') {
            return Ok((selectors, after));
        }
        rest = after.strip_prefix(',').ok_or((after, "a ] is missing here"))?;
    }
}

fn selector(text: &str) -> Read<'_, Selector> {
    match text.chars().next() {
        Some('*') => Ok((Selector::Any, text.strip_prefix('*').unwrap_or_default())),
        Some(quote @ ('"' | '\'')) => {
            let (name, after) = quoted(text, quote)?;
            Ok((Selector::Key(name), after))
        }
        Some('-' | ':' | '0'..='9') => index_or_slice(text),
        Some('?') => Err((text, "filters (?) cannot be used here")),
        _ => Err((text, INSIDE)),
    }
}

/// Source: RFC 9535, section 2.3.4.
fn index_or_slice(text: &str) -> Read<'_, Selector> {
    let (start, rest) = number(text)?;
    let Some(rest) = rest.trim_start().strip_prefix(':') else {
        return Ok((Selector::Index(start.ok_or((text, INSIDE))?), rest));
    };
    let (end, rest) = number(rest.trim_start())?;
    let (step, rest) = match rest.trim_start().strip_prefix(':') {
        Some(rest) => number(rest.trim_start())?,
        None => (None, rest),
    };
    if step == Some(0) {
        return Err((text, "the third number of a slice is not 0"));
    }
    let step = step.unwrap_or(1);
    Ok((Selector::Slice(Slice { start, end, step }), rest))
}

/// A number, if one stands here.
fn number(text: &str) -> Read<'_, Option<i64>> {
    let is_part = |(place, character): (usize, char)| {
        (character.is_ascii_digit() || (character == '-' && place == 0)).then_some(place + 1)
    };
    let end = text.char_indices().map_while(is_part).last().unwrap_or(0);
    match text.split_at(end) {
        ("", _) => Ok((None, text)),
        (digits, rest) => {
            let number = digits.parse().map_err(|_| (text, "this is no whole number"))?;
            Ok((Some(number), rest))
        }
    }
}

/// A name in quotes.
///
/// Source: RFC 9535, section 2.3.1.
fn quoted(text: &str, quote: char) -> Read<'_, String> {
    let mut name = String::new();
    let mut rest = text.chars();
    rest.next();
    loop {
        let here = rest.as_str();
        match rest.next() {
            None => return Err((text, "this quote is not closed")),
            Some(end) if end == quote => return Ok((name, rest.as_str())),
            Some('\\') => name.push(escaped(&mut rest).ok_or((here, "no name has such an escape"))?),
            Some(plain) => name.push(plain),
        }
    }
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let unit = unit(rest)?;
            if !(0xd800..0xdc00).contains(&unit) {
                return char::from_u32(unit);
            }
            let low = (rest.next()? == '\\' && rest.next()? == 'u').then(|| unit_of_pair(rest))??;
            char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)?
        }
        same @ ('"' | '\'' | '\\' | '/') => same,
        _ => return None,
    })
}

fn unit_of_pair(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let low = unit(rest)?.checked_sub(0xdc00)?;
    (low < 0x400).then_some(low)
}

fn unit(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + rest.next()?.to_digit(16)?))
}
