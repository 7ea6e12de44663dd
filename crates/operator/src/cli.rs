//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::iam;

/// A reconciliation operator for EventChain environments on AWS.
#[derive(Debug, Parser)]
#[command(name = "operator", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: serve the API, look at AWS, repair drift. The database's schema must be current (`migrate`).
    Serve {
        /// Configuration file, YAML or JSON; docs/configuration.md lists the keys.
        #[arg(long, env = "EVENTCHAIN_CONFIG")]
        config: Option<PathBuf>,
        /// Let anybody who reaches the listener do everything; as http.insecureNoAuth.
        #[arg(long)]
        insecure_no_auth: bool,
    },
    /// Make a token for the API: prints it, and the hash of it that the configuration holds. It is kept nowhere.
    Token,
    /// Bring the database's schema up to date, and end.
    Migrate {
        /// Configuration file; of it, only `database`, `aws` and `log` count.
        #[arg(long, env = "EVENTCHAIN_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Set what the whole installation may do, in the database: the red button where no API answers, as before the first start
    /// after a restore.
    Mode {
        /// `Observe` looks and writes nothing to AWS; `Enforce` converges.
        mode: store::OperatorMode,
        /// Configuration file; of it, only `database`, `aws` and `log` count.
        #[arg(long, env = "EVENTCHAIN_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Ask a running daemon whether it is alive; exit 0 if it is. For container health checks.
    Healthcheck {
        /// Configuration file of the daemon.
        #[arg(long, env = "EVENTCHAIN_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Read AWS and print what the daemon would do for a document. Needs no database and changes nothing.
    Plan {
        /// The Environment, YAML or JSON; `-` reads standard input.
        #[arg(short = 'f', long = "file")]
        file: PathBuf,
        /// Configuration file.
        #[arg(long, env = "EVENTCHAIN_CONFIG")]
        config: Option<PathBuf>,
    },
    /// The audit trail, in the database.
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: Audit,
    },
    /// Print what an IAM role must grant: made of what each kind declares, with the narrowest terms that AWS takes.
    IamPolicy {
        /// Whose policy.
        #[command(subcommand)]
        of: IamPolicy,
    },
    /// Run the daemon on a simulated AWS with an example environment, and drift to watch it repair.
    Dev {
        /// Play the story and end: 0 if everything converged.
        #[arg(long)]
        demo: bool,
        /// Port of the API on loopback; any free one if this is taken.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Port of the API over TLS, with tokens, on loopback; any free one if this is taken.
        #[arg(long, default_value_t = 8443)]
        tls_port: u16,
        /// Port of the simulated AWS on loopback; any free one if this is taken.
        #[arg(long, default_value_t = 4566)]
        aws_port: u16,
        /// Filter of the daemon's log, as in RUST_LOG.
        #[arg(long, default_value = "warn")]
        log: String,
    },
}

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Walk the chain of hashes from its beginning: exit 0 if it holds, or name the first entry that does not. Prints the
    /// head, to be noted elsewhere. Reads only.
    Verify {
        /// A head that was noted elsewhere, as `verify` and the log print it: the chain must contain it.
        #[arg(long, value_name = "SEQUENCE:HASH")]
        head: Option<store::Head>,
        /// Configuration file; of it, only `database`, `aws` and `log` count.
        #[arg(long, env = "EVENTCHAIN_CONFIG")]
        config: Option<PathBuf>,
    },
}

/// Whose policy.
#[derive(Debug, Subcommand)]
pub enum IamPolicy {
    /// Of the role that each target account grants.
    TargetRole {
        /// Id of the installation: what is marked as another's cannot be removed.
        #[arg(long, default_value = "eventchain-operator")]
        installation: String,
        /// A role that may be given to tasks; once for each.
        #[arg(long = "pass-role", value_name = "ARN", default_values = iam::PASS_ROLES)]
        pass_roles: Vec<String>,
        /// A function that may rotate secrets; once for each.
        #[arg(long = "rotation-function", value_name = "ARN", default_values = iam::ROTATION_FUNCTIONS)]
        rotation_functions: Vec<String>,
        /// A topic that notifications are published to; once for each.
        #[arg(long = "topic", value_name = "ARN")]
        topics: Vec<String>,
    },
    /// Of the daemon's own role.
    TaskRole {
        /// A target account's role that it enters; once for each.
        #[arg(long = "target-role", value_name = "ARN", default_values = iam::TARGET_ROLES)]
        target_roles: Vec<String>,
        /// A secret that it reads (`database.passwordSecret`); once for each.
        #[arg(long = "secret", value_name = "ARN")]
        secrets: Vec<String>,
    },
}
