//! The suite every kind passes, and what is this kind's own.

use engine::{Health, Kind};
use jiff::Timestamp;
use model::{ResourcePlan, Risk, Tags};
use serde_json::{Value, json};

use super::{Desired, Observed, RdsInstance};
use crate::testing::context;

testkit::kind_suite!(
    RdsInstance,
    json!({ "spec": { "database": { "backups": { "retentionDays": 35, "window": "01:00-02:00" } } } }),
    json!({ "spec": { "database": { "instanceClass": "db.t3.large", "multiAz": false } } }),
    json!({ "spec": { "database": { "maintenanceWindow": "Mon:04:00-Mon:05:00", "deletionProtection": false } } }),
    json!({ "spec": { "database": { "backups": { "retentionDays": 0 }, "publiclyAccessible": true } } }),
    json!({ "spec": { "database": { "storageType": "io1", "iops": 3000 } } }),
    // Last: storage and versions never go back.
    json!({ "spec": { "database": { "storageGib": 200, "storageType": "gp3", "engineVersion": "14.7" } } }),
);

fn live() -> Observed {
    Observed {
        arn: "arn:aws:rds:us-east-1:123456789012:db:db1".to_owned(),
        identifier: "db1".to_owned(),
        status: "available".to_owned(),
        created_at: Some("2026-02-01T10:20:30Z".parse().unwrap()),
        address: Some("db1.abc.us-east-1.rds.amazonaws.com".to_owned()),
        port: Some(5432),
        engine: "postgres".to_owned(),
        engine_version: "13.7".to_owned(),
        instance_class: "db.t3.medium".to_owned(),
        database_name: Some("eventchain".to_owned()),
        storage_gib: 100,
        max_storage_gib: None,
        storage_type: "gp2".to_owned(),
        iops: None,
        encrypted: true,
        kms_key_id: Some("arn:aws:kms:us-east-1:123456789012:key/k1".to_owned()),
        multi_az: true,
        publicly_accessible: false,
        deletion_protection: true,
        auto_minor_version_upgrade: true,
        subnet_group: Some("group".to_owned()),
        security_groups: ["sg-1".to_owned()].into(),
        master_username: Some("admin_user".to_owned()),
        secret_arn: Some("arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-x".to_owned()),
        retention_days: 7,
        backup_window: "03:00-04:00".to_owned(),
        maintenance_window: "sun:04:00-sun:05:00".to_owned(),
        pending: std::collections::BTreeMap::default(),
        tags: Some(Tags::default()),
    }
}

/// Nothing declared but the name.
fn bare() -> Desired {
    Desired { identifier: "db1".to_owned(), ..Desired::default() }
}

fn plan(desired: &Desired, observed: &Observed) -> ResourcePlan {
    RdsInstance::plan_present(&context(), desired, observed)
}

/// Each step as its risk, whether it applies immediately, and its settings.
fn steps(plan: &ResourcePlan) -> Vec<(Risk, bool, Value)> {
    plan.steps
        .iter()
        .map(|step| (step.risk, step.body["applyImmediately"] == true, step.body["settings"].clone()))
        .collect()
}

fn one(desired: &Desired, observed: &Observed) -> (Risk, bool, Value) {
    let plan = plan(desired, observed);
    let steps = steps(&plan);
    assert_eq!(steps.len(), 1, "{plan}");
    steps[0].clone()
}

fn reasons(plan: &ResourcePlan) -> Vec<&str> {
    plan.waits.iter().map(|wait| &*wait.reason).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "every declared field is optional")]
fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn what_is_not_declared_is_left_alone() {
    assert_eq!(plan(&bare(), &live()), ResourcePlan::in_sync());
}

