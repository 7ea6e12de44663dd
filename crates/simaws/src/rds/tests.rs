//! RDS's rules, one test each.
use std::time::Duration;

use super::hand;
use crate::testing::{Caller, Reply};
use crate::{Clock, Effect, Fault, Sim, Timings};

const HERE: &str = "us-east-1";
const THERE: &str = "us-west-2";

/// Sunday 2026-03-01, noon.
fn still() -> Sim {
    still_with(Timings::default())
}

fn still_with(timings: Timings) -> Sim {
    let start = "2026-03-01T12:00:00Z".parse().expect("a valid time");
    Sim::builder().clock(Clock::manual(start)).timings(timings).build()
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

async fn at(sim: &Sim, region: &str, operation: &str, parameters: &[(&str, &str)]) -> Reply {
    let caller = Caller { region: region.to_owned(), ..Caller::default() };
    caller.query(sim, "rds", operation, parameters).await.expect("no fault drops this call")
}

async fn call(sim: &Sim, operation: &str, parameters: &[(&str, &str)]) -> Reply {
    at(sim, HERE, operation, parameters).await
}

/// The text of the first element of that name.
fn text<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let rest = reply.xml().split(&format!("<{name}>")).nth(1).unwrap_or("");
    rest.split(&format!("</{name}>")).next().unwrap_or("")
}

fn count(reply: &Reply, name: &str) -> usize {
    reply.xml().matches(&format!("<{name}>")).count()
}

const BASE: [(&str, &str); 8] = [
    ("DBInstanceIdentifier", "db1"),
    ("DBInstanceClass", "db.t3.medium"),
    ("Engine", "postgres"),
    ("EngineVersion", "13.7"),
    ("MasterUsername", "admin_user"),
    ("AllocatedStorage", "100"),
    ("PreferredBackupWindow", "03:00-04:00"),
    ("PreferredMaintenanceWindow", "sun:04:00-sun:05:00"),
];

fn create_with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let given = |name: &str| more.iter().any(|(n, _)| *n == name);
    let mut all: Vec<_> = BASE.into_iter().filter(|(n, _)| !given(n)).collect();
    all.extend(more);
    if !given("MasterUserPassword") && !given("ManageMasterUserPassword") {
        all.push(("ManageMasterUserPassword", "true"));
    }
    all
}

/// An instance that is available.
async fn instance(sim: &Sim, more: &[(&str, &str)]) {
    let reply = call(sim, "CreateDBInstance", &create_with(more)).await;
    assert_eq!(reply.status, 200, "{}", reply.xml());
    sim.clock().advance(minutes(5));
}

async fn describe(sim: &Sim) -> Reply {
    call(sim, "DescribeDBInstances", &[("DBInstanceIdentifier", "db1")]).await
}

async fn modify(sim: &Sim, more: &[(&str, &str)]) -> Reply {
    let mut parameters = vec![("DBInstanceIdentifier", "db1")];
    parameters.extend(more);
    call(sim, "ModifyDBInstance", &parameters).await
}

fn pending(reply: &Reply) -> String {
    text(reply, "PendingModifiedValues").to_owned()
}

#[tokio::test]
async fn an_instance_is_created_backed_up_and_then_available() {
    let sim = still();
    let made =
        call(&sim, "CreateDBInstance", &create_with(&[("Tags.Tag.1.Key", "Team"), ("Tags.Tag.1.Value", "x")])).await;
    assert_eq!(text(&made, "DBInstanceStatus"), "creating");
    assert_eq!(count(&made, "Endpoint"), 0);
    sim.clock().advance(Timings::default().rds_create);
    let then = describe(&sim).await;
    assert_eq!(text(&then, "DBInstanceStatus"), "backing-up");
    assert!(text(&then, "Address").starts_with("db1."));
    sim.clock().advance(Timings::default().snapshot_create);
    let last = describe(&sim).await;
    assert_eq!(text(&last, "DBInstanceStatus"), "available");
    assert_eq!(text(&last, "TagList"), "<Tag><Key>Team</Key><Value>x</Value></Tag>");
    assert_eq!(text(&last, "DBInstanceArn"), "arn:aws:rds:us-east-1:123456789012:db:db1");
}

