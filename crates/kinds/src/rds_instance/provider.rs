//! RDS calls for DB instances. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_rds::types::{DbInstance, Filter, PendingModifiedValues, Tag};
use aws_smithy_types::DateTime;
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use jiff::Timestamp;
use model::observation::Unknown;
use model::{ActError, Class, Observation, ObserveError, Step, Tags};
use serde_json::Value;

use super::desired::{daily, weekly};
use super::errors::classify;
use super::plan::{AtCreation, Settings};
use super::{Action, Observed};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "rds:DescribeDBInstances";

/// Up to so many keys are asked for by a filter; above, all instances of the region are read, 100 a page.
const BY_FILTER: usize = 20;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws }
    }

    async fn list(&self, clients: &RegionClients, filter: Option<Filter>) -> Result<Vec<DbInstance>, ObserveError> {
        let mut instances = Vec::new();
        let mut guard = TokenGuard::new(DESCRIBE);
        let mut marker = None;
        loop {
            let page = clients
                .read(DESCRIBE, classify, || {
                    clients
                        .rds
                        .describe_db_instances()
                        .set_filters(filter.clone().map(|filter| vec![filter]))
                        .max_records(100)
                        .set_marker(marker.clone())
                        .send()
                })
                .await?;
            instances.extend(page.db_instances.unwrap_or_default());
            marker = guard.next(page.marker.as_deref())?;
            if marker.is_none() {
                return Ok(instances);
            }
        }
    }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// All of `PendingModifiedValues`, so that nothing that waits there is overlooked.
