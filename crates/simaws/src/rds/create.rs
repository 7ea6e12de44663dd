//! CreateDBInstance. Validates everything before anything is made.
use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::state::{Due, Instance, Phase, Secret, State, Then};
use super::windows::Window;
use super::{catalogue, describe, errors};
use crate::{AwsError, Ctx, Doc, Outcome, secretsmanager, tags_in};

/// User Guide, "DB instance storage": GiB by storage type.
pub(super) fn check_storage(storage_type: &str, gib: i64, iops: Option<i64>) -> Result<(), AwsError> {
    let (least, most) = match storage_type {
        "gp2" | "gp3" => (20, 65_536),
        "io1" | "io2" => (100, 65_536),
        "standard" => (5, 3_072),
        other => return Err(AwsError::new("StorageTypeNotSupported", format!("Invalid storage type: {other}"))),
    };
    if !(least..=most).contains(&gib) {
        return Err(errors::value(format!(
            "Invalid storage size for {storage_type}: {gib} (from {least} to {most} GiB)"
        )));
    }
    if storage_type.starts_with("io") && iops.is_none() {
        return Err(errors::combination(format!("You must specify Iops with storage type {storage_type}.")));
    }
    Ok(())
}

/// The ARN of a key in this region: of its ARN, its id or its alias.
pub(super) fn key_arn(ctx: &Ctx<'_>, key: &str) -> Result<String, AwsError> {
    if let Some(rest) = key.strip_prefix("arn:") {
        let parts: Vec<&str> = rest.splitn(5, ':').collect();
        return match parts[..] {
            [_, "kms", region, _, resource] if region == ctx.region() => match resource.strip_prefix("alias/") {
                Some(_) => key_arn(ctx, resource),
                None => Ok(key.to_owned()),
            },
            _ => Err(errors::key_not_accessible(Some(key))),
        };
    }
    if key.starts_with("alias/") {
        let hash = hex::encode(&Sha256::digest(format!("{}/{}/{key}", ctx.account(), ctx.region()))[..16]);
        let id = format!("{}-{}-4{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32]);
        return Ok(ctx.arn("kms", &format!("key/{id}")));
    }
    Ok(ctx.arn("kms", &format!("key/{key}")))
}

/// Both windows, parsed; overlap refused (API Reference, CreateDBInstance, PreferredBackupWindow: "must not conflict
/// with the preferred maintenance window").
pub(super) fn check_windows(backup: &str, maintenance: &str) -> Result<(Window, Window), AwsError> {
    let daily = Window::daily(backup).ok_or_else(|| {
        errors::value(format!("Invalid backup window format: {backup}. Should be specified as a range hh24:mi-hh24:mi (24H Clock UTC) of at least 30 minutes."))
    })?;
    let weekly = Window::weekly(maintenance).ok_or_else(|| {
        errors::value(format!("Invalid maintenance window format: {maintenance}. Should be specified as a range ddd:hh24:mi-ddd:hh24:mi (24H Clock UTC) of at least 30 minutes."))
    })?;
    if weekly.overlaps(daily) {
        return Err(errors::combination("The backup window and maintenance window must not overlap."));
    }
    Ok((daily, weekly))
}

pub(super) fn check_security_groups(groups: &[String]) -> Result<(), AwsError> {
    match groups.iter().find(|g| !g.starts_with("sg-")) {
        Some(bad) => Err(errors::value(format!("Invalid security group , groupId= {bad}, groupName=."))),
        None => Ok(()),
    }
}

pub(super) fn check_parameter_group(name: &str, engine: &str, version: &str) -> Result<(), AwsError> {
    let family = catalogue::family(engine, version);
    if name == format!("default.{family}") {
        return Ok(());
    }
    if name.starts_with("default.") {
        return Err(errors::combination(format!("The parameter group {name} is not of the family {family}.")));
    }
    Err(catalogue::parameter_group_not_found(name))
}

pub(super) fn check_password(password: &str) -> Result<(), AwsError> {
    let bad = password.len() < 8 || password.contains(['/', '"', '@', ' ']);
    if bad { Err(errors::value("The parameter MasterUserPassword is not a valid password.")) } else { Ok(()) }
}

/// What is asked for about the master's password: managed or given, and never both.
fn password(input: &Doc) -> Result<bool, AwsError> {
    let managed = input.flag("ManageMasterUserPassword").unwrap_or(false);
    match (managed, input.text("MasterUserPassword")) {
        (true, Some(_)) => {
            Err(errors::combination("You can't specify MasterUserPassword when ManageMasterUserPassword is turned on."))
        }
        (false, _) if input.has("MasterUserSecretKmsKeyId") => {
            Err(errors::combination("You must turn on ManageMasterUserPassword to specify MasterUserSecretKmsKeyId."))
        }
        (false, None) => Err(errors::combination(
            "The parameter MasterUserPassword must be provided unless ManageMasterUserPassword is turned on.",
        )),
        (false, Some(password)) => check_password(password).map(|()| false),
        (true, None) => Ok(true),
    }
}

/// The secret `rds!db-<resource id>` (User Guide, "Password management with Amazon RDS and AWS Secrets Manager").
pub(super) fn make_secret(ctx: &mut Ctx<'_>, resource_id: &str, username: &str, arn: &str, key: String) -> Secret {
    let name = format!("rds!{resource_id}");
    let password = ctx.rng().pick(28, "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!#$%&*");
    let value = format!("{{\"username\":\"{username}\",\"password\":\"{password}\"}}");
    let tags = [("aws:rds:primaryDBInstanceArn", arn), ("aws:secretsmanager:owningService", "rds")];
    let tags = tags.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let description = format!("Secret associated with primary RDS DB instance: {arn}");
    let arn = secretsmanager::create_managed(ctx, &name, "rds", &description, &value, tags);
    Secret { arn, status: "creating", kms_key: key }
}

/// API Reference, CreateDBInstance.
#[expect(clippy::too_many_lines, reason = "one flat list of an instance's fields")]
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let id = input.need("DBInstanceIdentifier").to_ascii_lowercase();
    let engine = input.need("Engine").to_owned();
    let (port, license) = catalogue::defaults(&engine)?;
    let engine_version = catalogue::version(&engine, input.text("EngineVersion"))?.to_owned();
    catalogue::check_class(input.need("DBInstanceClass"))?;
    let managed = password(input)?;
    let username = input.owned("MasterUsername").ok_or_else(|| errors::value("MasterUsername must be provided."))?;
    let iops = input.int("Iops");
    let default_type = if iops.is_some() { "io1" } else { "gp2" };
    let storage_type = input.text("StorageType").unwrap_or(default_type).to_owned();
    let storage_gib =
        input.int("AllocatedStorage").ok_or_else(|| errors::value("Allocated storage must be provided."))?;
    check_storage(&storage_type, storage_gib, iops)?;
    let encrypted = input.flag("StorageEncrypted").unwrap_or(false);
    if !encrypted && input.has("KmsKeyId") {
        return Err(errors::combination("You must turn on StorageEncrypted to specify KmsKeyId."));
    }
    let kms_key = encrypted.then(|| key_arn(ctx, input.text("KmsKeyId").unwrap_or("alias/aws/rds"))).transpose()?;
    let secret_key = key_arn(ctx, input.text("MasterUserSecretKmsKeyId").unwrap_or("alias/aws/secretsmanager"))?;
    let backup_window = input.text("PreferredBackupWindow").unwrap_or("06:00-06:30").to_owned();
    let maintenance_window =
        input.text("PreferredMaintenanceWindow").unwrap_or("wed:09:00-wed:09:30").to_ascii_lowercase();
    let (daily, _) = check_windows(&backup_window, &maintenance_window)?;
    let security_groups = input.texts("VpcSecurityGroupIds");
    check_security_groups(&security_groups)?;
    let parameter_group = match input.text("DBParameterGroupName") {
        Some(name) => check_parameter_group(name, &engine, &engine_version).map(|()| name.to_owned())?,
        None => format!("default.{}", catalogue::family(&engine, &engine_version)),
    };
    let subnet_group = input.text("DBSubnetGroupName").unwrap_or("default").to_ascii_lowercase();
    let multi_az = input.flag("MultiAZ").unwrap_or(false);
    if multi_az && input.has("AvailabilityZone") {
        return Err(errors::combination(
            "Requesting a specific availability zone is not valid for Multi-AZ instances.",
        ));
    }
    let (now, arn) = (ctx.now(), ctx.arn("rds", &format!("db:{id}")));
    let zone = input.owned("AvailabilityZone").unwrap_or_else(|| format!("{}a", ctx.region()));
    let state = ctx.state::<State>();
    if subnet_group != "default" && !state.subnet_groups.contains_key(&subnet_group) {
        return Err(errors::subnet_group_not_found(&subnet_group));
    }
    if state.instances.contains_key(&id) {
        return Err(AwsError::new("DBInstanceAlreadyExists", "DB instance already exists"));
    }
    let resource_id = format!("db-{}", ctx.rng().pick(26, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"));
    let secret = managed.then(|| make_secret(ctx, &resource_id, &username, &arn, secret_key));
    let insights = input.flag("EnablePerformanceInsights").unwrap_or(false);
    let retention_days = input.int("BackupRetentionPeriod").unwrap_or(1);
    let mut instance = Instance {
        id: id.clone(),
        arn: arn.clone(),
        resource_id,
        class: input.need("DBInstanceClass").to_owned(),
        license: input.text("LicenseModel").unwrap_or(license).to_owned(),
        engine,
        engine_version,
        username,
        db_name: input.owned("DBName"),
        port: input.int("Port").unwrap_or(port),
        storage_gib,
        throughput: input.int("StorageThroughput").or_else(|| (storage_type == "gp3").then_some(125)),
        iops: iops.or_else(|| (storage_type == "gp3").then_some(3_000)),
        storage_type,
        max_storage_gib: input.int("MaxAllocatedStorage"),
        storage_changed: None,
        encrypted,
        kms_key,
        multi_az,
        public: input.flag("PubliclyAccessible").unwrap_or(subnet_group == "default"),
        protected: input.flag("DeletionProtection").unwrap_or(false),
        auto_minor: input.flag("AutoMinorVersionUpgrade").unwrap_or(true),
        copy_tags: input.flag("CopyTagsToSnapshot").unwrap_or(false),
        iam_auth: input.flag("EnableIAMDatabaseAuthentication").unwrap_or(false),
        subnet_group,
        security_groups: if security_groups.is_empty() { vec!["sg-default".to_owned()] } else { security_groups },
        parameter_group,
        zone,
        retention_days,
        backup_window,
        maintenance_window,
        log_exports: input.texts("EnableCloudwatchLogsExports").into_iter().collect::<BTreeSet<_>>(),
        insights,
        insights_days: insights.then(|| input.int("PerformanceInsightsRetentionPeriod").unwrap_or(7)),
        monitoring_seconds: input.int("MonitoringInterval").unwrap_or(0),
        monitoring_role: input.owned("MonitoringRoleArn"),
        ca: input.text("CACertificateIdentifier").unwrap_or("rds-ca-rsa2048-g1").to_owned(),
        secret,
        status: "creating".to_owned(),
        phases: std::collections::VecDeque::new(),
        created: None,
        pending: Doc::empty(),
        before: None,
    };
    let timings = ctx.timings().clone();
    let mut phases = vec![Phase { status: "creating", lasts: timings.rds_create, then: Then::Created }];
    if retention_days > 0 {
        phases.push(Phase { status: "backing-up", lasts: timings.snapshot_create, then: Then::Nothing });
    }
    let state = ctx.state::<State>();
    instance.begin(phases, now, &mut state.agenda);
    if retention_days > 0 {
        state.agenda.set(Due::Backup(id.clone()), daily.opens(now));
    }
    state.instances.insert(id.clone(), instance);
    ctx.tags().register(&arn, tags_in(input.list("Tags"), "Key", "Value"), now);
    describe::answer(ctx, &id)
}
