//! ModifyDBInstance: what applies at once, what waits for the window or for ApplyImmediately, and what is refused.
//! (RDS User Guide, "Settings for DB instances": a table of when each setting applies.)
use super::create::{
    check_parameter_group, check_password, check_security_groups, check_storage, check_windows, key_arn, make_secret,
};
use super::state::{Due, Instance, Phase, State, Then};
use super::windows::Window;
use super::{catalogue, describe, errors, settle};
use crate::{AwsError, Ctx, Doc, Outcome};

/// What a request asks for, sorted by when it applies.
#[derive(Default)]
struct Wanted {
    /// Into PendingModifiedValues.
    pending: Doc,
    /// Taken back: the value asked for is the one that holds.
    settled: Vec<&'static str>,
    /// Within moments, whatever ApplyImmediately says; the instance is `modifying` meanwhile.
    soon: Doc,
    /// The same, shown as pending until done: backup retention from n to m days.
    soon_pending: Doc,
    password: Password,
}

#[derive(Default, PartialEq)]
enum Password {
    #[default]
    Kept,
    Given,
    Managed,
    Rotated,
}

impl Wanted {
    fn pend(&mut self, name: &'static str, live: impl Into<Doc>, wanted: impl Into<Doc>) {
        let (live, wanted) = (live.into(), wanted.into());
        if live == wanted { self.settled.push(name) } else { self.pending.set(name, wanted) }
    }

    fn soon(&mut self, name: &str, live: impl Into<Doc>, wanted: impl Into<Doc>) {
        let wanted = wanted.into();
        if live.into() != wanted {
            self.soon.set(name, wanted);
        }
    }
}

/// Least size above the present one: AWS rounds up to 10 % more (API Reference, ModifyDBInstance, AllocatedStorage).
fn rounded(live: i64, wanted: i64) -> i64 {
    let least = live + (live + 9) / 10;
    wanted.max(least)
}

fn storage(ctx: &Ctx<'_>, live: &Instance, input: &Doc, wanted: &mut Wanted) -> Result<(), AwsError> {
    let fields = ["AllocatedStorage", "StorageType", "Iops", "StorageThroughput"];
    if !fields.iter().any(|f| input.has(f)) {
        return Ok(());
    }
    let storage_type = input.text("StorageType").unwrap_or(&live.storage_type);
    let gib = input.int("AllocatedStorage").unwrap_or(live.storage_gib);
    if gib < live.storage_gib {
        return Err(errors::combination(format!(
            "Invalid storage size: {gib} GiB. The storage of a DB instance can't be reduced from {} GiB.",
            live.storage_gib
        )));
    }
    let gib = if gib > live.storage_gib { rounded(live.storage_gib, gib) } else { gib };
    let iops = input.int("Iops").or(if storage_type == live.storage_type { live.iops } else { None });
    check_storage(storage_type, gib, iops)?;
    let changes = gib != live.storage_gib || storage_type != live.storage_type;
    let resting = live
        .storage_changed
        .is_some_and(|at| ctx.now().duration_since(at).unsigned_abs() < ctx.timings().rds_storage_rest);
    if changes && (live.status == "storage-optimization" || resting) {
        return Err(errors::combination(
            "You can't currently modify the storage of this DB instance because the previous storage change is being \
             optimized.",
        ));
    }
    if input.has("AllocatedStorage") {
        wanted.pend("AllocatedStorage", live.storage_gib, gib);
    }
    if input.has("StorageType") {
        wanted.pend("StorageType", &live.storage_type, storage_type);
    }
    if let Some(iops) = input.int("Iops") {
        wanted.pend("Iops", live.iops, iops);
    }
    if let Some(throughput) = input.int("StorageThroughput") {
        wanted.pend("StorageThroughput", live.throughput, throughput);
    }
    Ok(())
}

