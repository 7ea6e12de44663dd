//! The plan, without AWS.

use std::collections::BTreeSet;

use engine::{Health, Kind, PlanContext, Reference};
use model::plan::Verb;
use model::{ResourceKey, ResourcePlan, Risk, Tags};
use serde_json::{Value, json};

use crate::ecs_service::{
    Controller, Deployment, DeploymentSettings, Desired, EcsService, LoadBalancer, Network, Observed, Range, Rollout,
    TargetGroup,
};
use crate::testing::{Known, key, now};

const REVISION_1: &str = "arn:aws:ecs:us-east-1:123456789012:task-definition/eventchain-api-gateway:1";
const REVISION_2: &str = "arn:aws:ecs:us-east-1:123456789012:task-definition/eventchain-api-gateway:2";
const GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/eventchain-api-tg/1234567890123456";

fn task_definition() -> ResourceKey {
    key("EcsTaskDefinition", "eventchain-api-gateway")
}

fn scalable_target() -> ResourceKey {
    key("ScalableTarget", "service/eventchain-cluster/eventchain-api-gateway")
}

fn cluster() -> ResourceKey {
    key("EcsCluster", "eventchain-cluster")
}

fn group() -> ResourceKey {
    key("TargetGroup", "eventchain-api-tg")
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// Nothing is declared but that the service exists.
fn bare() -> Desired {
    Desired {
        name: "eventchain-api-gateway".to_owned(),
        container: "api-gateway".to_owned(),
        cluster: cluster(),
        task_definition: Reference::Of { key: task_definition(), output: "arn".into() },
        desired_count: None,
        range: None,
        scalable_target: scalable_target(),
        subnets: None,
        security_groups: None,
        assign_public_ip: None,
        grace_s: None,
        deployment: DeploymentSettings::default(),
        target_group: None,
        secrets: BTreeSet::new(),
        tags: Tags::default(),
    }
}

fn with_group() -> Desired {
    Desired { target_group: Some(TargetGroup { key: group(), port: 3000 }), ..bare() }
}

fn deployment(task_definition: &str, rollout: Rollout) -> Deployment {
    Deployment {
        id: "ecs-svc/1".to_owned(),
        primary: true,
        task_definition: task_definition.to_owned(),
        network: None,
        rollout,
        failed_tasks: 0,
        reason: None,
        created_at: Some(minutes_ago(5)),
        updated_at: Some(minutes_ago(5)),
    }
}

fn minutes_ago(minutes: i64) -> jiff::Timestamp {
    now().checked_sub(jiff::SignedDuration::from_mins(minutes)).unwrap()
}

/// A service with two tasks, everything set to something.
fn observed() -> Observed {
    Observed {
        arn: "arn:aws:ecs:us-east-1:123456789012:service/eventchain-cluster/eventchain-api-gateway".to_owned(),
        status: "ACTIVE".to_owned(),
        task_definition: REVISION_1.to_owned(),
        desired_count: 2,
        running_count: 2,
        pending_count: 0,
        controller: Controller::Ecs,
        network: Some(Network {
            subnets: set(&["subnet-1", "subnet-2"]),
            security_groups: set(&["sg-1"]),
            assign_public_ip: true,
        }),
        grace_s: 30,
        deployment: DeploymentSettings {
            minimum_healthy_percent: Some(100),
            maximum_percent: Some(200),
            circuit_breaker: Some(false),
        },
        load_balancers: vec![LoadBalancer {
            target_group_arn: GROUP.to_owned(),
            container: "api-gateway".to_owned(),
            port: 3000,
        }],
        deployments: vec![deployment(REVISION_1, Rollout::Completed)],
        trouble: None,
        tags: Tags::default(),
    }
}

/// Everything is there and in order; there is no scalable target.
fn known() -> Known {
    Known::new()
        .with(&task_definition(), "arn", REVISION_1)
        .with(&task_definition(), "base", "eventchain-api-gateway:1")
        .with(&task_definition(), "containers", json!(["api-gateway"]))
        .with(&cluster(), "arn", "arn:aws:ecs:us-east-1:123456789012:cluster/eventchain-cluster")
        .with(&group(), "arn", GROUP)
        .with(&group(), "attached", true)
}

fn scaled(min: u32, max: u32, suspended: bool) -> Known {
    known().with(&scalable_target(), "bounds", json!([min, max, suspended, suspended]))
}

fn remembering(context: PlanContext<'static>, memory: Value) -> PlanContext<'static> {
    PlanContext { memory: Some(Box::leak(Box::new(memory))), ..context }
}

fn plan(known: Known, desired: &Desired, observed: &Observed) -> ResourcePlan {
    EcsService::plan_present(&known.context(), desired, observed)
}

/// The one field that a plan of one step changes.
fn only_change(plan: &ResourcePlan) -> (String, Value, Value) {
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert_eq!(plan.steps[0].changes.len(), 1, "{plan}");
    let change = plan.steps[0].changes[0].clone();
    (change.field, change.from, change.to)
}

fn reasons(plan: &ResourcePlan) -> Vec<&str> {
    let waits = plan.waits.iter().map(|wait| wait.reason.as_ref());
    waits.chain(plan.notes.iter().map(|note| note.reason.as_ref())).collect()
}

fn count(n: u32) -> Observed {
    Observed { desired_count: n, running_count: n, ..observed() }
}

fn wants(n: u32) -> Desired {
    Desired { desired_count: Some(n), ..bare() }
}

fn autoscaled(n: u32, min: u32, max: u32) -> Desired {
    Desired { range: Some(Range { min, max }), ..wants(n) }
}

#[test]
fn what_is_not_declared_is_left_alone() {
    assert_eq!(plan(known(), &bare(), &observed()), ResourcePlan::in_sync());
    let odd = Observed { network: None, load_balancers: Vec::new(), desired_count: 9, grace_s: 0, ..observed() };
    assert!(plan(known(), &bare(), &odd).is_in_sync());
}

#[test]
fn without_autoscaling_the_count_is_enforced() {
    let plan = plan(known(), &wants(2), &count(7));
    assert_eq!(only_change(&plan), ("desiredCount".to_owned(), json!(7), json!(2)));
    assert_eq!(plan.risk(), Some(Risk::Safe));
}

#[test]
fn a_count_of_zero_is_disruptive() {
    assert_eq!(plan(known(), &wants(0), &count(2)).risk(), Some(Risk::Disruptive));
    assert_eq!(plan(known(), &wants(1), &count(0)).risk(), Some(Risk::Safe));
}

#[test]
fn with_autoscaling_declared_a_count_within_the_range_is_left_alone_with_its_reason() {
    for known in [scaled(2, 10, false), known()] {
        let plan = plan(known, &autoscaled(2, 2, 10), &count(7));
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(reasons(&plan), ["AutoscalingOwnsCount"]);
        let note = &plan.notes[0];
        assert!(note.message.contains("7 tasks") && note.message.contains("2 to 10"), "{}", note.message);
        assert!(note.message.contains("left alone"), "{}", note.message);
    }
}

#[test]
fn with_autoscaling_declared_a_count_outside_the_range_is_moved_into_it() {
    for (live, to) in [(14, 10), (1, 2), (0, 2)] {
        let plan = plan(scaled(2, 10, false), &autoscaled(2, 2, 10), &count(live));
        assert_eq!(only_change(&plan), ("desiredCount".to_owned(), json!(live), json!(to)));
        assert_eq!(plan.risk(), Some(Risk::Safe));
    }
}

#[test]
fn declared_bounds_count_and_not_those_of_the_live_target() {
    let plan = plan(scaled(1, 20, false), &autoscaled(2, 2, 10), &count(14));
    assert_eq!(only_change(&plan).2, json!(10));
}

#[test]
fn a_live_scalable_target_takes_the_count_out_of_the_documents_hands() {
    let plan_of = |live| plan(scaled(2, 10, false), &wants(2), &count(live));
    assert_eq!(reasons(&plan_of(7)), ["AutoscalingOwnsCount"]);
    assert!(plan_of(7).is_in_sync());
    assert_eq!(only_change(&plan_of(14)).2, json!(10));
}

#[test]
fn a_suspended_target_turns_the_clamp_off() {
    for desired in [autoscaled(2, 2, 10), wants(2)] {
        let plan = plan(scaled(2, 10, true), &desired, &count(14));
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(reasons(&plan), ["AutoscalingSuspended"]);
    }
}

#[test]
fn a_target_suspended_in_one_direction_holds_the_count_in_that_one_only() {
    let held = |suspended: [bool; 2], live| {
        let known = known().with(&scalable_target(), "bounds", json!([2, 10, suspended[0], suspended[1]]));
        plan(known, &wants(2), &count(live)).is_in_sync()
    };
    assert_eq!((held([true, false], 14), held([true, false], 1)), (true, false), "scaling in is suspended");
    assert_eq!((held([false, true], 14), held([false, true], 1)), (false, true), "scaling out is suspended");
}

#[test]
fn the_count_is_held_while_the_scalable_target_is_not_known() {
    for (desired, live) in [(autoscaled(2, 2, 10), 14), (autoscaled(2, 2, 10), 7), (wants(2), 7)] {
        let plan = plan(known().unknown(&scalable_target(), "bounds"), &desired, &count(live));
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(reasons(&plan), ["DependencyUnknown"]);
    }
}

#[test]
fn a_count_that_agrees_needs_no_look_at_the_scalable_target() {
    let known = known().unknown(&scalable_target(), "bounds");
    assert_eq!(plan(known, &wants(2), &count(2)), ResourcePlan::in_sync());
}

#[test]
fn a_count_outside_a_range_of_nothing_but_zero_is_disruptive_to_move() {
    assert_eq!(plan(scaled(0, 0, false), &autoscaled(2, 0, 0), &count(2)).risk(), Some(Risk::Disruptive));
}

#[test]
fn another_revision_is_rolled_out() {
    let known = known().with(&task_definition(), "arn", REVISION_2);
    let plan = plan(known, &bare(), &observed());
    assert_eq!(only_change(&plan), ("taskDefinition".to_owned(), REVISION_1.into(), REVISION_2.into()));
    assert_eq!(plan.steps[0].body["taskDefinition"], REVISION_2);
}

#[test]
fn a_deployment_is_safe_only_when_half_of_two_tasks_stay() {
    let cases = [
        (100, 1, Risk::Safe),
        (100, 2, Risk::Safe),
        (50, 2, Risk::Safe),
        (50, 1, Risk::Disruptive),
        (49, 2, Risk::Disruptive),
        (0, 10, Risk::Disruptive),
        (0, 0, Risk::Safe),
    ];
    for (percent, tasks, risk) in cases {
        let mut observed = count(tasks);
        observed.deployment.minimum_healthy_percent = Some(percent);
        let known = known().with(&task_definition(), "arn", REVISION_2);
        assert_eq!(plan(known, &bare(), &observed).risk(), Some(risk), "{percent} % of {tasks}");
    }
}

#[test]
fn the_declared_lower_bound_decides_over_the_live_one() {
    let mut desired = bare();
    desired.deployment.minimum_healthy_percent = Some(0);
    let known = known().with(&task_definition(), "arn", REVISION_2);
    let plan = plan(known, &desired, &observed());
    let risks: Vec<Risk> = plan.steps.iter().map(|step| step.risk).collect();
    assert_eq!(risks, [Risk::Safe, Risk::Disruptive], "the setting, then the deployment: {plan}");
}

#[test]
fn safe_changes_go_in_one_step_and_riskier_ones_by_themselves() {
    let desired = Desired { grace_s: Some(60), security_groups: Some(set(&["sg-1", "sg-2"])), ..wants(3) };
    let revised = known().with(&task_definition(), "arn", REVISION_2);
    let together = plan(revised.clone(), &desired, &observed());
    assert_eq!((together.steps.len(), together.steps[0].changes.len()), (1, 4), "{together}");
    let apart = plan(revised, &Desired { desired_count: Some(0), ..desired }, &observed());
    let risks: Vec<Risk> = apart.steps.iter().map(|step| step.risk).collect();
    assert_eq!(risks, [Risk::Safe, Risk::Disruptive], "{apart}");
    assert_eq!(apart.steps[1].changes[0].field, "desiredCount");
}

#[test]
fn a_deployment_waits_for_the_revision_that_is_registered_first() {
    let plan = plan(known().changing(&task_definition()), &wants(3), &observed());
    assert_eq!(plan.steps.len(), 2, "{plan}");
    assert_eq!(plan.steps[0].awaits, None, "the count does not wait");
    assert_eq!(plan.steps[1].awaits, Some(task_definition()));
    assert_eq!(plan.steps[1].changes[0].to, json!("(known after the task definition is registered)"));
}

#[test]
fn an_unknown_revision_is_waited_for() {
    let known = Known::new().unknown(&task_definition(), "arn");
    let plan = plan(known, &bare(), &observed());
    assert!(plan.is_in_sync());
    assert_eq!(reasons(&plan), ["DependencyUnknown"]);
}

fn replan(memory: &Value, known: Known, observed: &Observed) -> ResourcePlan {
    EcsService::plan_present(&remembering(known.context(), memory.clone()), &bare(), observed)
}

#[test]
fn a_failed_rollout_is_not_tried_again_with_the_same_revision() {
    let mut observed = observed();
    observed.deployments.push(Deployment { primary: false, ..deployment(REVISION_2, Rollout::Failed) });
    let known = known().with(&task_definition(), "arn", REVISION_2);
    let seen = plan(known.clone(), &bare(), &observed);
    assert!(seen.is_in_sync(), "{seen}");
    assert_eq!(reasons(&seen), ["RolloutFailed"]);
    assert!(seen.waits[0].message.contains(REVISION_2));
    let memory = seen.remember.expect("it is remembered");

    observed.deployments.pop();
    let later = replan(&memory, known, &observed);
    assert_eq!(reasons(&later), ["RolloutFailed"], "ECS shows it no more, and it is known all the same");
    assert_eq!(later.remember, None, "nothing new to remember");
}

/// A service that rolls revision 2 out, in a deployment that began so long ago.
fn rolling(minutes: i64) -> Observed {
    let began = Some(minutes_ago(minutes));
    let deployments = vec![Deployment { created_at: began, ..deployment(REVISION_2, Rollout::InProgress) }];
    Observed { task_definition: REVISION_2.to_owned(), deployments, ..observed() }
}

#[test]
fn a_rollback_that_nobody_saw_is_told_by_the_old_deployment_that_came_back() {
    let known = known().with(&task_definition(), "arn", REVISION_2);
    let memory = replan(&Value::Null, known.clone(), &rolling(2)).remember.expect("the rollout is remembered");
    assert_eq!(replan(&memory, known.clone(), &rolling(2)), ResourcePlan::in_sync(), "and only once");
    let back = replan(&memory, known, &observed());
    assert_eq!(reasons(&back), ["RolloutFailed"], "the primary deployment is older than the one that was under way");
    assert!(back.is_in_sync(), "{back}");
}

#[test]
fn a_revision_taken_back_by_hand_is_rolled_out_again() {
    let known = known().with(&task_definition(), "arn", REVISION_2);
    let memory = replan(&Value::Null, known.clone(), &rolling(20)).remember.expect("the rollout is remembered");
    let by_hand = replan(&memory, known, &observed());
    assert_eq!(only_change(&by_hand).2, json!(REVISION_2), "the deployment by hand is the newer one");
}

#[test]
fn a_failed_rollout_is_forgotten_when_another_revision_is_wanted() {
    let memory = json!({ "arn": REVISION_2, "failed": true });
    let plan = replan(&memory, known(), &observed());
    assert!(plan.is_in_sync());
    assert_eq!(plan.remember, Some(Value::Null));
    let third = known().with(&task_definition(), "arn", "arn:aws:ecs:us-east-1:123456789012:task-definition/x:3");
    assert_eq!(replan(&memory, third, &observed()).remember, Some(Value::Null));
}

fn secret() -> ResourceKey {
    key("Secret", "eventchain/database-url")
}

fn with_secret() -> Desired {
    Desired { secrets: BTreeSet::from([secret()]), ..bare() }
}

/// The secret has that version, and was changed at that time.
fn version(version: &str, changed_ms: i64) -> Known {
    known().with(&secret(), "versionId", version).with(&secret(), "changedMs", changed_ms)
}

/// A service whose primary deployment has that id.
fn deployed(id: &str, rollout: Rollout) -> Observed {
    Observed { deployments: vec![Deployment { id: id.to_owned(), ..deployment(REVISION_1, rollout) }], ..observed() }
}

fn plan_of_secret(memory: &mut Value, known: Known, desired: &Desired, observed: &Observed) -> ResourcePlan {
    let plan = EcsService::plan_present(&remembering(known.context(), memory.clone()), desired, observed);
    if let Some(remember) = &plan.remember {
        memory.clone_from(remember);
    }
    plan
}

#[test]
fn a_new_version_of_a_secret_starts_a_deployment_of_what_is_there_once() {
    let mut memory = Value::Null;
    let first = plan_of_secret(&mut memory, version("v1", 1), &with_secret(), &deployed("d1", Rollout::Completed));
    assert!(first.is_in_sync(), "what is first seen is taken for what the tasks have: {first}");
    let news = plan_of_secret(&mut memory, version("v2", 2), &with_secret(), &deployed("d1", Rollout::Completed));
    let field = "secrets[\"eventchain/database-url\"].version".to_owned();
    assert_eq!(only_change(&news), (field, json!("v1"), json!("v2")));
    assert_eq!((news.risk(), &news.steps[0].body["restart"]), (Some(Risk::Safe), &json!(true)));
    let held = plan_of_secret(&mut memory, version("v3", 3), &with_secret(), &deployed("d1", Rollout::Completed));
    assert_eq!((only_change(&held).1, only_change(&held).2), (json!("v1"), json!("v3")), "held, and changed again");
    for rollout in [Rollout::InProgress, Rollout::Completed, Rollout::Completed] {
        let after = plan_of_secret(&mut memory, version("v3", 3), &with_secret(), &deployed("d2", rollout));
        assert!(after.is_in_sync(), "{after}");
    }
    assert_eq!(memory, json!({ "secrets": { "eventchain/database-url": { "version": "v3", "changedMs": 3 } } }));
}

#[test]
fn a_deployment_that_was_to_read_a_new_version_and_was_taken_back_is_not_tried_again() {
    let mut memory = Value::Null;
    for (version, deployment, rollout, idle) in [
        (version("v1", 1), "d1", Rollout::Completed, true),
        (version("v2", 2), "d1", Rollout::Completed, false),
        (version("v2", 2), "d2", Rollout::InProgress, true),
    ] {
        let plan = plan_of_secret(&mut memory, version, &with_secret(), &deployed(deployment, rollout));
        assert_eq!(plan.is_in_sync(), idle, "{plan}");
    }
    let back = plan_of_secret(&mut memory, version("v2", 2), &with_secret(), &deployed("d1", Rollout::InProgress));
    assert!(back.is_in_sync(), "{back}");
    assert_eq!(reasons(&back), ["SecretNewerThanDeployment"]);
    let third = plan_of_secret(&mut memory, version("v3", 3), &with_secret(), &deployed("d1", Rollout::Completed));
    assert_eq!(only_change(&third).2, json!("v3"), "a third version is tried");
}

#[test]
fn what_a_late_listing_shows_of_a_secret_is_no_news() {
    let mut memory = Value::Null;
    let first = plan_of_secret(&mut memory, version("v2", 2), &with_secret(), &deployed("d1", Rollout::Completed));
    assert!(first.is_in_sync(), "{first}");
    let late = plan_of_secret(&mut memory, version("v1", 1), &with_secret(), &deployed("d1", Rollout::Completed));
    assert!(late.is_in_sync() && late.remember.is_none(), "{late}");
    let unknown = known().unknown(&secret(), "versionId");
    let blind = plan_of_secret(&mut memory, unknown, &with_secret(), &deployed("d1", Rollout::Completed));
    assert!(blind.is_in_sync() && blind.remember.is_none(), "{blind}");
}

#[test]
fn a_new_version_takes_the_deployment_that_comes_anyway_and_not_one_that_waits_for_approval() {
    let news = |known: Known, desired: &Desired, observed: &Observed| {
        let mut memory = Value::Null;
        let first = plan_of_secret(&mut memory, version("v1", 1), desired, observed);
        assert!(first.steps.iter().all(|step| step.body.get("restart").is_none()), "{first}");
        plan_of_secret(&mut memory, known, desired, observed)
    };
    let serving = deployed("d1", Rollout::Completed);
    let revised = version("v2", 2).with(&task_definition(), "arn", REVISION_2);
    assert_eq!(only_change(&news(revised, &with_secret(), &serving)).0, "taskDefinition");
    let mut private = serving.clone();
    private.network.as_mut().unwrap().assign_public_ip = false;
    let public = Desired { assign_public_ip: Some(true), ..with_secret() };
    let risks: Vec<Risk> = news(version("v2", 2), &public, &private).steps.iter().map(|step| step.risk).collect();
    assert_eq!(risks, [Risk::Safe, Risk::Destructive]);
    let idle = Observed { desired_count: 0, running_count: 0, ..serving };
    assert!(news(version("v2", 2), &with_secret(), &idle).is_in_sync(), "no task holds the value of before");
    let theirs = Observed { controller: Controller::CodeDeploy, ..deployed("d1", Rollout::Completed) };
    assert!(news(version("v2", 2), &with_secret(), &theirs).is_in_sync());
}

fn with_groups(groups: &[&str]) -> Desired {
    Desired { security_groups: Some(set(groups)), ..bare() }
}

/// With those security groups, in a deployment that began so long ago.
fn in_groups(groups: &[&str], minutes: i64, rollout: Rollout) -> Observed {
    let network = Network { security_groups: set(groups), ..observed().network.unwrap() };
    let began = Some(minutes_ago(minutes));
    let one = Deployment { created_at: began, network: Some(network.clone()), ..deployment(REVISION_1, rollout) };
    Observed { network: Some(network), deployments: vec![one], ..observed() }
}

#[test]
fn a_failed_rollout_of_another_network_is_not_tried_again_and_of_a_third_is() {
    let bad = with_groups(&["sg-1", "sg-bad"]);
    let replan = |memory: &Value, desired: &Desired, observed: &Observed| {
        EcsService::plan_present(&remembering(known().context(), memory.clone()), desired, observed)
    };
    let rolling = in_groups(&["sg-1", "sg-bad"], 2, Rollout::InProgress);
    let begun = replan(&Value::Null, &bad, &rolling).remember.expect("what is under way is remembered");
    let mut back = in_groups(&["sg-1"], 60, Rollout::InProgress);
    for (memory, seen) in [(&begun, false), (&begun, true), (&Value::Null, true)] {
        let failed = in_groups(&["sg-1", "sg-bad"], 2, Rollout::Failed).deployments.pop().unwrap();
        back.deployments.truncate(1);
        back.deployments.extend(seen.then_some(Deployment { primary: false, ..failed }));
        let held = replan(memory, &bad, &back);
        assert!(held.is_in_sync(), "{held}");
        assert_eq!(reasons(&held), ["RolloutFailed"]);
        let memory = held.remember.expect("it is remembered");
        assert_eq!(replan(&memory, &bad, &in_groups(&["sg-1"], 60, Rollout::Completed)).remember, None);
        let third = replan(&memory, &with_groups(&["sg-1", "sg-3"]), &back);
        assert_eq!(only_change(&third).2, json!(["sg-1", "sg-3"]), "another network is tried");
    }
}

#[test]
fn a_network_that_was_put_right_after_it_failed_counts_no_more_as_failed() {
    let failed = with_groups(&["sg-1", "sg-2"]);
    let observed = in_groups(&["sg-1", "sg-2"], 2, Rollout::Completed);
    let network =
        json!({ "subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1", "sg-2"], "assignPublicIp": true });
    let memory = json!({ "arn": REVISION_1, "network": network, "failed": true });
    let plan = EcsService::plan_present(&remembering(known().context(), memory), &failed, &observed);
    assert_eq!(plan.remember, Some(Value::Null));
}

#[test]
fn a_port_that_failed_with_its_revision_is_not_sent_without_it() {
    let desired = Desired { target_group: Some(TargetGroup { key: group(), port: 4000 }), ..bare() };
    let known = known().with(&task_definition(), "arn", REVISION_2);
    let replan = |memory: &Value, observed: &Observed| {
        EcsService::plan_present(&remembering(known.clone().context(), memory.clone()), &desired, observed)
    };
    let first = replan(&Value::Null, &observed());
    let fields: Vec<&str> = first.steps[0].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!((first.steps.len(), fields), (1, vec!["taskDefinition", "targetGroup[\"eventchain-api-tg\"]"]));
    let mut under_way = rolling(2);
    under_way.load_balancers[0].port = 4000;
    let memory = replan(&Value::Null, &under_way).remember.expect("what is under way is remembered");
    let back = replan(&memory, &observed());
    assert!(back.is_in_sync(), "{back}");
    assert_eq!(reasons(&back), ["RolloutFailed"]);
}

#[test]
fn nothing_is_deployed_while_the_revision_or_the_target_group_is_not_known() {
    let desired = Desired { assign_public_ip: Some(false), ..with_group() };
    for unknown in [known().unknown(&task_definition(), "arn"), known().unknown(&group(), "arn")] {
        let plan = plan(unknown, &desired, &observed());
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(reasons(&plan), ["DependencyUnknown"]);
    }
}

#[test]
fn what_another_network_may_do_is_in_its_risk() {
    let cases = [
        (Desired { assign_public_ip: Some(false), ..bare() }, Risk::Disruptive),
        (with_groups(&["sg-1", "sg-2"]), Risk::Safe),
        (with_groups(&["sg-2"]), Risk::Disruptive),
        (Desired { subnets: Some(set(&["subnet-1"])), ..bare() }, Risk::Disruptive),
        (Desired { subnets: Some(set(&["subnet-1", "subnet-2", "subnet-3"])), ..bare() }, Risk::Safe),
    ];
    for (desired, risk) in cases {
        assert_eq!(plan(known(), &desired, &observed()).risk(), Some(risk), "{desired:?}");
    }
    let mut private = observed();
    private.network.as_mut().unwrap().assign_public_ip = false;
    let public = Desired { assign_public_ip: Some(true), ..bare() };
    assert_eq!(plan(known(), &public, &private).risk(), Some(Risk::Destructive));
    let revised = known().with(&task_definition(), "arn", REVISION_2);
    let both = plan(revised, &public, &private);
    let risks: Vec<Risk> = both.steps.iter().map(|step| step.risk).collect();
    assert_eq!(risks, [Risk::Safe, Risk::Destructive], "the revision does not wait for the network: {both}");
}

#[test]
fn a_first_grace_period_goes_with_the_target_group_and_not_before() {
    let desired = Desired { grace_s: Some(60), ..with_group() };
    let without = Observed { load_balancers: Vec::new(), grace_s: 0, ..observed() };
    let together = plan(known(), &desired, &without);
    assert_eq!(together.steps.len(), 1, "{together}");
    assert_eq!(together.steps[0].body["graceS"], json!(60));
    assert_eq!(together.steps[0].body["loadBalancer"]["port"], json!(3000));
    let waiting = plan(known().with(&group(), "attached", false), &desired, &without);
    assert!(waiting.is_in_sync(), "{waiting}");
    assert_eq!(reasons(&waiting), ["TargetGroupNotAttached"]);
    let never = plan(known(), &Desired { grace_s: Some(60), ..bare() }, &without);
    assert!(never.is_in_sync(), "{never}");
    assert_eq!(reasons(&never), ["NoTargetGroup"]);
    let mut disruptive = desired;
    disruptive.deployment.minimum_healthy_percent = Some(0);
    let apart = plan(known(), &disruptive, &without);
    assert_eq!(apart.steps[0].body.get("graceS"), None, "{apart}");
    assert_eq!(apart.steps[1].body["graceS"], json!(60));
}

#[test]
fn settings_that_another_controller_does_not_take_are_only_reported() {
    let mut desired = wants(2);
    desired.deployment =
        DeploymentSettings { minimum_healthy_percent: Some(50), maximum_percent: None, circuit_breaker: Some(true) };
    for (controller, sent, noted) in [
        (Controller::CodeDeploy, vec!["desiredCount", "minimumHealthyPercent"], vec!["circuitBreaker"]),
        (Controller::External, vec!["desiredCount"], vec!["minimumHealthyPercent", "circuitBreaker"]),
    ] {
        let plan = plan(known(), &desired, &Observed { controller, ..count(7) });
        let fields = |changes: &[model::FieldChange]| -> Vec<String> {
            changes.iter().map(|change| change.field.clone()).collect()
        };
        assert_eq!(
            (plan.steps.len(), fields(&plan.steps[0].changes)),
            (1, sent.iter().map(ToString::to_string).collect())
        );
        assert_eq!(fields(&plan.notes[0].changes), noted);
        assert!(plan.steps[0].body["deployment"].get("circuitBreaker").is_none());
    }
}

#[test]
fn a_circuit_breaker_that_stops_and_does_not_roll_back_is_neither_on_nor_off() {
    let mut observed = observed();
    observed.deployment.circuit_breaker = None;
    for on in [true, false] {
        let mut desired = bare();
        desired.deployment.circuit_breaker = Some(on);
        assert_eq!(only_change(&plan(known(), &desired, &observed)).2, json!(on));
    }
}

#[test]
fn under_an_external_controller_the_service_has_no_revision() {
    let observed = Observed { controller: Controller::External, task_definition: String::new(), ..observed() };
    assert_eq!(EcsService::output(&observed, "taskDefinition"), None);
    assert_eq!(EcsService::output(&observed, "controller"), Some(json!("EXTERNAL")));
    assert_eq!(plan(known(), &bare(), &observed), ResourcePlan::in_sync());
}

#[test]
fn a_successor_of_another_installation_is_not_rolled_out() {
    let owner = json!({ "eventchain.io/environment": "prod", "eventchain.io/managed-by": "another" });
    let known = known().with(&task_definition(), "arn", REVISION_2).with(&task_definition(), "owner", owner);
    let plan = plan(known, &bare(), &observed());
    assert!(plan.is_in_sync(), "{plan}");
}

#[test]
fn a_revision_is_rolled_out_only_over_the_one_it_was_made_from() {
    let known = known().with(&task_definition(), "arn", REVISION_2).with(&task_definition(), "base", "x:1");
    let plan = plan(known, &bare(), &observed());
    assert!(plan.is_in_sync(), "somebody deployed since: {plan}");
    assert_eq!(reasons(&plan), ["DependencyUnknown"]);
}

#[test]
fn a_failed_rollout_of_one_revision_does_not_stop_another() {
    let mut observed = observed();
    observed.deployments.push(Deployment { primary: false, ..deployment(REVISION_1, Rollout::Failed) });
    observed.task_definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/other:9".to_owned();
    let known = known().with(&task_definition(), "arn", REVISION_2).with(&task_definition(), "base", "other:9");
    assert_eq!(only_change(&plan(known, &bare(), &observed)).2, json!(REVISION_2));
}

#[test]
fn sets_of_subnets_and_groups_have_no_order() {
    let desired = Desired {
        subnets: Some(set(&["subnet-2", "subnet-1"])),
        security_groups: Some(set(&["sg-1"])),
        assign_public_ip: Some(true),
        ..bare()
    };
    assert_eq!(plan(known(), &desired, &observed()), ResourcePlan::in_sync());
}

#[test]
fn a_declared_part_of_the_network_is_laid_over_the_live_whole() {
    let desired = Desired { security_groups: Some(set(&["sg-2"])), ..bare() };
    let plan = plan(known(), &desired, &observed());
    assert_eq!(only_change(&plan), ("securityGroups".to_owned(), json!(["sg-1"]), json!(["sg-2"])));
    let network = &plan.steps[0].body["network"];
    assert_eq!(network["subnets"], json!(["subnet-1", "subnet-2"]));
    assert_eq!(network["assignPublicIp"], json!(true));
}

#[test]
fn an_empty_list_of_groups_is_enforced() {
    let desired = Desired { security_groups: Some(set(&[])), ..bare() };
    assert_eq!(only_change(&plan(known(), &desired, &observed())).2, json!([]));
}

#[test]
fn grace_period_and_deployment_settings_are_safe_and_only_the_declared_ones_are_sent() {
    let mut desired = Desired { grace_s: Some(90), ..bare() };
    desired.deployment.circuit_breaker = Some(true);
    let plan = plan(known(), &desired, &observed());
    assert_eq!((plan.steps.len(), plan.risk()), (1, Some(Risk::Safe)), "{plan}");
    assert_eq!(plan.steps[0].body["deployment"], json!({ "circuitBreaker": true }));
    assert_eq!(plan.steps[0].body["graceS"], json!(90));
}

#[test]
fn a_service_that_registers_in_the_declared_group_is_in_sync() {
    assert_eq!(plan(known(), &with_group(), &observed()), ResourcePlan::in_sync());
}

#[test]
fn the_only_container_takes_the_traffic_whatever_its_name() {
    let known = known().with(&task_definition(), "containers", json!(["app"]));
    let mut observed = observed();
    observed.load_balancers[0].container = "app".to_owned();
    assert_eq!(plan(known, &with_group(), &observed), ResourcePlan::in_sync());
}

#[test]
fn a_missing_target_group_is_added_once_it_is_attached() {
    let bare_service = Observed { load_balancers: Vec::new(), ..observed() };
    let added = plan(known(), &with_group(), &bare_service);
    assert_eq!(added.steps[0].body["loadBalancer"]["targetGroupArn"], GROUP);

    let waiting = plan(known().with(&group(), "attached", false), &with_group(), &bare_service);
    assert!(waiting.is_in_sync());
    assert_eq!(reasons(&waiting), ["TargetGroupNotAttached"]);

    let made_first = Known::new().with(&task_definition(), "arn", REVISION_1).changing(&group());
    let later = plan(made_first, &with_group(), &bare_service);
    assert_eq!(later.steps[0].awaits, Some(group()));
}

#[test]
fn load_balancers_added_by_hand_are_left_alone() {
    let mut observed = observed();
    let mut other = observed.load_balancers[0].clone();
    other.target_group_arn = format!("{GROUP}-internal");
    observed.load_balancers.insert(0, other);
    assert_eq!(plan(known(), &with_group(), &observed), ResourcePlan::in_sync());
    assert_eq!(plan(known(), &bare(), &observed), ResourcePlan::in_sync());
}

#[test]
fn deployments_of_another_controller_are_only_reported() {
    for controller in [Controller::CodeDeploy, Controller::External] {
        let known = known().with(&task_definition(), "arn", REVISION_2);
        let observed = Observed { controller, ..count(7) };
        let desired = Desired { assign_public_ip: Some(false), ..wants(2) };
        let plan = plan(known, &desired, &observed);
        assert_eq!(only_change(&plan).0, "desiredCount", "the count is still ours");
        assert_eq!(reasons(&plan), ["DeploymentsNotOurs"]);
        let fields: Vec<&str> = plan.notes[0].changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(fields, ["taskDefinition", "assignPublicIp"]);
    }
}

#[test]
fn a_draining_service_is_waited_for() {
    let draining = Observed { status: "DRAINING".to_owned(), ..count(7) };
    let plan = plan(known(), &wants(2), &draining);
    assert!(plan.is_in_sync());
    assert_eq!(reasons(&plan), ["ServiceDraining"]);
    assert_eq!(reasons(&EcsService::plan_delete(&known().context(), &draining)), ["ServiceDraining"]);
}

fn creatable() -> Desired {
    Desired { subnets: Some(set(&["subnet-1"])), desired_count: Some(2), ..with_group() }
}

#[test]
fn a_service_is_created_when_all_it_needs_is_there() {
    let plan = EcsService::plan_absent(&known().context(), &creatable());
    let step = &plan.steps[0];
    assert_eq!((step.verb, step.risk, &step.awaits), (Verb::Create, Risk::Safe, &None));
    assert_eq!(step.body["taskDefinition"], REVISION_1);
    assert_eq!(step.body["desiredCount"], json!(2));
    assert_eq!(step.body["loadBalancer"]["container"], "api-gateway");
}

#[test]
fn a_service_is_created_with_a_count_within_the_declared_range() {
    for (count, created) in [(Some(1), 2), (Some(5), 5), (Some(20), 10), (None, 2)] {
        let desired = Desired { desired_count: count, range: Some(Range { min: 2, max: 10 }), ..creatable() };
        let plan = EcsService::plan_absent(&known().context(), &desired);
        assert_eq!(plan.steps[0].body["desiredCount"], json!(created), "{count:?}");
    }
}

#[test]
fn creation_waits_until_the_target_group_is_attached() {
    let plan = EcsService::plan_absent(&known().with(&group(), "attached", false).context(), &creatable());
    assert!(plan.is_in_sync());
    assert_eq!(reasons(&plan), ["TargetGroupNotAttached"]);
}

#[test]
fn creation_is_shown_while_what_it_needs_is_made_first() {
    for first in [cluster(), task_definition(), group()] {
        let mut known = Known::new().changing(&first);
        if first != cluster() {
            known = known.with(&cluster(), "arn", "arn");
        }
        if first != task_definition() {
            known = known.with(&task_definition(), "arn", REVISION_1);
        }
        if first != group() {
            known = known.with(&group(), "arn", GROUP).with(&group(), "attached", true);
        }
        let plan = EcsService::plan_absent(&known.context(), &creatable());
        assert_eq!(plan.steps[0].awaits, Some(first.clone()), "{first}");
        assert_eq!(plan.steps[0].body, Value::Null);
    }
}

#[test]
fn creation_waits_for_what_is_not_known() {
    let plan = EcsService::plan_absent(&known().unknown(&cluster(), "arn").context(), &creatable());
    assert!(plan.is_in_sync());
    assert_eq!(reasons(&plan), ["DependencyUnknown"]);
}

#[test]
fn a_service_without_subnets_cannot_be_created_and_says_so() {
    let plan = EcsService::plan_absent(&known().context(), &bare());
    assert_eq!(reasons(&plan), ["SpecIncomplete"]);
}

fn health(observed: &Observed) -> &'static str {
    match EcsService::health(&known().context(), &bare(), observed) {
        Health::Ready => "Ready",
        Health::Progressing { reason, .. } | Health::Stalled { reason, .. } => reason,
    }
}

