//! What the tests share.
use simaws::{Clock, Sim, Timings};

/// A simulation that stands still at a known time.
pub(crate) fn still() -> Sim {
    let start = "2026-03-01T12:00:00Z".parse().expect("a valid time");
    Sim::builder().clock(Clock::manual(start)).timings(Timings::default()).build()
}

/// Serves a simulation on loopback.
pub(crate) async fn serve(sim: &Sim) -> simaws::Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    sim.serve(listener).expect("a bound listener has an address")
}

/// Says why a test tests nothing here.
#[expect(clippy::print_stdout, reason = "a skipped test must say so")]
pub(crate) fn say(what: &str) {
    println!("{what}");
}

/// The path of a stranger's tool, from a variable or PATH, or none after saying so. Where `REQUIRE_STRANGERS` is set
/// its absence fails.
pub(crate) fn tool(name: &str, variable: &str) -> Option<std::path::PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("REQUIRE_STRANGERS").is_none(), "{name} is not on PATH, and REQUIRE_STRANGERS is set");
        say(&format!("skipped: {name} is not on PATH"));
    }
    found
}