fn pending(live: &PendingModifiedValues) -> BTreeMap<String, Value> {
    let text = |value: Option<&str>| value.map(Value::from);
    let number = |value: Option<i32>| value.map(Value::from);
    let flag = |value: Option<bool>| value.map(Value::from);
    let exports = live.pending_cloudwatch_logs_exports().map(|logs| {
        let types = [logs.log_types_to_enable(), logs.log_types_to_disable()].concat();
        Value::from(types)
    });
    let features: Vec<String> = live.processor_features().iter().filter_map(|f| f.name().map(str::to_owned)).collect();
    let volumes: Vec<String> =
        live.additional_storage_volumes().iter().filter_map(|v| v.volume_name().map(str::to_owned)).collect();
    [
        ("DBInstanceClass", text(live.db_instance_class())),
        ("AllocatedStorage", number(live.allocated_storage())),
        // The value itself is never kept.
        ("MasterUserPassword", live.master_user_password().map(|_| Value::from("(hidden)"))),
        ("Port", number(live.port())),
        ("BackupRetentionPeriod", number(live.backup_retention_period())),
        ("MultiAZ", flag(live.multi_az())),
        ("EngineVersion", text(live.engine_version())),
        ("LicenseModel", text(live.license_model())),
        ("Iops", number(live.iops())),
        ("StorageThroughput", number(live.storage_throughput())),
        ("DBInstanceIdentifier", text(live.db_instance_identifier())),
        ("StorageType", text(live.storage_type())),
        ("CACertificateIdentifier", text(live.ca_certificate_identifier())),
        ("DBSubnetGroupName", text(live.db_subnet_group_name())),
        ("PendingCloudwatchLogsExports", exports.filter(|v| v.as_array().is_some_and(|list| !list.is_empty()))),
        ("ProcessorFeatures", (!features.is_empty()).then(|| features.into())),
        ("AutomationMode", live.automation_mode().map(|mode| mode.as_str().into())),
        ("MultiTenant", flag(live.multi_tenant())),
        ("IAMDatabaseAuthenticationEnabled", flag(live.iam_database_authentication_enabled())),
        ("DedicatedLogVolume", flag(live.dedicated_log_volume())),
        ("Engine", text(live.engine())),
        ("AdditionalStorageVolumes", (!volumes.is_empty()).then(|| volumes.into())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn tags(live: &[Tag]) -> Tags {
    live.iter().map(|tag| (tag.key().unwrap_or("").to_owned(), tag.value().unwrap_or("").to_owned())).collect()
}

fn tag_list(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// `None` when something is missing that AWS always gives.
fn observed(live: &DbInstance) -> Option<Observed> {
    let number = |value: Option<i32>| value.and_then(|n| u32::try_from(n).ok());
    let text = |value: Option<&str>| value.map(str::to_owned);
    Some(Observed {
        arn: live.db_instance_arn()?.to_owned(),
        identifier: live.db_instance_identifier()?.to_owned(),
        status: live.db_instance_status()?.to_owned(),
        created_at: live.instance_create_time().and_then(timestamp),
        address: live.endpoint().and_then(|e| text(e.address())),
        port: live.endpoint().and_then(|e| number(e.port())),
        engine: live.engine()?.to_owned(),
        engine_version: live.engine_version()?.to_owned(),
        instance_class: live.db_instance_class()?.to_owned(),
        database_name: text(live.db_name()),
        storage_gib: number(live.allocated_storage())?,
        max_storage_gib: number(live.max_allocated_storage()),
        storage_type: live.storage_type().unwrap_or("standard").to_owned(),
        iops: number(live.iops()),
        encrypted: live.storage_encrypted().unwrap_or(false),
        kms_key_id: text(live.kms_key_id()),
        multi_az: live.multi_az().unwrap_or(false),
        publicly_accessible: live.publicly_accessible().unwrap_or(false),
        deletion_protection: live.deletion_protection().unwrap_or(false),
        auto_minor_version_upgrade: live.auto_minor_version_upgrade().unwrap_or(false),
        subnet_group: live.db_subnet_group().and_then(|group| text(group.db_subnet_group_name())),
        security_groups: live
            .vpc_security_groups()
            .iter()
            // One that is on its way out is gone as far as the declaration goes.
            .filter(|group| group.status() != Some("removing"))
            .filter_map(|group| text(group.vpc_security_group_id()))
            .collect(),
        master_username: text(live.master_username()),
        secret_arn: live.master_user_secret().and_then(|secret| text(secret.secret_arn())),
        retention_days: number(live.backup_retention_period()).unwrap_or(0),
        backup_window: live.preferred_backup_window().map(daily).unwrap_or_default(),
        maintenance_window: live.preferred_maintenance_window().map(weekly).unwrap_or_default(),
        pending: live.pending_modified_values().map(pending).unwrap_or_default(),
        tags: Some(tags(live.tag_list())),
    })
}

fn int(value: Option<u32>) -> Option<i32> {
    value.map(u32::cast_signed)
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let filter = (keys.len() <= BY_FILTER).then(|| {
            let names = keys.iter().map(|key| key.identity.to_string()).collect();
            Filter::builder().name("db-instance-id").set_values(Some(names)).build()
        });
        let instances = self.list(&clients, filter).await?;
        let live: BTreeMap<&str, &DbInstance> =
            instances.iter().filter_map(|i| Some((i.db_instance_identifier()?, i))).collect();
        let since = scope.now;
        Ok(keys
            .iter()
            .map(|key| {
                let observation = live
                    .get(&*key.identity)
                    .and_then(|instance| observed(instance))
                    .map_or(Observation::Unknown { since, why: Unknown::NotListed }, Observation::Present);
                (Arc::clone(&key.identity), observation)
            })
            .collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let answer = clients
            .read(DESCRIBE, classify, || {
                clients.rds.describe_db_instances().db_instance_identifier(&*key.identity).send()
            })
            .await;
        let page = match answer {
            Ok(page) => page,
            Err(error) if error.class == Class::NotFound => return Ok(Observation::Absent),
            Err(error) => return Err(error),
        };
        page.db_instances()
            .iter()
            .find(|instance| instance.db_instance_identifier() == Some(&*key.identity))
            .and_then(observed)
            .map(Observation::Present)
            .ok_or_else(|| no_object(DESCRIBE, "no instance, or one that lacks ARN, status, engine, class or storage"))
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let (rds, id) = (&clients.rds, &*key.identity);
        let request_id = match instruction(step)? {
            Action::CreateDBInstance { fixed, settings, tags } => {
                let AtCreation { engine, master_username, database_name, encrypted, kms_key_id } = fixed;
                let Settings {
                    engine_version,
                    allow_major_version_upgrade: _,
                    instance_class,
                    storage_gib,
                    storage_type,
                    iops,
                    multi_az,
                    publicly_accessible,
                    deletion_protection,
                    auto_minor_version_upgrade,
                    subnet_group,
                    security_groups,
                    managed_password,
                    retention_days,
                    backup_window,
                    maintenance_window,
                } = *settings;
                let call = rds
                    .create_db_instance()
                    .db_instance_identifier(id)
                    .engine(engine)
                    .master_username(master_username)
                    .set_db_name(database_name)
                    .set_storage_encrypted(encrypted)
                    .set_kms_key_id(kms_key_id)
                    .set_engine_version(engine_version)
                    .set_db_instance_class(instance_class)
                    .set_allocated_storage(int(storage_gib))
                    .set_storage_type(storage_type)
                    .set_iops(int(iops))
                    .set_multi_az(multi_az)
                    .set_publicly_accessible(publicly_accessible)
                    .set_deletion_protection(deletion_protection)
                    .set_auto_minor_version_upgrade(auto_minor_version_upgrade)
                    .set_db_subnet_group_name(subnet_group)
                    .set_vpc_security_group_ids(security_groups)
                    .set_manage_master_user_password(managed_password)
                    .set_backup_retention_period(int(retention_days))
                    .set_preferred_backup_window(backup_window)
                    .set_preferred_maintenance_window(maintenance_window)
                    .set_tags(Some(tag_list(&tags)));
                clients.act("rds:CreateDBInstance", classify, || call.send()).await?.1
            }
            Action::ModifyDBInstance { settings, apply_immediately } => {
                let Settings {
                    engine_version,
                    allow_major_version_upgrade,
                    instance_class,
                    storage_gib,
                    storage_type,
                    iops,
                    multi_az,
                    publicly_accessible,
                    deletion_protection,
                    auto_minor_version_upgrade,
                    subnet_group,
                    security_groups,
                    managed_password,
                    retention_days,
                    backup_window,
                    maintenance_window,
                } = *settings;
                let call = rds
                    .modify_db_instance()
                    .db_instance_identifier(id)
                    .apply_immediately(apply_immediately)
                    .set_engine_version(engine_version)
                    .set_allow_major_version_upgrade(allow_major_version_upgrade)
                    .set_db_instance_class(instance_class)
                    .set_allocated_storage(int(storage_gib))
                    .set_storage_type(storage_type)
                    .set_iops(int(iops))
                    .set_multi_az(multi_az)
                    .set_publicly_accessible(publicly_accessible)
                    .set_deletion_protection(deletion_protection)
                    .set_auto_minor_version_upgrade(auto_minor_version_upgrade)
                    .set_db_subnet_group_name(subnet_group)
                    .set_vpc_security_group_ids(security_groups)
                    .set_manage_master_user_password(managed_password)
                    .set_backup_retention_period(int(retention_days))
                    .set_preferred_backup_window(backup_window)
                    .set_preferred_maintenance_window(maintenance_window);
                clients.act("rds:ModifyDBInstance", classify, || call.send()).await?.1
            }
            Action::DeleteDBInstance { final_snapshot } => {
                let call = rds
                    .delete_db_instance()
                    .db_instance_identifier(id)
                    .skip_final_snapshot(false)
                    .final_db_snapshot_identifier(final_snapshot);
                clients.act("rds:DeleteDBInstance", classify, || call.send()).await?.1
            }
            Action::AddTagsToResource { arn, tags } => {
                let call = rds.add_tags_to_resource().resource_name(arn).set_tags(Some(tag_list(&tags)));
                clients.act("rds:AddTagsToResource", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