#[test]
fn a_service_is_ready_when_its_tasks_run_and_its_rollout_is_done() {
    assert_eq!(health(&observed()), "Ready");
    assert_eq!(health(&count(0)), "Ready", "none are wanted");
    let rolling = vec![deployment(REVISION_1, Rollout::InProgress)];
    assert_eq!(health(&Observed { deployments: rolling, ..observed() }), "RollingOut");
}

#[test]
fn missing_tasks_of_a_deployment_are_progress_first_and_a_stall_later() {
    let lacking = |minutes| {
        let at = Some(minutes_ago(minutes));
        let deployment = Deployment { created_at: at, updated_at: at, ..deployment(REVISION_1, Rollout::InProgress) };
        Observed { running_count: 1, deployments: vec![deployment], ..observed() }
    };
    assert_eq!(health(&lacking(2)), "RollingOut");
    assert_eq!(health(&lacking(16)), "RolloutStuck");
}

#[test]
fn a_task_lost_long_after_its_deployment_is_progress_first_and_a_stall_later() {
    let old = Some(minutes_ago(5000));
    let done = Deployment { created_at: old, updated_at: old, ..deployment(REVISION_1, Rollout::Completed) };
    let lacking = Observed { running_count: 1, deployments: vec![done], ..observed() };
    assert_eq!(health(&lacking), "TasksStarting");
    let first = plan(known(), &bare(), &lacking);
    assert!(first.is_in_sync(), "{first}");
    let memory = first.remember.expect("since when is remembered");
    assert_eq!(replan(&memory, known(), &lacking).remember, None, "and only once");
    let health_later = |minutes| {
        let now = now().checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
        let context = PlanContext { now, ..remembering(known().context(), memory.clone()) };
        match EcsService::health(&context, &bare(), &lacking) {
            Health::Ready => "Ready",
            Health::Progressing { reason, .. } | Health::Stalled { reason, .. } => reason,
        }
    };
    assert_eq!((health_later(14), health_later(16)), ("TasksStarting", "RolloutStuck"));
    assert_eq!(replan(&memory, known(), &observed()).remember, Some(Value::Null), "they run again");
}

