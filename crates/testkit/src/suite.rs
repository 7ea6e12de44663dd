//! The suite that every kind passes, on the simulated AWS through the real SDK. `kind_suite!` makes a test of each rule.
//!
//! A kind's own cases stand in its `tests.rs` beside the macro.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Graph, Ownership};
use jiff::Timestamp;
use model::observation::Unknown;
use model::{Environment, Observation, ResourceKey, TAG_ENVIRONMENT};
use serde_json::Value;
use simaws::{Effect, Fault};

use crate::fixtures::{self, ACCOUNT, CANARY};
use crate::world::{Done, World};

/// What a suite is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The kind's name.
    pub kind: &'static str,
    /// Merge patches of the fixture document, each of which changes what is wanted of this kind.
    pub patches: Vec<Value>,
}

struct Stage {
    world: World,
    document: Value,
    environment: Environment,
    graph: Graph,
}

impl Subject {
    async fn stage(&self) -> Stage {
        let world = World::new().await;
        let document = fixtures::document(&world.load_balancer);
        let environment = fixtures::environment(document.clone());
        let graph = world.graph_of(&environment, self.kind);
        Stage { world, document, environment, graph }
    }

    async fn converged(&self) -> Stage {
        let mut stage = self.stage().await;
        stage.world.converge(&stage.environment, &stage.graph).await;
        stage
    }

    fn keys(&self, graph: &Graph) -> Vec<ResourceKey> {
        graph.claims().filter(|node| node.key.kind.as_str() == self.kind).map(|node| node.key.clone()).collect()
    }

