//! What the machine gives, and what becomes of the limits when that is little.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::{Headless, Home, Ran};

const HEADLESS: [&str; 5] = ["--headless", "--format", "none", "--listen", "127.0.0.1:0"];

#[test]
fn a_default_that_the_machine_cannot_meet_is_lowered_and_said() {
    let home = Home::new();
    let log = home.path().join("log").display().to_string();
    let arguments = [&HEADLESS[..], &["--log-file", &log]].concat();
    let ran = Headless::of(&mut home.bounded("-n 256", &arguments)).terminate();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let log = std::fs::read_to_string(log).unwrap();
    let said = "max_connections is 48 instead of 10000, max_shims is 48 instead of 256, max_children is 12 instead of 256: this machine gives 256 open files; raise `ulimit -n` for more";
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

#[test]
fn a_limit_that_was_asked_for_and_cannot_be_met_is_an_error_that_names_it() {
    let home = Home::new();
    let words = [
        "max_connections cannot be 200",
        "469 open files",
        "this machine gives 256",
        "`ulimit -n`",
        "--max-connections to 93",
    ];
    let by_flag = [&HEADLESS[..], &["--max-connections", "200"]].concat();
    let file = home.file("s.toml", "[limits]\nmax_connections = 200\n");
    let by_file = [&HEADLESS[..], &["--config", &file]].concat();
    for arguments in [by_flag, by_file] {
        let output = home.bounded("-n 256", &arguments).output().unwrap();
        let ran = Ran::of(&output);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in {}", ran.stderr);
        }
    }
}

#[test]
fn the_soft_bound_on_open_files_is_raised_to_the_hard_one() {
    let home = Home::new();
    let arguments = [&HEADLESS[..], &["--max-connections", "100"]].concat();
    let mut command = home.bounded("-S -n 100 && ulimit -H -n 300", &arguments);
    assert_eq!(Headless::of(&mut command).terminate().code, Some(0));
}

/// One exchange on connections that are open already.
fn exchange(client: &mut TcpStream, host: &str, server: &mut TcpStream) {
    ask(client, host);
    answer(server);
    let mut head = [0; 38];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

fn ask(client: &mut TcpStream, host: &str) {
    write!(client, "GET /mcp HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
}

fn answer(server: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        server.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
}

/// The numbers of the open files of a process.
#[cfg(target_os = "linux")]
fn open_files(process: u32) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let number =
        |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_str()?.parse().ok();
    entries.filter_map(number).collect()
}

/// Takes from a process what open files it could still have had: new ones get the lowest number that is free.
#[cfg(target_os = "linux")]
fn leave_no_open_files(process: u32, open: &BTreeSet<u64>) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let lowest_free = (0..1_000_000).find(|number| !open.contains(number)).unwrap();
    let bound = Rlimit {
        current: Some(lowest_free),
        maximum: Some(lowest_free + 100),
    };
    let process = Pid::from_raw(i32::try_from(process).unwrap());
    prlimit(process, Resource::Nofile, bound).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn without_open_files_left_the_traffic_of_others_goes_on_and_clients_are_accepted_again() {
    const SILENT: usize = 20;
    let home = Home::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let mut proxy = Headless::start(&home, &["--format", "none", "--upstream", &url]);
    let (host, process) = (proxy.address.clone(), proxy.child.id());
    let mut talking = TcpStream::connect(&host).unwrap();
    ask(&mut talking, &host);
    let (mut server, _) = listener.accept().unwrap();
    answer(&mut server);
    talking.read_exact(&mut [0; 38]).unwrap();
    // Whatever numbers were free between others are taken now.
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| TcpStream::connect(&host).unwrap()).collect();
    // Twice the same: nothing is open for a moment only.
    let mut open = BTreeSet::new();
    while open.len() < SILENT + 2 || open != open_files(process) {
        open = open_files(process);
        exchange(&mut talking, &host, &mut server);
    }
    leave_no_open_files(process, &open);

    let mut waiting: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(&host).unwrap()).collect();
    proxy.line_with("could not be accepted");
    for _ in 0..50 {
        exchange(&mut talking, &host, &mut server);
    }
    drop(silent);
    for client in &mut waiting {
        exchange(client, &host, &mut server);
    }
    let mut lines = String::new();
    while !lines.contains("accepted again") {
        assert!(proxy.stderr.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    assert!(
        !lines.contains("could not be accepted"),
        "said once is enough: {lines}"
    );
    assert_eq!(proxy.terminate().code, Some(0));
}

#[test]
fn a_log_file_that_has_its_bytes_of_the_day_says_so_and_grows_no_further() {
    const CLIENTS: usize = 60;
    let home = Home::new();
    let path = home.path().join("log").display().to_string();
    let proxy = Headless::start(
        &home,
        &[
            "--format",
            "none",
            "--log-file",
            &path,
            "--log-file-bytes",
            "4KiB",
        ],
    );
    // Each is worth a line.
    for _ in 0..CLIENTS {
        let mut client = TcpStream::connect(&proxy.address).unwrap();
        client.write_all(b"\0 this is no HTTP\r\n\r\n").unwrap();
        // How the proxy ends the connection is not the point.
        let _ = client.read_to_end(&mut Vec::new());
    }
    let ran = proxy.terminate();
    assert!(
        ran.stderr.matches("no HTTP request").count() > CLIENTS / 2,
        "{ran:?}"
    );
    let log = std::fs::read_to_string(path).unwrap();
    assert!(log.contains("has reached its 4096 bytes for this day"), "{log}");
    assert!((4000..4400).contains(&log.len()), "{}: {log}", log.len());
}
