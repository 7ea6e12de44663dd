//! A simulated AWS with clients on it, and the smallest reconciler there is: it observes, plans and acts with the real
//! engine, kinds and SDK, allows every step unless it is given a guard, and moves a manual clock on. For suites and contract cases of kinds.
//!
//! It is no second runtime: it has no queue, store, guard or journal, and nothing but tests uses it.

#![expect(clippy::panic, reason = "test support: a test that cannot go on ends here, with what it saw")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use awskit::{AccountConfig, Aws, Config, StaticCredentials};
use engine::changes::Apply;
use engine::guard::{Approved, Guard, StepFacts};
use engine::plan::{EnvironmentContext, Planner, Snapshot};
use engine::{Graph, Hold, PlannedResource, Registry, Verdict};
use jiff::Timestamp;
use kinds::aws::AwsCloud;
use kinds::provider::{Cloud, ObserveKey, Scope};
use model::observation::Unknown;
use model::schedule::Windows;
use model::{
    AwsAccountId, Environment, Finding, Observation, ObserveError, ResourceKey, ResourcePlan, SharedObject, Step,
};
use serde_json::Value;
use simaws::{Clock, Sim, Timings};

use crate::fixtures::{ACCOUNT, INSTALLATION, REGION};

/// One step that was carried out.
#[derive(Debug, Clone)]
pub struct Done {
    /// On which object.
    pub key: ResourceKey,
    /// What.
    pub step: Step,
    /// Whether AWS answered with success.
    pub ok: bool,
}

/// A simulated AWS, clients on it, and what is known of it.
pub struct World {
    /// The simulation.
    pub sim: Sim,
    /// All kinds.
    pub registry: Arc<Registry>,
    /// ARN of a load balancer that exists.
    pub load_balancer: String,
    cloud: AwsCloud,
    known: Snapshot,
    at: BTreeMap<ResourceKey, String>,
    memory: BTreeMap<ResourceKey, Value>,
    calls: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// The fingerprints that were approved; `None`: there is no guard, and every step is allowed.
    approvals: Option<Vec<Approved>>,
}

/// When worlds begin: a Sunday, outside the fixtures' windows.
pub fn epoch() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a timestamp")
}

/// Clients on a simulation, in-process.
pub fn aws_on(sim: &Sim) -> Aws {
    let sim = sim.clone();
    let account = AwsAccountId::parse(ACCOUNT).expect("twelve digits");
    let credentials =
        StaticCredentials { access_key_id: ACCOUNT.to_owned(), secret_access_key: "not-a-secret".to_owned() };
    Aws::new(
        Config {
            accounts: BTreeMap::from([(
                account,
                AccountConfig { static_credentials: Some(credentials), ..AccountConfig::default() },
            )]),
            call_timeout: Duration::from_secs(5),
            budget_share: 1_000.0,
            tags_max_age: Duration::ZERO,
            installation: INSTALLATION.to_owned(),
            http_client: Some(awskit::in_process(move |request| {
                let answer = sim.handle(request);
                async move { answer.await.ok() }
            })),
            ..Config::default()
        },
        None,
    )
}

impl World {
    /// An empty account with a load balancer and a manual clock.
    pub async fn new() -> Self {
        let sim = Sim::builder()
            .account(ACCOUNT)
            .seed(7)
            .clock(Clock::manual(epoch()))
            .timings(Timings::default())
            .rates(false)
            .build();
        let load_balancer = create_load_balancer(&sim, "eventchain-alb").await;
        create_subnet_group(&sim, "eventchain-db-subnet-group").await;
        sim.reset_calls();
        let cloud = kinds::providers(&aws_on(&sim));
        Self {
            sim,
            registry: Arc::new(kinds::registry()),
            load_balancer,
            cloud,
            known: Snapshot::default(),
            at: BTreeMap::new(),
            memory: BTreeMap::new(),
            calls: Mutex::default(),
            approvals: None,
        }
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        self.sim.clock().now()
    }

    /// The graph of a document.
    pub fn graph(&self, environment: &Environment) -> Graph {
        engine::expand(&self.registry, environment, INSTALLATION).expect("a document without problems has a graph")
    }

    /// The part of a document's graph that one kind needs: its nodes, and all they depend on.
    pub fn graph_of(&self, environment: &Environment, kind: &str) -> Graph {
        let whole = self.graph(environment);
        let mut wanted: BTreeSet<ResourceKey> = BTreeSet::new();
        let mut open: Vec<ResourceKey> =
            whole.nodes().iter().filter(|node| node.key.kind.as_str() == kind).map(|node| node.key.clone()).collect();
        assert!(!open.is_empty(), "the document declares no {kind}");
        while let Some(key) = open.pop() {
            let Some(node) = whole.get(&key) else { continue };
            if wanted.insert(key) {
                open.extend(node.needs.iter().cloned());
                open.extend(node.parent.iter().cloned());
                open.extend(node.follows.iter().map(|follow| follow.key.clone()));
            }
        }
        let nodes = whole.nodes().iter().filter(|node| wanted.contains(&node.key)).cloned().collect();
        Graph::new(nodes).expect("a part of a graph has no circle")
    }

