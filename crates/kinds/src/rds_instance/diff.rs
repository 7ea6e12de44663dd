//! Comparing a DB instance with what is declared: what differs, when it would apply, and what it risks. Pure.
//!
//! When a setting applies is from the Amazon RDS User Guide, "Settings for DB instances"; the risks are the table of
//! `docs/risks.md`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::schedule::{DailyWindow, WeeklyWindow};
use model::{FieldChange, Note, Risk, Wait, WaitKind};
use serde_json::Value;

use super::flush::{flush, flushed, merge};
use super::plan::{Settings, needs_iops};
use super::version::{Standing, standing};
use super::{Desired, Observed};

/// One ModifyDBInstance call.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) settings: Settings,
    /// Whether it is sent with `ApplyImmediately`.
    pub(super) immediately: bool,
    pub(super) risk: Risk,
    pub(super) changes: Vec<FieldChange>,
    pub(super) reasons: Vec<&'static str>,
}

impl Part {
    fn new(immediately: bool, risk: Risk) -> Self {
        Self { settings: Settings::default(), immediately, risk, changes: Vec::new(), reasons: Vec::new() }
    }

    /// Whether it grows the storage and does nothing else.
    pub(super) fn only_grows(&self) -> bool {
        let growth = Settings { storage_gib: self.settings.storage_gib, ..Settings::default() };
        self.settings.storage_gib.is_some() && self.settings == growth
    }
}

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// By whether `ApplyImmediately` is needed, and risk: a safe change never waits for what its neighbour risks.
    parts: BTreeMap<(bool, Risk), Part>,
    /// What is asked for already, and waits for the maintenance window.
    pub(super) pending: Vec<FieldChange>,
    pub(super) waits: Vec<Wait>,
    pub(super) notes: Vec<Note>,
    /// What is pending and would be flushed by `ApplyImmediately`, by AWS's name.
    flushed: BTreeMap<String, (FieldChange, Risk)>,
    /// Whether something pending is neither what is live nor what is declared.
    conflict: bool,
}

impl Differences {
    pub(super) fn between(desired: &Desired, observed: &Observed, now: Timestamp) -> Self {
        let mut all = Self { flushed: flushed(observed), ..Self::default() };
        all.fixed(desired, observed);
        all.own_time(desired, observed);
        all.groups(desired, observed);
        all.windows(desired, observed, now);
        all.retention(desired, observed);
        all.version(desired, observed);
        all.storage(desired, observed);
        let live = Some(&observed.instance_class);
        all.pendable(
            "instanceClass",
            desired.instance_class.as_ref(),
            live,
            observed.pending_text("DBInstanceClass").as_ref(),
            "instance class",
            |s, v| s.instance_class = Some(v),
        );
        all.storage_type(desired, observed);
        all.pendable(
            "multiAz",
            desired.multi_az.as_ref(),
            Some(&observed.multi_az),
            observed.pending_flag("MultiAZ").as_ref(),
            "standby",
            |s, v| s.multi_az = Some(v),
        );
        all.subnet_group(desired, observed);
        all
    }

    /// The calls to make, the least risky first.
    pub(super) fn into_parts(self) -> Vec<Part> {
        let Self { parts, flushed, conflict, .. } = self;
        let mut own_time = Vec::new();
        let mut immediately: Vec<Part> = Vec::new();
        for part in parts.into_values() {
            match immediately.last_mut() {
                _ if !part.immediately => own_time.push(part),
                // A call for one of them would make a pending value hold that another is about to replace.
                Some(last) if conflict => merge(last, part),
                _ => immediately.push(part),
            }
        }
        for part in &mut immediately {
            flush(part, &flushed);
        }
        own_time.append(&mut immediately);
        // Stable: of the same risk, what needs no ApplyImmediately comes first.
        own_time.sort_by_key(|part| part.risk);
        own_time
    }

    fn part(&mut self, immediately: bool, risk: Risk) -> &mut Part {
        self.parts.entry((immediately, risk)).or_insert_with(|| Part::new(immediately, risk))
    }

    fn change(&mut self, immediately: bool, risk: Risk, reason: &'static str, change: FieldChange) -> &mut Settings {
        let part = self.part(immediately, risk);
        part.changes.push(change);
        if !part.reasons.contains(&reason) {
            part.reasons.push(reason);
        }
        &mut part.settings
    }