    fn of_kind<'a>(&self, done: &'a [Done]) -> Vec<&'a Done> {
        done.iter().filter(|done| done.key.kind.as_str() == self.kind).collect()
    }

    /// From nothing it converges, and then plans nothing: seen in batches, seen directly, and after a crash.
    pub async fn converges_and_then_plans_nothing(&self) {
        let mut stage = self.converged().await;
        assert_idle(&stage, "after convergence");
        stage.world.crash();
        stage.world.sweep(&stage.graph).await;
        assert_idle(&stage, "after a crash, seen in batches");
        for node in stage.graph.nodes().to_vec() {
            stage.world.read(&stage.graph, &node.key).await;
        }
        assert_idle(&stage, "seen directly");
        let mutating = stage.world.sim.calls().mutating();
        let again = stage.world.converge(&stage.environment, &stage.graph).await;
        assert!(again.is_empty(), "a second convergence acts: {again:?}");
        assert_eq!(stage.world.sim.calls().mutating(), mutating, "a second convergence makes mutating calls");
    }

    /// Each change of the document is carried out, and then nothing is planned.
    pub async fn changes_of_the_document_converge(&self) {
        for patch in &self.patches {
            let mut stage = self.converged().await;
            let document = fixtures::patched(stage.document.clone(), patch);
            stage.environment = fixtures::environment(document);
            stage.graph = stage.world.graph_of(&stage.environment, self.kind);
            let done = stage.world.converge(&stage.environment, &stage.graph).await;
            assert!(!self.of_kind(&done).is_empty(), "{patch} changes nothing of {}", self.kind);
            assert_idle(&stage, &patch.to_string());
        }
    }

    /// The same inputs give the same plan, to the byte.
    pub async fn planning_is_deterministic(&self) {
        let mut stage = self.stage().await;
        let mut graphs = vec![stage.graph.clone()];
        for patch in &self.patches {
            let document = fixtures::patched(stage.document.clone(), patch);
            graphs.push(stage.world.graph_of(&fixtures::environment(document), self.kind));
        }
        stage.world.converge(&stage.environment, &stage.graph).await;
        for graph in &graphs {
            let plans = |stage: &Stage| -> Vec<String> {
                let plans = stage.world.plan(&stage.environment, graph);
                plans
                    .iter()
                    .map(|p| format!("{:?} {}", p.key, serde_json::to_string(&p.plan).expect("a plan is data")))
                    .collect()
            };
            assert_eq!(plans(&stage), plans(&stage));
        }
    }

    /// A crash after any number of steps loses nothing and makes nothing twice.
    pub async fn a_crash_after_any_step_converges(&self) {
        let whole = {
            let mut stage = self.stage().await;
            stage.world.converge(&stage.environment, &stage.graph).await.len()
        };
        for survived in 1..whole {
            let mut stage = self.stage().await;
            stage.world.sweep(&stage.graph).await;
            let mut done = stage.world.pass(&stage.environment, &stage.graph, survived).await;
            stage.world.crash();
            done.extend(stage.world.converge(&stage.environment, &stage.graph).await);
            assert_created_once(&done);
            assert_idle(&stage, &format!("after a crash behind step {survived}"));
        }
    }

    /// An act that was carried out and whose answer was lost is found by looking, and not done twice.
    pub async fn a_lost_response_converges(&self) {
        let operations: Vec<String> = {
            let mut stage = self.stage().await;
            stage.world.converge(&stage.environment, &stage.graph).await;
            let mut seen: Vec<String> =
                stage.world.sim.calls().log().filter(|call| call.mutating).map(|call| call.operation.clone()).collect();
            seen.sort();
            seen.dedup();
            seen
        };
        for operation in operations {
            let mut stage = self.stage().await;
            let mut fault = Fault::new(Effect::LostResponse).times(1);
            fault.operation = Some(operation.clone());
            stage.world.sim.faults().add(fault);
            stage.world.converge(&stage.environment, &stage.graph).await;
            assert_eq!(stage.world.sim.faults().struck(), 1, "{operation} was not struck");
            let calls = stage.world.sim.calls();
            let creates: BTreeMap<&str, usize> = calls
                .log()
                .filter(|c| c.error.is_none() && c.operation.starts_with("Create"))
                .fold(BTreeMap::new(), |mut count, call| {
                    *count.entry(call.operation.as_str()).or_default() += 1;
                    count
                });
            let mut calm = self.stage().await;
            calm.world.converge(&calm.environment, &calm.graph).await;
            let calls = calm.world.sim.calls();
            for (operation, count) in creates {
                let expected = calls.log().filter(|c| c.error.is_none() && c.operation == operation).count();
                assert_eq!(count, expected, "{operation} succeeded more often than without the fault");
            }
            assert_idle(&stage, &format!("after a lost response of {operation}"));
        }
    }

    /// What is not known is looked at, never acted on.
    pub async fn the_unknown_is_never_acted_on(&self) {
        let stage = self.stage().await;
        let mut known = engine::plan::Snapshot::default();
        for node in stage.graph.nodes() {
            for why in [Unknown::NotObservedYet, Unknown::NotListed, Unknown::InFlight, Unknown::Dependency] {
                known.set(node.key.clone(), Observation::Unknown { since: Timestamp::UNIX_EPOCH, why });
                let context = engine::plan::EnvironmentContext {
                    now: stage.world.now(),
                    environment: &stage.environment.metadata.name,
                    policy: &stage.environment.spec.policy,
                    memory: &BTreeMap::new(),
                    adopted_now: &std::collections::BTreeSet::new(),
                };
                let plan = engine::plan_environment(&stage.world.registry, &stage.graph, &known, &context);
                for planned in &plan.resources {
                    assert!(planned.plan.steps.is_empty(), "{} plans {}", planned.key, planned.plan);
                    assert!(!planned.plan.waits.is_empty(), "{} does not say what it waits for", planned.key);
                }
            }
        }
    }

    /// An object tagged for another environment is not touched, whatever the document wants of it.
    pub async fn what_is_not_ours_is_not_touched(&self) {
        let mut stage = self.converged().await;
        let kind = stage.world.registry.get(self.kind).expect("the kind is served");
        if kind.traits().ownership != Ownership::Tags {
            return;
        }
        // An item that a patch adds is not there yet, and may be created.
        let theirs: BTreeSet<ResourceKey> = self.keys(&stage.graph).into_iter().collect();
        for key in &theirs {
            let known = stage.world.known(key);
            let object = known.present().expect("it converged").clone();
            let kind = stage.world.registry.get(self.kind).expect("the kind is served");
            let arn = kind.output(&*object, "arn").and_then(|arn| arn.as_str().map(str::to_owned));
            let arn = arn.expect("a kind whose ownership is by tags has an output arn");
            let tags = [(TAG_ENVIRONMENT.to_owned(), "somebody-else".to_owned())].into_iter().collect();
            stage.world.sim.with(ACCOUNT, key.region.as_str(), |ctx| {
                let now = ctx.now();
                assert!(ctx.tags().merge(&arn, tags, now), "{arn} has no tags in the simulation");
            });
        }
        for patch in &self.patches {
            let document = fixtures::patched(stage.document.clone(), patch);
            stage.environment = fixtures::environment(document);
            stage.graph = stage.world.graph_of(&stage.environment, self.kind);
            stage.world.crash();
            stage.world.sweep(&stage.graph).await;
            let done = stage.world.pass(&stage.environment, &stage.graph, usize::MAX).await;
            let touched: Vec<_> = done.iter().filter(|done| theirs.contains(&done.key)).collect();
            assert!(touched.is_empty(), "acted on what is not ours: {touched:?}");
            let plans = stage.world.plan(&stage.environment, &stage.graph);
            for planned in plans.iter().filter(|planned| theirs.contains(&planned.key)) {
                assert!(
                    planned.plan.waits.iter().any(|wait| wait.reason == "OwnedByAnother"),
                    "{}: {}",
                    planned.key,
                    planned.plan
                );
            }
        }
    }

    /// A tag that is not declared stays, and is no drift.
    pub async fn undeclared_tags_stay(&self) {
        let mut stage = self.converged().await;
        let kind = stage.world.registry.get(self.kind).expect("the kind is served");
        if kind.traits().ownership != Ownership::Tags {
            return;
        }
        for key in self.keys(&stage.graph) {
            let known = stage.world.known(&key);
            let object = known.present().expect("it converged").clone();
            let kind = stage.world.registry.get(self.kind).expect("the kind is served");
            let arn = kind.output(&*object, "arn").and_then(|arn| arn.as_str().map(str::to_owned)).expect("an ARN");
            stage.world.sim.with(ACCOUNT, key.region.as_str(), |ctx| {
                let now = ctx.now();
                ctx.tags().merge(&arn, [("cost-centre".to_owned(), "42".to_owned())].into_iter().collect(), now);
                ctx.tags().remove(&arn, &["Team"], now);
            });
            let done = stage.world.converge(&stage.environment, &stage.graph).await;
            assert!(!self.of_kind(&done).is_empty(), "{key}: the declared tag was not put back");
            let tags = stage.world.sim.with(ACCOUNT, key.region.as_str(), |ctx| ctx.tags().of(&arn));
            assert_eq!(tags.get("cost-centre").map(String::as_str), Some("42"), "{key}: an undeclared tag was removed");
            assert_eq!(tags.get("Team").map(String::as_str), Some("Backend"), "{key}");
        }
        assert_idle(&stage, "with a tag that is not declared");
    }

    /// Plain environment values are seen neither in plans nor in what is stored of an observation.
    pub async fn private_values_are_masked(&self) {
        let mut stage = self.stage().await;
        stage.world.sweep(&stage.graph).await;
        let mut texts = Vec::new();
        for planned in stage.world.plan(&stage.environment, &stage.graph) {
            texts.push(planned.plan.to_string());
            texts.push(serde_json::to_string(&planned.plan).expect("a plan is data"));
        }
        // The journal keeps the instruction of each step that was carried out.
        for done in stage.world.converge(&stage.environment, &stage.graph).await {
            texts.push(format!("{:?}", done.step));
            texts.push(serde_json::to_string(&done.step).expect("a step is data"));
        }
        for key in self.keys(&stage.graph) {
            if let Some(object) = stage.world.known(&key).present() {
                texts.push(object.to_json().to_string());
                texts.push(format!("{object:?}"));
            }
        }
        for text in texts {
            assert!(!text.contains(CANARY), "a private value is shown: {text}");
        }
    }

    /// What the kind declares for IAM is what its calls need: nothing is missing, and what none of them needs has a reason.
    pub async fn iam_actions_are_those_of_the_calls(&self) {
        let mut stage = self.converged().await;
        for patch in &self.patches {
            let document = fixtures::patched(stage.document.clone(), patch);
            stage.environment = fixtures::environment(document);
            stage.graph = stage.world.graph_of(&stage.environment, self.kind);
            stage.world.converge(&stage.environment, &stage.graph).await;
        }
        for key in self.keys(&stage.graph) {
            self.remove(&mut stage, &key).await;
        }
        // That nothing is missing was looked at with each call.
        crate::iam::assert_needed(self.kind, &stage.world.operations_of(self.kind));
    }

    /// Removal is planned only as something Destructive, and ends in absence.
    pub async fn removal_is_destructive_and_ends_in_absence(&self) {
        let mut stage = self.converged().await;
        for key in self.keys(&stage.graph) {
            self.remove(&mut stage, &key).await;
            let last = stage.world.read(&stage.graph, &key).await;
            let plan = stage.world.plan_removal(&stage.environment, &stage.graph, &key);
            assert!(
                matches!(last, Observation::Absent) || plan == model::ResourcePlan::in_sync(),
                "{key} is still there: {plan}"
            );
        }
    }

    /// Plans and carries out an object's removal, as far as there is one.
    async fn remove(&self, stage: &mut Stage, key: &ResourceKey) {
        for _ in 0..20 {
            if matches!(stage.world.read(&stage.graph, key).await, Observation::Absent) {
                break;
            }
            let plan = stage.world.plan_removal(&stage.environment, &stage.graph, key);
            if let Some(step) = plan.steps.first() {
                assert_eq!(step.risk, model::Risk::Destructive, "{key}: {step}");
                let done = stage.world.act(&stage.graph, key, step).await;
                assert!(done.ok, "{key}: {step} failed");
            } else if plan.waits.is_empty() {
                // Kinds that only ever add (task definition revisions) let go and delete nothing.
                break;
            }
            stage.world.sim.clock().advance(std::time::Duration::from_secs(30));
        }
    }
}

