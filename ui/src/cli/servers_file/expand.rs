//! Variables in the texts of such a file, as the clients understand them: `${NAME}` and `${NAME:-default}` of Claude
//! Code, `${env:NAME}` and the folders of VS Code and Cursor.

use std::path::{Path, PathBuf};

/// What variables stand for.
pub(crate) struct Surroundings<'a> {
    /// The value of a variable of the environment.
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that the file belongs to.
    pub(crate) workspace: PathBuf,
}

/// A text with its variables put in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Names of variables that are not set, where that is no mistake.
    pub(super) unset: Vec<String>,
}

/// The folder that a file belongs to: that of the project for those in a folder of an editor's.
pub(crate) fn workspace_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let is_editors = |folder: &Path| folder.ends_with(".vscode") || folder.ends_with(".cursor");
    let workspace = match folder.parent() {
        Some(above) if is_editors(folder) && above.as_os_str().is_empty() => Path::new("."),
        Some(above) if is_editors(folder) => above,
        _ => folder,
    };
    std::path::absolute(workspace).unwrap_or_else(|_| workspace.to_owned())
}

/// Puts variables in. What is no variable stays as it is.
pub(super) fn expand(text: &str, around: &Surroundings<'_>) -> Result<Expanded, String> {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.text.push_str(before);
        let Some((inner, behind)) = after.split_once('}') else {
            expanded.text.push_str("${");
            rest = after;
            continue;
        };
        match value_of(inner, around, &mut expanded.unset)? {
            Some(value) => expanded.text.push_str(&value),
            None => expanded.text.extend(["${", inner, "}"]),
        }
        rest = behind;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

/// What `${inner}` stands for; `None` if it is no variable.
fn value_of(
    inner: &str,
    around: &Surroundings<'_>,
    unset: &mut Vec<String>,
) -> Result<Option<String>, String> {
    let home = || (around.env)("HOME").or_else(|| (around.env)("USERPROFILE"));
    let workspace = || around.workspace.display().to_string();
    if let Some(name) = inner.strip_prefix("env:") {
        let value = (around.env)(name).unwrap_or_else(|| {
            unset.push(name.to_owned());
            String::new()
        });
        return Ok(Some(value));
    }
    match inner {
        "userHome" => {
            return home()
                .map(Some)
                .ok_or_else(|| "${userHome}: the variable HOME is not set".to_owned());
        }
        "workspaceFolder" => return Ok(Some(workspace())),
        "workspaceFolderBasename" => {
            let name = around.workspace.file_name().unwrap_or_default();
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
        "pathSeparator" | "/" => return Ok(Some(std::path::MAIN_SEPARATOR.to_string())),
        _ => {}
    }
    if let Some((kind @ ("input" | "command" | "config"), _)) = inner.split_once(':') {
        return Err(format!(
            "`${{{inner}}}` is a question that only an editor can ask ({kind}); write ${{env:NAME}} and set the variable NAME"
        ));
    }
    let (name, default) = inner
        .split_once(":-")
        .map_or((inner, None), |(name, default)| (name, Some(default)));
    if !is_name(name) {
        return Ok(None);
    }
    match ((around.env)(name), default) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(default)) => Ok(Some(default.to_owned())),
        (None, None) => Err(format!(
            "the variable {name} is not set; set it, or write ${{{name}:-DEFAULT}}"
        )),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
