//! The daemon over TLS, with tokens and roles, as it is configured and asked in earnest: by curl.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::access::Guarded;
use e2e::daemon::Setup;
use e2e::programs;
use e2e::wait::until;
use e2e::world::World;
use serde_json::{Value, json};

const GROUP: &str = "/apis/eventchain.io/v1";

/// What curl answers: the status, the version of HTTP, and the body.
pub(crate) async fn curl(authority: &Path, token: &str, words: &[&str]) -> Result<(String, Value)> {
    let output = tokio::process::Command::new("curl")
        .args(["-sS", "--max-time", "20", "-w", "\n%{http_code} %{http_version}", "--cacert"])
        .arg(authority)
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(words)
        .output()
        .await?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = said.rsplit_once('\n').context("a status")?;
    Ok((status.to_owned(), serde_json::from_str(body).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_serves_tls_tokens_and_roles_and_a_new_certificate() -> Result<()> {
    if programs::on_path("curl")?.is_none() {
        return Ok(());
    }
    let world = World::new().await?;
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let (guarded, setup) = Guarded::new(&setup, &[("vera", "viewer"), ("ada", "admin")]).await?;
    let daemon = setup.start("operator").await?;
    let url = daemon.api().url().to_owned();
    ensure!(url.starts_with("https://127.0.0.1:"), "{url}");
    let environments = format!("{url}{GROUP}/environments");
    let operator = format!("{url}{GROUP}/operators/default");
    let (authority, vera, ada) = (guarded.authority(), guarded.token("vera")?, guarded.token("ada")?);

    let (status, list) = curl(&authority, vera, &[&environments]).await?;
    ensure!(status == "200 2" && list["kind"] == "EnvironmentList", "{status} {list}");
    let (status, refused) = curl(&authority, "evc_wrong", &[&environments]).await?;
    ensure!(status.starts_with("401") && refused["reason"] == "Unauthorized", "{status} {refused}");
    let red =
        ["-X", "PATCH", "-H", "Content-Type: application/merge-patch+json", "-d", "{\"spec\":{\"mode\":\"Observe\"}}"];
    let button = [red.as_slice(), &[operator.as_str()]].concat();
    let (status, refused) = curl(&authority, vera, &button).await?;
    ensure!(status.starts_with("403") && refused["reason"] == "Forbidden", "{status} {refused}");
    let (status, pressed) = curl(&authority, ada, &button).await?;
    ensure!(status.starts_with("200") && pressed["spec"]["mode"] == "Observe", "{status} {pressed}");

    // Who it was, and from where, in the audit trail, which only the admin reads.
    let entries = format!("{url}{GROUP}/auditentries");
    let (status, _) = curl(&authority, vera, &[&entries]).await?;
    ensure!(status.starts_with("403"), "{status}");
    let told = until("the trail to tell of both", Duration::from_secs(30), async || {
        let (_, list) = curl(&authority, ada, &[&entries]).await.map_err(|error| format!("{error:#}"))?;
        let all = list["items"].as_array().cloned().unwrap_or_default();
        let of = |who: &str, outcome: &str| {
            let fits = |one: &&Value| one["spec"]["actor"] == who && one["spec"]["outcome"] == outcome;
            all.iter().find(fits).cloned()
        };
        of("ada", "Accepted").zip(of("vera", "Refused")).ok_or_else(|| json!(all).to_string())
    })
    .await?;
    ensure!(told.0["spec"]["address"] == "127.0.0.1" && told.1["spec"]["code"] == 403, "{told:?}");

    // As a container's health check asks it.
    let listen = url.trim_start_matches("https://").to_owned();
    setup.clone().set("EVENTCHAIN_HTTP_LISTEN", &listen).run(&["healthcheck"]).await?;

    let before = std::fs::read(&authority)?;
    guarded.renew()?;
    ensure!(std::fs::read(&authority)? != before, "another certificate");
    until("the new certificate to be served", Duration::from_secs(30), async || {
        let asked = curl(&authority, vera, &[&environments]).await;
        asked.map(drop).map_err(|error| format!("{error:#}"))
    })
    .await?;
    let said = daemon.log().join("\n");
    ensure!(!said.contains(vera) && !said.contains(ada) && !said.contains("evc_wrong"), "a token is in the log");
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_another_account_make_no_call_but_the_one_that_finds_out() -> Result<()> {
    const OTHER: &str = "210987654321";
    let world = World::new().await?;
    // The daemon's key is of the fixtures' account; the configuration says that it is of another.
    let setup = Setup::new(&world.database.url, &world.server.url(), &[OTHER])?;
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("operator").await?;
    let document = json!({ "metadata": { "name": "elsewhere" },
                           "spec": { "aws": { "accountId": OTHER, "region": "us-east-1" }, "cluster": { "name": "c" } } });
    daemon.api().create(&document).await?;
    let said = daemon.api().condition_is("elsewhere", "CredentialsValid", "False", Duration::from_secs(60)).await?;
    ensure!(said["reason"] == "Rejected", "{said}");
    let count = |service: &str, operation: &str| world.sim.with_calls(|calls| calls.count(service, operation));
    until("the account to be asked for again", Duration::from_secs(60), async || {
        let asked = count("sts", "GetCallerIdentity");
        if asked > 1 { Ok(()) } else { Err(format!("{asked} times")) }
    })
    .await?;
    for (service, operation) in [("ecs", "DescribeClusters"), ("ecs", "CreateCluster"), ("tagging", "GetResources")] {
        ensure!(count(service, operation) == 0, "{service}:{operation} was called");
    }
    daemon.stop(&[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_beyond_loopback_unless_it_is_said_in_words() -> Result<()> {
    let world = World::new().await?;
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let open = setup.clone().set("EVENTCHAIN_HTTP_LISTEN", "0.0.0.0:0").start("open").await;
    let told = open.err().map(|error| format!("{error:#}")).context("it listens for everybody")?;
    ensure!(told.contains("http.listen"), "it does not name the key: {told}");
    Ok(())
}
