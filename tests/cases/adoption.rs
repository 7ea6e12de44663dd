//! A daemon that knows nothing, on an AWS where everything is there already: it takes over what is there and changes
//! nothing of it but whose it is.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use e2e::daemon::Setup;
use e2e::inventory::{inventory, mutations};
use e2e::world::{CONVERGES, World};
use serde_json::{Value, json};
use simaws::Sim;
use simaws::testing::json as json_call;
use testkit::fixtures::{ACCOUNT, document, patched};

/// Everything of the fixture, made by a daemon whose database is lost afterwards.
async fn what_another_made(world: &World) -> Result<Value> {
    let wanted = patched(
        document(&world.load_balancer),
        // No snapshot becomes due on the way, whatever the time of day.
        &json!({ "spec": { "policy": { "windows": [world.distant_window()] } } }),
    );
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("first").await?;
    daemon.api().create(&wanted).await?;
    daemon.api().converged("prod", CONVERGES).await?;
    daemon.stop(&[]).await?;
    Ok(wanted)
}

/// Another daemon, with an empty database, is told the same. Answers what it changed in AWS.
async fn adopted(world: &World, wanted: &Value) -> Result<BTreeMap<String, u64>> {
    let before = inventory(&world.sim).await?;
    world.sim.reset_calls();
    let database = testkit::postgres::test_database().await;
    let setup = Setup::new(&database.url, &world.server.url(), &[ACCOUNT])?;
    setup.run(&["migrate"]).await?;
    let daemon = setup.start("second").await?;
    daemon.api().create(wanted).await?;
    daemon.api().converged("prod", CONVERGES).await?;
    world.swept(2).await?;
    let changed = mutations(&world.sim);
    daemon.stop(&[]).await?;
    ensure!(inventory(&world.sim).await? == before, "something was made or taken away: {changed:?}");
    Ok(changed)
}

/// All that bears the operator's tags, by ARN.
async fn ours(sim: &Sim) -> Result<Vec<String>> {
    let body = json!({ "TagFilters": [{ "Key": "eventchain.io/managed-by" }] });
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let mut body = body.clone();
        body["PaginationToken"] = json!(token);
        let page = json_call(sim, "tagging", "GetResources", body).await.body;
        let list = page["ResourceTagMappingList"].as_array().with_context(|| page.to_string())?;
        all.extend(list.iter().filter_map(|one| one["ResourceARN"].as_str()).map(str::to_owned));
        match page["PaginationToken"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut token),
            _ => return Ok(all),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_empty_database_what_is_ours_is_known_by_its_tags_and_nothing_is_written() -> Result<()> {
    let world = World::new().await?;
    let wanted = what_another_made(&world).await?;
    let changed = adopted(&world, &wanted).await?;
    ensure!(changed.is_empty(), "{changed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_by_hand_is_adopted_by_tags_and_by_nothing_else() -> Result<()> {
    let world = World::new().await?;
    let wanted = what_another_made(&world).await?;
    // As people make it: nothing says whose it is. Snapshots of ours stay ours, as nobody makes those by hand.
    let marked = ours(&world.sim).await?;
    let by_hand: Vec<&String> = marked.iter().filter(|arn| !arn.contains(":snapshot:")).collect();
    ensure!(by_hand.len() > 15, "{marked:?}");
    for some in by_hand.chunks(20) {
        let body = json!({
            "ResourceARNList": some,
            "TagKeys": ["eventchain.io/managed-by", "eventchain.io/environment"],
        });
        let said = json_call(&world.sim, "tagging", "UntagResources", body).await;
        ensure!(said.body["FailedResourcesMap"].as_object().is_none_or(serde_json::Map::is_empty), "{}", said.body);
    }
    let changed = adopted(&world, &wanted).await?;
    let marks = |name: &str| {
        ["Tag", "AddTags"].iter().any(|verb| name.split(':').nth(1).is_some_and(|one| one.starts_with(verb)))
    };
    ensure!(!changed.is_empty() && changed.keys().all(|name| marks(name)), "{changed:?}");
    let again = ours(&world.sim).await?;
    // A revision of a task definition is nobody's to change: what runs stays as it is, unmarked.
    let marked = |arn: &&&String| !arn.contains(":task-definition/") && !again.contains(arn);
    let missing: Vec<_> = by_hand.iter().filter(marked).collect();
    ensure!(missing.is_empty(), "not adopted: {missing:?}");
    Ok(())
}
