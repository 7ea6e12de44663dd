//! One replica: the place of a daemon, behind a gate to Postgres of its own, in which one process follows another.
//!
//! Each process has a name (`a1`, `a2`, …) by which everybody else knows it: it is its user in Postgres, and the application
//! in the user agent that AWS sees.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::oneshot::Receiver;
use tokio::time::Instant;

use super::schedule::lasts;
use crate::api::Api;
use crate::daemon::{Daemon, Lines, Setup};
use crate::gate::Gate;

/// Processes that one replica may have one after another: each has a user in Postgres, made beforehand.
pub const PROCESSES: u32 = 400;

/// Between two attempts to start a process.
const PAUSE: Duration = Duration::from_millis(200);

/// A process and what it logged.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its name.
    pub process: String,
    /// Its log.
    pub lines: Lines,
}

/// The place of a daemon.
#[derive(Debug)]
pub struct Replica {
    letter: char,
    setup: Setup,
    database: String,
    gate: Gate,
    running: AsyncMutex<Running>,
    present: Mutex<Option<(String, Api)>>,
    logs: Mutex<Vec<Logged>>,
}

#[derive(Debug, Default)]
struct Running {
    daemon: Option<Daemon>,
    processes: u32,
}

impl Replica {
    /// A replica without a process yet. `setup` has everything but the database and the name.
    pub fn new(letter: char, setup: Setup, database: &str, gate: Gate) -> Self {
        Self {
            letter,
            setup,
            database: database.to_owned(),
            gate,
            running: AsyncMutex::default(),
            present: Mutex::default(),
            logs: Mutex::default(),
        }
    }

    /// The process of now and its API.
    pub fn present(&self) -> Option<(String, Api)> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every process so far, and what it logged.
    pub fn logs(&self) -> Vec<Logged> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a process of this replica has this name.
    pub fn has(&self, process: &str) -> bool {
        process.starts_with(self.letter)
    }

    /// Starts a process, and another when it does not come up, as whatever supervises it would.
    ///
    /// # Errors
    /// When none comes up within `limit`.
    pub async fn start(&self, limit: Duration) -> Result<()> {
        let mut running = self.running.lock().await;
        self.start_in(&mut running, limit).await
    }

    async fn start_in(&self, running: &mut Running, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let (process, daemon) = loop {
            running.processes += 1;
            let process = format!("{}{}", self.letter, running.processes);
            let port = self.gate.port();
            let url = format!("postgres://{process}@127.0.0.1:{port}/{}?sslmode=disable", self.database);
            let setup = self.setup.clone().set("DATABASE_URL", &url).set("AWS_SDK_UA_APP_ID", &process);
            match setup.start(&process).await {
                Ok(daemon) => break (process, daemon),
                Err(error) if Instant::now() >= deadline => return Err(error),
                // Postgres may be down: whatever supervises a daemon tries again.
                Err(_) => lasts(PAUSE).await,
            }
        };
        let logged = Logged { process: process.clone(), lines: daemon.lines() };
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(logged);
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some((process, daemon.api().clone()));
        running.daemon = Some(daemon);
        Ok(())
    }

    /// SIGKILL; another process comes up after `down`. False when something else is being done to it.
    ///
    /// # Errors
    /// When it had ended by itself, or none comes up.
    pub async fn kill(&self, down: Duration, limit: Duration) -> Result<bool> {
        let Ok(mut running) = self.running.try_lock() else { return Ok(false) };
        let daemon = running.daemon.take().context("a replica has a process")?;
        daemon.kill9().await?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
        lasts(down).await;
        self.start_in(&mut running, limit).await?;
        Ok(true)
    }

    /// SIGSTOP, and SIGCONT after `stopped`. False when something else is being done to it.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub async fn freeze(&self, stopped: Duration) -> Result<bool> {
        let Ok(running) = self.running.try_lock() else { return Ok(false) };
        let daemon = running.daemon.as_ref().context("a replica has a process")?;
        daemon.signal("STOP").await?;
        lasts(stopped).await;
        daemon.signal("CONT").await?;
        Ok(true)
    }

    /// Cut off from Postgres for so long. False when something else is being done to it.
    ///
    /// # Errors
    /// Never; as the others.
    pub async fn partition(&self, cut: Duration, lossy: bool) -> Result<bool> {
        let Ok(_running) = self.running.try_lock() else { return Ok(false) };
        self.gate.shut();
        lasts(cut).await;
        if lossy {
            self.gate.open_anew();
        } else {
            self.gate.open();
        }
        Ok(true)
    }

    /// SIGKILL; another process comes up once told, or once nobody can tell any more.
    ///
    /// # Errors
    /// As [`Replica::kill`].
    pub async fn kill_until(&self, told: Receiver<()>, limit: Duration) -> Result<()> {
        let mut running = self.running.lock().await;
        let daemon = running.daemon.take().context("a replica has a process")?;
        daemon.kill9().await?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = told.await;
        self.start_in(&mut running, limit).await
    }

    /// SIGSTOP, and SIGCONT once told.
    ///
    /// # Errors
    /// As [`Replica::freeze`].
    pub async fn freeze_until(&self, told: Receiver<()>) -> Result<()> {
        let running = self.running.lock().await;
        let daemon = running.daemon.as_ref().context("a replica has a process")?;
        daemon.signal("STOP").await?;
        let _ = told.await;
        daemon.signal("CONT").await
    }

    /// Cut off from Postgres until told.
    ///
    /// # Errors
    /// Never; as the others.
    pub async fn partition_until(&self, told: Receiver<()>, lossy: bool) -> Result<()> {
        let _running = self.running.lock().await;
        self.gate.shut();
        let _ = told.await;
        if lossy {
            self.gate.open_anew();
        } else {
            self.gate.open();
        }
        Ok(())
    }

    /// Asks the process to stop, and waits for its end.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(&self) -> Result<()> {
        let daemon = self.running.lock().await.daemon.take().context("a replica has a process")?;
        // It may log errors: its database and AWS were taken from it.
        daemon.stop(&[""]).await
    }

    /// A process that ended by itself, though nobody killed it.
    ///
    /// # Errors
    /// When that cannot be told.
    pub async fn ended_by_itself(&self) -> Result<Option<String>> {
        let mut running = self.running.lock().await;
        let ended = match running.daemon.as_mut() {
            Some(daemon) => daemon.has_ended()?,
            None => false,
        };
        Ok(ended.then(|| format!("{}{}", self.letter, running.processes)))
    }
}
