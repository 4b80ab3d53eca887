//! A client that was started by `exec`, and the certificate authority that it believes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]
#![cfg(unix)]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/tls.rs"]
mod tls;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use binary::{Headless, Home, Ran};

/// What a client finds in its environment.
fn environment(home: &Home, connect: &str) -> BTreeMap<String, String> {
    let ran = home.run(&["exec", "--connect", connect, "--", "env"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pairs = ran.stdout.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn mode(path: &str) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_client_reaches_an_https_server_through_the_proxy_and_believes_it() {
    let home = Home::new();
    let (server, authority) = tls::server(&[b"http/1.1"]).await;
    let root = home.file("root.pem", &authority);
    let lines = home.path().join("lines");
    let proxy = Headless::of(
        home.command(&[
            "--headless",
            "--listen",
            "127.0.0.1:0",
            "--format",
            "text",
            "--upstream-ca",
            &root,
        ])
        .stdout(std::fs::File::create(&lines).unwrap()),
    );
    let found = environment(&home, &proxy.address);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        assert_eq!(found[name], format!("http://{}", proxy.address));
    }
    assert_eq!((found["NO_PROXY"].as_str(), found["no_proxy"].as_str()), ("", ""));
    assert_eq!(found["NODE_USE_ENV_PROXY"], "1");
    for name in [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    ] {
        assert_eq!(mode(&found[name]), 0o600);
        let url = format!("https://localhost:{}/mcp", server.port());
        let text = tls::get(&url, &found["https_proxy"], &found[name]).await;
        assert_eq!(text, format!("HTTP/1.1 localhost:{}", server.port()));
    }
    let ended = proxy.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = std::fs::read_to_string(lines).unwrap();
    assert!(
        lines.contains(&format!("https://localhost:{}/mcp", server.port())),
        "{lines}"
    );
}

#[test]
fn the_clients_exit_code_and_signal_are_its_own() {
    let home = Home::new();
    let proxy = Headless::start(&home, &[]);
    let connect = ["exec", "--connect", &proxy.address, "--"];
    let ran = home.run(&[&connect[..], &["sh", "-c", "echo out; exit 7"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), "out\n"));
    assert!(
        ran.stderr.contains(&proxy.address) && !ran.stderr.contains("Node"),
        "a shell is not Node: {ran:?}"
    );
    let ran = home
        .command(&[&connect[..], &["sh", "-c", "kill -TERM $$"]].concat())
        .output()
        .unwrap();
    assert_eq!(ran.status.signal(), Some(15));
    proxy.terminate();
}

#[test]
fn a_client_that_cannot_be_run_is_told_with_the_code_of_shells_before_anything_else() {
    let home = Home::new();
    let proxy = Headless::start(&home, &[]);
    let run = |client: &str| home.run(&["exec", "--connect", &proxy.address, "--", client]);
    run("no-such-program").refused(127, &["could not run no-such-program", "PATH"]);
    run("./no-such-file").refused(127, &["no such file"]);
    let plain = home.file("plain", "no program");
    run(&plain).refused(126, &["not executable"]);
    proxy.terminate();
}

#[test]
fn only_what_may_run_on_node_is_told_which_node_it_takes() {
    let home = Home::new();
    let proxy = Headless::start(&home, &[]);
    for (name, first_line, expected) in [
        ("client", "#!/bin/sh", true),
        ("client.py", "#!/usr/bin/env python3", false),
        ("npx", "", true),
    ] {
        let file = home.file(name, &format!("{first_line}\n"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        let ran = home.run(&["exec", "--connect", &proxy.address, "--", &file]);
        assert_eq!(ran.stderr.contains("22.21"), expected, "{name}: {ran:?}");
    }
    proxy.terminate();
}

#[test]
fn what_exec_asks_the_proxy_is_no_traffic() {
    let home = Home::new();
    let lines = home.path().join("lines");
    let proxy = Headless::of(
        home.command(&["--headless", "--listen", "127.0.0.1:0", "--format", "text"])
            .stdout(std::fs::File::create(&lines).unwrap()),
    );
    environment(&home, &proxy.address);
    let url = format!("http://{}/shadowcat-ca.pem?mine", proxy.address);
    let mut client = std::net::TcpStream::connect(&proxy.address).unwrap();
    write!(
        client,
        "GET {url} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        proxy.address
    )
    .unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(proxy.terminate().code, Some(0));
    let lines = std::fs::read_to_string(lines).unwrap();
    assert!(
        lines.contains("mine") && !lines.contains("shadowcat.invalid"),
        "{lines}"
    );
}

#[test]
fn without_a_proxy_it_says_what_to_start() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut client, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            assert!(client.read(&mut question).unwrap() > 0);
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        });
        home.run(&["exec", "--connect", &address, "--", "true"])
    });
    other.refused(3, &["there is no shadowcat-tui at", "something else answers"]);
    drop(listener);
    let nobody = home.run(&["exec", "--connect", &address, "--", "true"]);
    nobody.refused(3, &[&format!("shadowcat-tui --listen {address}")]);
}

