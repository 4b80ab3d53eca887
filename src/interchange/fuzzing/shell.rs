//! Whether a script does nothing but what it is for.

/// What stands outside of quotes in a command.
const OUTSIDE: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- \n@";

/// A script of comments and of commands whose words in quotes are the only ones that a peer has chosen.
pub(super) fn commands(script: &str) {
    let mut rest = script;
    while !rest.is_empty() {
        if let Some(comment) = rest.strip_prefix('#') {
            let (comment, after) = comment.split_once('\n').unwrap_or((comment, ""));
            assert!(!comment.contains('\r'), "{comment:?}");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\n') {
            rest = after;
        } else {
            let (words, after) = command(rest);
            is_ours(&words);
            rest = after;
        }
    }
}

/// The words of the first command, with `''` in place of what is in quotes, and what follows it.
fn command(script: &str) -> (String, &str) {
    let mut words = String::new();
    let mut characters = script.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => {
                let is_closed = characters.by_ref().any(|(_, inside)| inside == '\'');
                assert!(is_closed, "a quote is not closed: {script}");
                words.push_str("''");
            }
            // A text with something hidden in it, byte by byte.
            '"' => {
                let inside: String = characters
                    .by_ref()
                    .map(|(_, c)| c)
                    .take_while(|c| *c != '"')
                    .collect();
                let bytes = inside
                    .strip_prefix("$(printf '")
                    .and_then(|rest| rest.strip_suffix("')"));
                assert!(
                    bytes.is_some_and(is_octal),
                    "{inside:?} in double quotes: {script}"
                );
                words.push_str("''");
            }
            // An escaped quote, or a line that goes on.
            '\\' => match characters.next() {
                Some((_, '\'')) => {}
                Some((_, '\n')) => words.push(' '),
                other => panic!("{other:?} is escaped: {script}"),
            },
            '\n' => return (words, script.get(at + 1..).unwrap_or_default()),
            '|' => words.push('|'),
            plain => {
                assert!(OUTSIDE.contains(plain), "{plain:?} outside of quotes: {script}");
                words.push(plain);
            }
        }
    }
    (words, "")
}

/// Whether these are bytes as `printf` takes them, and nothing else.
fn is_octal(text: &str) -> bool {
    let mut bytes = text.split('\\');
    bytes.next() == Some("")
        && bytes.all(|byte| byte.len() == 3 && byte.bytes().all(|digit| matches!(digit, b'0'..=b'7')))
}

fn is_ours(words: &str) {
    // A text with quotes in it is several texts in quotes, one behind the other.
    let mut words = words.to_owned();
    while words.contains("''''") {
        words = words.replace("''''", "''");
    }
    let mut words = words.split(' ').filter(|word| !word.is_empty()).peekable();
    let mut first = words.next();
    if first == Some("printf") {
        assert_eq!((words.next(), words.next()), (Some("''"), Some("|")));
        first = words.next();
    }
    assert_eq!(first, Some("curl"));
    let known = [
        "-sS",
        "-N",
        "--max-time",
        "10",
        "-g",
        "--head",
        "-X",
        "-H",
        "--data-raw",
        "--data-binary",
        "@-",
        "''",
    ];
    assert!(words.all(|word| known.contains(&word)));
}