    /// A disruptive field that AWS holds back until the window unless told otherwise.
    fn pendable<T: PartialEq + Clone + Into<Value>>(
        &mut self,
        field: &'static str,
        declared: Option<&T>,
        live: Option<&T>,
        pending: Option<&T>,
        reason: &'static str,
        set: impl FnOnce(&mut Settings, T),
    ) {
        let Some(declared) = declared else { return };
        let json = |value: Option<&T>| value.map_or(Value::Null, |v| v.clone().into());
        let change = |from: Option<&T>| FieldChange::new(field, json(from), json(Some(declared)));
        if pending.or(live) == Some(declared) {
            if live != Some(declared) {
                self.pending.push(change(live));
            }
        } else if live == Some(declared) {
            // Asking for what is live takes the pending value back, and interrupts nothing.
            set(self.change(false, Risk::Safe, "takes back what is pending", change(pending)), declared.clone());
        } else {
            self.conflict |= pending.is_some();
            set(self.change(true, Risk::Disruptive, reason, change(live)), declared.clone());
        }
    }

    /// What only a replacement could change.
    fn fixed(&mut self, desired: &Desired, observed: &Observed) {
        let mut changes = Vec::new();
        let mut fixed = |field, declared: Option<Value>, live: Value| {
            if let Some(declared) = declared.filter(|declared| *declared != live) {
                changes.push(FieldChange::new(field, live, declared));
            }
        };
        let text = |value: &Option<String>| value.as_deref().map(Value::from);
        fixed("engine", text(&desired.engine), observed.engine.as_str().into());
        fixed("databaseName", text(&desired.database_name), text(&observed.database_name).unwrap_or_default());
        fixed("masterUsername", text(&desired.master_username), text(&observed.master_username).unwrap_or_default());
        fixed("encrypted", desired.encrypted.map(Value::from), observed.encrypted.into());
        // An alias names a key that only AWS knows; an ARN or a key id can be compared.
        let key = desired.kms_key_id.as_deref().filter(|key| !key.contains("alias/"));
        let live = observed.kms_key_id.as_deref().unwrap_or("");
        if key.is_some_and(|key| key != live && !live.ends_with(&format!("/{key}"))) {
            fixed("kmsKeyId", text(&desired.kms_key_id), live.into());
        }
        if !changes.is_empty() {
            let message = "fixed when the instance was created; only a replacement would change it";
            self.notes.push(Note { changes, ..Note::new("ReplacementNeeded", message) });
        }
    }

    /// RDS changes it in place only to move a database to another network. (RDS API Reference, ModifyDBInstance,
    /// DBSubnetGroupName; it answers InvalidVPCNetworkStateFault within the same one.)
    fn subnet_group(&mut self, desired: &Desired, observed: &Observed) {
        let Some(declared) = &desired.subnet_group else { return };
        let (live, pending) = (observed.subnet_group.as_ref(), observed.pending_text("DBSubnetGroupName"));
        if live == Some(declared) && pending.as_ref().is_none_or(|pending| pending == declared) {
            return;
        }
        let change = FieldChange::new("subnetGroup", live.cloned(), declared.as_str());
        if pending.as_ref() == Some(declared) {
            self.pending.push(change);
        } else {
            let message = "RDS takes no other subnet group of the same VPC, and one of another VPC moves the database there: \
                           replace it, or move it by hand";
            self.notes.push(Note::new("ReplacementNeeded", message).with(change));
        }
    }

    /// What applies at once, whatever is sent with it.
    fn own_time(&mut self, desired: &Desired, observed: &Observed) {
        let differs = |declared: Option<bool>, live: bool| declared.filter(|declared| *declared != live);
        if let Some(on) = differs(desired.deletion_protection, observed.deletion_protection) {
            let change = FieldChange::new("deletionProtection", !on, on);
            let risk = if on { Risk::Safe } else { Risk::Destructive };
            self.change(false, risk, "deletion protection", change).deletion_protection = Some(on);
        }
        if let Some(on) = differs(desired.auto_minor_version_upgrade, observed.auto_minor_version_upgrade) {
            let change = FieldChange::new("autoMinorVersionUpgrade", !on, on);
            self.change(false, Risk::Safe, "automatic minor upgrades", change).auto_minor_version_upgrade = Some(on);
        }
        if let Some(on) = differs(desired.publicly_accessible, observed.publicly_accessible) {
            let change = FieldChange::new("publiclyAccessible", !on, on);
            let (risk, reason) = if on {
                (Risk::Destructive, "makes the database public")
            } else {
                (Risk::Disruptive, "whoever connects by the public address loses the connection")
            };
            self.change(false, risk, reason, change).publicly_accessible = Some(on);
        }
        if desired.managed_password == Some(true) && observed.secret_arn.is_none() {
            let change = FieldChange::new("masterPassword.managedByAws", false, true);
            let reason = "replaces the master password: whoever uses the present one is locked out";
            self.change(false, Risk::Destructive, reason, change).managed_password = Some(true);
        }
    }

