//! A keeper stands between this program and each server that it starts, so that no server outlives it.
//!
//! Flow: the parent starts `xtask __keep … -- server args` with a pipe as its input and in a process group of its own;
//! the keeper starts the server and waits. When the pipe closes, because the parent let go or because it died in any
//! way at all, the keeper ends the server by its id, removes the run's directory and exits.
//!
//! Guarantees: Ctrl-C in the terminal does not reach the server (another process group), so that the order of stopping
//! is ours; a killed parent leaves nothing behind. Caveat: a keeper that is itself killed with SIGKILL leaves its server.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::exec;
use crate::system::User;

/// The hidden command.
pub(crate) const COMMAND: &str = "__keep";

/// What to start, and how to end it.
pub(crate) struct Service {
    /// The program with its arguments, directory and environment.
    pub(crate) command: Command,
    /// For people: `postgres`, `moto`.
    pub(crate) name: String,
    /// Who runs it, if not this user.
    pub(crate) user: Option<User>,
    /// What asks it to stop: `INT` is Postgres's fast shutdown, `TERM` most others'.
    pub(crate) stop_signal: &'static str,
    /// How long it may take to stop before it is killed.
    pub(crate) grace: Duration,
    /// Where its output goes; without one it is this program's own.
    pub(crate) log: Option<PathBuf>,
    /// Removed once it has stopped.
    pub(crate) remove: Option<PathBuf>,
}

/// A running server; dropping it stops it.
pub(crate) struct Kept {
    keeper: Child,
    name: String,
    grace: Duration,
    log: Option<PathBuf>,
}

impl Service {
    /// Starts it under a keeper.
    pub(crate) fn start(self) -> Result<Kept> {
        // Not `current_exe`: cargo may have replaced the file behind that name since we started.
        let mut keeper = Command::new("/proc/self/exe");
        keeper.arg(COMMAND).args(["--signal", self.stop_signal]);
        keeper.args(["--grace", &self.grace.as_secs().to_string()]);
        if let Some(user) = &self.user {
            keeper.args(["--uid", &user.uid.to_string(), "--gid", &user.gid.to_string()]);
        }
        if let Some(log) = &self.log {
            keeper.arg("--log").arg(log);
        }
        if let Some(dir) = &self.remove {
            keeper.arg("--remove").arg(dir);
        }
        keeper.arg("--").arg(self.command.get_program()).args(self.command.get_args());
        for (key, value) in self.command.get_envs() {
            match value {
                Some(value) => keeper.env(key, value),
                None => keeper.env_remove(key),
            };
        }
        if let Some(dir) = self.command.get_current_dir() {
            keeper.current_dir(dir);
        }
        keeper.stdin(Stdio::piped()).process_group(0);
        // Listening for signals starts here at the latest, so that Drop gets its chance.
        exec::interrupted();
        let keeper = keeper.spawn().with_context(|| format!("cannot start the keeper of {}", self.name))?;
        Ok(Kept { keeper, name: self.name, grace: self.grace, log: self.log })
    }
}

impl Kept {
    /// Its exit status, if it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.keeper.try_wait().ok().flatten()
    }

    /// Waits until `ready`; an early end or `limit` is an error that shows the end of its log.
    pub(crate) fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                bail!("{} ended while starting ({status})\n{}", self.name, self.log_tail());
            }
            if exec::interrupted() {
                bail!("interrupted");
            }
            if waited > limit {
                bail!("{} is not ready after {} s\n{}", self.name, limit.as_secs(), self.log_tail());
            }
            thread::sleep(exec::POLL);
            waited += exec::POLL;
        }
    }

    /// Waits for its end; on Ctrl-C or SIGTERM asks it to stop and waits on.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if exec::interrupted() {
                drop(self.keeper.stdin.take());
                let limit = self.grace + Duration::from_secs(5);
                return exec::wait_at_most(&mut self.keeper, limit)
                    .with_context(|| format!("{} does not stop", self.name));
            }
            thread::sleep(exec::POLL);
        }
    }

    fn log_tail(&self) -> String {
        let text = self.log.as_deref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        exec::tail(&String::from_utf8_lossy(&text), 30)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if exec::wait_at_most(&mut self.keeper, self.grace + Duration::from_secs(5)).is_none() {
            exec::say(&format!("{} does not stop; its keeper is process {}", self.name, self.keeper.id()));
        }
    }
}

/// The keeper itself.
pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let mut options = Options::parse(args)?;
    exec::interrupted();
    let spawned = options.command.stdin(Stdio::null()).spawn();
    let result = match spawned {
        Ok(child) => Ok(attend(child, &options)),
        Err(error) => Err(error).with_context(|| format!("cannot start `{}`", exec::shown(&options.command))),
    };
    if let Some(dir) = &options.remove {
        let _ = fs::remove_dir_all(dir);
    }
    result
}

fn attend(mut child: Child, options: &Options) -> ExitCode {
    let (let_go, parent) = mpsc::channel();
    thread::spawn(move || {
        let mut byte = [0_u8; 1];
        // Nothing is ever written: this returns when the other end is gone.
        while matches!(std::io::stdin().lock().read(&mut byte), Ok(1)) {}
        let _ = let_go.send(());
    });
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return exec::exit_code(status);
        }
        if parent.recv_timeout(exec::POLL).is_ok() || exec::interrupted() {
            break;
        }
    }
    exec::signal(child.id(), &options.signal);
    if let Some(status) = exec::wait_at_most(&mut child, options.grace) {
        return exec::exit_code(status);
    }
    let _ = child.kill();
    let _ = child.wait();
    ExitCode::FAILURE
}

struct Options {
    command: Command,
    signal: String,
    grace: Duration,
    remove: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let (mut signal, mut grace) = (String::from("TERM"), Duration::from_secs(10));
        let (mut uid, mut gid, mut log, mut remove) = (None, None, None, None);
        let mut rest = args.iter();
        let program = loop {
            let mut value = |what: &str| rest.next().with_context(|| format!("{what} lacks a value"));
            match value("the keeper")?.as_str() {
                "--signal" => signal = value("--signal")?.clone(),
                "--grace" => grace = Duration::from_secs(value("--grace")?.parse()?),
                "--uid" => uid = Some(value("--uid")?.parse()?),
                "--gid" => gid = Some(value("--gid")?.parse()?),
                "--log" => log = Some(value("--log")?.clone()),
                "--remove" => remove = Some(PathBuf::from(value("--remove")?)),
                "--" => break value("--")?,
                other => bail!("the keeper does not know {other}"),
            }
        };
        let mut command = Command::new(program);
        command.args(rest);
        if let Some(path) = log {
            let file = fs::OpenOptions::new().create(true).append(true).open(Path::new(&path))?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        // std drops the supplementary groups when a uid is set by root.
        if let Some(gid) = gid {
            command.gid(gid);
        }
        if let Some(uid) = uid {
            command.uid(uid);
        }
        Ok(Self { command, signal, grace, remove })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn everything_after_the_dashes_is_the_server() {
        let options = Options::parse(&words("--signal INT --grace 7 -- postgres -D --signal x")).unwrap();
        assert_eq!(exec::shown(&options.command), "postgres -D --signal x");
        assert_eq!(options.signal, "INT");
        assert_eq!(options.grace, Duration::from_secs(7));
    }

    #[test]
    fn an_unknown_option_or_a_missing_server_is_refused() {
        assert!(Options::parse(&words("--nice 5 -- postgres")).is_err());
        assert!(Options::parse(&words("--signal INT")).is_err());
    }
}
