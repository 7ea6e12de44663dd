//! The simulated AWS in a process of its own, on loopback.
use std::io::Write as _;
use std::net::SocketAddr;

use clap::Parser;
use simaws::{Clock, Sim, Timings};

#[derive(Parser)]
#[command(about = "A simulated AWS on a loopback port. Control plane under /_sim/.")]
struct Args {
    /// Where to listen; port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:4600")]
    listen: SocketAddr,
    /// The account of access keys that don't name one (a key of twelve digits does).
    #[arg(long, default_value = "123456789012")]
    account: String,
    /// How fast simulated time passes.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Simulated time stands still at this instant, and moves by `POST /_sim/clock` only.
    #[arg(long, conflicts_with = "speed", value_name = "TIMESTAMP")]
    still: Option<jiff::Timestamp>,
    /// Seed of ids and of faults with a probability.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Enforce AWS's published call rates.
    #[arg(long)]
    rates: bool,
    /// Things take as long as in AWS, instead of seconds.
    #[arg(long)]
    realistic: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let timings = if args.realistic { Timings::realistic() } else { Timings::default() };
    let builder = Sim::builder().account(&args.account).seed(args.seed).timings(timings).rates(args.rates);
    let sim = builder.clock(args.still.map_or_else(|| Clock::scaled(args.speed), Clock::manual)).build();
    let server = sim.serve(tokio::net::TcpListener::bind(args.listen).await?)?;
    writeln!(std::io::stdout(), "simaws listens on {}", server.url())?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // Cancel-safe: both only wait.
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    server.stop().await;
    Ok(())
}