#[tokio::test]
async fn a_managed_password_is_a_secret_of_rds_and_excludes_a_given_one() {
    let sim = still();
    let both = [("ManageMasterUserPassword", "true"), ("MasterUserPassword", "longenough")];
    assert_eq!(call(&sim, "CreateDBInstance", &create_with(&both)).await.code(), "InvalidParameterCombination");
    assert_eq!(call(&sim, "CreateDBInstance", &BASE).await.code(), "InvalidParameterCombination");
    instance(&sim, &[]).await;
    let reply = describe(&sim).await;
    let arn = text(&reply, "SecretArn").to_owned();
    assert!(arn.contains(":secret:rds!db-"), "{arn}");
    assert_eq!(text(&reply, "SecretStatus"), "active");
    let body = serde_json::json!({ "SecretId": arn });
    let secret = crate::testing::json(&sim, "secretsmanager", "DescribeSecret", body).await;
    assert_eq!(secret.body["OwningService"], "rds", "{:?}", secret.body);
}

#[tokio::test]
async fn bad_input_makes_nothing() {
    let sim = still();
    for (more, code) in [
        (vec![("PreferredBackupWindow", "3:00-4:00")], "InvalidParameterValue"),
        (vec![("PreferredBackupWindow", "03:00-03:10")], "InvalidParameterValue"),
        (vec![("PreferredBackupWindow", "03:30-04:30")], "InvalidParameterCombination"),
        (vec![("BackupRetentionPeriod", "36")], "InvalidParameterValue"),
        (vec![("EngineVersion", "13.99")], "InvalidParameterCombination"),
        (vec![("Engine", "dbase")], "InvalidParameterValue"),
        (vec![("DBInstanceClass", "t3.medium")], "InvalidParameterValue"),
        (vec![("AllocatedStorage", "10")], "InvalidParameterValue"),
        (vec![("KmsKeyId", "alias/a")], "InvalidParameterCombination"),
        (vec![("StorageEncrypted", "true"), ("KmsKeyId", "arn:aws:kms:eu-west-1:1:key/a")], "KMSKeyNotAccessibleFault"),
        (vec![("DBSubnetGroupName", "none")], "DBSubnetGroupNotFoundFault"),
        (vec![("DBInstanceIdentifier", "a--b")], "InvalidParameterValue"),
        (vec![("MasterUserPassword", "short")], "InvalidParameterValue"),
        (vec![("CharacterSetName", "x")], "ValidationException"),
    ] {
        let reply = call(&sim, "CreateDBInstance", &create_with(&more)).await;
        assert_eq!(reply.code(), code, "{more:?}: {}", reply.xml());
    }
    assert_eq!(count(&call(&sim, "DescribeDBInstances", &[]).await, "DBInstance"), 0);
    // Windows may touch.
    let touching = create_with(&[("PreferredBackupWindow", "05:00-06:00")]);
    assert_eq!(call(&sim, "CreateDBInstance", &touching).await.status, 200);
    assert_eq!(call(&sim, "CreateDBInstance", &touching).await.code(), "DBInstanceAlreadyExists");
}

