//! The real program: that a server never outlives it, and that every command explains itself.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// A keeper with a server that says `up` and then does nothing for ever.
fn keeper(options: &[&str], server: &str) -> (Child, BufReader<ChildStdout>) {
    let mut keeper = Command::new(XTASK)
        .arg("__keep")
        .args(options)
        .args(["--", "/bin/sh", "-c", server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the keeper starts");
    let mut lines = BufReader::new(keeper.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("the server speaks");
    assert_eq!(line, "up\n");
    (keeper, lines)
}

/// Everyone who could still write to the pipe, the server among them, is gone once it ends.
fn nobody_is_left(mut lines: BufReader<ChildStdout>) {
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).expect("the pipe ends");
}

#[test]
fn a_server_ends_when_its_parent_lets_go() {
    let (mut keeper, lines) = keeper(&[], "echo up; exec tail -f /dev/null");
    drop(keeper.stdin.take());
    assert!(!keeper.wait().expect("it ends").success(), "ended by a signal");
    nobody_is_left(lines);
}

#[test]
fn a_server_that_does_not_listen_is_killed() {
    let (mut keeper, lines) = keeper(&["--grace", "0"], "trap '' TERM; echo up; exec tail -f /dev/null");
    drop(keeper.stdin.take());
    keeper.wait().expect("it ends");
    nobody_is_left(lines);
}

#[test]
fn a_server_that_ends_by_itself_passes_its_code_on() {
    let (mut keeper, lines) = keeper(&[], "echo up; exit 7");
    // Waiting would close it first, which lets the server go before it has ended.
    let held = keeper.stdin.take();
    assert_eq!(keeper.wait().expect("it ends").code(), Some(7));
    drop(held);
    nobody_is_left(lines);
}

#[test]
fn the_runs_directory_goes_with_the_server() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keep-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("created");
    let (mut keeper, lines) = keeper(&["--remove", dir.to_str().expect("text")], "echo up; exec tail -f /dev/null");
    assert!(dir.exists());
    drop(keeper.stdin.take());
    keeper.wait().expect("it ends");
    nobody_is_left(lines);
    assert!(!dir.exists());
}

#[test]
fn every_command_explains_itself() {
    let ask = |args: &[&str]| {
        let output = Command::new(XTASK).args(args).output().expect("it runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let (ok, all) = ask(&["--help"]);
    assert!(ok);
    for command in ["dev", "test", "ci", "tidy", "deny", "fuzz", "bench", "with", "new-kind"] {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is not in the list");
        let (ok, help) = ask(&[command, "--help"]);
        assert!(ok && help.contains(&format!("Usage: cargo xtask {command}")), "{command}: {help}");
    }
    assert!(!ask(&["no-such-command"]).0);
}
