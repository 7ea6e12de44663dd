//! The real daemon as a process: started, killed, asked to stop, its log read. Only processes started here are signalled,
//! by their id.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::api::Api;
use crate::programs;
use crate::say::say;

/// A start takes a second on an idle machine.
const START: Duration = Duration::from_secs(30);
/// The daemon's own promise for a graceful stop is 25 s.
pub const GRACE: Duration = Duration::from_secs(25);

/// How a daemon is started: its configuration file and environment variables, and nothing of this process's own.
#[derive(Clone, Debug)]
pub struct Setup {
    program: PathBuf,
    variables: BTreeMap<String, String>,
    config: Option<Value>,
    scratch: Arc<TempDir>,
    echo: bool,
}

impl Setup {
    /// A daemon on this database and AWS endpoint, with quick periods, that may enter these accounts.
    ///
    /// # Errors
    /// When the daemon is not built.
    pub fn new(database: &str, endpoint: &str, accounts: &[&str]) -> Result<Self> {
        let accounts: BTreeMap<&str, Value> = accounts.iter().map(|id| (*id, serde_json::json!({}))).collect();
        let setup = Self {
            program: programs::ours("operator", "EVENTCHAIN_OPERATOR_BIN")?,
            variables: BTreeMap::new(),
            config: Some(serde_json::json!({ "aws": { "accounts": accounts } })),
            scratch: Arc::new(tempfile::Builder::new().prefix("eventchain-e2e-").tempdir()?),
            echo: true,
        };
        Ok(setup
            .set("DATABASE_URL", database)
            .set("AWS_ENDPOINT_URL", endpoint)
            .set("AWS_ACCESS_KEY_ID", testkit::fixtures::ACCOUNT)
            .set("AWS_SECRET_ACCESS_KEY", "x")
            .set("AWS_REGION", testkit::fixtures::REGION)
            .set("AWS_EC2_METADATA_DISABLED", "true")
            .set("AWS_CONFIG_FILE", "/dev/null")
            .set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .set("EVENTCHAIN_HTTP_LISTEN", "127.0.0.1:0")
            .set("EVENTCHAIN_SWEEPS_HOT", "1s")
            .set("EVENTCHAIN_SWEEPS_SLOW", "2s")
            .set("EVENTCHAIN_AWS_BUDGET_SHARE", "1")
            .set("EVENTCHAIN_LOG_FORMAT", "json")
            .set("RUST_BACKTRACE", "1"))
    }

    /// A daemon as a container is started: these variables, and no file.
    ///
    /// # Errors
    /// When the daemon is not built.
    pub fn container(variables: BTreeMap<String, String>) -> Result<Self> {
        Ok(Self {
            program: programs::ours("operator", "EVENTCHAIN_OPERATOR_BIN")?,
            variables,
            config: None,
            scratch: Arc::new(tempfile::Builder::new().prefix("eventchain-e2e-").tempdir()?),
            echo: true,
        })
    }

    /// What stands in the daemon's working directory, which is its home and holds its temporary files too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn left_behind(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.scratch.path())?.flatten();
        Ok(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// The same with a variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with these accounts in its configuration, each as `aws.accounts` has it.
    #[must_use]
    pub fn accounts(mut self, accounts: &Value) -> Self {
        self.config = Some(serde_json::json!({ "aws": { "accounts": accounts } }));
        self
    }

    /// The same without a variable: the daemon's default.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The same without its log on standard error.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.echo = false;
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .env("HOME", self.scratch.path())
            .env("TMPDIR", self.scratch.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command of the program to its end; answers its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = timeout(START, self.command(arguments).output()).await.context("it does not end")??;
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "operator {arguments:?}: {}\n{said}\n{told}", output.status);
        Ok(said.into_owned())
    }