#[tokio::test]
async fn an_instance_that_is_not_there_is_404_and_a_filter_that_fits_nothing_is_no_error() {
    let sim = still();
    let reply = describe(&sim).await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "DBInstanceNotFound"));
    instance(&sim, &[]).await;
    let filter = [
        ("Filters.Filter.1.Name", "db-instance-id"),
        ("Filters.Filter.1.Values.Value.1", "DB1"),
        ("Filters.Filter.1.Values.Value.2", "none"),
    ];
    let reply = call(&sim, "DescribeDBInstances", &filter).await;
    assert_eq!((reply.status, count(&reply, "DBInstance")), (200, 1));
    let bad = [("Filters.Filter.1.Name", "name"), ("Filters.Filter.1.Values.Value.1", "x")];
    assert_eq!(call(&sim, "DescribeDBInstances", &bad).await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn a_hundred_a_page_and_a_made_up_marker_is_refused() {
    let sim = still();
    for n in 0..105 {
        let id = format!("db-{n:03}");
        let reply = call(&sim, "CreateDBInstance", &create_with(&[("DBInstanceIdentifier", &id)])).await;
        assert_eq!(reply.status, 200);
    }
    let first = call(&sim, "DescribeDBInstances", &[]).await;
    assert_eq!(count(&first, "DBInstance"), 100);
    let marker = text(&first, "Marker").to_owned();
    let second = call(&sim, "DescribeDBInstances", &[("Marker", &marker)]).await;
    assert_eq!((count(&second, "DBInstance"), count(&second, "Marker")), (5, 0));
    assert_eq!(call(&sim, "DescribeDBInstances", &[("Marker", "x")]).await.code(), "InvalidParameterValue");
    assert_eq!(call(&sim, "DescribeDBInstances", &[("MaxRecords", "10")]).await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn a_class_waits_for_the_window_and_is_pending_until_then() {
    let sim = still();
    instance(&sim, &[]).await;
    let reply = modify(&sim, &[("DBInstanceClass", "db.t3.large")]).await;
    assert_eq!(pending(&reply), "<DBInstanceClass>db.t3.large</DBInstanceClass>");
    assert_eq!(text(&reply, "DBInstanceStatus"), "available");
    // Next Sunday at 04:00; the daily backup at 03:00 is over by then.
    sim.clock().set("2026-03-08T03:59:59Z".parse().expect("a valid time"));
    assert_ne!(pending(&describe(&sim).await), "");
    sim.clock().set("2026-03-08T04:00:00Z".parse().expect("a valid time"));
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "modifying");
    sim.clock().advance(Timings::default().rds_modify_heavy);
    let done = describe(&sim).await;
    assert_eq!((text(&done, "DBInstanceClass"), text(&done, "DBInstanceStatus")), ("db.t3.large", "available"));
    assert_eq!(pending(&done), "");
}

#[tokio::test]
async fn apply_immediately_flushes_everything_pending() {
    let sim = still();
    instance(&sim, &[]).await;
    modify(&sim, &[("DBInstanceClass", "db.t3.large")]).await;
    let reply = modify(&sim, &[("AllocatedStorage", "200"), ("ApplyImmediately", "true")]).await;
    assert!(pending(&reply).contains("db.t3.large") && pending(&reply).contains("200"));
    assert_eq!(text(&reply, "DBInstanceStatus"), "modifying");
    assert_eq!(modify(&sim, &[("DeletionProtection", "true")]).await.code(), "InvalidDBInstanceState");
    sim.clock().advance(minutes(5));
    let done = describe(&sim).await;
    assert_eq!((text(&done, "DBInstanceClass"), text(&done, "AllocatedStorage")), ("db.t3.large", "200"));
}

#[tokio::test]
async fn asking_for_what_is_live_takes_a_pending_value_back() {
    let sim = still();
    instance(&sim, &[]).await;
    modify(&sim, &[("DBInstanceClass", "db.t3.large")]).await;
    let reply = modify(&sim, &[("DBInstanceClass", "db.t3.medium")]).await;
    assert_eq!(pending(&reply), "");
}

#[tokio::test]
async fn windows_protection_groups_and_retention_apply_without_apply_immediately() {
    let sim = still();
    instance(&sim, &[("BackupRetentionPeriod", "7")]).await;
    let more = [
        ("DeletionProtection", "true"),
        ("AutoMinorVersionUpgrade", "false"),
        ("PreferredMaintenanceWindow", "Mon:04:00-Mon:05:00"),
        ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-1"),
    ];
    let reply = modify(&sim, &more).await;
    assert_eq!(text(&reply, "DeletionProtection"), "true");
    assert_eq!(text(&reply, "AutoMinorVersionUpgrade"), "false");
    assert_eq!(text(&reply, "PreferredMaintenanceWindow"), "mon:04:00-mon:05:00");
    assert_eq!(text(&reply, "VpcSecurityGroupId"), "sg-1");
    assert_eq!(text(&reply, "DBInstanceStatus"), "available");
    let reply = modify(&sim, &[("BackupRetentionPeriod", "30"), ("PreferredBackupWindow", "01:00-02:00")]).await;
    assert_eq!(text(&reply, "DBInstanceStatus"), "modifying");
    assert_eq!(pending(&reply), "<BackupRetentionPeriod>30</BackupRetentionPeriod>");
    sim.clock().advance(Timings::default().rds_modify);
    let done = describe(&sim).await;
    assert_eq!((text(&done, "BackupRetentionPeriod"), text(&done, "PreferredBackupWindow")), ("30", "01:00-02:00"));
    assert_eq!((text(&done, "DBInstanceStatus"), pending(&done).as_str()), ("available", ""));
}

#[tokio::test]
async fn switching_backups_on_waits_and_restarts() {
    let sim = still();
    instance(&sim, &[("BackupRetentionPeriod", "0")]).await;
    let reply = modify(&sim, &[("BackupRetentionPeriod", "7")]).await;
    assert_eq!((pending(&reply).contains('7'), text(&reply, "DBInstanceStatus")), (true, "available"));
    modify(&sim, &[("BackupRetentionPeriod", "7"), ("ApplyImmediately", "true")]).await;
    let t = Timings::default();
    sim.clock().advance(t.rds_modify);
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "rebooting");
    sim.clock().advance(t.rds_reboot);
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "backing-up");
    sim.clock().advance(t.snapshot_create);
    assert_eq!(text(&describe(&sim).await, "BackupRetentionPeriod"), "7");
}

