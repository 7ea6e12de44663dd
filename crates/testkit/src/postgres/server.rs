//! One private Postgres server on a unix socket. It ends with its owner, however that ends: a supervising shell waits
//! for the end of a pipe that only the owner holds, and then stops the server.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::binaries::{RunAs, find_directory};

/// A unix socket's path has room for 107 bytes; the socket's own name takes 14.
const LONGEST_SOCKET_DIRECTORY: usize = 90;

/// 1 GiB: a server takes about 60 MB, and each database of a running test 8 MB.
const LEAST_MEMORY_KIB: u64 = 1024 * 1024;

/// 600 × 50 ms = 30 s: a crashed persistent server may have much to recover on a slow disk.
const START_POLLS: u32 = 600;
/// 200 × 50 ms = 10 s for a shutdown checkpoint.
const PREDECESSOR_POLLS: u32 = 200;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What the supervisor does: run the server ($4…) as its child, wait for the owner's end of the pipe to close (or for
/// the server to end), stop the server by signal $1, and remove the directory $3 if $2 says so.
const SUPERVISOR: &str = r#"
signal=$1; remove=$2; directory=$3; shift 3
cd "$directory" || exit 1
"$@" &
server=$!
read -r _
kill -s "$signal" "$server" 2>/dev/null
wait "$server"
if [ "$remove" = remove ]; then cd / && rm -rf "$directory"; fi
"#;

/// What remains of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Its directory is removed when it stops, and nothing is synced to disk: for tests.
    Ephemeral,
    /// Its directory stays and is used again, and commits are durable: for `operator dev`.
    Persistent,
}

/// A running server. Stops when dropped, and when the process ends in any way.
#[derive(Debug)]
pub struct PrivateServer {
    directory: PathBuf,
    socket_directory: PathBuf,
    supervisor: Child,
    /// Closing it is what stops the server.
    lifeline: Option<ChildStdin>,
}

impl PrivateServer {
    /// Starts a server in `directory` (made if missing), initialising it if need be. Blocks until it accepts
    /// connections.
    ///
    /// # Errors
    /// With the end of the server's log, when it does not start.
    pub fn start(directory: &Path, lifetime: Lifetime) -> Result<Self> {
        let programs = find_directory()?;
        let user = RunAs::find()?;
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        user.own(&directory)?;
        let socket_directory = socket_directory(&directory, &user)?;
        let data = directory.join("data");
        if !data.join("PG_VERSION").exists() {
            initialise(&programs, &user, &data)?;
        }

        wait_for_predecessor(&data);
        let log = directory.join("postgres.log");
        let log_file = File::options().create(true).append(true).open(&log)?;
        let mut command = supervisor_command(&user, &directory, lifetime);
        command.arg(programs.join("postgres")).arg("-D").arg(&data);
        command.args(["-c", "listen_addresses=", "-c", "max_connections=200"]);
        command.args(["-c", "unix_socket_permissions=0700", "-c", "log_min_messages=warning"]);
        command.arg("-c").arg(format!("unix_socket_directories={}", socket_directory.display()));
        if lifetime == Lifetime::Ephemeral {
            command.args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]);
            command.args(["-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "max_wal_size=128MB"]);
        }
        let mut supervisor = command
            .stdin(Stdio::piped())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            // Ctrl-C is for us; the server goes when we go.
            .process_group(0)
            .spawn()
            .context("cannot start the supervising shell")?;
        let lifeline = supervisor.stdin.take();
        let mut server = Self { directory, socket_directory, supervisor, lifeline };
        server.wait_until_ready(&data, &log)?;
        Ok(server)
    }

