//! What RDS keeps for one (account, region). Data, and how it is indexed.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use crate::{Agenda, Doc};

/// One (account, region)'s databases.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(super) instances: BTreeMap<String, Instance>,
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    /// Identifiers of snapshots by the instance they are of.
    pub(super) by_instance: BTreeMap<String, BTreeSet<String>>,
    pub(super) subnet_groups: BTreeMap<String, SubnetGroup>,
    pub(super) agenda: Agenda<Due>,
    /// When the last queued copy of an instance's snapshots into this region ends.
    pub(super) copies_until: BTreeMap<String, Timestamp>,
}

/// What happens by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// An instance's present phase ends.
    Phase(String),
    /// An instance's maintenance window opens, and it has pending values.
    Maintenance(String),
    /// An instance's backup window opens.
    Backup(String),
    /// A snapshot is complete, or has failed.
    Snapshot(String),
    /// A deleted snapshot is gone.
    SnapshotGone(String),
}

/// A status that an instance goes through, and what is true after it.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) status: &'static str,
    pub(super) lasts: std::time::Duration,
    pub(super) then: Then,
}

/// What the end of a phase does.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Nothing,
    /// The instance has an endpoint and a time of creation.
    Created,
    /// These values hold, and are pending no more.
    Apply(Doc),
    /// The instance is gone.
    Gone,
    /// The instance stays in this status.
    Rest(&'static str),
    /// The managed password is in place.
    SecretActive,
}

/// A DB instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) resource_id: String,
    pub(super) class: String,
    pub(super) engine: String,
    pub(super) engine_version: String,
    pub(super) username: String,
    pub(super) db_name: Option<String>,
    pub(super) port: i64,
    pub(super) storage_gib: i64,
    pub(super) storage_type: String,
    pub(super) iops: Option<i64>,
    pub(super) throughput: Option<i64>,
    pub(super) max_storage_gib: Option<i64>,
    pub(super) storage_changed: Option<Timestamp>,
    pub(super) encrypted: bool,
    pub(super) kms_key: Option<String>,
    pub(super) multi_az: bool,
    pub(super) public: bool,
    pub(super) protected: bool,
    pub(super) auto_minor: bool,
    pub(super) copy_tags: bool,
    pub(super) iam_auth: bool,
    pub(super) subnet_group: String,
    pub(super) security_groups: Vec<String>,
    pub(super) parameter_group: String,
    pub(super) zone: String,
    pub(super) retention_days: i64,
    pub(super) backup_window: String,
    pub(super) maintenance_window: String,
    pub(super) log_exports: BTreeSet<String>,
    pub(super) insights: bool,
    pub(super) insights_days: Option<i64>,
    pub(super) monitoring_seconds: i64,
    pub(super) monitoring_role: Option<String>,
    pub(super) ca: String,
    pub(super) license: String,
    pub(super) secret: Option<Secret>,
    pub(super) status: String,
    /// The present phase is the first.
    pub(super) phases: VecDeque<Phase>,
    pub(super) created: Option<Timestamp>,
    /// Members of PendingModifiedValues.
    pub(super) pending: Doc,
    /// What readers still see until then.
    pub(super) before: Option<(Timestamp, Box<Instance>)>,
}

/// The secret that RDS manages for an instance.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) arn: String,
    pub(super) status: &'static str,
    pub(super) kms_key: String,
}

/// A DB snapshot.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) instance: String,
    pub(super) resource_id: String,
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    /// When it was asked for, and when it will be complete.
    pub(super) begun: Timestamp,
    pub(super) starts: Timestamp,
    pub(super) done: Timestamp,
    /// When it was taken; set once complete.
    pub(super) taken: Option<Timestamp>,
    pub(super) original: Timestamp,
    pub(super) instance_created: Option<Timestamp>,
    pub(super) engine: String,
    pub(super) engine_version: String,
    pub(super) username: String,
    pub(super) port: i64,
    pub(super) zone: String,
    pub(super) storage_gib: i64,
    pub(super) storage_type: String,
    pub(super) iops: Option<i64>,
    pub(super) throughput: Option<i64>,
    pub(super) license: String,
    pub(super) encrypted: bool,
    pub(super) kms_key: Option<String>,
    pub(super) iam_auth: bool,
    pub(super) source_region: Option<String>,
    pub(super) source: Option<String>,
    /// It will fail: a fault's doing.
    pub(super) fails: bool,
}