#[tokio::test]
async fn storage_grows_by_a_tenth_at_least_and_never_shrinks() {
    let sim = still_with(Timings { rds_storage_rest: minutes(360), ..Timings::default() });
    instance(&sim, &[]).await;
    assert_eq!(modify(&sim, &[("AllocatedStorage", "50")]).await.code(), "InvalidParameterCombination");
    modify(&sim, &[("AllocatedStorage", "105"), ("ApplyImmediately", "true")]).await;
    sim.clock().advance(Timings::default().rds_modify_heavy);
    let reply = describe(&sim).await;
    assert_eq!((text(&reply, "AllocatedStorage"), text(&reply, "DBInstanceStatus")), ("110", "storage-optimization"));
    sim.clock().advance(minutes(5));
    let again = modify(&sim, &[("AllocatedStorage", "200")]).await;
    assert_eq!(again.code(), "InvalidParameterCombination");
    sim.clock().advance(minutes(360));
    assert_eq!(modify(&sim, &[("AllocatedStorage", "200")]).await.status, 200);
}

#[tokio::test]
async fn a_full_storage_takes_growth_and_nothing_else() {
    let sim = still();
    instance(&sim, &[]).await;
    assert!(sim.with("123456789012", HERE, |ctx| hand::set_status(ctx, "db1", "storage-full")));
    assert_eq!(modify(&sim, &[("DBInstanceClass", "db.t3.large")]).await.code(), "InvalidDBInstanceState");
    assert_eq!(modify(&sim, &[("AllocatedStorage", "200"), ("ApplyImmediately", "true")]).await.status, 200);
    sim.clock().advance(minutes(5));
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "available");
}

#[tokio::test]
async fn engine_versions_go_up_and_a_new_major_needs_its_flag() {
    let sim = still();
    instance(&sim, &[("EngineVersion", "14.7")]).await;
    assert_eq!(modify(&sim, &[("EngineVersion", "13.7")]).await.code(), "InvalidParameterCombination");
    assert_eq!(modify(&sim, &[("EngineVersion", "15.4")]).await.code(), "InvalidParameterCombination");
    assert_eq!(modify(&sim, &[("EngineVersion", "14.12")]).await.status, 200);
    let major = [("EngineVersion", "15.4"), ("AllowMajorVersionUpgrade", "true"), ("ApplyImmediately", "true")];
    assert_eq!(text(&modify(&sim, &major).await, "DBInstanceStatus"), "upgrading");
    sim.clock().advance(minutes(5));
    assert_eq!(text(&describe(&sim).await, "EngineVersion"), "15.4");
}