fn engine(live: &Instance, input: &Doc, wanted: &mut Wanted) -> Result<(), AwsError> {
    let Some(version) = input.text("EngineVersion") else { return Ok(()) };
    let (engine, old) = (&live.engine, &live.engine_version);
    let new = if version == catalogue::major(engine, old) { old } else { catalogue::version(engine, Some(version))? };
    if catalogue::rank(engine, new) < catalogue::rank(engine, old) {
        return Err(errors::combination(format!("Cannot upgrade {engine} from {old} to {new}")));
    }
    let major = catalogue::major(engine, new) != catalogue::major(engine, old);
    if major && !input.flag("AllowMajorVersionUpgrade").unwrap_or(false) {
        let message = "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.";
        return Err(errors::combination(message));
    }
    wanted.pend("EngineVersion", old, new);
    Ok(())
}

fn backups(live: &Instance, input: &Doc, immediately: bool, wanted: &mut Wanted) -> Result<(), AwsError> {
    let backup = input.text("PreferredBackupWindow").unwrap_or(&live.backup_window);
    let maintenance = input.text("PreferredMaintenanceWindow").unwrap_or(&live.maintenance_window);
    check_windows(backup, maintenance)?;
    wanted.soon("PreferredBackupWindow", &live.backup_window, backup);
    match input.int("BackupRetentionPeriod") {
        Some(days) if days != live.retention_days && days != 0 && live.retention_days != 0 && !immediately => {
            wanted.soon_pending.set("BackupRetentionPeriod", days);
        }
        Some(days) => wanted.pend("BackupRetentionPeriod", live.retention_days, days),
        None => {}
    }
    Ok(())
}

fn password(live: &Instance, input: &Doc) -> Result<Password, AwsError> {
    let managed = input.flag("ManageMasterUserPassword");
    let rotate = input.flag("RotateMasterUserPassword").unwrap_or(false);
    match (managed, input.text("MasterUserPassword")) {
        (Some(true), Some(_)) => {
            Err(errors::combination("You can't specify MasterUserPassword when ManageMasterUserPassword is turned on."))
        }
        (None, Some(_)) if live.secret.is_some() => {
            Err(errors::combination("You can't specify MasterUserPassword for an instance with a managed password."))
        }
        (Some(false), None) if live.secret.is_some() => {
            Err(errors::combination("You must specify MasterUserPassword to turn off ManageMasterUserPassword."))
        }
        (_, Some(password)) => check_password(password).map(|()| Password::Given),
        (Some(true), None) if live.secret.is_none() => Ok(Password::Managed),
        _ if rotate && live.secret.is_none() => {
            Err(errors::combination("You can't rotate the password of an instance without a managed password."))
        }
        _ if rotate => Ok(Password::Rotated),
        _ => Ok(Password::Kept),
    }
}

fn wanted(ctx: &Ctx<'_>, live: &Instance, input: &Doc, immediately: bool) -> Result<Wanted, AwsError> {
    let mut wanted = Wanted { password: password(live, input)?, ..Wanted::default() };
    storage(ctx, live, input, &mut wanted)?;
    engine(live, input, &mut wanted)?;
    backups(live, input, immediately, &mut wanted)?;
    if let Some(class) = input.text("DBInstanceClass") {
        catalogue::check_class(class)?;
        wanted.pend("DBInstanceClass", &live.class, class);
    }
    if let Some(multi_az) = input.flag("MultiAZ") {
        wanted.pend("MultiAZ", live.multi_az, multi_az);
    }
    if let Some(on) = input.flag("EnableIAMDatabaseAuthentication") {
        wanted.pend("IAMDatabaseAuthenticationEnabled", live.iam_auth, on);
    }
    if let Some(ca) = input.text("CACertificateIdentifier") {
        wanted.pend("CACertificateIdentifier", &live.ca, ca);
    }
    if let Some(license) = input.text("LicenseModel") {
        wanted.pend("LicenseModel", &live.license, license);
    }
    if let Some(name) = input.text("DBSubnetGroupName") {
        let name = name.to_ascii_lowercase();
        if name != "default" && !ctx.peek::<State>().is_some_and(|s| s.subnet_groups.contains_key(&name)) {
            return Err(errors::subnet_group_not_found(&name));
        }
        // Every group but the default one is of one VPC here.
        if name != live.subnet_group && name != "default" && live.subnet_group != "default" {
            return Err(errors::same_network(&live.id, &name));
        }
        wanted.pend("DBSubnetGroupName", &live.subnet_group, name);
    }
    if let Some(name) = input.text("DBParameterGroupName") {
        let version = wanted.pending.text("EngineVersion").unwrap_or(&live.engine_version);
        check_parameter_group(name, &live.engine, version)?;
        wanted.soon("DBParameterGroupName", &live.parameter_group, name);
    }
    check_security_groups(&input.texts("VpcSecurityGroupIds"))?;
    if let Some(public) = input.flag("PubliclyAccessible") {
        wanted.soon("PubliclyAccessible", live.public, public);
    }
    if let Some(port) = input.int("DBPortNumber") {
        wanted.soon("Port", live.port, port);
    }
    if let Some(on) = input.flag("EnablePerformanceInsights") {
        wanted.soon("EnablePerformanceInsights", live.insights, on);
    }
    if let Some(days) = input.int("PerformanceInsightsRetentionPeriod") {
        wanted.soon("PerformanceInsightsRetentionPeriod", live.insights_days, days);
    }
    if let Some(seconds) = input.int("MonitoringInterval") {
        wanted.soon("MonitoringInterval", live.monitoring_seconds, seconds);
    }
    if let Some(role) = input.text("MonitoringRoleArn") {
        wanted.soon("MonitoringRoleArn", live.monitoring_role.clone(), role);
    }
    Ok(wanted)
}