    /// Forgets all that was observed and all that clients cached: what a crash leaves.
    pub fn crash(&mut self) {
        self.cloud = kinds::providers(&aws_on(&self.sim));
        self.known = Snapshot::default();
        self.at.clear();
    }

    /// What is known of an object.
    pub fn known(&self, key: &ResourceKey) -> Observation<SharedObject> {
        self.known.get(key).map(Arc::clone)
    }

    /// The AWS operations that calls for a kind have used, as IAM names them.
    pub fn operations_of(&self, kind: &str) -> BTreeSet<String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(kind).cloned().unwrap_or_default()
    }

    /// Reads every node of the graph in batches, as the observer does.
    pub async fn sweep(&mut self, graph: &Graph) {
        let (first, following): (Vec<_>, Vec<_>) = graph.nodes().iter().partition(|node| node.follows.is_none());
        for nodes in [first, following] {
            let mut groups: BTreeMap<(String, Scope), Vec<ObserveKey>> = BTreeMap::new();
            for node in nodes {
                let scope = Scope::of(&node.key, self.now());
                let key = ObserveKey { identity: Arc::clone(&node.key.identity), at: self.followed(graph, &node.key) };
                groups.entry((node.key.kind.to_string(), scope)).or_default().push(key);
            }
            for ((kind, scope), keys) in groups {
                let provider = self.cloud.provider(&kind).expect("the kind is served");
                let mark = self.mark();
                let observed = match provider.observe(&scope, &keys).await {
                    Ok(observed) => observed,
                    Err(error) => keys.iter().map(|key| (Arc::clone(&key.identity), self.failed(&error))).collect(),
                };
                self.note_calls(&kind, mark);
                for node in graph.nodes().iter().filter(|n| n.key.kind.as_str() == kind && n.key.region == scope.region)
                {
                    let observation = observed.get(&node.key.identity).cloned();
                    let observation =
                        observation.unwrap_or_else(|| panic!("{} was asked for and not answered", node.key));
                    assert_ne!(
                        std::mem::discriminant(&observation),
                        std::mem::discriminant(&Observation::Absent),
                        "{}: a listing never proves absence",
                        node.key
                    );
                    self.known.set(node.key.clone(), observation);
                }
            }
        }
    }

    /// Reads one node directly.
    pub async fn read(&mut self, graph: &Graph, key: &ResourceKey) -> Observation<SharedObject> {
        let provider = self.cloud.provider(key.kind.as_str()).expect("the kind is served");
        let observe = ObserveKey { identity: Arc::clone(&key.identity), at: self.followed(graph, key) };
        let mark = self.mark();
        let scope = Scope::of(key, self.now());
        let observation = match provider.read(&scope, &observe).await {
            Ok(observation) => observation,
            Err(error) => self.failed(&error),
        };
        self.note_calls(key.kind.as_str(), mark);
        self.known.set(key.clone(), observation.clone());
        observation
    }

    /// What its kind finds that looks further into a node that is known to be there.
    pub async fn diagnose(&mut self, key: &ResourceKey) -> Vec<Finding> {
        let provider = self.cloud.provider(key.kind.as_str()).expect("the kind is served");
        let observation = self.known(key);
        let object = observation.present().expect("it is there");
        let mark = self.mark();
        let observe = ObserveKey { identity: Arc::clone(&key.identity), at: None };
        let found = provider.diagnose(&Scope::of(key, self.now()), &observe, object).await;
        self.note_calls(key.kind.as_str(), mark);
        found.expect("AWS answers")
    }

    /// What a read that failed leaves: nothing may be concluded.
    fn failed(&self, error: &ObserveError) -> Observation<SharedObject> {
        let why = Unknown::Failed { class: error.class, message: error.code.clone() };
        Observation::Unknown { since: self.now(), why }
    }

    fn followed(&self, graph: &Graph, key: &ResourceKey) -> Option<String> {
        if let Some(at) = self.at.get(key) {
            return Some(at.clone());
        }
        let follow = graph.get(key)?.follows.as_ref()?;
        let observation = self.known.get(&follow.key);
        let object = observation.present()?;
        let output = self.registry.of(&follow.key)?.output(&***object, &follow.output)?;
        output.as_str().map(str::to_owned)
    }

    /// Plans every node from what is known.
    pub fn plan(&self, environment: &Environment, graph: &Graph) -> Vec<PlannedResource> {
        let adopted = BTreeSet::new();
        let context = self.context(environment, &adopted);
        let mut planner = Planner::new(&self.registry, graph, &self.known);
        graph.nodes().iter().filter_map(|node| planner.plan(node, &context)).collect()
    }

    fn context<'a>(
        &'a self,
        environment: &'a Environment,
        adopted_now: &'a BTreeSet<ResourceKey>,
    ) -> EnvironmentContext<'a> {
        EnvironmentContext {
            now: self.now(),
            environment: &environment.metadata.name,
            policy: &environment.spec.policy,
            memory: &self.memory,
            adopted_now,
        }
    }

    /// Plans the removal of a node.
    pub fn plan_removal(&self, environment: &Environment, graph: &Graph, key: &ResourceKey) -> ResourcePlan {
        let adopted = BTreeSet::new();
        let context = self.context(environment, &adopted);
        let planner = Planner::new(&self.registry, graph, &self.known);
        let observation = self.known.get(key);
        let Some(object) = observation.present() else { return ResourcePlan::in_sync() };
        let tags = &graph.get(key).expect("the node is in the graph").tags;
        planner.plan_removal(key, object, tags, &context)
    }

    /// Carries out one step, and then knows nothing of the object.
    pub async fn act(&mut self, graph: &Graph, key: &ResourceKey, step: &Step) -> Done {
        let provider = self.cloud.provider(key.kind.as_str()).expect("the kind is served");
        let observe = ObserveKey { identity: Arc::clone(&key.identity), at: self.followed(graph, key) };
        let mark = self.mark();
        let token = format!("{:032x}", self.sim.calls().total() + 1);
        let result = provider.act(&Scope::of(key, self.now()), &observe, step, &token).await;
        self.note_calls(key.kind.as_str(), mark);
        match &result {
            Ok(acted) => {
                if let Some(at) = &acted.at {
                    self.at.insert(key.clone(), at.clone());
                }
            }
            Err(error) => tracing::debug!(%key, %error, "a step failed"),
        }
        Done { key: key.clone(), step: step.clone(), ok: result.is_ok() }
    }

    /// One pass: direct reads where a listing proves nothing and before every act; at most `budget` acts.
    /// Answers what was done.
    pub async fn pass(&mut self, environment: &Environment, graph: &Graph, budget: usize) -> Vec<Done> {
        let mut done = Vec::new();
        self.at.clear();
        for node in graph.nodes() {
            if self.known.get(&node.key).is_unknown() {
                self.read(graph, &node.key).await;
            }
        }
        for node in graph.nodes() {
            for _round in 0..8 {
                if done.len() >= budget {
                    return done;
                }
                let Some(planned) = self.plan_one(environment, graph, &node.key) else { break };
                if !planned.plan.steps.iter().any(|step| step.awaits.is_none()) {
                    break;
                }
                self.read(graph, &node.key).await;
                let Some(planned) = self.plan_one(environment, graph, &node.key) else { break };
                let Some(step) = planned.plan.steps.iter().find(|step| step.awaits.is_none()).cloned() else { break };
                if self.hold(environment, &planned, &step).is_some() {
                    break;
                }
                let act = self.act(graph, &node.key, &step).await;
                let ok = act.ok;
                done.push(act);
                self.read(graph, &node.key).await;
                if !ok {
                    break;
                }
            }
        }
        done
    }

    /// Why the guard holds a step, where this world has one: without approvals all steps are allowed.
    pub fn hold(&self, environment: &Environment, planned: &PlannedResource, step: &Step) -> Option<Hold> {
        let approved = self.approvals.as_ref()?;
        let windows = Windows::parse(&environment.spec.policy.windows).expect("the document was validated");
        let guard = Guard {
            now: self.now(),
            policy: &environment.spec.policy,
            windows: &windows,
            operator_mode: model::env::Mode::Enforce,
            paused: None,
            cap: None,
            generation: 1,
            approved,
        };
        let facts = StepFacts { adopted_now: planned.adopted_now, ..StepFacts::default() };
        match guard.judge(&planned.key, step, &facts) {
            Verdict::Allow => None,
            Verdict::Hold(hold) => Some(hold),
        }
    }

    /// From now on the guard decides, by the document's policy and these approved fingerprints.
    pub fn guarded(&mut self, approved: Vec<String>) {
        let at_once = |print| Approved { print, apply: Apply::Immediately };
        self.approvals = Some(approved.into_iter().map(at_once).collect());
    }

    fn plan_one(&mut self, environment: &Environment, graph: &Graph, key: &ResourceKey) -> Option<PlannedResource> {
        let planned = self.plan(environment, graph).into_iter().find(|planned| planned.key == *key)?;
        if let Some(remember) = &planned.plan.remember {
            self.memory.insert(key.clone(), remember.clone());
        }
        Some(planned)
    }

    /// Sweeps, passes and moves the clock on until no step is planned and nothing is waited for but tasks of the
    /// calendar. Answers all that was done; panics when it does not settle.
    pub async fn converge(&mut self, environment: &Environment, graph: &Graph) -> Vec<Done> {
        let mut all = Vec::new();
        for _ in 0..60 {
            self.sweep(graph).await;
            let done = self.pass(environment, graph, usize::MAX).await;
            let idle = done.is_empty();
            all.extend(done);
            self.give_values(graph).await;
            let plans = self.plan(environment, graph);
            let settled = plans.iter().all(|planned| {
                planned.plan.is_in_sync()
                    && planned.plan.waits.is_empty()
                    && matches!(planned.health, Some(engine::Health::Ready) | None)
            });
            if idle && settled {
                return all;
            }
            self.sim.clock().advance(Duration::from_secs(10));
        }
        let open: Vec<String> = self
            .plan(environment, graph)
            .iter()
            .filter(|planned| {
                !planned.plan.is_in_sync()
                    || !planned.plan.waits.is_empty()
                    || planned.health != Some(engine::Health::Ready)
            })
            .map(|planned| format!("{}: {} / {:?}", planned.key, planned.plan, planned.health))
            .collect();
        panic!("does not converge; still open:\n{}", open.join("\n"));
    }

    /// Whoever owns the secrets' values puts those that are missing: the operator never does. The value must be seen
    /// nowhere.
    pub(crate) async fn give_values(&self, graph: &Graph) {
        let caller = simaws::testing::Caller::default();
        for node in graph.nodes().iter().filter(|node| node.key.kind.as_str() == "Secret") {
            let id = serde_json::json!({ "SecretId": &*node.key.identity });
            // A fault may strike these calls too; the next round tries again.
            let Ok(secret) = caller.json(&self.sim, "secretsmanager", "DescribeSecret", id.clone()).await else {
                return;
            };
            let stages = secret.body["VersionIdsToStages"].as_object().map_or(0, serde_json::Map::len);
            if secret.status == 200 && stages == 0 {
                let mut put = id;
                put["SecretString"] = crate::fixtures::CANARY.into();
                let _ = caller.json(&self.sim, "secretsmanager", "PutSecretValue", put).await;
            }
        }
    }

    fn mark(&self) -> u64 {
        self.sim.calls().total()
    }

    fn note_calls(&self, kind: &str, since: u64) {
        let calls = self.sim.calls();
        let mut noted = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = noted.entry(kind.to_owned()).or_default();
        for call in calls.log().filter(|call| call.number > since) {
            let operation = format!("{}:{}", iam_prefix(&call.service), call.operation);
            crate::iam::assert_granted(kind, &operation);
            noted.insert(operation);
        }
    }
}

