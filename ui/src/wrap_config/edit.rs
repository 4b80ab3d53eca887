//! The text of a client's file with our command in front of its servers. Pure. Only what has to change is written anew:
//! formatting, order, comments and everything that is not known stay byte for byte.

use std::ops::Range;

use crate::client_file::{Transport, repeated, servers_of, transport_of};
use crate::jsonc::{self, Member, Mistake, Node, Value};

/// The name of our program; of a path its last part.
const PROGRAM: &str = "shadowcat-tui";
/// Variables that carry the values of headers begin like this; a number follows.
const HEADER_VARIABLE: &str = "SHADOWCAT_HEADER_";
/// Members by which a client gets its headers itself: they cannot be had in front of it.
const OWN_AUTHORIZATION: [&str; 3] = ["oauth", "headersHelper", "authProvider"];

/// What becomes of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The text as it will be; the same as before if nothing is changed.
    pub(super) text: String,
    pub(super) changed: Vec<Changed>,
    /// Servers that stay as they are, and why.
    pub(super) left: Vec<(String, String)>,
}

/// A server that is started by us from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) name: String,
    /// What the client will start, in words.
    pub(super) command: String,
    /// The client may have logged in there by itself; nobody does any more.
    pub(super) loses_login: bool,
}

/// Puts `program` in front of every server for which `wanted` says so.
///
/// # Errors
/// [`Mistake`] if the text is not a file of servers.
pub(super) fn wrap(text: &str, program: &dyn Fn(&str) -> Option<String>) -> Result<Plan, Mistake> {
    let root = jsonc::parse(text)?;
    let servers = servers_of(&root)?;
    let mut plan = Plan::default();
    let mut edits = Vec::new();
    for member in servers.members() {
        let Some(program) = program(&member.key) else {
            continue;
        };
        match wrap_server(text, member, &program) {
            Ok((changed, of_server)) => {
                plan.changed.push(changed);
                edits.extend(of_server);
            }
            Err(reason) => plan.left.push((member.key.clone(), reason)),
        }
    }
    plan.text = apply(text, edits);
    Ok(plan)
}

/// Names of the servers in a text, and by which program of ours each is started, if it is.
///
/// # Errors
/// [`Mistake`] if the text is not a file of servers.
pub(super) fn names(text: &str) -> Result<Vec<(String, Option<String>)>, Mistake> {
    let root = jsonc::parse(text)?;
    let servers = servers_of(&root)?.members().iter();
    Ok(servers
        .map(|member| (member.key.clone(), wrapper_of(member)))
        .collect())
}

/// Our program, if that entry starts it: by its name, or, under another name, by all that we write.
fn wrapper_of(server: &Member) -> Option<String> {
    let program = server.value.get("command")?.text()?;
    let file = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let is_ours = file == PROGRAM || file.strip_suffix(".exe") == Some(PROGRAM);
    let Value::List(arguments) = &server.value.get("args")?.value else {
        return None;
    };
    let mut words = arguments.iter().map(|word| word.text().unwrap_or_default());
    let does_wrap = words.next() == Some("wrap");
    let mut is_named = || {
        let name = words.next();
        let name = name
            .and_then(|word| word.strip_prefix("--name="))
            .or_else(|| words.next());
        name == Some(&server.key) && matches!(words.next(), Some("--" | "--upstream"))
    };
    (does_wrap && (is_ours || is_named())).then(|| program.to_owned())
}

/// A stretch of the text, and what comes in its place.
pub(super) type Edit = (Range<usize>, String);

/// The text with the edits made; none may overlap another.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut changed = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for (range, new) in edits {
        changed.push_str(text.get(at..range.start).unwrap_or_default());
        changed.push_str(&new);
        at = range.end;
    }
    changed.push_str(text.get(at..).unwrap_or_default());
    changed
}

fn wrap_server(text: &str, member: &Member, program: &str) -> Result<(Changed, Vec<Edit>), String> {
    let (name, entry) = (&member.key, &member.value);
    if wrapper_of(member).is_some() {
        return Err("it is wrapped already".to_owned());
    }
    let inside = [Some(entry), entry.get("env"), entry.get("headers")];
    let mut objects = inside.into_iter().flatten();
    if let Some(member) = objects.find_map(|object| repeated(object.members()).next()) {
        return Err(format!("\"{}\" is there twice", member.key.escape_debug()));
    }
    let mut arguments = vec!["\"wrap\"".to_owned()];
    arguments.extend(name_arguments(name));
    match transport_of(name, entry).map_err(|mistake| mistake.message)? {
        Transport::Command(command) => wrap_command(text, name, entry, command, program, arguments),
        Transport::Url(url) => wrap_url(text, name, entry, url, program, arguments),
    }
}

/// What the server is called on screen. A name that looks like an option has to be tied to its own.
fn name_arguments(name: &str) -> Vec<String> {
    if name.starts_with('-') {
        vec![json(&format!("--name={name}"))]
    } else {
        vec![json("--name"), json(name)]
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text of a value as it is spelled.
pub(super) fn raw<'a>(text: &'a str, node: &Node) -> &'a str {
    text.get(node.span.clone()).unwrap_or_default()
}

fn wrap_command(
    text: &str,
    name: &str,
    entry: &Node,
    command: &Node,
    program: &str,
    mut arguments: Vec<String>,
) -> Result<(Changed, Vec<Edit>), String> {
    let old = command
        .text()
        .ok_or_else(|| format!("its command is {}", command.kind()))?;
    arguments.extend(["\"--\"".to_owned(), raw(text, command).to_owned()]);
    let mut edits = Vec::new();
    match entry.get("args") {
        None => {
            let between = format!(
                ",{}\"args\": [{}]",
                before_key(text, entry, "command"),
                arguments.join(", ")
            );
            edits.push((command.span.clone(), format!("{}{between}", json(program))));
        }
        Some(args) => {
            edits.push((command.span.clone(), json(program)));
            edits.push(put_in_front(text, args, &arguments)?);
        }
    }
    let changed = Changed {
        name: name.to_owned(),
        command: format!("{PROGRAM} wrap … -- {old} …"),
        loses_login: false,
    };
    Ok((changed, edits))
}