#[tokio::test]
async fn a_change_shows_only_after_its_lag() {
    let sim = still_with(Timings { rds_pending_lag: Duration::from_secs(5), ..Timings::default() });
    instance(&sim, &[]).await;
    modify(&sim, &[("DBInstanceClass", "db.t3.large"), ("ApplyImmediately", "true")]).await;
    let early = describe(&sim).await;
    assert_eq!((text(&early, "DBInstanceStatus"), pending(&early).as_str()), ("available", ""));
    sim.clock().advance(Duration::from_secs(5));
    assert_eq!(text(&describe(&sim).await, "DBInstanceClass"), "db.t3.large");
}

#[tokio::test]
async fn a_protected_instance_stays_and_a_final_snapshot_is_asked_for() {
    let sim = still();
    instance(&sim, &[("DeletionProtection", "true")]).await;
    let id = ("DBInstanceIdentifier", "db1");
    let last = ("FinalDBSnapshotIdentifier", "db1-final");
    assert_eq!(call(&sim, "DeleteDBInstance", &[id]).await.code(), "InvalidParameterCombination");
    let both = [id, last, ("SkipFinalSnapshot", "true")];
    assert_eq!(call(&sim, "DeleteDBInstance", &both).await.code(), "InvalidParameterCombination");
    assert_eq!(call(&sim, "DeleteDBInstance", &[id, last]).await.code(), "InvalidParameterCombination");
    modify(&sim, &[("DeletionProtection", "false")]).await;
    assert_eq!(text(&call(&sim, "DeleteDBInstance", &[id, last]).await, "DBInstanceStatus"), "deleting");
    assert_eq!(call(&sim, "DeleteDBInstance", &[id, last]).await.code(), "InvalidDBInstanceState");
    sim.clock().advance(minutes(5));
    assert_eq!(describe(&sim).await.code(), "DBInstanceNotFound");
    let left = call(&sim, "DescribeDBSnapshots", &[("DBInstanceIdentifier", "db1")]).await;
    assert_eq!((count(&left, "DBSnapshot"), text(&left, "DBSnapshotIdentifier")), (1, "db1-final"));
    assert_eq!(text(&left, "Status"), "available");
}

#[tokio::test]
async fn an_automated_backup_is_taken_daily_and_kept_for_so_many_days() {
    let sim = still();
    instance(&sim, &[("BackupRetentionPeriod", "3")]).await;
    sim.clock().set("2026-03-10T03:00:00Z".parse().expect("a valid time"));
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "backing-up");
    assert_eq!(modify(&sim, &[("DeletionProtection", "true")]).await.code(), "InvalidDBInstanceState");
    sim.clock().advance(minutes(10));
    let all = call(&sim, "DescribeDBSnapshots", &[]).await;
    assert_eq!(text(&all, "DBSnapshotIdentifier"), "rds:db1-2026-03-07-03-00");
    assert_eq!(count(&all, "DBSnapshot"), 4);
    assert_eq!(count(&call(&sim, "DescribeDBSnapshots", &[("SnapshotType", "manual")]).await, "DBSnapshot"), 0);
    let delete = [("DBSnapshotIdentifier", "rds:db1-2026-03-10-03-00")];
    assert_eq!(call(&sim, "DeleteDBSnapshot", &delete).await.code(), "InvalidDBSnapshotState");
    modify(&sim, &[("BackupRetentionPeriod", "0"), ("ApplyImmediately", "true")]).await;
    sim.clock().advance(minutes(5));
    assert_eq!(count(&call(&sim, "DescribeDBSnapshots", &[]).await, "DBSnapshot"), 0, "off: all are gone");
}

