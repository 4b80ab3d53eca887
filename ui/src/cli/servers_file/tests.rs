use super::expand::workspace_of;
use super::*;

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cret".to_owned()),
        "HOME" => Some("/home/cat".to_owned()),
        _ => None,
    }
}

fn read_text(text: &str) -> Result<FoundServers, String> {
    let path = Path::new("/ws/.vscode/mcp.json");
    let around = Surroundings {
        env: &environment,
        workspace: workspace_of(path),
    };
    read(text, path, &around).map_err(|mistake| {
        let (line, column) = jsonc::position(text, mistake.at);
        format!("{line}:{column}: {}", mistake.message)
    })
}

/// Each server as one line.
fn shown(found: &FoundServers) -> Vec<String> {
    let upstreams = found.upstreams.iter().map(|upstream| {
        let headers: Vec<&str> = upstream.headers.names().collect();
        format!(
            "{} {} {}",
            upstream.name.as_deref().unwrap(),
            upstream.url(),
            headers.join(",")
        )
    });
    let commands = found.commands.iter().map(|command| {
        format!(
            "{} {} {:?} {:?} {:?}",
            command.name.as_deref().unwrap(),
            command.program,
            command.args,
            command.cwd,
            command.env
        )
    });
    upstreams
        .chain(commands)
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn the_file_of_claude_desktop_and_claude_code_is_understood() {
    let found = read_text(
        r#"{"mcpServers": {
            "files": {"command": "npx", "args": ["-y", "server-filesystem", "${HOME}/src"], "env": {"LEVEL": "3", "N": 4}},
            "docs": {"type": "http", "url": "https://mcp.example.com/mcp?k=1", "headers": {"Authorization": "Bearer ${TOKEN}"}},
            "old": {"type": "sse", "url": "http://127.0.0.1:3001/sse"}
        }}"#,
    )
    .unwrap();
    assert_eq!(
        shown(&found),
        [
            "docs https://mcp.example.com/mcp?k=1 authorization",
            "old http://127.0.0.1:3001/sse",
            r#"files npx ["-y", "server-filesystem", "/home/cat/src"] None [("LEVEL", "3"), ("N", "4")]"#,
        ]
    );
    assert_eq!(found.remarks, Vec::<String>::new());
    assert!(!format!("{found:?}").contains("s3cret"));
}

#[test]
fn the_file_of_vs_code_is_understood_with_its_comments() {
    let found = read_text(
        r#"{
            // what the editor asks for
            "inputs": [],
            "servers": {
                "db": {"type": "stdio", "command": "${workspaceFolder}/run.sh", "cwd": "${userHome}", "env": {"K": "${env:TOKEN}", "M": "${env:NONE}"}},
                "api": {"url": "http://127.0.0.1:1/mcp"}, // http by itself
            },
        }"#,
    )
    .unwrap();
    assert_eq!(
        shown(&found),
        [
            "api http://127.0.0.1:1/mcp",
            r#"db /ws/run.sh [] Some("/home/cat") [("K", "s3cret"), ("M", "")]"#,
        ]
    );
    assert!(
        found.remarks[0].contains("NONE is not set"),
        "{:?}",
        found.remarks
    );
}

#[test]
fn servers_in_the_settings_of_vs_code_are_found() {
    let found = read_text(r#"{"editor.x": 1, "mcp": {"servers": {"a": {"url": "http://x/"}}}}"#).unwrap();
    assert_eq!(shown(&found), ["a http://x/"]);
}

#[test]
fn a_server_that_is_disabled_or_has_unknown_keys_is_said_in_the_log() {
    let found = read_text(
        r#"{"mcpServers": {"a": {"command": "x", "disabled": true}, "My Server": {"command": "y", "envFile": ".env", "description": ""}}}"#,
    )
    .unwrap();
    assert_eq!(shown(&found), ["My-Server y [] None []"]);
    let said = found.remarks.join("\n");
    for part in [
        "`a` is disabled",
        "`My Server` lives under /My-Server",
        "nothing is made of \"envFile\"",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_to_write() {
    for (text, place, what) in [
        ("{}", "1:1:", "mcpServers"),
        ("{\"mcpServers\": []}", "1:16:", "not a list"),
        (
            "{\"mcpServers\": {\n \"a\": {}}}",
            "2:7:",
            "neither \"command\" nor \"url\"",
        ),
        (
            "{\"servers\": {\"a\": {\"command\": \"x\", \"url\": \"y\"}}}",
            "1:19:",
            "\"type\"",
        ),
        (
            "{\"servers\": {\"a\": {\"type\": \"ws\", \"url\": \"ws://x\"}}}",
            "1:28:",
            "stdio, http or sse",
        ),
        (
            "{\"servers\": {\"a\": {\"type\": \"http\", \"command\": \"x\"}}}",
            "1:19:",
            "no \"url\"",
        ),
        (
            "{\"servers\": {\"a\": {\"url\": \"x\"}}}",
            "1:27:",
            "http://127.0.0.1:3001/mcp",
        ),
        (
            "{\"servers\": {\"a\": {\"command\": [\"x\"]}}}",
            "1:31:",
            "a text in quotes, not a list",
        ),
        (
            "{\"servers\": {\"a\": {\"command\": \"x\", \"args\": \"y\"}}}",
            "1:44:",
            "a list of texts",
        ),
        (
            "{\"servers\": {\"a\": {\"command\": \"x\", \"args\": [1]}}}",
            "1:45:",
            "a text in quotes",
        ),
        (
            "{\"servers\": {\"a\": {\"command\": \"${NONE}\"}}}",
            "1:31:",
            "${NONE:-DEFAULT}",
        ),
        (
            "{\"servers\": {\"a\": {\"command\": \"${input:key}\"}}}",
            "1:31:",
            "${env:NAME}",
        ),
        (
            "{\"servers\": {\"a\": {\"url\": \"http://x/\", \"headers\": {\"Host\": \"y\"}}}}",
            "1:52:",
            "leave it out",
        ),
        (
            "{\"servers\": {\"a b\": {\"command\": \"x\"}, \"a-b\": {\"command\": \"x\"}}}",
            "1:39:",
            "/a-b",
        ),
        (
            "{\"servers\": {\"..\": {\"command\": \"x\"}}}",
            "1:14:",
            "rename it",
        ),
    ] {
        let error = read_text(text).unwrap_err();
        assert!(
            error.starts_with(place) && error.contains(what),
            "{text}: {error}"
        );
    }
}

#[test]
fn variables_are_put_in_as_the_clients_do_it() {
    let around = Surroundings {
        env: &environment,
        workspace: PathBuf::from("/ws/app"),
    };
    let expanded = |text: &str| expand::expand(text, &around).unwrap().text;
    for (text, expected) in [
        ("a${TOKEN}b${TOKEN}", "as3cretbs3cret"),
        ("${NONE:-http://x}/y", "http://x/y"),
        ("${TOKEN:-x}", "s3cret"),
        ("$TOKEN ${ TOKEN } ${a-b} $${", "$TOKEN ${ TOKEN } ${a-b} $${"),
        ("${workspaceFolder}|${workspaceFolderBasename}", "/ws/app|app"),
        ("${env:NONE}", ""),
    ] {
        assert_eq!(expanded(text), expected);
    }
}

#[test]
fn the_folder_of_an_editor_belongs_to_the_project_above_it() {
    for (file, folder) in [
        ("/p/.vscode/mcp.json", "/p"),
        ("/p/.cursor/mcp.json", "/p"),
        ("/p/x/.mcp.json", "/p/x"),
    ] {
        assert_eq!(workspace_of(Path::new(file)), Path::new(folder));
    }
}