/// What shows at once: it interrupts nothing, and the status stays.
fn at_once(instance: &mut Instance, input: &Doc) {
    if let Some(on) = input.flag("DeletionProtection") {
        instance.protected = on;
    }
    if let Some(on) = input.flag("AutoMinorVersionUpgrade") {
        instance.auto_minor = on;
    }
    if let Some(on) = input.flag("CopyTagsToSnapshot") {
        instance.copy_tags = on;
    }
    if let Some(gib) = input.int("MaxAllocatedStorage") {
        instance.max_storage_gib = Some(gib).filter(|gib| *gib != instance.storage_gib);
    }
    if let Some(window) = input.text("PreferredMaintenanceWindow") {
        instance.maintenance_window = window.to_ascii_lowercase();
    }
    let groups = input.texts("VpcSecurityGroupIds");
    if !groups.is_empty() {
        instance.security_groups = groups;
    }
    let logs = input.at("CloudwatchLogsExportConfiguration");
    instance.log_exports.extend(logs.texts("EnableLogTypes"));
    for log in logs.texts("DisableLogTypes") {
        instance.log_exports.remove(&log);
    }
}

/// User Guide, "Viewing DB instance status": which of them take a modification.
fn check_status(instance: &Instance, input: &Doc) -> Result<(), AwsError> {
    let grows = input.int("AllocatedStorage").is_some_and(|gib| gib > instance.storage_gib);
    match instance.status.as_str() {
        "available" | "storage-optimization" => Ok(()),
        "storage-full" if grows => Ok(()),
        _ => Err(errors::instance_state("Database instance is not in available state.")),
    }
}