#[test]
fn failing_tasks_are_a_stall_with_the_reason_they_stopped() {
    let failing = Deployment { failed_tasks: 3, ..deployment(REVISION_1, Rollout::InProgress) };
    let observed = Observed {
        running_count: 0,
        deployments: vec![failing],
        trouble: Some("Essential container in task exited (container api-gateway exited with code 1)".to_owned()),
        ..observed()
    };
    let Health::Stalled { reason, message } = EcsService::health(&known().context(), &bare(), &observed) else {
        panic!("not stalled")
    };
    assert_eq!(reason, "TasksFailToStart");
    assert!(message.contains("exited with code 1") && message.contains("0 of 2 tasks run"), "{message}");
}

#[test]
fn a_rollout_that_ecs_gave_up_is_a_stall() {
    let failed = vec![deployment(REVISION_1, Rollout::Failed)];
    assert_eq!(health(&Observed { deployments: failed, ..observed() }), "RolloutFailed");
}

#[test]
fn error_codes_have_class_and_effect() {
    use crate::ecs_service::errors::classify;
    use model::Class;
    let cases = [
        ("ServiceNotFoundException", Class::NotFound),
        ("ServiceNotActiveException", Class::NotFound),
        ("ClusterNotFoundException", Class::NotFound),
        ("UpdateInProgressException", Class::NotYet),
        ("LimitExceededException", Class::Quota),
        ("PlatformUnknownException", Class::Invalid),
    ];
    for (code, class) in cases {
        assert_eq!(classify(code), Some((class, model::Effect::NotApplied)), "{code}");
    }
    assert_eq!(classify("ThrottlingException"), None, "all services share it");
}