/// A service's signing name → the prefix of its IAM actions.
fn iam_prefix(service: &str) -> &str {
    match service {
        "monitoring" => "cloudwatch",
        "tagging" => "tag",
        other => other,
    }
}

/// Makes a load balancer on a simulation; answers its ARN.
pub async fn create_load_balancer(sim: &Sim, name: &str) -> String {
    let reply = simaws::testing::query(
        sim,
        "elasticloadbalancing",
        "CreateLoadBalancer",
        &[
            ("Name", name),
            ("Subnets.member.1", "subnet-0a1b2c3d4e5f60718"),
            ("Subnets.member.2", "subnet-0b1b2c3d4e5f60718"),
        ],
    )
    .await;
    let xml = reply.xml();
    let arn = xml.split("<LoadBalancerArn>").nth(1).and_then(|rest| rest.split("</LoadBalancerArn>").next());
    arn.unwrap_or_else(|| panic!("CreateLoadBalancer: {xml}")).to_owned()
}

/// Makes a DB subnet group on a simulation.
pub async fn create_subnet_group(sim: &Sim, name: &str) {
    let reply = simaws::testing::query(
        sim,
        "rds",
        "CreateDBSubnetGroup",
        &[
            ("DBSubnetGroupName", name),
            ("DBSubnetGroupDescription", "EventChain database subnet group"),
            ("SubnetIds.SubnetIdentifier.1", "subnet-0a1b2c3d4e5f60718"),
            ("SubnetIds.SubnetIdentifier.2", "subnet-0b1b2c3d4e5f60718"),
        ],
    )
    .await;
    if reply.status == 501 {
        return;
    }
    assert_eq!(reply.status, 200, "CreateDBSubnetGroup: {}", reply.xml());
}

/// The region of the fixtures, for `Sim::with`.
pub fn home() -> (&'static str, &'static str) {
    (ACCOUNT, REGION)
}
