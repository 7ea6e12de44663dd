//! The suite every kind passes, and what is this kind's own.

use std::collections::BTreeMap;

use engine::Kind;
use engine::kind::{Output, Outputs, Owner, Reference};
use model::{Observation, ResourceKey, ResourcePlan, Risk, Tags, WaitKind};

use super::plan::Settings;
use super::{Action, DefaultAction, Desired, Listener, Observed, Redirect, Target};
use crate::testing::{Known, context, context_with, key};

testkit::kind_suite!(
    Listener,
    json!({ "spec": { "loadBalancer": { "listeners": [
        { "port": 80, "redirectTo": 8443 },
        { "port": 443, "forwardTo": "api-gateway",
          "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-000000000002" },
    ] } } }),
    json!({ "spec": { "loadBalancer": { "listeners": [
        { "port": 80, "forwardTo": "api-gateway" },
        { "port": 443, "forwardTo": "api-gateway", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
          "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-000000000001" },
        { "port": 8080, "forwardTo": "api-gateway" },
    ] } } }),
);

const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/api/1";

/// A target group that is there, or will be made.
struct Group {
    there: bool,
    changes: bool,
}

impl Outputs for Group {
    fn output(&self, _key: &ResourceKey, _name: &str) -> Observation<Output> {
        if self.there { Observation::Present(GROUP.into()) } else { Observation::Absent }
    }
    fn will_change(&self, _key: &ResourceKey) -> bool {
        self.changes
    }
    fn owner(&self, _key: &ResourceKey) -> Owner {
        Owner::Ours
    }
}

static THERE: Group = Group { there: true, changes: false };
static MODIFIED: Group = Group { there: true, changes: true };
static TO_BE_MADE: Group = Group { there: false, changes: true };
static MISSING: Group = Group { there: false, changes: false };

fn desired(target: Target) -> Desired {
    Desired {
        load_balancer: "arn:lb".to_owned(),
        port: 443,
        target: Some(target),
        service: None,
        certificate: None,
        ssl_policy: None,
        tags: Tags::default(),
    }
}

fn forward() -> Target {
    Target::ForwardTo(Reference::Of { key: key("TargetGroup", "api"), output: "arn".into() })
}

fn observed(action: DefaultAction) -> Observed {
    Observed {
        arn: "arn:listener".to_owned(),
        protocol: Some("HTTP".to_owned()),
        certificate: None,
        ssl_policy: None,
        action,
        tags: None,
    }
}

fn to_groups(groups: &[(&str, i32)]) -> DefaultAction {
    DefaultAction::Forward(groups.iter().map(|(arn, weight)| ((*arn).to_owned(), *weight)).collect::<BTreeMap<_, _>>())
}

fn plan(outputs: &'static Group, desired: &Desired, observed: &Observed) -> ResourcePlan {
    Listener::plan_present(&context_with(outputs), desired, observed)
}

