//! The inputs of RDS's operations (RDS API Reference, request parameters of each).
use crate::shape::{Field, Shape, any, boolean, int, list, opt, req, structure, tag_list, text};

fn tags() -> Shape {
    tag_list("Key", "Value").element("Tag")
}

fn filters() -> Field {
    let filter = structure([req("Name", text()), req("Values", list(text()).element("Value"))]);
    opt("Filters", list(filter).element("Filter"))
}

/// 20 to 100 a page, 100 by default; the marker.
fn page() -> [Field; 2] {
    [opt("MaxRecords", int().range(20, 100)), opt("Marker", text())]
}

fn with<const N: usize>(more: [Field; N], base: Vec<Field>) -> Vec<Field> {
    more.into_iter().chain(base).collect()
}

pub(super) fn instance_id() -> Field {
    req("DBInstanceIdentifier", text().min(1))
}

pub(super) fn snapshot_id() -> Field {
    req("DBSnapshotIdentifier", text().len(1, 255))
}

pub(super) fn subnet_group_name() -> Field {
    req("DBSubnetGroupName", text().len(1, 255))
}

pub(super) fn resource() -> Field {
    req("ResourceName", text().min(1))
}

/// What both CreateDBInstance and ModifyDBInstance take.
fn settings() -> Vec<Field> {
    vec![
        opt("AllocatedStorage", int()),
        opt("MasterUserPassword", text().min(1)),
        opt("VpcSecurityGroupIds", list(text()).element("VpcSecurityGroupId")),
        opt("DBSubnetGroupName", text()),
        opt("PreferredMaintenanceWindow", text()),
        opt("DBParameterGroupName", text()),
        opt("BackupRetentionPeriod", int().range(0, 35)),
        opt("PreferredBackupWindow", text()),
        opt("MultiAZ", boolean()),
        opt("EngineVersion", text()),
        opt("AutoMinorVersionUpgrade", boolean()),
        opt("LicenseModel", text()),
        opt("Iops", int()),
        opt("StorageThroughput", int()),
        opt("PubliclyAccessible", boolean()),
        opt("StorageType", text()),
        opt("CopyTagsToSnapshot", boolean()),
        opt("MonitoringInterval", int()),
        opt("MonitoringRoleArn", text()),
        opt("EnableIAMDatabaseAuthentication", boolean()),
        opt("EnablePerformanceInsights", boolean()),
        opt("PerformanceInsightsRetentionPeriod", int()),
        opt("DeletionProtection", boolean()),
        opt("MaxAllocatedStorage", int()),
        opt("CACertificateIdentifier", text()),
        opt("ManageMasterUserPassword", boolean()),
        opt("MasterUserSecretKmsKeyId", text()),
        // Dedicated log volumes and addresses other than IPv4 don't exist here.
        opt("NetworkType", text().one_of(["IPV4"])),
        opt("DatabaseInsightsMode", text().one_of(["standard"])),
    ]
}

pub(super) fn create_instance() -> Vec<Field> {
    let own = [
        req("DBInstanceIdentifier", text().len(1, 63).pattern("[A-Za-z](?:-?[A-Za-z0-9])*")),
        req("DBInstanceClass", text()),
        req("Engine", text()),
        opt("DBName", text().len(1, 63).pattern("[A-Za-z_][A-Za-z0-9_]*")),
        opt("MasterUsername", text().len(1, 63).pattern("[A-Za-z][A-Za-z0-9_]*")),
        opt("AvailabilityZone", text()),
        opt("Port", int().range(1_150, 65_535)),
        opt("Tags", tags()),
        opt("StorageEncrypted", boolean()),
        opt("KmsKeyId", text()),
        opt("EnableCloudwatchLogsExports", list(text())),
        opt("BackupTarget", text().one_of(["region"])),
        opt("EngineLifecycleSupport", text().one_of(["open-source-rds-extended-support"])),
    ];
    with(own, settings())
}