    fn groups(&mut self, desired: &Desired, observed: &Observed) {
        let Some(declared) = &desired.security_groups else { return };
        let live = &observed.security_groups;
        if declared == live {
            return;
        }
        let list =
            |groups: &std::collections::BTreeSet<String>| Value::from(groups.iter().cloned().collect::<Vec<_>>());
        let change = FieldChange::new("securityGroups", list(live), list(declared));
        let (risk, reason) = if declared.is_superset(live) {
            (Risk::Safe, "adds security groups")
        } else {
            (Risk::Disruptive, "takes security groups away")
        };
        self.change(false, risk, reason, change).security_groups = Some(declared.iter().cloned().collect());
    }

    fn windows(&mut self, desired: &Desired, observed: &Observed, now: Timestamp) {
        let backup = desired.backup_window.as_ref().filter(|window| **window != observed.backup_window);
        let maintenance = desired.maintenance_window.as_ref().filter(|window| **window != observed.maintenance_window);
        if backup.is_none() && maintenance.is_none() {
            return;
        }
        let daily = DailyWindow::parse(backup.unwrap_or(&observed.backup_window));
        let weekly = WeeklyWindow::parse(maintenance.unwrap_or(&observed.maintenance_window));
        if let (Ok(daily), Ok(weekly)) = (&daily, &weekly)
            && weekly.overlaps(*daily)
        {
            // One of the two is not declared, or the document would have been refused.
            let path =
                if backup.is_some() { "spec.database.maintenanceWindow" } else { "spec.database.backups.window" };
            let message = format!("backup window {daily} and maintenance window {weekly} overlap; declare {path} too");
            self.waits.push(Wait::new(WaitKind::Stalled, "WindowsOverlap", message));
            return;
        }
        if let Some(window) = backup {
            let change = FieldChange::new("backups.window", observed.backup_window.as_str(), window.as_str());
            self.change(false, Risk::Safe, "windows", change).backup_window = Some(window.clone());
        }
        if let Some(window) = maintenance {
            let change = FieldChange::new("maintenanceWindow", observed.maintenance_window.as_str(), window.as_str());
            // What is pending is applied at once when the window is moved to be open now. (RDS API Reference,
            // ModifyDBInstance, PreferredMaintenanceWindow.)
            let open = weekly.is_ok_and(|window| window.is_open(now));
            let flushed = if open { self.flushed.clone() } else { BTreeMap::new() };
            let risk = flushed.values().map(|(_, risk)| *risk).max().unwrap_or(Risk::Safe);
            let reason =
                if flushed.is_empty() { "windows" } else { "opens the window now, which applies what is pending" };
            self.change(false, risk, reason, change).maintenance_window = Some(window.clone());
            self.part(false, risk).changes.extend(flushed.into_values().map(|(change, _)| change));
        }
    }

    fn retention(&mut self, desired: &Desired, observed: &Observed) {
        let Some(days) = desired.retention_days else { return };
        let (live, pending) = (observed.retention_days, observed.pending_number("BackupRetentionPeriod"));
        let change = |from: u32| FieldChange::new("backups.retentionDays", from, days);
        if pending.unwrap_or(live) == days {
            if live != days {
                self.pending.push(change(live));
            }
            return;
        }
        let (immediately, risk, reason, from) = match (live, days) {
            _ if live == days => (false, Risk::Safe, "takes back what is pending", pending.unwrap_or(live)),
            (0, _) => (true, Risk::Disruptive, "switching backups on restarts the instance", live),
            (_, 0) => (true, Risk::Destructive, "switching backups off deletes all that there are", live),
            _ if days > live => (false, Risk::Safe, "keeps backups longer", live),
            _ => (false, Risk::Destructive, "deletes backups that are older", live),
        };
        self.conflict |= immediately && pending.is_some();
        self.change(immediately, risk, reason, change(from)).retention_days = Some(days);
    }