fn snapshot(id: &str) -> [(&str, &str); 2] {
    [("DBSnapshotIdentifier", id), ("DBInstanceIdentifier", "db1")]
}

#[tokio::test]
async fn a_snapshot_takes_its_time_and_the_instance_backs_up_meanwhile() {
    let sim = still();
    instance(&sim, &[]).await;
    let made = call(&sim, "CreateDBSnapshot", &snapshot("s1")).await;
    assert_eq!((text(&made, "Status"), text(&made, "PercentProgress")), ("creating", "0"));
    assert_eq!(count(&made, "SnapshotCreateTime"), 0);
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "backing-up");
    assert_eq!(call(&sim, "CreateDBSnapshot", &snapshot("s2")).await.code(), "InvalidDBInstanceState");
    assert_eq!(
        call(&sim, "DeleteDBSnapshot", &[("DBSnapshotIdentifier", "s1")]).await.code(),
        "InvalidDBSnapshotState"
    );
    sim.clock().advance(Timings::default().snapshot_create / 2);
    let half = call(&sim, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "s1")]).await;
    assert_eq!(text(&half, "PercentProgress"), "50");
    sim.clock().advance(Timings::default().snapshot_create);
    let done = call(&sim, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "s1")]).await;
    assert_eq!((text(&done, "Status"), text(&done, "PercentProgress")), ("available", "100"));
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "available");
    assert_eq!(call(&sim, "CreateDBSnapshot", &snapshot("s1")).await.code(), "DBSnapshotAlreadyExists");
    assert_eq!(call(&sim, "CreateDBSnapshot", &snapshot("a--b")).await.code(), "InvalidParameterValue");
    assert_eq!(call(&sim, "DeleteDBSnapshot", &[("DBSnapshotIdentifier", "s1")]).await.status, 200);
    let gone = call(&sim, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "s1")]).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "DBSnapshotNotFound"));
}

#[tokio::test]
async fn a_fault_makes_a_snapshot_fail_in_the_end() {
    let sim = still();
    instance(&sim, &[]).await;
    sim.faults().add(Fault::new(Effect::FailsLater).on("rds", "CreateDBSnapshot").times(1));
    assert_eq!(call(&sim, "CreateDBSnapshot", &snapshot("s1")).await.status, 200);
    sim.clock().advance(minutes(5));
    let failed = call(&sim, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "s1")]).await;
    assert_eq!(text(&failed, "Status"), "failed");
    assert_eq!(call(&sim, "DeleteDBSnapshot", &[("DBSnapshotIdentifier", "s1")]).await.status, 200);
    assert_eq!(call(&sim, "CreateDBSnapshot", &snapshot("s1")).await.status, 200);
}

const SOURCE: &str = "arn:aws:rds:us-east-1:123456789012:snapshot:s1";

fn copy<'a>(to: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("SourceDBSnapshotIdentifier", SOURCE), ("TargetDBSnapshotIdentifier", to)];
    all.extend(more);
    all
}

#[tokio::test]
async fn an_encrypted_copy_into_another_region_needs_a_key_of_that_region() {
    let sim = still();
    instance(&sim, &[("StorageEncrypted", "true")]).await;
    call(&sim, "CreateDBSnapshot", &snapshot("s1")).await;
    let early = at(&sim, THERE, "CopyDBSnapshot", &copy("s1", &[("KmsKeyId", "alias/aws/rds")])).await;
    assert_eq!(early.code(), "InvalidDBSnapshotState");
    sim.clock().advance(minutes(5));
    assert_eq!(at(&sim, THERE, "CopyDBSnapshot", &copy("s1", &[])).await.code(), "KMSKeyNotAccessibleFault");
    let wrong = copy("s1", &[("KmsKeyId", "arn:aws:kms:us-east-1:123456789012:key/k")]);
    assert_eq!(at(&sim, THERE, "CopyDBSnapshot", &wrong).await.code(), "KMSKeyNotAccessibleFault");
    let right = copy("s1", &[("KmsKeyId", "alias/aws/rds"), ("PreSignedUrl", "https://x"), ("SourceRegion", HERE)]);
    let made = at(&sim, THERE, "CopyDBSnapshot", &right).await;
    assert_eq!((text(&made, "Status"), text(&made, "SourceRegion")), ("creating", HERE));
    assert_eq!(text(&made, "SourceDBSnapshotIdentifier"), SOURCE);
    sim.clock().advance(minutes(5));
    let done = at(&sim, THERE, "DescribeDBSnapshots", &[("DBInstanceIdentifier", "db1")]).await;
    assert_eq!((text(&done, "Status"), text(&done, "SnapshotType")), ("available", "manual"));
    assert!(text(&done, "KmsKeyId").starts_with("arn:aws:kms:us-west-2:"));
}

