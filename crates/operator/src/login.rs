//! User and password of the database, where AWS keeps them: read at the start, and again and again afterwards, since RDS
//! replaces the password every week. Connections that are open outlive that; new ones are made with what was read last.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use awskit::Aws;
use model::{Class, Secret};
use serde::Deserialize;
use store::Store;

/// How often the secret is read: so long may a new connection fail after a rotation.
const PERIOD: Duration = Duration::from_secs(60);

/// How long the start waits between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// As RDS writes it.
#[derive(Deserialize, PartialEq, Eq)]
struct Login {
    username: String,
    password: Secret,
}

/// Keeps the login of a store fresh.
pub struct Keeper {
    aws: Aws,
    arn: String,
    store: Store,
    last: Login,
}

impl Keeper {
    /// Reads the login and gives it to the store. Waits while AWS cannot be reached.
    ///
    /// # Errors
    /// When AWS refuses, or the secret holds no login.
    pub async fn start(aws: Aws, arn: &str, store: Store) -> Result<Self> {
        let mut told = false;
        loop {
            match aws.own_secret(arn).await {
                Ok(text) => {
                    let last = parse(&text)?;
                    store.set_login(&last.username, last.password.reveal());
                    return Ok(Self { aws, arn: arn.to_owned(), store, last });
                }
                Err(error) if matches!(error.class, Class::Transient | Class::Throttled | Class::NotYet) => {
                    if !told {
                        tracing::warn!(error = %telemetry::ErrorChain(&error), "the database's password cannot be read yet; waiting for it");
                        told = true;
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("database.passwordSecret {arn} cannot be read"));
                }
            }
        }
    }

    /// Looks again for as long as the daemon runs. The failure of one look is told once.
    pub async fn run(mut self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(PERIOD).await;
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = %format!("{error:#}"), "the database's password cannot be read; the last one is kept");
                }
                Err(_) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        let login = parse(&self.aws.own_secret(&self.arn).await?)?;
        if login != self.last {
            self.store.set_login(&login.username, login.password.reveal());
            tracing::info!("the database's password has changed: new connections use it");
            self.last = login;
        }
        Ok(())
    }
}

/// The error says nothing of the text.
fn parse(text: &Secret) -> Result<Login> {
    match serde_json::from_str(text.reveal()) {
        Ok(login) => Ok(login),
        Err(_) => bail!("database.passwordSecret must hold JSON with username and password, as RDS writes it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_as_rds_writes_it_and_an_error_shows_nothing_of_it() {
        let read = |text: &str| parse(&Secret::new(text));
        let login = read(r#"{"username":"eventchain","password":"a\"b/c","engine":"postgres"}"#).ok().unwrap();
        assert_eq!((login.username.as_str(), login.password.reveal()), ("eventchain", "a\"b/c"));
        let error = read("hunter2").err().unwrap();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
    }
}