#[test]
fn each_field_has_its_risk_and_only_some_need_apply_immediately() {
    type Row = (&'static str, fn(&mut Desired), Risk, bool, Value);
    let rows: Vec<Row> = vec![
        ("retention up", |d| d.retention_days = Some(30), Risk::Safe, false, json!({ "retentionDays": 30 })),
        ("retention down", |d| d.retention_days = Some(3), Risk::Destructive, false, json!({ "retentionDays": 3 })),
        ("retention off", |d| d.retention_days = Some(0), Risk::Destructive, true, json!({ "retentionDays": 0 })),
        (
            "backup window",
            |d| d.backup_window = text("01:00-02:00"),
            Risk::Safe,
            false,
            json!({ "backupWindow": "01:00-02:00" }),
        ),
        (
            "protection off",
            |d| d.deletion_protection = Some(false),
            Risk::Destructive,
            false,
            json!({ "deletionProtection": false }),
        ),
        (
            "auto minor off",
            |d| d.auto_minor_version_upgrade = Some(false),
            Risk::Safe,
            false,
            json!({ "autoMinorVersionUpgrade": false }),
        ),
        (
            "public",
            |d| d.publicly_accessible = Some(true),
            Risk::Destructive,
            false,
            json!({ "publiclyAccessible": true }),
        ),
        (
            "more groups",
            |d| d.security_groups = Some(["sg-1".to_owned(), "sg-2".to_owned()].into()),
            Risk::Safe,
            false,
            json!({ "securityGroups": ["sg-1", "sg-2"] }),
        ),
        (
            "other groups",
            |d| d.security_groups = Some(["sg-2".to_owned()].into()),
            Risk::Disruptive,
            false,
            json!({ "securityGroups": ["sg-2"] }),
        ),
        (
            "class",
            |d| d.instance_class = text("db.t3.large"),
            Risk::Disruptive,
            true,
            json!({ "instanceClass": "db.t3.large" }),
        ),
        ("single zone", |d| d.multi_az = Some(false), Risk::Disruptive, true, json!({ "multiAz": false })),
        ("storage type", |d| d.storage_type = text("gp3"), Risk::Disruptive, true, json!({ "storageType": "gp3" })),
        ("growth", |d| d.storage_gib = Some(200), Risk::Safe, true, json!({ "storageGib": 200 })),
        ("minor", |d| d.engine_version = text("13.8"), Risk::Disruptive, true, json!({ "engineVersion": "13.8" })),
        (
            "major",
            |d| d.engine_version = text("14"),
            Risk::Disruptive,
            true,
            json!({ "engineVersion": "14", "allowMajorVersionUpgrade": true }),
        ),
    ];
    for (name, declare, risk, immediately, settings) in rows {
        let mut desired = bare();
        declare(&mut desired);
        assert_eq!(one(&desired, &live()), (risk, immediately, settings), "{name}");
    }
}

#[test]
fn protection_on_is_safe_private_disruptive_and_a_managed_password_destructive() {
    let mut open = live();
    (open.deletion_protection, open.publicly_accessible, open.secret_arn) = (false, true, None);
    let on = Desired { deletion_protection: Some(true), ..bare() };
    assert_eq!(one(&on, &open).0, Risk::Safe);
    let private = Desired { publicly_accessible: Some(false), ..bare() };
    assert_eq!(one(&private, &open).0, Risk::Disruptive);
    let managed = Desired { managed_password: Some(true), ..bare() };
    assert_eq!(one(&managed, &open), (Risk::Destructive, false, json!({ "managedPassword": true })));
    assert_eq!(plan(&managed, &live()), ResourcePlan::in_sync());
}

#[test]
fn switching_backups_on_is_disruptive() {
    let none = Observed { retention_days: 0, ..live() };
    let desired = Desired { retention_days: Some(7), ..bare() };
    assert_eq!(one(&desired, &none), (Risk::Disruptive, true, json!({ "retentionDays": 7 })));
}

#[test]
fn safe_fields_are_one_step_without_apply_immediately_and_wait_for_no_riskier_one() {
    let desired = Desired {
        retention_days: Some(30),
        maintenance_window: text("mon:04:00-mon:05:00"),
        instance_class: text("db.t3.large"),
        deletion_protection: Some(false),
        ..bare()
    };
    let plan = plan(&desired, &live());
    insta::assert_snapshot!(plan.to_string(), @r#"
    step ModifyDBInstance [Safe] windows; keeps backups longer
        maintenanceWindow: "sun:04:00-sun:05:00" -> "mon:04:00-mon:05:00"
        backups.retentionDays: 7 -> 30
    step ModifyDBInstance [Disruptive] instance class
        instanceClass: "db.t3.medium" -> "db.t3.large"
    step ModifyDBInstance [Destructive] deletion protection
        deletionProtection: true -> false
    "#);
}

fn with_pending(values: Value) -> Observed {
    let Value::Object(values) = values else { panic!("an object") };
    Observed { pending: values.into_iter().collect(), ..live() }
}

#[test]
fn what_is_pending_is_waited_for_until_the_maintenance_window_and_not_asked_for_again() {
    let observed = with_pending(
        json!({ "DBInstanceClass": "db.t3.large", "AllocatedStorage": 200, "MultiAZ": false, "EngineVersion": "13.8", "BackupRetentionPeriod": 30 }),
    );
    let desired = Desired {
        instance_class: text("db.t3.large"),
        storage_gib: Some(200),
        multi_az: Some(false),
        engine_version: text("13.8"),
        retention_days: Some(30),
        ..bare()
    };
    let plan = plan(&desired, &observed);
    assert!(plan.steps.is_empty(), "{plan}");
    assert_eq!(reasons(&plan), ["PendingUntilWindow"]);
    // The context's now is Sunday noon.
    let next: Timestamp = "2026-03-08T04:00:00Z".parse().unwrap();
    assert_eq!(plan.waits[0].until, Some(next));
}

#[test]
fn asking_for_what_is_live_takes_back_what_somebody_left_pending() {
    let observed = with_pending(json!({ "DBInstanceClass": "db.t3.large" }));
    let desired = Desired { instance_class: text("db.t3.medium"), ..bare() };
    let expected = (Risk::Safe, false, json!({ "instanceClass": "db.t3.medium" }));
    assert_eq!(one(&desired, &observed), expected);
}

#[test]
fn apply_immediately_carries_the_risk_of_all_that_is_pending() {
    let grow = Desired { storage_gib: Some(200), ..bare() };
    for (pending, risk) in [
        (json!({ "DBInstanceClass": "db.t3.large" }), Risk::Disruptive),
        (json!({ "BackupRetentionPeriod": 0 }), Risk::Destructive),
        (json!({ "BackupRetentionPeriod": 30 }), Risk::Safe),
        (json!({ "MasterUserPassword": "(hidden)" }), Risk::Destructive),
        (json!({ "SomethingNew": 1 }), Risk::Disruptive),
        (json!({}), Risk::Safe),
    ] {
        let plan = plan(&grow, &with_pending(pending.clone()));
        assert_eq!(plan.risk(), Some(risk), "{pending}: {plan}");
        let shown = plan.steps[0].changes.iter().filter(|c| c.field.starts_with("pendingModifiedValues.")).count();
        assert_eq!(shown, pending.as_object().map_or(0, serde_json::Map::len), "what is flushed is shown: {plan}");
    }
}

#[test]
fn a_step_without_apply_immediately_flushes_nothing_and_keeps_its_own_risk() {
    let observed = with_pending(json!({ "DBInstanceClass": "db.t3.large" }));
    let desired = Desired { backup_window: text("01:00-02:00"), ..bare() };
    assert_eq!(one(&desired, &observed).0, Risk::Safe);
}

#[test]
fn a_maintenance_window_moved_to_be_open_now_carries_the_risk_of_all_that_is_pending() {
    // It is Sunday noon.
    let pending = with_pending(json!({ "DBInstanceClass": "db.t3.large" }));
    for (window, observed, risk, shown) in [
        ("sun:11:30-sun:12:30", &pending, Risk::Disruptive, 2),
        ("sun:12:00-sun:12:30", &pending, Risk::Disruptive, 2),
        ("sun:11:00-sun:12:00", &pending, Risk::Safe, 1),
        ("mon:11:30-mon:12:30", &pending, Risk::Safe, 1),
        ("sun:11:30-sun:12:30", &live(), Risk::Safe, 1),
    ] {
        let plan = plan(&Desired { maintenance_window: text(window), ..bare() }, observed);
        assert_eq!((plan.risk(), plan.steps[0].changes.len()), (Some(risk), shown), "{window}: {plan}");
    }
}

#[test]
fn a_storage_type_with_provisioned_iops_is_asked_for_with_them() {
    let io1 = Desired { storage_type: text("io1"), ..bare() };
    let without = plan(&io1, &live());
    assert!(without.steps.is_empty(), "{without}");
    assert_eq!(reasons(&without), ["IopsNeeded"]);
    let expected = (Risk::Disruptive, true, json!({ "storageType": "io1", "iops": 3000 }));
    assert_eq!(one(&Desired { iops: Some(3000), ..io1.clone() }, &live()), expected);
    let gp3 = Observed { storage_type: "gp3".to_owned(), iops: Some(3000), ..live() };
    assert_eq!(
        one(&Desired { iops: Some(3000), ..io1.clone() }, &gp3),
        expected,
        "they go with it also when they are live"
    );
    let there = Observed { storage_type: "io1".to_owned(), iops: Some(5000), ..live() };
    assert_eq!(plan(&io1, &there), ResourcePlan::in_sync(), "an adopted one has them");
    let more = one(&Desired { iops: Some(6000), ..io1.clone() }, &there);
    assert_eq!(more, (Risk::Disruptive, true, json!({ "iops": 6000 })));
    let absent = RdsInstance::plan_absent(&context(), &io1);
    assert!(absent.waits[0].message.contains("spec.database.iops"), "{absent}");
}

#[test]
fn another_subnet_group_is_reported_and_holds_nothing_else_up() {
    let desired = Desired { subnet_group: text("other"), instance_class: text("db.t3.large"), ..bare() };
    let plan = plan(&desired, &live());
    assert_eq!(steps(&plan), [(Risk::Disruptive, true, json!({ "instanceClass": "db.t3.large" }))]);
    assert_eq!(
        (plan.notes[0].reason.as_ref(), plan.notes[0].changes[0].field.as_str()),
        ("ReplacementNeeded", "subnetGroup")
    );
}

#[test]
fn a_pending_value_that_is_to_be_replaced_never_comes_to_hold() {
    let observed = with_pending(json!({ "DBInstanceClass": "db.r5.large" }));
    let desired = Desired { instance_class: text("db.t3.large"), storage_gib: Some(200), ..bare() };
    let expected = (Risk::Disruptive, true, json!({ "instanceClass": "db.t3.large", "storageGib": 200 }));
    assert_eq!(one(&desired, &observed), expected, "growth alone would flush the pending class");
}

#[test]
fn nothing_is_modified_while_it_is_not_available() {
    let desired = Desired { instance_class: text("db.t3.large"), deletion_protection: Some(false), ..bare() };
    for (status, reason) in [
        ("backing-up", "InstanceBusy"),
        ("modifying", "InstanceBusy"),
        ("creating", "InstanceBusy"),
        ("deleting", "InstanceBusy"),
        ("a-status-of-next-year", "InstanceBusy"),
        ("stopped", "InstanceNotAvailable"),
        ("incompatible-network", "InstanceNotAvailable"),
        ("storage-full", "InstanceNotAvailable"),
    ] {
        let plan = plan(&desired, &Observed { status: status.to_owned(), ..live() });
        assert!(plan.steps.is_empty(), "{status}: {plan}");
        assert_eq!(reasons(&plan), [reason], "{status}");
    }
}

#[test]
fn a_full_instance_takes_growth_and_nothing_else() {
    let full = Observed { status: "storage-full".to_owned(), ..live() };
    let desired = Desired { storage_gib: Some(200), instance_class: text("db.t3.large"), ..bare() };
    let plan = plan(&desired, &full);
    assert_eq!(steps(&plan), [(Risk::Safe, true, json!({ "storageGib": 200 }))]);
    assert_eq!(reasons(&plan), ["InstanceNotAvailable"]);
}

#[test]
fn storage_that_would_shrink_is_refused_with_its_path() {
    let plan = plan(&Desired { storage_gib: Some(50), ..bare() }, &live());
    assert!(plan.steps.is_empty(), "{plan}");
    assert_eq!(reasons(&plan), ["StorageCannotShrink"]);
    assert!(plan.waits[0].message.contains("spec.database.storageGib"));
}

#[test]
fn storage_that_aws_grew_is_only_noted() {
    let grown = Observed { storage_gib: 150, max_storage_gib: Some(500), ..live() };
    let plan = plan(&Desired { storage_gib: Some(100), ..bare() }, &grown);
    assert!(plan.steps.is_empty() && plan.waits.is_empty(), "{plan}");
    assert_eq!(plan.notes[0].reason, "StorageAutoscaled");
}

#[test]
fn growth_that_aws_would_round_up_is_refused_with_the_least_that_it_takes() {
    let plan = plan(&Desired { storage_gib: Some(105), ..bare() }, &live());
    assert!(plan.steps.is_empty(), "{plan}");
    assert_eq!(reasons(&plan), ["StorageGrowthTooSmall"]);
    assert!(plan.waits[0].message.contains("110 or more"), "{}", plan.waits[0].message);
}

#[test]
fn a_newer_minor_is_no_drift_when_aws_may_upgrade() {
    let upgraded = Observed { engine_version: "13.18".to_owned(), ..live() };
    let pinned = Desired { engine_version: text("13.7"), ..bare() };
    assert_eq!(plan(&pinned, &upgraded), ResourcePlan::in_sync());
    let by_hand = Observed { auto_minor_version_upgrade: false, ..upgraded.clone() };
    assert_eq!(reasons(&plan(&pinned, &by_hand)), ["EngineVersionCannotGoDown"]);
    let major = Desired { engine_version: text("13"), ..bare() };
    assert_eq!(plan(&major, &by_hand), ResourcePlan::in_sync());
    let older = Desired { engine_version: text("12"), ..bare() };
    assert_eq!(reasons(&plan(&older, &upgraded)), ["EngineVersionCannotGoDown"]);
}

#[test]
fn windows_that_would_overlap_are_refused_with_the_path_that_is_missing() {
    let desired = Desired { backup_window: text("04:30-05:30"), ..bare() };
    let plan = plan(&desired, &live());
    assert!(plan.steps.is_empty(), "{plan}");
    assert_eq!(reasons(&plan), ["WindowsOverlap"]);
    assert!(plan.waits[0].message.contains("spec.database.maintenanceWindow"));
    let touching = Desired { backup_window: text("05:00-06:00"), ..bare() };
    assert_eq!(one(&touching, &live()).0, Risk::Safe);
}

#[test]
fn what_was_fixed_at_creation_is_reported_and_never_sent() {
    let desired = Desired {
        engine: text("mysql"),
        database_name: text("other"),
        master_username: text("somebody"),
        encrypted: Some(false),
        kms_key_id: text("arn:aws:kms:us-east-1:123456789012:key/k2"),
        ..bare()
    };
    let plan = plan(&desired, &live());
    assert!(plan.steps.is_empty() && plan.waits.is_empty(), "{plan}");
    let fields: Vec<&str> = plan.notes[0].changes.iter().map(|c| c.field.as_str()).collect();
    assert_eq!(fields, ["engine", "databaseName", "masterUsername", "encrypted", "kmsKeyId"]);
    for key in ["alias/aws/rds", "k1", "arn:aws:kms:us-east-1:123456789012:key/k1"] {
        let same = Desired { kms_key_id: text(key), ..bare() };
        assert!(super::tests::plan(&same, &live()).notes.is_empty(), "{key}");
    }
}

#[test]
fn to_create_it_must_be_declared_whole_and_it_is_never_public_by_default() {
    let partial = Desired { engine: text("postgres"), ..bare() };
    let plan = RdsInstance::plan_absent(&context(), &partial);
    assert_eq!(reasons(&plan), ["SpecIncomplete"]);
    assert!(plan.waits[0].message.contains("spec.database.masterPassword"), "{plan}");
    let whole = Desired {
        instance_class: text("db.t3.medium"),
        storage_gib: Some(100),
        master_username: text("admin_user"),
        managed_password: Some(true),
        ..partial
    };
    let plan = RdsInstance::plan_absent(&context(), &whole);
    assert_eq!(plan.risk(), Some(Risk::Safe));
    assert_eq!(plan.steps[0].body["settings"]["publiclyAccessible"], json!(false));
}

#[test]
fn deletion_takes_off_protection_first_and_leaves_a_final_snapshot() {
    let context = context();
    let first = RdsInstance::plan_delete(&context, &live());
    assert_eq!(steps(&first), [(Risk::Destructive, false, json!({ "deletionProtection": false }))]);
    let open = Observed { deletion_protection: false, ..live() };
    let second = RdsInstance::plan_delete(&context, &open);
    assert_eq!(second.risk(), Some(Risk::Destructive));
    assert_eq!(
        second.steps[0].body,
        json!({ "action": "deleteDBInstance", "finalSnapshot": "db1-final-202602011020" })
    );
    for status in ["deleting", "backing-up", "failed"] {
        let plan = RdsInstance::plan_delete(&context, &Observed { status: status.to_owned(), ..open.clone() });
        assert!(plan.steps.is_empty() && !plan.waits.is_empty(), "{status}: {plan}");
    }
}

#[test]
fn a_status_tells_whether_it_serves() {
    let health =
        |status: &str| RdsInstance::health(&context(), &bare(), &Observed { status: status.to_owned(), ..live() });
    for status in ["available", "backing-up", "storage-optimization"] {
        assert_eq!(health(status), Health::Ready, "{status}");
    }
    for status in ["creating", "rebooting", "upgrading", "unheard-of"] {
        assert!(matches!(health(status), Health::Progressing { .. }), "{status}");
    }
    for status in ["failed", "storage-full", "stopped", "incompatible-parameters"] {
        assert!(matches!(health(status), Health::Stalled { .. }), "{status}");
    }
}

#[test]
fn windows_are_compared_after_normalising() {
    let desired = super::desired::weekly("Sun:04:00-SUN:05:00");
    assert_eq!(plan(&Desired { maintenance_window: Some(desired), ..bare() }, &live()), ResourcePlan::in_sync());
}

mod aws {
    //! What the provider does with AWS.

    use std::sync::Arc;
    use std::time::Duration;

    use model::{AwsAccountId, Observation, Region};
    use simaws::{Clock, Sim};

    use crate::provider::{ObserveKey, Provider as _, Scope};
    use crate::rds_instance::provider::Provider;

    fn sim() -> Sim {
        Sim::builder().clock(Clock::manual("2026-03-01T12:00:00Z".parse().unwrap())).build()
    }

    fn scope() -> Scope {
        Scope {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            now: "2026-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    fn key(id: &str) -> ObserveKey {
        ObserveKey { identity: Arc::from(id), at: None }
    }

    async fn create(sim: &Sim, id: &str) {
        let parameters = [
            ("DBInstanceIdentifier", id),
            ("DBInstanceClass", "db.t3.medium"),
            ("Engine", "postgres"),
            ("MasterUsername", "admin_user"),
            ("ManageMasterUserPassword", "true"),
            ("AllocatedStorage", "100"),
        ];
        let reply = simaws::testing::query(sim, "rds", "CreateDBInstance", &parameters).await;
        assert_eq!(reply.status, 200, "{}", reply.xml());
    }

    #[tokio::test]
    async fn few_keys_are_one_call_and_many_are_a_page_of_a_hundred_each() {
        let sim = sim();
        for n in 0..120 {
            create(&sim, &format!("db-{n:03}")).await;
        }
        let provider = Provider::new(testkit::world::aws_on(&sim));
        sim.reset_calls();
        let few: Vec<ObserveKey> = (0..20).map(|n| key(&format!("db-{n:03}"))).collect();
        assert_eq!(provider.observe(&scope(), &few).await.unwrap().len(), 20);
        assert_eq!(sim.calls().count("rds", "DescribeDBInstances"), 1);
        sim.reset_calls();
        let many: Vec<ObserveKey> = (0..120).map(|n| key(&format!("db-{n:03}"))).collect();
        let seen = provider.observe(&scope(), &many).await.unwrap();
        assert!(seen.values().all(|o| matches!(o, Observation::Present(_))));
        assert_eq!(sim.calls().count("rds", "DescribeDBInstances"), 2);
    }

    #[tokio::test]
    async fn a_listing_never_proves_absence_and_a_direct_read_does() {
        let sim = sim();
        let provider = Provider::new(testkit::world::aws_on(&sim));
        let seen = provider.observe(&scope(), &[key("none")]).await.unwrap();
        assert!(seen["none"].is_unknown());
        assert_eq!(provider.read(&scope(), &key("none")).await.unwrap(), Observation::Absent);
    }

    #[tokio::test]
    async fn all_that_is_pending_is_seen_and_time_alone_changes_nothing() {
        let sim = sim();
        create(&sim, "db1").await;
        sim.clock().advance(Duration::from_secs(60));
        let modify = [
            ("DBInstanceIdentifier", "db1"),
            ("DBInstanceClass", "db.t3.large"),
            ("CACertificateIdentifier", "rds-ca-rsa4096-g1"),
            ("EnableIAMDatabaseAuthentication", "true"),
        ];
        simaws::testing::query(&sim, "rds", "ModifyDBInstance", &modify).await;
        let provider = Provider::new(testkit::world::aws_on(&sim));
        let first = provider.read(&scope(), &key("db1")).await.unwrap();
        let pending: Vec<&str> = first.present().unwrap().pending.keys().map(String::as_str).collect();
        assert_eq!(pending, ["CACertificateIdentifier", "DBInstanceClass", "IAMDatabaseAuthenticationEnabled"]);
        sim.clock().advance(Duration::from_secs(3600));
        assert_eq!(provider.read(&scope(), &key("db1")).await.unwrap(), first);
        let seen = provider.observe(&scope(), &[key("db1")]).await.unwrap();
        assert_eq!(seen["db1"], first, "a listing and a direct read say the same");
    }
}