pub(super) fn modify_instance() -> Vec<Field> {
    let logs = structure([opt("EnableLogTypes", list(text())), opt("DisableLogTypes", list(text()))]);
    let own = [
        instance_id(),
        opt("DBInstanceClass", text()),
        opt("ApplyImmediately", boolean()),
        opt("AllowMajorVersionUpgrade", boolean()),
        opt("DBPortNumber", int().range(1_150, 65_535)),
        opt("RotateMasterUserPassword", boolean()),
        opt("CertificateRotationRestart", boolean()),
        opt("CloudwatchLogsExportConfiguration", logs),
    ];
    with(own, settings())
}

pub(super) fn delete_instance() -> Vec<Field> {
    vec![
        instance_id(),
        opt("SkipFinalSnapshot", boolean()),
        opt("FinalDBSnapshotIdentifier", text().len(1, 255)),
        // Automated backups always go with the instance here.
        opt("DeleteAutomatedBackups", boolean()),
    ]
}

pub(super) fn reboot() -> Vec<Field> {
    vec![instance_id(), opt("ForceFailover", boolean())]
}

pub(super) fn describe_instances() -> Vec<Field> {
    with([opt("DBInstanceIdentifier", text().min(1)), filters()], page().into())
}

pub(super) fn create_snapshot() -> Vec<Field> {
    vec![snapshot_id(), instance_id(), opt("Tags", tags())]
}

pub(super) fn copy_snapshot() -> Vec<Field> {
    vec![
        req("SourceDBSnapshotIdentifier", text().min(1)),
        req("TargetDBSnapshotIdentifier", text().len(1, 255)),
        opt("KmsKeyId", text()),
        opt("Tags", tags()),
        opt("CopyTags", boolean()),
        // Clients that are told the source region send a presigned URL; outside GovCloud and China it is not needed,
        // and nobody looks at it here (API Reference, CopyDBSnapshot, PreSignedUrl).
        opt("PreSignedUrl", any()),
        opt("SourceRegion", text()),
    ]
}

pub(super) fn describe_snapshots() -> Vec<Field> {
    let own = [
        opt("DBInstanceIdentifier", text()),
        opt("DBSnapshotIdentifier", text()),
        opt("SnapshotType", text().one_of(["automated", "manual", "shared", "public", "awsbackup"])),
        opt("DbiResourceId", text()),
        // Nothing is shared with anyone here.
        opt("IncludeShared", boolean()),
        opt("IncludePublic", boolean()),
        filters(),
    ];
    with(own, page().into())
}

fn subnets() -> Field {
    req("SubnetIds", list(text()).element("SubnetIdentifier").min(1))
}

pub(super) fn create_subnet_group() -> Vec<Field> {
    let name = text().len(1, 255).pattern("[A-Za-z0-9 ._-]+");
    vec![req("DBSubnetGroupName", name), req("DBSubnetGroupDescription", text()), subnets(), opt("Tags", tags())]
}

pub(super) fn modify_subnet_group() -> Vec<Field> {
    vec![subnet_group_name(), opt("DBSubnetGroupDescription", text()), subnets()]
}

/// A read of one by name, or of all in pages.
pub(super) fn paged(name: &'static str) -> Vec<Field> {
    with([opt(name, text())], page().into())
}

pub(super) fn add_tags() -> Vec<Field> {
    vec![resource(), req("Tags", tags())]
}

pub(super) fn remove_tags() -> Vec<Field> {
    vec![resource(), req("TagKeys", list(text().len(1, 128)))]
}

pub(super) fn engine_versions() -> Vec<Field> {
    let own = [
        opt("Engine", text()),
        opt("EngineVersion", text()),
        opt("DBParameterGroupFamily", text()),
        opt("DefaultOnly", boolean()),
    ];
    with(own, page().into())
}

pub(super) fn orderable() -> Vec<Field> {
    let own = [req("Engine", text()), opt("EngineVersion", text()), opt("DBInstanceClass", text())];
    with(own, page().into())
}