    fn version(&mut self, desired: &Desired, observed: &Observed) {
        let Some(declared) = &desired.engine_version else { return };
        let live = &observed.engine_version;
        let pending = observed.pending_text("EngineVersion");
        let effective = pending.as_ref().unwrap_or(live);
        let change = |from: &String| FieldChange::new("engineVersion", from.as_str(), declared.as_str());
        let auto = desired.auto_minor_version_upgrade.unwrap_or(observed.auto_minor_version_upgrade);
        match standing(declared, effective) {
            Standing::Fits => {
                if standing(declared, live) != Standing::Fits {
                    self.pending.push(change(live));
                }
            }
            // AWS upgraded it, as it was told to.
            Standing::NewerMinor if auto => {}
            Standing::NewerMinor | Standing::NewerMajor
                if pending.is_some() && standing(declared, live) == Standing::Fits =>
            {
                let reason = "takes back what is pending";
                self.change(false, Risk::Safe, reason, change(effective)).engine_version = Some(live.clone());
            }
            Standing::NewerMinor | Standing::NewerMajor => {
                let message = format!(
                    "{} runs {effective}, which cannot go down to {declared}: declare {effective} in spec.database.engineVersion",
                    observed.identifier
                );
                self.waits.push(Wait::new(WaitKind::Stalled, "EngineVersionCannotGoDown", message));
            }
            Standing::Older { .. } => {
                self.conflict |= pending.is_some();
                let major = standing(declared, live) == Standing::Older { major: true };
                let reason = if major { "major version upgrade" } else { "minor version upgrade" };
                let settings = self.change(true, Risk::Disruptive, reason, change(live));
                settings.engine_version = Some(declared.clone());
                settings.allow_major_version_upgrade = major.then_some(true);
            }
        }
    }

    /// Storage type and IOPS, which some types cannot be asked for without.
    fn storage_type(&mut self, desired: &Desired, observed: &Observed) {
        let pending = observed.pending_text("StorageType");
        let other = |declared: &&String| *declared != pending.as_ref().unwrap_or(&observed.storage_type);
        let wanted = desired.storage_type.as_ref().filter(other);
        if let Some(wanted) = wanted.filter(|wanted| needs_iops(Some(wanted.as_str())))
            && desired.iops.is_none()
            && *wanted != observed.storage_type
        {
            let message = format!(
                "{} has {} storage, and {wanted} is given only with its IOPS: declare spec.database.iops",
                observed.identifier, observed.storage_type
            );
            let change = FieldChange::new("storageType", observed.storage_type.as_str(), wanted.as_str());
            self.notes.push(Note::new("IopsNeeded", message.clone()).with(change));
            self.waits.push(Wait::new(WaitKind::Stalled, "IopsNeeded", message));
            return;
        }
        self.pendable(
            "storageType",
            desired.storage_type.as_ref(),
            Some(&observed.storage_type),
            pending.as_ref(),
            "storage type",
            |s, v| s.storage_type = Some(v),
        );
        self.pendable(
            "iops",
            desired.iops.as_ref(),
            observed.iops.as_ref(),
            observed.pending_number("Iops").as_ref(),
            "provisioned IOPS",
            |s, v| s.iops = Some(v),
        );
        for part in self.parts.values_mut().filter(|part| part.settings.storage_type.is_some()) {
            part.settings.iops = part.settings.iops.or(desired.iops);
        }
    }

    fn storage(&mut self, desired: &Desired, observed: &Observed) {
        const PATH: &str = "spec.database.storageGib";
        let Some(declared) = desired.storage_gib else { return };
        let (live, pending) = (observed.storage_gib, observed.pending_number("AllocatedStorage"));
        let id = &observed.identifier;
        let change = |from: u32| FieldChange::new("storageGib", from, declared);
        if pending.unwrap_or(live) == declared {
            if live != declared {
                self.pending.push(change(live));
            }
        } else if live == declared {
            let from = pending.unwrap_or(live);
            let settings = self.change(false, Risk::Safe, "takes back what is pending", change(from));
            settings.storage_gib = Some(declared);
        } else if live > declared && observed.max_storage_gib.is_some() {
            let message = format!("{id} has {live} GiB, grown by AWS's storage autoscaling; {PATH} says {declared}");
            self.notes.push(Note::new("StorageAutoscaled", message).with(change(live)));
        } else if live > declared {
            let message = format!("{id} has {live} GiB, and storage cannot shrink: declare {live} or more in {PATH}");
            self.waits.push(Wait::new(WaitKind::Stalled, "StorageCannotShrink", message));
        } else {
            let least = live + live.div_ceil(10);
            if declared < least {
                let message = format!(
                    "{id} has {live} GiB, and AWS grows storage by 10 % at least: declare {least} or more in {PATH}"
                );
                self.waits.push(Wait::new(WaitKind::Stalled, "StorageGrowthTooSmall", message));
                return;
            }
            self.conflict |= pending.is_some();
            self.change(true, Risk::Safe, "storage grows", change(live)).storage_gib = Some(declared);
        }
    }
}