fn assert_idle(stage: &Stage, when: &str) {
    for planned in stage.world.plan(&stage.environment, &stage.graph) {
        assert!(planned.plan.is_in_sync(), "{when}: {} plans {}", planned.key, planned.plan);
    }
}

fn assert_created_once(done: &[Done]) {
    let mut created: BTreeMap<(String, String), usize> = BTreeMap::new();
    for done in done.iter().filter(|done| done.ok && done.step.verb == model::plan::Verb::Create) {
        *created.entry((format!("{:?}", done.key), done.step.body.to_string())).or_default() += 1;
    }
    for ((key, body), count) in created {
        assert_eq!(count, 1, "{key} was created {count} times: {body}");
    }
}

/// The suite of a kind: `kind_suite!(LogGroup, json!({…patch…}), …)`. Each patch is a merge patch of the fixture document
/// that changes what is wanted of the kind.
#[macro_export]
macro_rules! kind_suite {
    ($kind:ident $(, $patch:expr)* $(,)?) => {
        mod suite {
            #[expect(unused_imports, reason = "a kind may have no patch")]
            use serde_json::json;

            fn subject() -> $crate::suite::Subject {
                $crate::suite::Subject { kind: stringify!($kind), patches: vec![$($patch),*] }
            }

            $crate::kind_suite!(@rules
                converges_and_then_plans_nothing,
                changes_of_the_document_converge,
                planning_is_deterministic,
                a_crash_after_any_step_converges,
                a_lost_response_converges,
                the_unknown_is_never_acted_on,
                what_is_not_ours_is_not_touched,
                undeclared_tags_stay,
                private_values_are_masked,
                iam_actions_are_those_of_the_calls,
                removal_is_destructive_and_ends_in_absence,
            );
        }
    };
    (@rules $($rule:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $rule() {
                subject().$rule().await;
            }
        )*
    };
}