/// A DB subnet group.
#[derive(Clone, Debug)]
pub(super) struct SubnetGroup {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) description: String,
    pub(super) subnets: Vec<String>,
}

impl State {
    pub(super) fn add_snapshot(&mut self, snapshot: Snapshot) {
        self.agenda.set(Due::Snapshot(snapshot.id.clone()), snapshot.done);
        self.by_instance.entry(snapshot.instance.clone()).or_default().insert(snapshot.id.clone());
        self.snapshots.insert(snapshot.id.clone(), snapshot);
    }

    pub(super) fn remove_snapshot(&mut self, id: &str) -> Option<Snapshot> {
        let snapshot = self.snapshots.remove(id)?;
        self.agenda.cancel(&Due::Snapshot(id.to_owned()));
        self.agenda.cancel(&Due::SnapshotGone(id.to_owned()));
        if let Some(ids) = self.by_instance.get_mut(&snapshot.instance) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_instance.remove(&snapshot.instance);
            }
        }
        Some(snapshot)
    }

    /// How many manual snapshots there are.
    pub(super) fn manual_snapshots(&self) -> usize {
        self.snapshots.values().filter(|s| s.kind == "manual").count()
    }
}

impl Instance {
    /// Goes through `phases` from now on; nothing else may be under way.
    pub(super) fn begin(&mut self, phases: impl IntoIterator<Item = Phase>, now: Timestamp, agenda: &mut Agenda<Due>) {
        self.phases = phases.into_iter().collect();
        if let Some(first) = self.phases.front() {
            self.status = first.status.to_owned();
            agenda.set(Due::Phase(self.id.clone()), now + first.lasts);
        }
    }

    /// What readers see at `now`.
    pub(super) fn seen(&self, now: Timestamp) -> &Instance {
        match &self.before {
            Some((until, before)) if now < *until => before,
            _ => self,
        }
    }

    /// Makes these values hold. Names are those of ModifyDBInstance's parameters.
    pub(super) fn apply(&mut self, values: &Doc) {
        let Some(fields) = values.fields() else { return };
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("DBInstanceClass", Doc::Str(v)) => self.class.clone_from(v),
                ("AllocatedStorage", Doc::Int(v)) => self.storage_gib = *v,
                ("StorageType", Doc::Str(v)) => self.storage_type.clone_from(v),
                ("Iops", Doc::Int(v)) => self.iops = Some(*v),
                ("StorageThroughput", Doc::Int(v)) => self.throughput = Some(*v),
                ("MultiAZ", Doc::Bool(v)) => self.multi_az = *v,
                ("EngineVersion", Doc::Str(v)) => self.engine_version.clone_from(v),
                ("BackupRetentionPeriod", Doc::Int(v)) => self.retention_days = *v,
                ("PreferredBackupWindow", Doc::Str(v)) => self.backup_window.clone_from(v),
                ("PubliclyAccessible", Doc::Bool(v)) => self.public = *v,
                ("IAMDatabaseAuthenticationEnabled", Doc::Bool(v)) => self.iam_auth = *v,
                ("CACertificateIdentifier", Doc::Str(v)) => self.ca.clone_from(v),
                ("DBSubnetGroupName", Doc::Str(v)) => self.subnet_group.clone_from(v),
                ("LicenseModel", Doc::Str(v)) => self.license.clone_from(v),
                ("Port", Doc::Int(v)) => self.port = *v,
                ("DBParameterGroupName", Doc::Str(v)) => self.parameter_group.clone_from(v),
                ("EnablePerformanceInsights", Doc::Bool(v)) => self.insights = *v,
                ("PerformanceInsightsRetentionPeriod", Doc::Int(v)) => self.insights_days = Some(*v),
                ("MonitoringInterval", Doc::Int(v)) => self.monitoring_seconds = *v,
                ("MonitoringRoleArn", Doc::Str(v)) => self.monitoring_role = Some(v.clone()),
                _ => {}
            }
        }
        if let Doc::Map(pending) = &mut self.pending {
            pending.retain(|name, value| values.get(name) != Some(value));
        }
    }
}
