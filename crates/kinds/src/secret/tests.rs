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
        changed_at: None,
        deletion_pending: false,
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
    Rotated { lambda_arn: Some(lambda.to_owned()), every_days, schedule: None, duration: None }
}

#[test]
fn an_undeclared_description_is_left_alone() {
    assert_eq!(plan(&Desired { description: None, ..desired() }, &observed()), ResourcePlan::in_sync());
    let empty = Observed { description: None, ..observed() };
    assert_eq!(plan(&Desired { description: Some(String::new()), ..desired() }, &empty), ResourcePlan::in_sync());
    assert_eq!(plan(&desired(), &empty).risk(), Some(Risk::Safe));
}

#[test]
fn a_key_counts_at_creation_only_and_another_one_is_reported() {
    const ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/1234";
    let noted = |declared: &str, live: Option<&str>| {
        let wanted = Desired { kms_key_id: Some(declared.to_owned()), ..desired() };
        let plan = plan(&wanted, &Observed { kms_key_id: live.map(str::to_owned), ..observed() });
        assert!(plan.is_in_sync(), "{plan}");
        plan.notes.iter().map(|note| note.reason.to_string()).collect::<Vec<_>>()
    };
    for (declared, live) in [
        ("alias/own", Some("alias/own")),
        ("alias/own", Some("arn:aws:kms:us-east-1:123456789012:alias/own")),
        ("1234", Some(ARN)),
        (ARN, Some("1234")),
        ("alias/aws/secretsmanager", None),
        // Which key an alias names is not known.
        ("alias/own", Some(ARN)),
    ] {
        assert_eq!(noted(declared, live), Vec::<String>::new(), "{declared} {live:?}");
    }
    assert_eq!(noted("alias/own", Some("alias/other")), ["KmsKeyDiffers"]);
    assert_eq!(noted("alias/own", None), ["KmsKeyDiffers"]);
    assert_eq!(noted("5678", Some(ARN)), ["KmsKeyDiffers"]);
}

#[test]
fn a_rotation_window_set_by_hand_is_sent_back() {
    let live = Rotated { duration: Some("3h".to_owned()), ..rotated("f", Some(60)) };
    let wanted = Desired { rotation: Some(rotation("f", 30)), ..desired() };
    let plan = plan(&wanted, &Observed { rotation: Some(live), ..observed() });
    assert_eq!(plan.steps[0].body["duration"], "3h");
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
    let pending = Observed { deletion_pending: true, description: None, ..observed() };
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
    async fn a_pending_deletion_looks_the_same_in_a_listing_and_when_it_is_read() {
        let mut world = World::new().await;
        let environment = fixtures::environment(fixtures::document(&world.load_balancer));
        let graph = world.graph_of(&environment, "Secret");
        world.converge(&environment, &graph).await;
        let key = graph.nodes().iter().find(|node| &*node.key.identity == NAME).expect("declared").key.clone();
        let deleted = call(&world.sim, SECRETS, "DeleteSecret", json!({ "SecretId": NAME })).await;
        assert_eq!(deleted.status, 200);
        let entry = call(&world.sim, SECRETS, "ListSecrets", json!({ "IncludePlannedDeletion": true })).await;
        let entries = entry.body["SecretList"].as_array().expect("a list").clone();
        let listed = entries.into_iter().find(|entry| entry["Name"] == NAME).expect("it is listed");
        let described = call(&world.sim, SECRETS, "DescribeSecret", json!({ "SecretId": NAME })).await;
        assert_ne!(listed["DeletedDate"], described.body["DeletedDate"], "AWS means another time by each");
        world.sweep(&graph).await;
        let swept = world.known(&key).present().expect("it is seen").to_json();
        world.read(&graph, &key).await;
        let read = world.known(&key).present().expect("it is seen").to_json();
        assert_eq!(swept, read, "a look that says the same wakes nobody");
    }

    #[tokio::test]
    async fn a_rotation_window_survives_a_change_of_the_rotation() {
        let mut world = World::new().await;
        let rotation = |days: u32| {
            json!({ "spec": { "secrets": { NAME: { "rotation": {
                "lambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:rotate", "everyDays": days } } } } })
        };
        let document = fixtures::document(&world.load_balancer);
        for days in [60, 30] {
            let environment = fixtures::environment(fixtures::patched(document.clone(), &rotation(days)));
            let graph = world.graph_of(&environment, "Secret");
            world.converge(&environment, &graph).await;
            if days == 60 {
                let rules = json!({ "AutomaticallyAfterDays": 60, "Duration": "3h" });
                let body = json!({ "SecretId": NAME, "RotationRules": rules, "RotateImmediately": false });
                assert_eq!(call(&world.sim, SECRETS, "RotateSecret", body).await.status, 200);
            }
        }
        let live = call(&world.sim, SECRETS, "DescribeSecret", json!({ "SecretId": NAME })).await;
        assert_eq!(live.body["RotationRules"], json!({ "AutomaticallyAfterDays": 30, "Duration": "3h" }));
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