/// The items in front of those of the list `args`, laid out as those are.
fn put_in_front(text: &str, args: &Node, items: &[String]) -> Result<Edit, String> {
    match &args.value {
        Value::Null => Ok((args.span.clone(), format!("[{}]", items.join(", ")))),
        Value::List(old) => {
            let inside = args.span.start + 1;
            let Some(first) = old.first() else {
                return Ok((inside..inside, items.join(", ")));
            };
            let gap = text.get(inside..first.span.start).unwrap_or_default();
            // A comment there belongs to the first item.
            let is_blank = gap.chars().all(char::is_whitespace);
            let separator = match gap {
                gap if is_blank && gap.contains('\n') => format!(",{gap}"),
                _ => ", ".to_owned(),
            };
            let lead = if is_blank { gap } else { "" };
            Ok((
                inside..inside,
                format!(
                    "{lead}{}{}",
                    items.join(&separator),
                    if is_blank && gap.contains('\n') { "," } else { ", " }
                ),
            ))
        }
        _ => Err(format!("its args are {}", args.kind())),
    }
}

/// The blanks in front of a key, if there is nothing else between it and what comes before.
fn before_key<'a>(text: &'a str, entry: &Node, key: &str) -> &'a str {
    let members = entry.members();
    let Some(place) = members.iter().position(|member| member.key == key) else {
        return " ";
    };
    let start = members.get(place).map_or(0, |member| member.key_span.start);
    let before = text.get(entry.span.start..start).unwrap_or_default();
    let blank = before.trim_end_matches(|c: char| c.is_whitespace());
    let gap = before.get(blank.len()..).unwrap_or_default();
    if gap.is_empty() || !gap.contains('\n') {
        " "
    } else {
        gap
    }
}

fn wrap_url(
    text: &str,
    name: &str,
    entry: &Node,
    url: &Node,
    program: &str,
    mut arguments: Vec<String>,
) -> Result<(Changed, Vec<Edit>), String> {
    let address = url.text().ok_or_else(|| format!("its url is {}", url.kind()))?;
    if let Some(own) = OWN_AUTHORIZATION.iter().find(|key| entry.get(key).is_some()) {
        return Err(format!(
            "its client makes headers by itself (\"{own}\"), which cannot be passed on"
        ));
    }
    if let Some(key) = ["command", "args"].iter().find(|key| entry.get(key).is_some()) {
        return Err(format!(
            "it has a \"{key}\" beside its url; take out what is not used"
        ));
    }
    let headers = entry
        .get("headers")
        .filter(|headers| headers.value != Value::Null);
    let variables = header_variables(entry, headers)?;
    arguments.extend(["\"--upstream\"".to_owned(), raw(text, url).to_owned()]);
    for (variable, header, _) in &variables {
        arguments.extend([json("--header-env"), json(&format!("{header}={variable}"))]);
    }
    let key = member_of(entry, url);
    let gap = key.map_or(" ", |member| before_key(text, entry, &member.key));
    let mut edits = vec![(
        url.span.clone(),
        format!("{},{gap}\"args\": [{}]", json(program), arguments.join(", ")),
    )];
    edits.extend(key.map(|member| (member.key_span.clone(), json("command"))));
    if let Some(member) = headers.and_then(|headers| member_of(entry, headers)) {
        edits.push((member.key_span.clone(), json("env")));
    }
    edits.extend(
        variables
            .iter()
            .map(|(variable, _, span)| (span.clone(), json(variable))),
    );
    let stated = [entry.get("type"), entry.get("transport")].into_iter().flatten();
    edits.extend(stated.map(|node| (node.span.clone(), json("stdio"))));
    let has_authorization = variables
        .iter()
        .any(|(_, header, _)| header.eq_ignore_ascii_case("authorization"));
    let changed = Changed {
        name: name.to_owned(),
        command: format!("{PROGRAM} wrap … --upstream {address}"),
        loses_login: address.starts_with("https://") && !has_authorization,
    };
    Ok((changed, edits))
}

/// The member whose value that is.
fn member_of<'a>(entry: &'a Node, value: &Node) -> Option<&'a Member> {
    entry
        .members()
        .iter()
        .find(|member| member.value.span == value.span)
}

/// A variable for each header, its name, and where that stands. The values stay where they are, so that what a client
/// puts into them it goes on putting in.
fn header_variables(
    entry: &Node,
    headers: Option<&Node>,
) -> Result<Vec<(String, String, Range<usize>)>, String> {
    let Some(headers) = headers else {
        return Ok(Vec::new());
    };
    if !headers.is_object() {
        return Err(format!("its headers are {}", headers.kind()));
    }
    if entry.get("env").is_some() && !headers.members().is_empty() {
        return Err("it has both \"headers\" and \"env\"; take out what is not used".to_owned());
    }
    let mut variables = Vec::new();
    for (place, member) in headers.members().iter().enumerate() {
        if member.value.text().is_none() {
            return Err(format!("its header {} is {}", member.key, member.value.kind()));
        }
        if member.key.contains('=') {
            return Err(format!("its header {} has a `=` in its name", member.key));
        }
        variables.push((
            format!("{HEADER_VARIABLE}{}", place + 1),
            member.key.clone(),
            member.key_span.clone(),
        ));
    }
    Ok(variables)
}
