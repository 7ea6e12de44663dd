//! kubectl as a process, and the rows of the tables that drive it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

/// A command takes some tenths of a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Which kubectl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// 1.20
    Old,
    /// 1.35
    New,
}

/// One command, and what is expected of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    rule: &'static str,
    words: &'static str,
    input: &'static str,
    exits: i32,
    out: &'static [&'static str],
    err: &'static [&'static str],
    only: Option<Version>,
}

/// A row: the rule that it checks, and the words after `kubectl`. Quoted words may hold spaces.
pub(super) const fn row(rule: &'static str, words: &'static str) -> Row {
    Row { rule, words, input: "", exits: 0, out: &[], err: &[], only: None }
}

impl Row {
    /// Each of these is in the standard output.
    pub(super) const fn out(self, out: &'static [&'static str]) -> Self {
        Self { out, ..self }
    }

    /// Each of these is in the standard error.
    pub(super) const fn err(self, err: &'static [&'static str]) -> Self {
        Self { err, ..self }
    }

    /// It exits with 1, and says these.
    pub(super) const fn fails(self, err: &'static [&'static str]) -> Self {
        Self { exits: 1, err, ..self }
    }

    /// It exits with 1; that is its answer.
    pub(super) const fn differs(self, out: &'static [&'static str]) -> Self {
        Self { exits: 1, out, ..self }
    }

    /// What it reads from its standard input.
    pub(super) const fn input(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    /// Only one of the two has the command, or answers so.
    pub(super) const fn only(self, version: Version) -> Self {
        Self { only: Some(version), ..self }
    }
}

/// What a command came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// A kubectl with a home of its own, pointed at a server.
pub(super) struct Kubectl {
    pub(super) version: Version,
    program: PathBuf,
    server: String,
    home: TempDir,
}

impl Kubectl {
    pub(super) fn new(version: Version, program: PathBuf, server: String) -> Self {
        let home = tempfile::Builder::new().prefix("eventchain-kubectl-").tempdir().unwrap();
        Self { version, program, server, home }
    }

    /// The same program, at another server.
    pub(super) fn at(&self, server: String) -> Self {
        Self::new(self.version, self.program.clone(), server)
    }

    /// The directory that commands run in.
    pub(super) fn directory(&self) -> &Path {
        self.home.path()
    }

    /// Puts a document into the directory that commands run in.
    pub(super) fn file(&self, name: &str, document: &Value) {
        // JSON is YAML; the tests of bodies have the rest.
        self.text(name, &document.to_string());
    }

    /// Puts a text there.
    pub(super) fn text(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).unwrap();
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(split(words))
            .args(["--server", &self.server])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("KUBECONFIG", "/dev/null")
            .env("EDITOR", "sh editor.sh")
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, words: &str, input: &str) -> Outcome {
        let mut child = self.command(words).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = timeout(LIMIT, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("kubectl {words} does not end")).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that must succeed, and answers what it printed.
    pub(super) async fn ok(&self, words: &str) -> String {
        let outcome = self.run(words, "").await;
        assert_eq!(outcome.code, Some(0), "kubectl {words}\n{}\n{}", outcome.out, outcome.err);
        outcome.out
    }

    /// Starts a command that goes on.
    pub(super) fn start(&self, words: &str) -> Running {
        let mut child = self.command(words).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = child.stderr.take().unwrap();
        Running { words: words.to_owned(), child, lines, err }
    }

    /// Runs the rows in order, and tells of all that went otherwise.
    pub(super) async fn check(&self, rows: &[Row]) {
        let mut problems = Vec::new();
        for row in rows.iter().filter(|row| row.only.is_none_or(|only| only == self.version)) {
            let Outcome { code, out, err } = self.run(row.words, row.input).await;
            let missing_out = row.out.iter().filter(|part| !out.contains(**part));
            let missing_err = row.err.iter().filter(|part| !err.contains(**part));
            let missing: Vec<_> = missing_out.chain(missing_err).collect();
            if code != Some(row.exits) || !missing.is_empty() {
                problems.push(format!(
                    "{}: kubectl {}\n exit {code:?} instead of {}; not said: {missing:?}\n--- output\n{out}\n--- errors\n{err}",
                    row.rule, row.words, row.exits
                ));
            }
        }
        assert!(
            problems.is_empty(),
            "{:?}: {} of {} rows:\n{}",
            self.version,
            problems.len(),
            rows.len(),
            problems.join("\n\n")
        );
    }
}

/// A command that goes on.
pub(super) struct Running {
    words: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    err: ChildStderr,
}

impl Running {
    /// The next line of its output.
    pub(super) async fn line(&mut self) -> String {
        let line = timeout(LIMIT, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("kubectl {} says nothing more", self.words)).unwrap();
        let Some(line) = line else {
            let complaint = self.complaint().await;
            panic!("kubectl {} ended: {complaint}", self.words);
        };
        line
    }

    /// The next lines of its output, up to one that has this.
    pub(super) async fn line_with(&mut self, part: &str) -> String {
        loop {
            let line = self.line().await;
            if line.contains(part) {
                return line;
            }
        }
    }

    async fn complaint(&mut self) -> String {
        let mut text = String::new();
        self.err.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Its end, and what it still said.
    pub(super) async fn finish(mut self) -> Outcome {
        let words = self.words.clone();
        let end = async {
            let mut out = String::new();
            while let Some(line) = self.lines.next_line().await.unwrap() {
                out.push_str(&line);
                out.push('\n');
            }
            let err = self.complaint().await;
            Outcome { code: self.child.wait().await.unwrap().code(), out, err }
        };
        timeout(LIMIT, end).await.unwrap_or_else(|_| panic!("kubectl {words} does not end"))
    }
}

/// Words, split at spaces; what stands between single quotes stays together.
fn split(words: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in words.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => all.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    all.extend((!word.is_empty()).then_some(word));
    all
}

#[test]
fn quoted_words_stay_together() {
    assert_eq!(split("get env -l 'a in (b, c)' -o  name"), ["get", "env", "-l", "a in (b, c)", "-o", "name"]);
}
