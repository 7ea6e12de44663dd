//! Plans a second on one core: the example environment in sync, expanded beforehand, nothing memoised. The promise is
//! 10,000 a second; with it a sweep's news of a thousand environments is planned in a tenth of a second.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::plan::{EnvironmentContext, Planner, Snapshot};
use model::Observation;
use testkit::fixtures;
use testkit::world::World;

fn planning(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (world, environment, graph, snapshot) = runtime.block_on(async {
        let mut world = World::new().await;
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph(&environment);
        world.converge(&environment, &graph).await;
        world.sweep(&graph).await;
        let mut snapshot = Snapshot::default();
        for node in graph.nodes() {
            let known = world.known(&node.key);
            let known =
                if let Observation::Unknown { .. } = known { world.read(&graph, &node.key).await } else { known };
            snapshot.set(node.key.clone(), known);
        }
        (world, environment, graph, snapshot)
    });
    let adopted = BTreeSet::new();
    let memory = std::collections::BTreeMap::new();
    let context = EnvironmentContext {
        now: world.now(),
        environment: &environment.metadata.name,
        policy: &environment.spec.policy,
        memory: &memory,
        adopted_now: &adopted,
    };
    let plan = || {
        let mut planner = Planner::new(&world.registry, &graph, &snapshot);
        graph.nodes().iter().filter_map(|node| planner.plan(node, &context)).collect::<Vec<_>>()
    };
    let open: Vec<String> = plan()
        .iter()
        .filter(|planned| !planned.plan.is_in_sync())
        .map(|planned| format!("{}: {}", planned.key, planned.plan))
        .collect();
    assert!(open.is_empty(), "the example is not in sync: {open:#?}");
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("environment in sync, {} resources", graph.nodes().len()), |bencher| {
        bencher.iter(|| black_box(plan()));
    });
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
