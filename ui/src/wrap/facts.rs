//! What is told of a run when it begins.

use std::env;
use std::fs;

use shadowcat::child::ChildProcess;
use shadowcat::door::message::RunBegin;

use super::WrapOptions;

/// What there is to tell of `child`: of the environment the names only.
pub(super) fn gather(options: &WrapOptions, child: &ChildProcess) -> RunBegin {
    gather_for(options, child.id())
}

/// The same of a process by its number.
pub(super) fn gather_for(options: &WrapOptions, child_pid: u32) -> RunBegin {
    let lossy = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
    let mut env_names: Vec<String> = env::vars_os().map(|(name, _)| lossy(&name)).collect();
    env_names.sort_unstable();
    let parent_pid = std::os::unix::process::parent_id();
    let begin = RunBegin {
        name: options.name.clone(),
        argv: options.command.iter().map(|word| lossy(word)).collect(),
        cwd: env::current_dir().ok().map(|place| lossy(place.as_os_str())),
        env_names,
        shim_pid: std::process::id(),
        child_pid,
        parent: process_name(parent_pid),
        parent_pid: Some(parent_pid),
    };
    begin.within_bounds()
}

/// The name of a process, where the system shows it as a file.
fn process_name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}