#[test]
fn credentials_of_the_proxy_reach_the_client_and_no_screen() {
    let home = Home::new();
    let proxy = Headless::start(&home, &["--proxy-auth", "me:secret"]);
    let found = environment(&home, &format!("me:secret@{}", proxy.address));
    assert_eq!(found["HTTP_PROXY"], format!("http://me:secret@{}", proxy.address));
    let ended = proxy.terminate();
    assert!(!ended.stderr.contains("secret"), "{ended:?}");
}

#[test]
fn the_authority_is_shown_exported_and_renewed_but_its_key_is_not() {
    let home = Home::new();
    let first = home.run(&["ca"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let directory = home.path().join("data/shadowcat/ca");
    for word in [
        "SHA-256",
        "exec --",
        "NODE_EXTRA_CA_CERTS",
        "update-ca-certificates",
        "undo",
    ] {
        assert!(first.stdout.contains(word), "{word} is not in {}", first.stdout);
    }
    assert!(first.stdout.contains(&directory.display().to_string()));
    assert_eq!(first.stdout, home.run(&["ca"]).stdout, "it stays the same");
    let copy = home.path().join("copy.pem").display().to_string();
    assert_eq!(home.run(&["ca", "--export", &copy]).code, Some(0));
    let text = std::fs::read_to_string(&copy).unwrap();
    assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE"));
    home.run(&["ca", "--export", &copy])
        .refused(3, &["not there yet"]);
    home.run(&["ca", "--new"]).refused(2, &["--yes"]);
    let renewed = home.run(&["ca", "--new", "--yes"]);
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    assert_ne!(fingerprint(&first), fingerprint(&renewed));
    assert_eq!(
        mode(&directory.join("shadowcat-ca-key.pem").display().to_string()),
        0o600
    );
    let elsewhere = home.path().join("elsewhere").display().to_string();
    home.run(&["ca", "--ca-dir", &elsewhere]);
    assert!(Path::new(&elsewhere).join("shadowcat-ca.pem").exists());
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_is_opened() {
    let home = Home::new();
    let empty = home.file("empty.pem", "");
    for (arguments, word) in [
        (["--insecure", "*"], "single hosts only"),
        (["--upstream-ca", "/no/such.pem"], "/no/such.pem"),
        (["--upstream-ca", &empty], "no certificate in it"),
        (["--listen", "127.0.0.1:8081"], "circle"),
    ] {
        let all = [&["--headless", "--via", "http://localhost:8081"][..], &arguments].concat();
        home.run(&all).refused(2, &[word]);
    }
}

fn fingerprint(ran: &Ran) -> &str {
    let line = ran.stdout.lines().find(|line| line.contains("SHA-256")).unwrap();
    line.rsplit(' ').next().unwrap()
}
