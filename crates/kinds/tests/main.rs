//! The whole example document on the simulated AWS: what only shows with all kinds together.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::fixtures;
use testkit::world::World;

#[tokio::test]
async fn the_whole_document_converges_and_then_is_idle() {
    let mut world = World::new().await;
    let environment = fixtures::environment(fixtures::document(&world.load_balancer));
    let graph = world.graph(&environment);
    world.converge(&environment, &graph).await;
    let mutating = world.sim.calls().mutating();
    world.crash();
    assert!(world.converge(&environment, &graph).await.is_empty(), "a second look acts");
    assert_eq!(world.sim.calls().mutating(), mutating);
}

#[tokio::test]
async fn a_document_that_wants_nothing_of_an_object_changes_nothing_of_it() {
    let mut world = World::new().await;
    let full = fixtures::document(&world.load_balancer);
    let environment = fixtures::environment(full.clone());
    let graph = world.graph(&environment);
    world.converge(&environment, &graph).await;
    // The same objects, with every field left out that may be left out.
    let mut bare = full;
    bare["spec"]["serviceDefaults"] = json!({ "logs": {} });
    bare["spec"]["cluster"] = json!({ "name": "eventchain-cluster" });
    for (_, service) in bare["spec"]["services"].as_object_mut().unwrap() {
        let kept = json!({ "name": service["name"], "port": service["port"], "targetGroup": service["targetGroup"] });
        *service = kept;
        service["targetGroup"].as_object_mut().map(|group| group.remove("healthCheck"));
        let empty: Vec<String> =
            service.as_object().unwrap().iter().filter(|(_, v)| v.is_null()).map(|(k, _)| k.clone()).collect();
        for field in empty {
            service.as_object_mut().unwrap().remove(&field);
        }
    }
    bare["spec"]["database"] = json!({ "identifier": "eventchain-prod-db" });
    bare["spec"]["alarms"]["EventChain-High-CPU"] = json!({});
    for (_, secret) in bare["spec"]["secrets"].as_object_mut().unwrap() {
        *secret = json!({});
    }
    let environment = fixtures::environment(bare);
    let graph = world.graph(&environment);
    let before = world.sim.calls().mutating();
    let done = world.converge(&environment, &graph).await;
    assert!(done.is_empty(), "acted on what is not declared: {done:#?}");
    assert_eq!(world.sim.calls().mutating(), before);
}

/// Revisions of task definitions are read once and kept for ever; everything else takes one call for all keys.
#[tokio::test]
async fn a_sweep_makes_the_fewest_calls() {
    let mut world = World::new().await;
    let environment = fixtures::environment(fixtures::document(&world.load_balancer));
    let graph = world.graph(&environment);
    world.converge(&environment, &graph).await;
    // The first sweep after a start fills what is cached for ever.
    world.crash();
    world.sweep(&graph).await;
    world.sim.reset_calls();
    world.sweep(&graph).await;
    let calls: BTreeMap<String, u64> = world.sim.calls().by_operation();
    let expected: BTreeMap<String, u64> = [
        ("application-autoscaling:DescribeScalableTargets", 1),
        ("application-autoscaling:DescribeScalingPolicies", 1),
        ("ecs:DescribeClusters", 1),
        ("ecs:DescribeServices", 1),
        ("elasticloadbalancing:DescribeListeners", 1),
        ("elasticloadbalancing:DescribeTargetGroups", 1),
        ("logs:DescribeLogGroups", 1),
        ("monitoring:DescribeAlarms", 1),
        ("rds:DescribeDBInstances", 1),
        // One in the home region, one where the copies are.
        ("rds:DescribeDBSnapshots", 2),
        ("secretsmanager:ListSecrets", 1),
    ]
    .into_iter()
    .map(|(operation, count)| (operation.to_owned(), count))
    .collect();
    // The world's tag sweeps are never fresh, so that suites see tags at once; the daemon makes one for all kinds.
    let reads: BTreeMap<String, u64> = calls.into_iter().filter(|(name, _)| name != "tagging:GetResources").collect();
    assert_eq!(reads, expected);
}

/// Each script in `scenarios/` shows what it says it shows. `UPDATE_SCENARIOS=1` writes them anew; read the diff.
#[tokio::test]
async fn every_scenario_plays_as_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut scripts: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no scenario in {}", folder.display());
    let mut differing = Vec::new();
    for path in scripts {
        let written = std::fs::read_to_string(&path).unwrap();
        let played = testkit::scenario::play(&written).await;
        if played != written {
            if std::env::var_os("UPDATE_SCENARIOS").is_some() {
                std::fs::write(&path, &played).unwrap();
            }
            differing.push(format!("{}:\n{played}", path.display()));
        }
    }
    assert!(differing.is_empty(), "played otherwise than written:\n{}", differing.join("\n"));
}