    /// A server in a temporary directory of its own, in memory where there is room.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_temporary() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("eventchain-pg-").tempdir_in(temporary_place())?.keep();
        Self::start(&directory, Lifetime::Ephemeral)
    }

    /// The URL of one of its databases. `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", percent_encode(&self.socket_directory))
    }

    /// The socket it listens on; it is the same after a restart.
    pub fn socket(&self) -> PathBuf {
        self.socket_directory.join(".s.PGSQL.5432")
    }

    /// The server process's id, as it says itself.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn pid(&self) -> Result<u32> {
        let text = fs::read_to_string(self.directory.join("data").join("postmaster.pid"))?;
        text.lines().next().unwrap_or_default().trim().parse().context("postmaster.pid begins with the id")
    }

    /// Where its data and log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops it and waits until it has stopped.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        drop(self.lifeline.take());
        // Only fails when it has been waited for already.
        let _ = self.supervisor.wait();
    }

    fn wait_until_ready(&mut self, data: &Path, log: &Path) -> Result<()> {
        let pid_file = data.join("postmaster.pid");
        let mut has_run = false;
        for poll in 0..START_POLLS {
            // Line 8 of postmaster.pid is the server's own word for its state (PostgreSQL source, miscadmin.h,
            // LOCK_FILE_LINE_PM_STATUS).
            let status = fs::read_to_string(&pid_file).unwrap_or_default();
            if status.lines().nth(7).is_some_and(|line| line.trim() == "ready") && self.answers() {
                return Ok(());
            }
            if let Some(status) = self.supervisor.try_wait()? {
                bail!("the supervising shell ended ({status}): {}", tail(log));
            }
            let runs = self.server_runs();
            has_run |= runs;
            // It ended again; or the shell, given a second, never got it going.
            if !runs && (has_run || poll > 20) {
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
        let reason = tail(log);
        self.shut_down();
        bail!("Postgres did not start: {reason}")
    }

    /// A left-over postmaster.pid of a killed server also says "ready"; a socket that accepts does not lie.
    fn answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket_directory.join(".s.PGSQL.5432")).is_ok()
    }

    /// The supervisor has a child as long as the server runs.
    fn server_runs(&self) -> bool {
        let children = format!("/proc/{0}/task/{0}/children", self.supervisor.id());
        fs::read_to_string(children).map_or(true, |children| !children.trim().is_empty())
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Creating a database copies a thousand small files: 10 ms in memory, half a second on a busy disk. Containers often have
/// a /dev/shm of 64 MB, which is too little.
fn temporary_place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free_kib = || -> Option<u64> {
        let output = Command::new("df").arg("-Pk").arg(memory).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
    };
    if memory.is_dir() && free_kib().is_some_and(|free| free >= LEAST_MEMORY_KIB) {
        return memory.to_owned();
    }
    std::env::temp_dir()
}

/// A server whose owner was killed a moment ago may still be shutting down in this directory.
fn wait_for_predecessor(data: &Path) {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return };
    for _ in 0..PREDECESSOR_POLLS {
        if !Path::new(&format!("/proc/{pid}")).exists() {
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn initialise(programs: &Path, user: &RunAs, data: &Path) -> Result<()> {
    let output = user
        .command(&programs.join("initdb"))
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg("-D")
        .arg(data)
        .current_dir("/")
        .output()
        .context("cannot run initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn supervisor_command(user: &RunAs, directory: &Path, lifetime: Lifetime) -> Command {
    let (signal, remove) = match lifetime {
        Lifetime::Ephemeral => ("QUIT", "remove"), // immediate shutdown
        Lifetime::Persistent => ("INT", "keep"),   // fast shutdown, with a checkpoint
    };
    let mut command = user.command(Path::new("/bin/sh"));
    command.args(["-c", SUPERVISOR, "supervise-postgres", signal, remove]).arg(directory).current_dir("/");
    command
}

/// The server's directory, or a short one when its path is too long for a socket.
fn socket_directory(directory: &Path, user: &RunAs) -> Result<PathBuf> {
    if directory.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY {
        return Ok(directory.to_owned());
    }
    let short = tempfile::Builder::new().prefix("eventchain-pg-").tempdir_in("/tmp")?.keep();
    user.own(&short)?;
    Ok(short)
}

fn percent_encode(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    path.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}

fn tail(log: &Path) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| file.read_to_string(&mut text));
    if let Err(error) = read {
        return format!("{} cannot be read: {error}", log.display());
    }
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
