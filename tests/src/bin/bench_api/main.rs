//! The API's speed against what the project promises, on a Postgres that loses nothing: writes beside `pgbench` with the
//! same rows, reads at a given rate, many watchers, a long list. `cargo xtask bench api` builds and runs it.

mod client;
mod pgbench;
mod reads;
mod server;
mod watchers;
mod writes;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use e2e::figures::{Figure, report};
use e2e::machine::{cpu_seconds, peak_mib};
use e2e::say::{print, say};
use sqlx::PgPool;
use testkit::postgres::test_database;
use tokio::task::JoinSet;

use client::Client;
use pgbench::Pgbench;
use server::Server;
use writes::{Write, create, document, own, update};

/// The API's speed.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Clients that write at once, one figure for each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    clients: Vec<usize>,
    /// Seconds for each figure of writes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds of writes; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// GETs a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Watchers at once.
    #[arg(long, default_value_t = 1000)]
    watchers: usize,
    /// Environments in the list.
    #[arg(long, default_value_t = 10_000)]
    environments: usize,
    /// Only some of it.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::value_variants().to_vec())]
    only: Vec<Part>,
    /// Prints what was missed without failing.
    #[arg(long)]
    lenient: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Writes,
    Reads,
    Watches,
    Lists,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The API alone, until standard input ends; the benchmark starts it.
    Serve {
        /// Where its database is.
        #[arg(long)]
        database: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    // A thousand watchers are a thousand connections here too.
    api::raise_descriptor_limit(&api::ServeConfig::default());
    let args = Args::parse();
    let done = match &args.command {
        Some(Command::Serve { database }) => server::serve(database).await.map(|()| ExitCode::SUCCESS),
        None => run(&args).await.map(|figures| report(&figures, args.lenient)),
    };
    done.unwrap_or_else(|error| {
        say(&format!("bench-api: {error:#}"));
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> Result<Vec<Figure>> {
    let database = test_database().await;
    durable(&database.pool).await?;
    let server = Server::start(&database.url).await?;
    let most = args.clients.iter().copied().max().context("--clients names none")?;
    let mut client = Client::connect(&server.address).await?;
    for index in 0..most {
        create(&mut client, &document(&own(index))).await?;
    }
    attended(&database.pool).await?;
    let example = own(0);
    update(&mut client, &example, 5).await?;
    let pgbench = Pgbench::new(&database.url, &database.pool, &example).await?;
    pgbench::make_own(&database.pool, most, &example).await?;
    if pgbench.is_none() {
        print("no pgbench here (Debian has it in postgresql-contrib or postgresql-NN): nothing to compare writes with");
    }

    let mut figures = Vec::new();
    let wanted = |part| args.only.contains(&part);
    for clients in args.clients.iter().filter(|_| wanted(Part::Writes)) {
        for write in [Write::Create, Write::Update] {
            figures.extend(writing(args, *clients, write, &server, pgbench.as_ref(), &database.pool).await?);
        }
    }
    if wanted(Part::Reads) {
        figures.push(reading(args, &server, most).await?);
    }
    if wanted(Part::Watches) {
        figures.push(watching(args, &server).await?);
    }
    if wanted(Part::Lists) {
        figures.push(listing(args, &server, &database.pool).await?);
    }
    print(&format!("memory of the API at its peak: {:.1} MiB", peak_mib(server.pid()?)?));
    server.stop().await?;
    Ok(figures)
}

/// The account as it is with an owner at work: a lease, and every kind observed in every region. Reads join both.
async fn attended(pool: &PgPool) -> Result<()> {
    let kinds: Vec<String> = kinds::registry().kinds().map(|kind| kind.name().to_string()).collect();
    sqlx::query(
        "INSERT INTO leases (shard, holder, epoch, acquired_at, renewed_at, expires_at)
         SELECT DISTINCT account, 'bench', 1, now(), now(), now() + interval '1 day' FROM claims",
    )
    .execute(pool)
    .await?;
    sqlx::query(
        "INSERT INTO sweeps (account, region, kind, observed_at)
         SELECT account, region, kind, now()
         FROM (SELECT DISTINCT account, region FROM claims) places, unnest($1::text[]) AS kind",
    )
    .bind(kinds)
    .execute(pool)
    .await?;
    Ok(())
}

/// A figure of a server that may lose what it acknowledged would say nothing.
async fn durable(pool: &PgPool) -> Result<()> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(pool).await?;
        ensure!(value == "on", "{setting} is {value} on this Postgres: nothing durable can be measured");
    }
    Ok(())
}

async fn writing(
    args: &Args,
    clients: usize,
    write: Write,
    server: &Server,
    pgbench: Option<&Pgbench>,
    pool: &PgPool,
) -> Result<Option<Figure>> {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (before, mut made) = (cpu_seconds(server.pid()?)?, 0.0);
    for round in 0..args.rounds {
        // Both begin alike: nothing is left to be written back.
        sqlx::query("CHECKPOINT").execute(pool).await?;
        let baseline = match pgbench {
            Some(pgbench) => Some(pgbench.rate(write, clients, args.seconds).await?),
            None => None,
        };
        sqlx::query("CHECKPOINT").execute(pool).await?;
        let time = Duration::from_secs(args.seconds);
        let rate = writes::rate(&server.address, write, clients, time, &format!("c{clients}r{round}")).await?;
        ours.push(rate);
        made += rate * time.as_secs_f64();
        theirs.extend(baseline);
        ratios.extend(baseline.map(|baseline| rate / baseline));
    }
    let what = if write == Write::Create { "creates" } else { "updates" };
    let (ours, theirs, ratio) = (median(&mut ours), median(&mut theirs), median(&mut ratios));
    print(&format!(
        "{what}, {clients} clients: {ours:.0}/s by the API, {theirs:.0}/s by pgbench; ratios {ratios:.2?}, median {ratio:.2}; \
         {:.2} ms of CPU each in the API",
        (cpu_seconds(server.pid()?)? - before) * 1e3 / made
    ));
    Ok(pgbench.map(|_| Figure {
        what: format!("durable {what} a second, {clients} clients"),
        is: format!("{ours:.0} ({ratio:.2} ×)"),
        promised: format!(">= 0.5 × {theirs:.0} of pgbench"),
        kept: ratio >= 0.5,
    }))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn reading(args: &Args, server: &Server, environments: usize) -> Result<Figure> {
    let names: Vec<String> = (0..environments).map(own).collect();
    // The first seconds make connections and prepare statements.
    reads::times(&server.address, &names, args.rate, Duration::from_secs(2)).await?;
    let before = cpu_seconds(server.pid()?)?;
    let times = reads::times(&server.address, &names, args.rate, Duration::from_secs(20)).await?;
    let each = (cpu_seconds(server.pid()?)? - before) * 1e3 / times.len() as f64;
    let [half, most, worst] = [0.5, 0.99, 1.0].map(|part| reads::quantile(&times, part));
    print(&format!(
        "{} GETs at {}/s: p50 {half:.2?}, p99 {most:.2?}, worst {worst:.2?}; {each:.2} ms of CPU each in the API",
        times.len(),
        args.rate
    ));
    Ok(Figure {
        what: format!("GET of an environment, p99 at {}/s", args.rate),
        is: format!("{:.2} ms", most.as_secs_f64() * 1e3),
        promised: "< 5 ms".to_owned(),
        kept: most < Duration::from_millis(5),
    })
}

async fn watching(args: &Args, server: &Server) -> Result<Figure> {
    let times = watchers::times(&server.address, args.watchers).await?;
    let [half, most, worst] = [0.5, 0.99, 1.0].map(|part| reads::quantile(&times, part));
    print(&format!(
        "{} watchers, from the sending of an update: p50 {half:.1?}, p99 {most:.1?}, last {worst:.1?}",
        args.watchers
    ));
    Ok(Figure {
        what: format!("{} watchers have an update, the last of them", args.watchers),
        is: format!("{:.0} ms", worst.as_secs_f64() * 1e3),
        promised: "<= 250 ms".to_owned(),
        kept: worst <= Duration::from_millis(250),
    })
}

async fn listing(args: &Args, server: &Server, pool: &PgPool) -> Result<Figure> {
    fill(args.environments, server, pool).await?;
    let listed = reads::list(&server.address, pool, 500).await?;
    ensure!(listed.items >= args.environments, "{} environments were listed", listed.items);
    let [half, worst] = [0.5, 1.0].map(|part| reads::quantile(&listed.pages, part));
    print(&format!(
        "{} environments in {} pages of 500: a page p50 {half:.0?}, worst {worst:.0?}; longest transaction seen {:.0?}",
        listed.items,
        listed.pages.len(),
        listed.longest
    ));
    Ok(Figure {
        what: format!("transactions open between pages of {} environments", listed.items),
        is: listed.open_between.to_string(),
        promised: "0".to_owned(),
        kept: listed.open_between == 0,
    })
}

/// Creates what is missing.
async fn fill(environments: usize, server: &Server, pool: &PgPool) -> Result<()> {
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM environments").fetch_one(pool).await?;
    let missing = environments.saturating_sub(usize::try_from(there)?);
    let writers = 16;
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let mut client = Client::connect(&server.address).await?;
        tasks.spawn(async move {
            for index in (writer..missing).step_by(writers) {
                create(&mut client, &document(&format!("fill-{index}"))).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a writer")??;
    }
    Ok(())
}
