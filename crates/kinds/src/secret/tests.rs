//! The suite every kind passes, and what is this kind's own.

use engine::{Health, Kind};
use model::{ResourcePlan, Risk, Tags, WaitKind};
use serde_json::Value;

use super::observed::days_of_rate;
use super::{Action, Desired, Observed, Rotated, Rotation, Secret};
use crate::testing::context;

testkit::kind_suite!(
    Secret,
    json!({ "spec": { "secrets": { "eventchain/stripe-api-key": { "description": "The key of payments" } } } }),
    json!({ "spec": { "secrets": { "eventchain/stripe-api-key": { "rotation": {
        "lambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:rotate", "everyDays": 30 } } } } }),
    json!({ "spec": { "secrets": { "eventchain/new": { "value": "External", "kmsKeyId": "alias/own" } } } }),
);

fn desired() -> Desired {
    Desired { description: Some("a key".to_owned()), kms_key_id: None, rotation: None, tags: Tags::default() }
}

fn observed() -> Observed {
    Observed {
        arn: "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf".to_owned(),
        description: Some("a key".to_owned()),
        kms_key_id: Some("alias/other".to_owned()),
        rotation: None,
        version_id: Some("11111111-1111-1111-1111-111111111111".to_owned()),
        deleted_at: None,
        owning_service: None,
        tags: Tags::default(),
    }
}

fn plan(desired: &Desired, observed: &Observed) -> ResourcePlan {
    Secret::plan_present(&context(), desired, observed)
}

fn rotation(lambda: &str, every_days: u32) -> Rotation {
    Rotation { lambda_arn: lambda.to_owned(), every_days }
}

fn rotated(lambda: &str, every_days: Option<u32>) -> Rotated {
    Rotated { lambda_arn: Some(lambda.to_owned()), every_days, schedule: None }
}

#[test]
fn the_key_counts_at_creation_only_and_an_undeclared_description_is_left_alone() {
    let wanted = Desired { kms_key_id: Some("alias/own".to_owned()), ..desired() };
    assert_eq!(plan(&wanted, &observed()), ResourcePlan::in_sync());
    assert_eq!(plan(&Desired { description: None, ..desired() }, &observed()), ResourcePlan::in_sync());
    let empty = Observed { description: None, ..observed() };
    assert_eq!(plan(&Desired { description: Some(String::new()), ..desired() }, &empty), ResourcePlan::in_sync());
    assert_eq!(plan(&desired(), &empty).risk(), Some(Risk::Safe));
}

#[test]
fn no_step_has_room_for_a_value() {
    let step = Secret::plan_absent(&context(), &desired()).steps.remove(0);
    let Value::Object(body) = &step.body else { panic!("{}", step.body) };
    assert_eq!(body.keys().collect::<Vec<_>>(), ["action", "description", "kmsKeyId", "tags"]);
}

#[test]
fn a_secret_without_a_value_is_stalled_and_one_with_it_ready() {
    assert_eq!(Secret::health(&context(), &desired(), &observed()), Health::Ready);
    let empty = Observed { version_id: None, ..observed() };
    let health = Secret::health(&context(), &desired(), &empty);
    assert!(matches!(health, Health::Stalled { reason: "SecretHasNoValue", .. }), "{health:?}");
    assert_eq!(Secret::output(&empty, "hasValue"), Some(Value::Bool(false)));
    assert_eq!(Secret::output(&empty, "versionId"), None);
    assert_eq!(Secret::output(&observed(), "hasValue"), Some(Value::Bool(true)));
}

#[test]
fn a_rotation_that_may_come_sooner_or_from_elsewhere_is_disruptive() {
    let cases = [
        (None, 30, Some(Risk::Disruptive)),
        (Some(rotated("f", Some(30))), 30, None),
        (Some(rotated("f", Some(10))), 30, Some(Risk::Safe)),
        (Some(rotated("f", Some(60))), 30, Some(Risk::Disruptive)),
        (Some(rotated("f", None)), 30, Some(Risk::Disruptive)),
        (Some(rotated("other", Some(30))), 30, Some(Risk::Disruptive)),
    ];
    for (live, days, risk) in cases {
        let wanted = Desired { rotation: Some(rotation("f", days)), ..desired() };
        let plan = plan(&wanted, &Observed { rotation: live.clone(), ..observed() });
        assert_eq!(plan.risk(), risk, "{live:?} -> {days}");
    }
    let undeclared = plan(&desired(), &Observed { rotation: Some(rotated("f", Some(1))), ..observed() });
    assert_eq!(undeclared, ResourcePlan::in_sync());
}