fn settings(plan: &ResourcePlan) -> Settings {
    let [step] = &plan.steps[..] else { panic!("{plan}") };
    match serde_json::from_value(step.body.clone()).unwrap() {
        Action::ModifyListener { settings, .. } | Action::CreateListener { settings, .. } => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn forwarding_to_the_one_group_is_in_sync_whatever_its_weight() {
    for weight in [0, 1, 100] {
        let live = observed(to_groups(&[(GROUP, weight)]));
        assert_eq!(plan(&THERE, &desired(forward()), &live), ResourcePlan::in_sync());
        assert_eq!(plan(&MODIFIED, &desired(forward()), &live), ResourcePlan::in_sync(), "its ARN does not change");
    }
}

#[test]
fn another_default_action_is_replaced_as_something_disruptive() {
    let split = observed(to_groups(&[(GROUP, 50), ("arn:other", 50)]));
    for live in [split, observed(DefaultAction::Other("fixed-response".to_owned()))] {
        let plan = plan(&THERE, &desired(forward()), &live);
        assert_eq!(plan.risk(), Some(Risk::Disruptive));
        assert_eq!(settings(&plan), Settings { default_action: Some(to_groups(&[(GROUP, 1)])), ..Settings::default() });
    }
}

#[test]
fn a_forward_that_another_deployment_controller_moved_is_only_reported() {
    let service = key("EcsService", "cluster/api");
    let wanted = Desired { service: Some(service.clone()), ..desired(forward()) };
    let green = observed(to_groups(&[("arn:green", 1)]));
    let known = || Known::new().with(&key("TargetGroup", "api"), "arn", GROUP);
    let plan_in = |known: Known, live: &Observed| Listener::plan_present(&known.context(), &wanted, live);
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let known = || known().with(&service, "controller", controller);
        let plan = plan_in(known(), &green);
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(plan.notes[0].reason, "DeploymentsNotOurs");
        let fixed = observed(DefaultAction::Other("fixed-response".to_owned()));
        assert_eq!(plan_in(known(), &fixed).steps.len(), 1, "no deployment puts a fixed response there");
    }
    let ecs = plan_in(known().with(&service, "controller", "ECS"), &green);
    assert_eq!(ecs.risk(), Some(Risk::Disruptive));
    let unknown = plan_in(known().unknown(&service, "controller"), &green);
    assert_eq!((unknown.steps.len(), unknown.waits[0].reason.as_ref()), (0, "DependencyUnknown"));
}

#[test]
fn a_redirect_keeps_what_is_not_declared_of_it() {
    let live = Redirect {
        protocol: Some("HTTPS".to_owned()),
        port: Some("443".to_owned()),
        host: Some("www.example.com".to_owned()),
        status: Some("HTTP_301".to_owned()),
        ..Redirect::default()
    };
    let in_place = observed(DefaultAction::Redirect(live.clone()));
    assert_eq!(plan(&THERE, &desired(Target::RedirectTo(443)), &in_place), ResourcePlan::in_sync());
    let moved = plan(&THERE, &desired(Target::RedirectTo(8443)), &in_place);
    let wanted = Redirect { port: Some("8443".to_owned()), ..live };
    assert_eq!(settings(&moved).default_action, Some(DefaultAction::Redirect(wanted)));
}

#[test]
fn a_certificate_makes_it_https_and_without_one_the_protocol_is_left_alone() {
    let live = observed(to_groups(&[(GROUP, 1)]));
    let secure = Desired { certificate: Some("arn:cert".to_owned()), ..desired(forward()) };
    let changed = settings(&plan(&THERE, &secure, &live));
    let expected = Settings {
        protocol: Some("HTTPS".to_owned()),
        certificate: Some("arn:cert".to_owned()),
        ..Settings::default()
    };
    assert_eq!(changed, expected);
    let https = Observed { protocol: Some("HTTPS".to_owned()), certificate: Some("arn:cert".to_owned()), ..live };
    assert_eq!(plan(&THERE, &desired(forward()), &https), ResourcePlan::in_sync());
    let policy = Desired { ssl_policy: Some("new".to_owned()), ..secure };
    assert_eq!(
        settings(&plan(&THERE, &policy, &https)),
        Settings { ssl_policy: Some("new".to_owned()), ..Settings::default() }
    );
}

#[test]
fn several_default_actions_are_reported_and_not_touched() {
    let kinds = vec!["authenticate-oidc".to_owned(), "forward".to_owned()];
    let plan = plan(&THERE, &desired(forward()), &observed(DefaultAction::Several(kinds)));
    assert!(plan.steps.is_empty(), "{plan}");
    assert_eq!((plan.waits[0].kind, &*plan.waits[0].reason), (WaitKind::Stalled, "SeveralDefaultActions"));
}

#[test]
fn a_listener_follows_its_target_group() {
    let later = Listener::plan_absent(&context_with(&TO_BE_MADE), &desired(forward()));
    assert_eq!(later.steps[0].awaits, Some(key("TargetGroup", "api")));
    let waiting = Listener::plan_absent(&context_with(&MISSING), &desired(forward()));
    assert!(waiting.steps.is_empty());
    assert_eq!(&*waiting.waits[0].reason, "DependencyNotReady");
    let now = Listener::plan_absent(&context_with(&THERE), &desired(forward()));
    assert_eq!((now.risk(), now.steps[0].awaits.clone()), (Some(Risk::Safe), None));
    assert_eq!(settings(&now).protocol.as_deref(), Some("HTTP"));
    let unplanned = Listener::plan_absent(&context(), &Desired { target: None, ..desired(forward()) });
    assert_eq!(&*unplanned.waits[0].reason, "SpecIncomplete");
}

/// What the provider does with AWS: listings, and listeners that others replace.
mod on_aws {
    use serde_json::json;
    use simaws::testing::query;
    use testkit::fixtures;
    use testkit::world::{World, create_load_balancer};

    const ELB: &str = "elasticloadbalancing";

    #[tokio::test]
    async fn known_listeners_of_many_load_balancers_are_one_call_and_a_lost_one_is_found_by_its_load_balancer() {
        let mut world = World::new().await;
        let other = create_load_balancer(&world.sim, "other").await;
        let first = fixtures::environment(fixtures::document(&world.load_balancer));
        let second = fixtures::environment(fixtures::named("stage", &other));
        let mut nodes = Vec::new();
        for environment in [&first, &second] {
            let graph = world.graph_of(environment, "Listener");
            world.converge(environment, &graph).await;
            nodes.extend(graph.nodes().to_vec());
        }
        let both = engine::Graph::new(nodes).expect("no circle");
        world.sim.reset_calls();
        world.sweep(&both).await;
        assert_eq!(world.sim.calls().count(ELB, "DescribeListeners"), 1);
        let lost = both.nodes().iter().find(|node| node.key.identity.ends_with("/80")).expect("a redirect").key.clone();
        let arn = world.known(&lost).present().expect("made").to_json()["arn"].as_str().expect("an ARN").to_owned();
        assert_eq!(query(&world.sim, ELB, "DeleteListener", &[("ListenerArn", &arn)]).await.status, 200);
        world.sim.reset_calls();
        world.sweep(&both).await;
        assert!(world.known(&lost).is_unknown(), "a listing proves no absence");
        assert_eq!(both.nodes().iter().filter(|node| world.known(&node.key).is_unknown()).count(), 1);
        assert!(world.sim.calls().count(ELB, "DescribeListeners") <= 3, "one that fails, and one a load balancer");
    }

    #[tokio::test]
    async fn rules_besides_the_default_action_and_other_ports_are_left_alone() {
        let mut world = World::new().await;
        let foreign = [
            ("LoadBalancerArn", world.load_balancer.clone()),
            ("Protocol", "HTTP".to_owned()),
            ("Port", "9000".to_owned()),
            ("DefaultActions.member.1.Type", "fixed-response".to_owned()),
            ("DefaultActions.member.1.FixedResponseConfig.StatusCode", "404".to_owned()),
        ];
        let foreign: Vec<_> = foreign.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(query(&world.sim, ELB, "CreateListener", &foreign).await.status, 200);
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Listener");
        world.converge(&environment, &graph).await;
        let there = query(&world.sim, ELB, "DescribeListeners", &[("LoadBalancerArn", &world.load_balancer)]).await;
        assert!(there.xml().contains("<Port>9000</Port>"), "{}", there.xml());
    }

    #[tokio::test]
    async fn a_listener_of_a_hand_made_port_is_adopted_and_changed_as_something_disruptive() {
        let mut world = World::new().await;
        let foreign = [
            ("LoadBalancerArn", world.load_balancer.clone()),
            ("Protocol", "HTTP".to_owned()),
            ("Port", "80".to_owned()),
            ("DefaultActions.member.1.Type", "fixed-response".to_owned()),
            ("DefaultActions.member.1.FixedResponseConfig.StatusCode", "404".to_owned()),
        ];
        let foreign: Vec<_> = foreign.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(query(&world.sim, ELB, "CreateListener", &foreign).await.status, 200);
        let patch = json!({ "spec": { "loadBalancer": { "listeners": [{ "port": 80, "redirectTo": 443 }] } } });
        let document = fixtures::patched(fixtures::document(&world.load_balancer), &patch);
        let environment = fixtures::environment(document);
        let graph = world.graph_of(&environment, "Listener");
        world.sweep(&graph).await;
        let plan = world.plan(&environment, &graph).remove(0);
        let steps: Vec<_> =
            plan.plan.steps.iter().map(|step| (step.operation.as_ref(), step.risk.to_string())).collect();
        assert_eq!(steps, [("TagResource", "Safe".to_owned()), ("ModifyListener", "Disruptive".to_owned())]);
        assert!(plan.adopted_now);
    }

    #[tokio::test]
    async fn one_listener_that_goes_while_tags_are_read_hides_no_other() {
        use simaws::{Effect, Fault};
        let mut world = World::new().await;
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Listener");
        for port in ["80", "443"] {
            let foreign = [
                ("LoadBalancerArn", world.load_balancer.clone()),
                ("Protocol", "HTTP".to_owned()),
                ("Port", port.to_owned()),
                ("DefaultActions.member.1.Type", "fixed-response".to_owned()),
                ("DefaultActions.member.1.FixedResponseConfig.StatusCode", "404".to_owned()),
            ];
            let foreign: Vec<_> = foreign.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(query(&world.sim, ELB, "CreateListener", &foreign).await.status, 200);
        }
        let gone = Effect::Error { status: 400, code: "ListenerNotFound".to_owned(), message: String::new() };
        // The batch of both, and then the first by itself.
        world.sim.faults().add(Fault::new(gone).on(ELB, "DescribeTags").times(2));
        world.sweep(&graph).await;
        let listeners: Vec<_> = graph.nodes().iter().filter(|node| node.key.kind.as_str() == "Listener").collect();
        let known: Vec<bool> = listeners
            .iter()
            .map(|node| world.known(&node.key).present().expect("it is seen").to_json()["tags"].is_object())
            .collect();
        assert_eq!((known.len(), known.iter().filter(|known| **known).count()), (2, 1));
    }
}
