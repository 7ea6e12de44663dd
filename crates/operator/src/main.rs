//! The command line of the daemon. No logic here: each command is a function of the library.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use kinds::Cloud;
use operator::cli::{Audit, Cli, Command};
use operator::{audit, daemon, dev, iam, plan_file, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { config, insecure_no_auth } => serve::serve(config.as_deref(), insecure_no_auth).await?,
        Command::Token => serve::token(),
        Command::Migrate { config } => serve::migrate(config.as_deref()).await?,
        Command::Mode { mode, config } => serve::mode(config.as_deref(), mode).await?,
        Command::Healthcheck { config } => serve::healthcheck(config.as_deref()).await?,
        Command::Plan { file, config } => {
            let config = serve::load(config.as_deref())?;
            let environment = plan_file::read_document(&file)?;
            let registry = kinds::registry();
            let (metrics, _registry) = telemetry::Metrics::new();
            let cloud: Arc<dyn Cloud> = Arc::new(kinds::providers(&daemon::open_aws(config.awskit(), &metrics)));
            plan_file::run(&environment, &registry, &cloud, &config.installation, daemon::now()).await?;
        }
        Command::Audit { command: Audit::Verify { head, config } } => audit::verify(config.as_deref(), head).await?,
        Command::IamPolicy { of } => iam::print(&of),
        Command::Dev { demo, port, tls_port, aws_port, log } => {
            return dev::run(&dev::Options { demo, port, tls_port, aws_port, log }).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
