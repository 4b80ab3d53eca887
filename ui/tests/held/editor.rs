//! A script that is ended while its editor is open.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// What lies in the folder for temporary files, a file or folder with its mode.
fn left_in(folder: &Path) -> Vec<(PathBuf, u32)> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    paths.map(|path| (path.clone(), mode(&path))).collect()
}

fn state(scene: &Scene) -> Value {
    scene.list()[0]["state"].clone()
}

/// `held edit` with an editor that has written a backup and waits for its input, and the folder for its files.
fn editing(scene: &Scene, id: &str) -> (Child, PathBuf) {
    let drafts = scene.home.path().join("drafts");
    std::fs::create_dir_all(&drafts).unwrap();
    let mut command = scene.home.command(&["held", "edit", id, "--editor"]);
    command
        .env_remove("VISUAL")
        .env("TMPDIR", &drafts)
        .env("EDITOR", "f() { cp \"$1\" \"$1~\"; cat >/dev/null; }; f");
    let script = command.stdin(Stdio::piped()).spawn().unwrap();
    let has_backup = || {
        let folders = left_in(&drafts);
        folders.iter().any(|(folder, _)| left_in(folder).len() == 2)
    };
    while state(scene) != "editing" || !has_backup() {
        std::thread::yield_now();
    }
    (script, drafts)
}

#[test]
fn a_script_that_is_killed_while_it_edits_leaves_the_message_held_and_its_time_running() {
    let mut scene = Scene::holding();
    let (client, id) = scene.hold(&call("search"));
    let (mut script, drafts) = editing(&scene, &id);
    script.kill().unwrap();
    script.wait().unwrap();
    while state(&scene) != "held" {
        std::thread::yield_now();
    }
    // Nobody can tidy up after that, but nobody else can look at it.
    let [(folder, 0o700)] = &left_in(&drafts)[..] else {
        panic!("{:?}", left_in(&drafts));
    };
    let files = left_in(folder);
    let draft = files
        .iter()
        .find(|(path, _)| path.ends_with(format!("{id}.json")));
    assert_eq!(draft.map(|(_, mode)| *mode), Some(0o600), "{files:?}");
    scene.done(&["forward", &id]);
    assert_eq!(scene.serve(), call("search"));
    assert!(answer(client).ends_with(RESULT));
}

#[test]
fn a_script_that_is_told_to_end_while_it_edits_leaves_no_file_and_the_message_as_it_was() {
    let mut scene = Scene::holding();
    let (client, id) = scene.hold(&call("search"));
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let (mut script, drafts) = editing(&scene, &id);
        // Ctrl-C is the editor's.
        let pid = Pid::from_child(&script);
        kill_process(pid, Signal::INT).unwrap();
        assert_eq!(state(&scene), "editing");
        kill_process(pid, signal).unwrap();
        // As long as the end of its input is open the editor does not end by itself.
        let input = script.stdin.take();
        assert_eq!(script.wait().unwrap().code(), Some(code), "{signal:?}");
        drop(input);
        assert_eq!(left_in(&drafts), [], "{signal:?}");
        assert_eq!(state(&scene), "held");
    }
    scene.done(&["forward", &id]);
    assert_eq!(scene.serve(), call("search"));
    assert!(answer(client).ends_with(RESULT));
}