    /// `operator serve`, up when this returns.
    ///
    /// # Errors
    /// When it does not come up, with what it logged.
    pub async fn start(&self, name: &str) -> Result<Daemon> {
        let mut command = self.command(&["serve"]);
        if let Some(config) = &self.config {
            let file = self.scratch.path().join("operator.yaml");
            std::fs::write(&file, config.to_string())?;
            command.arg("--config").arg(file);
        }
        let mut child = command.spawn().context("the daemon cannot be started")?;
        let stdout = child.stdout.take().context("piped")?;
        let stderr = child.stderr.take().context("piped")?;
        let log = Lines::default();
        let logging = log.read(name, stderr, self.echo);
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(START, lines.next_line()).await;
        let url = match &first {
            Ok(Ok(Some(line))) => line.strip_prefix("listening on ").map(str::to_owned),
            _ => None,
        };
        let Some(url) = url else {
            // Its last words are still on their way.
            let status = timeout(Duration::from_secs(2), child.wait()).await;
            let _ = timeout(Duration::from_secs(2), logging).await;
            bail!("{name} did not come up: {first:?}, {status:?}\n{}", log.tail(30));
        };
        let printed = Lines::default();
        let printing = printed.read(name, lines.into_inner(), self.echo);
        Ok(Daemon { name: name.to_owned(), child, api: Api::new(&url), log, printed, readers: vec![logging, printing] })
    }
}

/// Lines that are being read; they stay when the process has ended.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn read(&self, name: &str, from: impl AsyncRead + Unpin + Send + 'static, echo: bool) -> JoinHandle<()> {
        let (lines, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            let mut from = BufReader::new(from).lines();
            while let Ok(Some(line)) = from.next_line().await {
                if echo {
                    say(&format!("[{name}] {line}"));
                }
                lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })
    }

    /// Those that were read so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tail(&self, count: usize) -> String {
        let all = self.all();
        all[all.len().saturating_sub(count)..].join("\n")
    }
}

/// Sends a signal to a process that was started here.
///
/// # Errors
/// When there is no such process.
pub async fn signal(pid: u32, name: &str) -> Result<()> {
    let pid = pid.to_string();
    // std sends SIGKILL only; the shell's built-in sends any.
    let sent = Command::new("/bin/sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid]).status().await?;
    ensure!(sent.success(), "SIG{name} to {pid}");
    Ok(())
}

/// A running daemon. Dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    api: Api,
    log: Lines,
    printed: Lines,
    readers: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> Vec<String> {
        self.log.all()
    }

    /// What it logs, also after its end.
    pub fn lines(&self) -> Lines {
        self.log.clone()
    }

    /// What it has logged at level ERROR, and what is no log line at all (a panic).
    pub fn errors(&self) -> Vec<String> {
        let is_error = |line: &String| {
            let level = serde_json::from_str::<Value>(line).map(|line| line["level"].clone());
            level.map_or_else(|_| !line.trim().is_empty(), |level| level == "ERROR")
        };
        self.log.all().into_iter().filter(is_error).collect()
    }

    /// SIGKILL: what a crash of the machine looks like from outside.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill9(mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "{} ended by itself:\n{}", self.name, self.log.tail(30));
        self.child.kill().await.context("SIGKILL")?;
        self.read_to_the_end().await;
        Ok(())
    }

    /// SIGTERM: asks it to stop.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn ask_to_stop(&self) -> Result<()> {
        self.signal("TERM").await
    }

    /// A signal, by its name without `SIG`.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().context("it has ended")?;
        signal(pid, name).await
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Asks it to stop and waits for its end; it must end in time, with success, and must have logged no error but those
    /// that contain one of `expected`.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(self, expected: &[&str]) -> Result<()> {
        self.ask_to_stop().await?;
        self.ended(expected).await
    }

    /// As [`Daemon::stop`], when it was asked before.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn ended(mut self, expected: &[&str]) -> Result<()> {
        let status: ExitStatus = timeout(GRACE, self.child.wait())
            .await
            .with_context(|| format!("{} did not stop within {GRACE:?}\n{}", self.name, self.log.tail(30)))??;
        self.read_to_the_end().await;
        ensure!(status.success(), "{} ended with {status}\n{}", self.name, self.log.tail(30));
        let unexpected: Vec<String> =
            self.errors().into_iter().filter(|line| !expected.iter().any(|known| line.contains(known))).collect();
        ensure!(unexpected.is_empty(), "{} logged errors:\n{}", self.name, unexpected.join("\n"));
        let printed = self.printed.all();
        ensure!(printed.is_empty(), "{} printed more than the line that says where it listens: {printed:?}", self.name);
        Ok(())
    }

    async fn read_to_the_end(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = timeout(Duration::from_secs(5), reader).await;
        }
    }
}
