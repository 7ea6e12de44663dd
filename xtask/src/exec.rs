//! Running other programs, and saying so. Every command this tool runs goes through here; a server goes through `keep`.

use std::io::Write as _;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How often a child, or a server that is starting, is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// One line for the person who watches. Lost output is no reason to fail.
pub(crate) fn say(line: &str) {
    print(&format!("xtask: {line}\n"));
}

/// Text as it is.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe (`cargo xtask tidy | head`) must not turn into an error.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Whether someone asked this program to stop. The first call starts to listen for Ctrl-C, SIGTERM and a hang-up.
pub(crate) fn interrupted() -> bool {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            // Without a handler the signal ends this program, and `keep` still stops the servers.
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        flag
    });
    flag.load(Ordering::SeqCst)
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs to the end with this program's output, without input. Non-zero is for the caller to judge.
///
/// A Ctrl-C reaches the child by itself (same terminal), a SIGTERM sent to this program alone does not: after a second
/// it is passed on. The child has half a minute to stop.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let what = shown(command);
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start `{what}`"))?;
    let mut looks_since = 0_u32;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for `{what}`"))? {
            return Ok(status);
        }
        if interrupted() {
            // 20 looks of 50 ms are 1 s; a second signal at once would make test runners kill instead of stop.
            // 600 are 30 s: longer than the daemon's own limit for a graceful stop (25 s).
            match looks_since {
                20 => signal(child.id(), "TERM"),
                600 => drop(child.kill()),
                _ => {}
            }
            looks_since += 1;
        }
        thread::sleep(POLL);
    }
}

/// Runs to the end; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Says the command, then runs it.
pub(crate) fn run_aloud(command: &mut Command) -> Result<()> {
    say(&format!("$ {}", shown(command)));
    run(command)
}

/// Runs to the end and returns what it printed; an error carries what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let what = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{what}`"))?;
    if !output.status.success() {
        // Some tools (Python's venv) complain on their standard output.
        let stream = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        let complaint = String::from_utf8_lossy(stream);
        bail!("`{what}` failed ({}): {}", output.status, tail(&complaint, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the command runs and succeeds; it prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Sends a signal to one process that this program started, by its id. The shell's built-in does it, since std can only
/// send SIGKILL.
pub(crate) fn signal(pid: u32, name: &str) {
    succeeds(Command::new("/bin/sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()]));
}

/// Waits for a child for at most `limit`.
pub(crate) fn wait_at_most(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut waited = Duration::ZERO;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if waited >= limit {
            return None;
        }
        thread::sleep(POLL);
        waited += POLL;
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// This program's exit code for a child's.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE,
    }
}

/// `cargo`, the one that runs us, at the top of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::places::root());
    // What `cargo run` told us about ourselves is not about what runs next; some tools believe it is.
    for (key, _) in std::env::vars_os() {
        if let Some(name) = key.to_str()
            && (name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || name.starts_with("CARGO_CRATE_"))
        {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_keeps_the_last_lines_only() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }

    #[test]
    fn an_error_carries_what_the_program_complained_of() {
        let error = output(Command::new("/bin/sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn a_signal_ends_the_process_that_it_names() {
        let mut child = Command::new("/bin/sh").args(["-c", "read line"]).stdin(Stdio::piped()).spawn().unwrap();
        signal(child.id(), "TERM");
        let status = wait_at_most(&mut child, Duration::from_secs(10)).expect("it ends");
        assert!(!status.success());
    }
}