/// API Reference, ModifyDBInstance.
pub(super) fn modify(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let id = describe::identifier(input.need("DBInstanceIdentifier"));
    let now = ctx.now();
    let immediately = input.flag("ApplyImmediately").unwrap_or(false);
    let live = ctx.state::<State>().instances.get(&id).cloned().ok_or_else(|| errors::instance_not_found(&id))?;
    check_status(&live, input)?;
    let wanted = wanted(ctx, &live, input, immediately)?;
    let key = input.text("MasterUserSecretKmsKeyId").unwrap_or("alias/aws/secretsmanager");
    let key = key_arn(ctx, key)?;
    let secret = (wanted.password == Password::Managed)
        .then(|| make_secret(ctx, &live.resource_id, &live.username, &live.arn, key));
    if wanted.password == Password::Given
        && let Some(secret) = &live.secret
    {
        crate::secretsmanager::delete_managed(ctx, &secret.arn);
    }
    let (timings, state) = (ctx.timings().clone(), ctx.state::<State>());
    let Some(instance) = state.instances.get_mut(&id) else { return Err(errors::instance_not_found(&id)) };
    at_once(instance, input);
    for name in &wanted.settled {
        instance.pending.set(name, Doc::Null);
    }
    let mut changed = wanted.pending.clone();
    merge(&mut changed, &wanted.soon_pending);
    merge(&mut instance.pending, &changed);
    if wanted.password == Password::Given {
        instance.secret = None;
    }
    if let Some(secret) = secret {
        instance.secret = Some(secret);
    }
    if wanted.password == Password::Rotated
        && let Some(secret) = &mut instance.secret
    {
        secret.status = "rotating";
    }
    let mut phases = Vec::new();
    let mut soon = wanted.soon.clone();
    merge(&mut soon, &wanted.soon_pending);
    if soon.fields().is_some_and(|f| !f.is_empty()) {
        phases.push(Phase { status: "modifying", lasts: timings.rds_modify, then: Then::Apply(soon) });
    }
    if wanted.password != Password::Kept {
        let status = "resetting-master-credentials";
        phases.push(Phase { status, lasts: timings.rds_modify, then: Then::SecretActive });
    }
    // API Reference, ModifyDBInstance, PreferredMaintenanceWindow: moved to include the current time it applies at once.
    let moved = input.has("PreferredMaintenanceWindow") && instance.maintenance_window != live.maintenance_window;
    let opens = moved && Window::weekly(&instance.maintenance_window).is_some_and(|window| window.is_open(now));
    if immediately || opens {
        phases.extend(flush_phases(instance, &timings));
    }
    if !phases.is_empty() {
        instance.begin(phases, now, &mut state.agenda);
    }
    settle::schedule(ctx, &id);
    let answer = describe::answer(ctx, &id);
    if !timings.rds_pending_lag.is_zero() {
        let before = Box::new(Instance { before: None, ..live });
        if let Some(instance) = ctx.state::<State>().instances.get_mut(&id) {
            instance.before = Some((now + timings.rds_pending_lag, before));
        }
    }
    answer
}

fn merge(into: &mut Doc, from: &Doc) {
    for (name, value) in from.fields().into_iter().flatten() {
        into.set(name, value);
    }
}

/// The phases in which everything pending comes to hold: ApplyImmediately flushes all of it, not just the request's
/// (API Reference, ModifyDBInstance, ApplyImmediately; User Guide, "Using the schedule modifications setting").
fn flush_phases(instance: &Instance, timings: &crate::Timings) -> Vec<Phase> {
    let pending = &instance.pending;
    if pending.fields().is_none_or(std::collections::BTreeMap::is_empty) {
        return Vec::new();
    }
    let has = |name: &str| pending.has(name);
    let storage = has("AllocatedStorage") || has("StorageType") || has("Iops") || has("StorageThroughput");
    let heavy = storage || has("DBInstanceClass") || has("EngineVersion") || has("MultiAZ");
    let lasts = if heavy { timings.rds_modify_heavy } else { timings.rds_modify };
    let status = if has("EngineVersion") { "upgrading" } else { "modifying" };
    let mut phases = vec![Phase { status, lasts, then: Then::Apply(pending.clone()) }];
    let retention = pending.int("BackupRetentionPeriod");
    let restarts = retention.is_some_and(|days| (days == 0) != (instance.retention_days == 0));
    if restarts || has("CACertificateIdentifier") {
        phases.push(Phase { status: "rebooting", lasts: timings.rds_reboot, then: Then::Nothing });
    }
    if restarts && retention != Some(0) {
        phases.push(Phase { status: "backing-up", lasts: timings.snapshot_create, then: Then::Nothing });
    }
    if storage {
        phases.push(Phase { status: "storage-optimization", lasts: timings.rds_modify, then: Then::Nothing });
    }
    phases
}

/// Begins to apply everything pending.
pub(super) fn flush(ctx: &mut Ctx<'_>, id: &str) {
    let (now, timings) = (ctx.now(), ctx.timings().clone());
    let state = ctx.state::<State>();
    let Some(instance) = state.instances.get_mut(id) else { return };
    let phases = flush_phases(instance, &timings);
    if !phases.is_empty() {
        instance.begin(phases, now, &mut state.agenda);
        state.agenda.cancel(&Due::Maintenance(id.to_owned()));
    }
}