#[tokio::test]
async fn copies_of_one_instance_queue_and_twenty_at_most_are_in_progress() {
    let sim = still();
    instance(&sim, &[]).await;
    call(&sim, "CreateDBSnapshot", &snapshot("s1")).await;
    sim.clock().advance(minutes(5));
    for n in 0..20 {
        let id = format!("c{n:02}");
        assert_eq!(at(&sim, THERE, "CopyDBSnapshot", &copy(&id, &[])).await.status, 200);
    }
    assert_eq!(at(&sim, THERE, "CopyDBSnapshot", &copy("c20", &[])).await.code(), "SnapshotQuotaExceeded");
    sim.clock().advance(Timings::default().snapshot_copy);
    let first = at(&sim, THERE, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "c00")]).await;
    let second = at(&sim, THERE, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "c01")]).await;
    assert_eq!((text(&first, "Status"), text(&second, "Status")), ("available", "creating"));
    assert_eq!(at(&sim, THERE, "CopyDBSnapshot", &copy("c20", &[])).await.status, 200);
}

#[tokio::test]
async fn a_copy_whose_source_is_deleted_meanwhile_fails() {
    let sim = still();
    instance(&sim, &[]).await;
    call(&sim, "CreateDBSnapshot", &snapshot("s1")).await;
    sim.clock().advance(minutes(5));
    at(&sim, THERE, "CopyDBSnapshot", &copy("s1", &[])).await;
    call(&sim, "DeleteDBSnapshot", &[("DBSnapshotIdentifier", "s1")]).await;
    sim.clock().advance(minutes(5));
    let failed = at(&sim, THERE, "DescribeDBSnapshots", &[("DBSnapshotIdentifier", "s1")]).await;
    assert_eq!(text(&failed, "Status"), "failed");
}

#[tokio::test]
async fn tags_are_added_removed_and_listed_by_arn() {
    let sim = still();
    instance(&sim, &[]).await;
    let arn = ("ResourceName", "arn:aws:rds:us-east-1:123456789012:db:db1");
    let add =
        [arn, ("Tags.Tag.1.Key", "a"), ("Tags.Tag.1.Value", "1"), ("Tags.Tag.2.Key", "b"), ("Tags.Tag.2.Value", "2")];
    assert_eq!(call(&sim, "AddTagsToResource", &add).await.status, 200);
    assert_eq!(call(&sim, "RemoveTagsFromResource", &[arn, ("TagKeys.member.1", "a")]).await.status, 200);
    let list = call(&sim, "ListTagsForResource", &[arn]).await;
    assert_eq!(text(&list, "TagList"), "<Tag><Key>b</Key><Value>2</Value></Tag>");
    let none = [("ResourceName", "arn:aws:rds:us-east-1:123456789012:snapshot:x")];
    assert_eq!(call(&sim, "ListTagsForResource", &none).await.code(), "DBSnapshotNotFound");
}