#[test]
fn rotation_waits_for_a_value() {
    let wanted = Desired { rotation: Some(rotation("f", 30)), ..desired() };
    let plan = plan(&wanted, &Observed { version_id: None, ..observed() });
    assert!(plan.steps.is_empty());
    assert_eq!(&*plan.waits[0].reason, "SecretHasNoValue");
}

#[test]
fn a_rate_in_days_is_the_same_as_days() {
    assert_eq!(days_of_rate("rate(30 days)"), Some(30));
    assert_eq!(days_of_rate("rate(1 day)"), Some(1));
    assert_eq!(days_of_rate("rate(12 hours)"), None);
    assert_eq!(days_of_rate("cron(0 4 1 * ? *)"), None);
}

#[test]
fn a_secret_whose_deletion_is_pending_is_reported_and_neither_made_nor_changed() {
    let pending = Observed { deleted_at: Some(crate::testing::now()), description: None, ..observed() };
    let blocked = plan(&desired(), &pending);
    assert!(blocked.steps.is_empty());
    assert_eq!((blocked.waits[0].kind, &*blocked.waits[0].reason), (WaitKind::Blocked, "SecretPendingDeletion"));
    assert_eq!(Secret::plan_delete(&context(), &pending), ResourcePlan::in_sync());
}

#[test]
fn deletion_leaves_a_recovery_window_of_thirty_days() {
    let plan = Secret::plan_delete(&context(), &observed());
    let action: Action = serde_json::from_value(plan.steps[0].body.clone()).unwrap();
    assert_eq!(action, Action::DeleteSecret { recovery_window_days: 30 });
    assert_eq!(plan.risk(), Some(Risk::Destructive));
}

#[test]
fn a_secret_of_another_aws_service_is_not_touched() {
    let managed = Observed { owning_service: Some("rds".to_owned()), description: None, ..observed() };
    assert!(plan(&desired(), &managed).steps.is_empty());
}

/// What the provider does with AWS: no value is touched, deletion is seen, listings are few.
mod on_aws {
    use serde_json::{Value, json};
    use simaws::testing::json as call;
    use testkit::fixtures;
    use testkit::world::World;

    const SECRETS: &str = "secretsmanager";
    const NAME: &str = "eventchain/stripe-api-key";

    #[tokio::test]
    async fn no_call_reads_or_writes_a_value() {
        let mut world = World::new().await;
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Secret");
        world.converge(&environment, &graph).await;
        let calls = world.operations_of("Secret");
        assert!(calls.contains("secretsmanager:CreateSecret"));
        assert!(!calls.iter().any(|operation| operation.contains("SecretValue")), "{calls:?}");
        let secret = call(&world.sim, SECRETS, "GetSecretValue", json!({ "SecretId": NAME })).await;
        assert_eq!(secret.body["SecretString"], fixtures::CANARY, "the value is its owner's");
    }

    #[tokio::test]
    async fn a_secret_whose_deletion_is_pending_is_blocked_and_untouched_also_when_it_is_not_ours() {
        for ours in [true, false] {
            let mut world = World::new().await;
            let environment = fixtures::environment(fixtures::document(&world.load_balancer));
            let graph = world.graph_of(&environment, "Secret");
            if ours {
                world.converge(&environment, &graph).await;
            } else {
                call(&world.sim, SECRETS, "CreateSecret", json!({ "Name": NAME, "SecretString": "x" })).await;
            }
            let deleted = call(&world.sim, SECRETS, "DeleteSecret", json!({ "SecretId": NAME })).await;
            assert_eq!(deleted.status, 200);
            world.sweep(&graph).await;
            let done = world.pass(&environment, &graph, usize::MAX).await;
            let key = graph.nodes().iter().find(|node| &*node.key.identity == NAME).expect("declared").key.clone();
            assert!(done.iter().all(|done| done.key != key), "{done:?}");
            let plans = world.plan(&environment, &graph);
            let plan = plans.iter().find(|planned| planned.key == key).expect("planned");
            assert_eq!(plan.plan.waits[0].reason, "SecretPendingDeletion", "{}", plan.plan);
        }
    }

    #[tokio::test]
    async fn many_secrets_are_listed_a_hundred_a_page() {
        let mut world = World::new().await;
        let secrets: serde_json::Map<String, Value> =
            (0..150).map(|n| (format!("s/{n:03}"), json!({ "value": "External" }))).collect();
        let document =
            fixtures::patched(fixtures::document(&world.load_balancer), &json!({ "spec": { "secrets": secrets } }));
        let environment = fixtures::environment(document);
        let graph = world.graph_of(&environment, "Secret");
        world.converge(&environment, &graph).await;
        world.sim.reset_calls();
        world.sweep(&graph).await;
        let calls = world.sim.calls();
        assert_eq!((calls.count(SECRETS, "ListSecrets"), calls.count(SECRETS, "DescribeSecret")), (2, 0));
    }
}
