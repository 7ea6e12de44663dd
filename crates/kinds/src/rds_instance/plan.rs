//! Planning a DB instance. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::plan::Verb;
use model::schedule::WeeklyWindow;
use model::{Environment, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diff::{Differences, Part};
use super::status::{self, Status};
use super::{Desired, Observed, desired};
use crate::changes::created;

/// The kind.
pub struct RdsInstance;

/// Settings of a create or a modify call, in AWS's sense; `None` is not sent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "each is the parameter of that name")]
pub struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_major_version_upgrade: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publicly_accessible: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_minor_version_upgrade: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_password: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<String>,
}

/// What CreateDBInstance takes and ModifyDBInstance does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the parameter of that name")]
pub struct AtCreation {
    pub engine: String,
    pub master_username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateDBInstance { fixed: AtCreation, settings: Box<Settings>, tags: Tags },
    ModifyDBInstance { settings: Box<Settings>, apply_immediately: bool },
    DeleteDBInstance { final_snapshot: String },
    AddTagsToResource { arn: String, tags: Tags },
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// What AWS needs to create an instance and the document lacks, by path.
fn missing(desired: &Desired) -> Vec<&'static str> {
    let need = |path, present: bool| (!present).then_some(path);
    [
        need("spec.database.engine", desired.engine.is_some()),
        need("spec.database.instanceClass", desired.instance_class.is_some()),
        need("spec.database.storageGib", desired.storage_gib.is_some()),
        need("spec.database.iops", desired.iops.is_some() || !needs_iops(desired.storage_type.as_deref())),
        need("spec.database.masterUsername", desired.master_username.is_some()),
        need("spec.database.masterPassword", desired.managed_password == Some(true)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// RDS takes these storage types only with their IOPS. (RDS API Reference, ModifyDBInstance, StorageType.)
pub(super) fn needs_iops(storage_type: Option<&str>) -> bool {
    matches!(storage_type, Some("io1" | "io2"))
}

fn create(desired: &Desired) -> Action {
    let settings = Settings {
        engine_version: desired.engine_version.clone(),
        allow_major_version_upgrade: None,
        instance_class: desired.instance_class.clone(),
        storage_gib: desired.storage_gib,
        storage_type: desired.storage_type.clone(),
        iops: desired.iops,
        multi_az: desired.multi_az,
        // Left out, AWS decides by the subnet group's network: never that.
        publicly_accessible: Some(desired.publicly_accessible.unwrap_or(false)),
        deletion_protection: desired.deletion_protection,
        auto_minor_version_upgrade: desired.auto_minor_version_upgrade,
        subnet_group: desired.subnet_group.clone(),
        security_groups: desired.security_groups.as_ref().map(|groups| groups.iter().cloned().collect()),
        managed_password: desired.managed_password,
        retention_days: desired.retention_days,
        backup_window: desired.backup_window.clone(),
        maintenance_window: desired.maintenance_window.clone(),
    };
    let fixed = AtCreation {
        engine: desired.engine.clone().unwrap_or_default(),
        master_username: desired.master_username.clone().unwrap_or_default(),
        database_name: desired.database_name.clone(),
        encrypted: desired.encrypted,
        kms_key_id: desired.kms_key_id.clone(),
    };
    Action::CreateDBInstance { fixed, settings: Box::new(settings), tags: desired.tags.clone() }
}

fn modify(part: Part) -> Step {
    let body =
        Action::ModifyDBInstance { settings: Box::new(part.settings), apply_immediately: part.immediately }.body();
    Step::new("ModifyDBInstance", Verb::Update, part.risk, part.reasons.join("; "), body).changing(part.changes)
}

/// A wait for the maintenance window, in which AWS itself makes pending values hold.
fn pending_wait(context: &PlanContext<'_>, observed: &Observed, differences: &Differences) -> Option<Wait> {
    if differences.pending.is_empty() {
        return None;
    }
    let fields: Vec<String> = differences.pending.iter().map(ToString::to_string).collect();
    let message =
        format!("pending until the maintenance window {}: {}", observed.maintenance_window, fields.join(", "));
    let wait = Wait::new(WaitKind::Progressing, "PendingUntilWindow", message);
    Some(match WeeklyWindow::parse(&observed.maintenance_window) {
        Ok(window) if status::of(&observed.status) == Status::Available => wait.until(window.opens_after(context.now)),
        _ => wait,
    })
}

/// The name of the snapshot that a deletion leaves. By the time of creation, so that a deletion that is planned again
/// asks for the same, and an approved step stays the approved one.
fn final_snapshot(observed: &Observed) -> String {
    let created = observed.created_at.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    format!("{}-final-{}", observed.identifier, created.strftime("%Y%m%d%H%M"))
}

impl Kind for RdsInstance {
    const NAME: &'static str = "RdsInstance";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Hot, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(_context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let missing = missing(desired);
        if !missing.is_empty() {
            return ResourcePlan::wait(Wait::new(
                WaitKind::Stalled,
                "SpecIncomplete",
                format!(
                    "{} does not exist, and to create it these must be given: {}",
                    desired.identifier,
                    missing.join(", ")
                ),
            ));
        }
        ResourcePlan::step(
            Step::new("CreateDBInstance", Verb::Create, Risk::Safe, "does not exist", create(desired).body())
                .changing(created(desired)),
        )
    }

    fn plan_present(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        let mut differences = Differences::between(desired, observed, context.now);
        let mut plan = ResourcePlan { notes: std::mem::take(&mut differences.notes), ..ResourcePlan::default() };
        plan.waits.append(&mut differences.waits);
        plan.waits.extend(pending_wait(context, observed, &differences));
        let status = status::of(&observed.status);
        let mut parts = differences.into_parts();
        if status == Status::StorageFull {
            // Growth is the one modification that a full instance takes.
            let (growth, others): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(Part::only_grows);
            plan.steps.extend(growth.into_iter().map(modify));
            parts = others;
        }
        if parts.is_empty() {
            return plan;
        }
        let fields: Vec<String> = parts.iter().flat_map(|part| &part.changes).map(ToString::to_string).collect();
        let waits = |kind, reason| {
            let message = format!(
                "{} is {}, and takes no modification ({})",
                observed.identifier,
                observed.status,
                fields.join(", ")
            );
            Wait::new(kind, reason, message)
        };
        match status {
            Status::Available => plan.steps.extend(parts.into_iter().map(modify)),
            Status::Serving | Status::Busy | Status::Deleting => {
                plan.waits.push(waits(WaitKind::Progressing, "InstanceBusy"));
            }
            Status::StorageFull | Status::Stuck => {
                plan.waits.push(waits(WaitKind::Stalled, "InstanceNotAvailable"));
            }
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        let wait = |kind, reason| {
            ResourcePlan::wait(Wait::new(kind, reason, format!("{} is {}", observed.identifier, observed.status)))
        };
        match status::of(&observed.status) {
            Status::Deleting => wait(WaitKind::Progressing, "Deleting"),
            Status::Serving | Status::Busy => wait(WaitKind::Progressing, "InstanceBusy"),
            // Without a final snapshot it is not deleted, and in this status none can be taken.
            Status::Stuck if observed.status != "stopped" => wait(WaitKind::Stalled, "InstanceNotAvailable"),
            Status::StorageFull | Status::Stuck if observed.deletion_protection => {
                wait(WaitKind::Stalled, "InstanceNotAvailable")
            }
            Status::Available if observed.deletion_protection => {
                let settings = Settings { deletion_protection: Some(false), ..Settings::default() };
                let body = Action::ModifyDBInstance { settings: Box::new(settings), apply_immediately: false }.body();
                let change = model::FieldChange::new("deletionProtection", true, false);
                let reason = "to be deleted, and protected from it";
                ResourcePlan::step(
                    Step::new("ModifyDBInstance", Verb::Update, Risk::Destructive, reason, body).changing(vec![change]),
                )
            }
            Status::Available | Status::StorageFull | Status::Stuck => {
                let body = Action::DeleteDBInstance { final_snapshot: final_snapshot(observed) }.body();
                let reason = "no longer declared; a final snapshot is left";
                ResourcePlan::step(Step::new("DeleteDBInstance", Verb::Delete, Risk::Destructive, reason, body))
            }
        }
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, observed: &Observed) -> Health {
        status::health(&observed.identifier, &observed.status)
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        observed.tags.as_ref()
    }

    fn tag_step_body(observed: &Observed, set: &Tags) -> Value {
        Action::AddTagsToResource { arn: observed.arn.clone(), tags: set.clone() }.body()
    }

    /// One that is being deleted takes none. (RDS API Reference, AddTagsToResource, InvalidDBInstanceState.)
    fn taggable(observed: &Observed) -> bool {
        status::of(&observed.status) != Status::Deleting
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        Some(match name {
            "arn" => observed.arn.as_str().into(),
            "identifier" => observed.identifier.as_str().into(),
            "status" => observed.status.as_str().into(),
            "available" => (observed.status == "available").into(),
            "encrypted" => observed.encrypted.into(),
            "createdAt" => observed.created_at?.to_string().into(),
            "endpoint" => format!("{}:{}", observed.address.as_ref()?, observed.port?).into(),
            "address" => observed.address.as_deref()?.into(),
            "port" => observed.port?.into(),
            "masterUsername" => observed.master_username.as_deref()?.into(),
            "secretArn" => observed.secret_arn.as_deref()?.into(),
            _ => return None,
        })
    }
}