#[tokio::test]
async fn a_subnet_group_in_use_stays() {
    let sim = still();
    let name = ("DBSubnetGroupName", "Group");
    let one = [name, ("DBSubnetGroupDescription", "d"), ("SubnetIds.SubnetIdentifier.1", "subnet-1")];
    assert_eq!(call(&sim, "CreateDBSubnetGroup", &one).await.code(), "DBSubnetGroupDoesNotCoverEnoughAZs");
    let two = [one[0], one[1], one[2], ("SubnetIds.SubnetIdentifier.2", "subnet-2")];
    assert_eq!(text(&call(&sim, "CreateDBSubnetGroup", &two).await, "DBSubnetGroupName"), "group");
    instance(&sim, &[("DBSubnetGroupName", "group")]).await;
    assert_eq!(call(&sim, "DeleteDBSubnetGroup", &[name]).await.code(), "InvalidDBSubnetGroupStateFault");
    assert_eq!(count(&describe(&sim).await, "SubnetIdentifier"), 2);
    let gone = call(&sim, "DescribeDBSubnetGroups", &[("DBSubnetGroupName", "none")]).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "DBSubnetGroupNotFoundFault"));
}

#[tokio::test]
async fn versions_tell_what_they_can_become() {
    let sim = still();
    let reply = call(&sim, "DescribeDBEngineVersions", &[("Engine", "postgres"), ("EngineVersion", "13.7")]).await;
    assert_eq!(count(&reply, "DBEngineVersion"), 1);
    assert!(reply.xml().contains("<UpgradeTarget>"), "{}", reply.xml());
}

#[tokio::test]
async fn a_stopped_instance_starts_again() {
    let sim = still();
    instance(&sim, &[]).await;
    let id = [("DBInstanceIdentifier", "db1")];
    assert_eq!(call(&sim, "StartDBInstance", &id).await.code(), "InvalidDBInstanceState");
    assert_eq!(text(&call(&sim, "StopDBInstance", &id).await, "DBInstanceStatus"), "stopping");
    sim.clock().advance(minutes(5));
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "stopped");
    assert_eq!(call(&sim, "CreateDBSnapshot", &snapshot("s1")).await.code(), "InvalidDBInstanceState");
    call(&sim, "StartDBInstance", &id).await;
    sim.clock().advance(minutes(5));
    assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), "available");
}

#[tokio::test]
async fn a_maintenance_window_moved_to_be_open_applies_what_is_pending() {
    for (window, applied) in [("sun:12:00-sun:13:00", true), ("sun:11:00-sun:11:30", false)] {
        let sim = still();
        instance(&sim, &[]).await;
        let class = [("DBInstanceIdentifier", "db1"), ("DBInstanceClass", "db.t3.large")];
        assert_eq!(call(&sim, "ModifyDBInstance", &class).await.status, 200);
        let moved = [("DBInstanceIdentifier", "db1"), ("PreferredMaintenanceWindow", window)];
        assert_eq!(call(&sim, "ModifyDBInstance", &moved).await.status, 200);
        let status = if applied { "modifying" } else { "available" };
        assert_eq!(text(&describe(&sim).await, "DBInstanceStatus"), status, "{window}");
    }
}

#[tokio::test]
async fn a_subnet_group_of_the_same_network_is_refused() {
    let sim = still();
    for name in ["one", "two"] {
        let group = [
            ("DBSubnetGroupName", name),
            ("DBSubnetGroupDescription", "d"),
            ("SubnetIds.SubnetIdentifier.1", "subnet-1"),
            ("SubnetIds.SubnetIdentifier.2", "subnet-2"),
        ];
        assert_eq!(call(&sim, "CreateDBSubnetGroup", &group).await.status, 200);
    }
    instance(&sim, &[("DBSubnetGroupName", "one")]).await;
    let moved = [("DBInstanceIdentifier", "db1"), ("DBSubnetGroupName", "two")];
    assert_eq!(call(&sim, "ModifyDBInstance", &moved).await.code(), "InvalidVPCNetworkStateFault");
    let same = [("DBInstanceIdentifier", "db1"), ("DBSubnetGroupName", "one")];
    assert_eq!(call(&sim, "ModifyDBInstance", &same).await.status, 200);
}
