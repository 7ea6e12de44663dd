//! In the end AWS is as declared: what the spec names is there with its fields, and nothing else is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{End, Violation};

/// Compares, and remembers what differs.
struct Comparison<'a> {
    aws: &'a Value,
    wrong: Vec<String>,
}

/// What differs between the document and AWS, and whether the document says that it is as declared.
pub(super) fn as_declared(end: &End) -> Vec<Violation> {
    let name = end.document["metadata"]["name"].as_str().unwrap_or_default();
    let mut compared = Comparison { aws: &end.aws, wrong: Vec::new() };
    let spec = &end.document["spec"];
    compared.services(spec);
    compared.alarms(spec);
    compared.database(spec, end.slots);
    compared.rest(spec);
    let mut violations: Vec<Violation> = compared
        .wrong
        .into_iter()
        .map(|what| Violation::new("in the end AWS is as declared", format!("{name}: {what}")))
        .collect();
    for condition in ["Ready", "Synced"] {
        let found = end.document["status"]["conditions"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["type"] == condition))
            .cloned()
            .unwrap_or_default();
        let present = found["observedGeneration"] == end.document["metadata"]["generation"];
        if found["status"] != "True" || !present {
            let what = format!("{name}: {condition} is {found}");
            violations.push(Violation::new("in the end every environment is Ready and Synced", what));
        }
    }
    violations
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn same(should: &Value, is: &Value) -> bool {
    match (should.as_f64(), is.as_f64()) {
        // 80 and 80.0 are one number; both were written as such, so that they are the same to the last bit.
        (Some(should), Some(is)) => should.total_cmp(&is).is_eq(),
        _ => should == is,
    }
}

impl Comparison<'_> {
    fn is(&mut self, what: &str, should: &Value, is: &Value) {
        if !should.is_null() && !same(should, is) {
            self.wrong.push(format!("{what} is {is} instead of {should}"));
        }
    }

    fn names(&mut self, what: &str, should: BTreeSet<String>, is: BTreeSet<String>) {
        let missing: Vec<&String> = should.difference(&is).collect();
        let more: Vec<&String> = is.difference(&should).collect();
        if !missing.is_empty() || !more.is_empty() {
            self.wrong.push(format!("{what}: missing {missing:?}, not declared {more:?}"));
        }
    }

    fn services(&mut self, spec: &Value) {
        let live = &self.aws["services"];
        let (mut names, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for (short, service) in object(&spec["services"]) {
            let name = service["name"].as_str().unwrap_or(short);
            names.insert(name.to_owned());
            groups.insert(format!("/ecs/{name}"));
            let found = &live[name];
            match (service["autoscaling"].is_null(), found["desiredCount"].as_i64()) {
                (true, _) => {
                    self.is(&format!("{name}: desiredCount"), &service["desiredCount"], &found["desiredCount"]);
                }
                (false, Some(count)) => {
                    let bound = |field: &str| service["autoscaling"][field].as_i64().unwrap_or(count);
                    if !(bound("min")..=bound("max")).contains(&count) {
                        self.wrong.push(format!("{name}: desiredCount {count} is out of its range"));
                    }
                }
                (false, None) => {}
            }
            if found["runningCount"] != found["desiredCount"] {
                self.wrong.push(format!("{name}: {} of {} tasks run", found["runningCount"], found["desiredCount"]));
            }
            let container = &found["runs"]["containerDefinitions"][0];
            self.is(&format!("{name}: image"), &service["image"], &container["image"]);
            for (variable, value) in object(&service["environment"]) {
                let variables = container["environment"].as_array().into_iter().flatten();
                let is = variables.filter(|one| one["name"] == *variable).map(|one| one["value"].clone()).next();
                self.is(&format!("{name}: variable {variable}"), value, &is.unwrap_or_default());
            }
        }
        self.names("services", names.clone(), object(live).map(|(name, _)| name.clone()).collect());
        let families = object(&self.aws["definitions"]).map(|(family, _)| family.clone()).collect();
        self.names("task definitions", names, families);
        let days = &spec["serviceDefaults"]["logs"]["retentionDays"];
        for group in &groups {
            self.is(&format!("{group}: retention"), days, &self.aws["logGroups"][group]["retentionInDays"]);
        }
        self.names("log groups", groups, object(&self.aws["logGroups"]).map(|(name, _)| name.clone()).collect());
    }

    fn alarms(&mut self, spec: &Value) {
        let live = &self.aws["alarms"];
        for (name, alarm) in object(&spec["alarms"]) {
            let found = &live[name];
            for (declared, field) in [
                ("description", "AlarmDescription"),
                ("threshold", "Threshold"),
                ("evaluationPeriods", "EvaluationPeriods"),
                ("metric", "MetricName"),
            ] {
                self.is(&format!("alarm {name}: {declared}"), &alarm[declared], &found[field]);
            }
            self.is(&format!("alarm {name}: actions"), &true.into(), &found["ActionsEnabled"]);
        }
        // Target tracking makes alarms of its own, which are AWS's.
        let ours = object(live).map(|(name, _)| name.clone()).filter(|name| !name.starts_with("TargetTracking-"));
        self.names("alarms", object(&spec["alarms"]).map(|(name, _)| name.clone()).collect(), ours.collect());
    }

    fn database(&mut self, spec: &Value, slots: usize) {
        let database = &spec["database"];
        let name = database["identifier"].as_str().unwrap_or_default();
        let found = &self.aws["databases"][name];
        let text = |value: &Value| match value {
            Value::String(text) => Value::from(text.as_str()),
            Value::Null => Value::Null,
            other => Value::from(other.to_string()),
        };
        for (declared, field) in [
            (&database["backups"]["window"], "PreferredBackupWindow"),
            (&database["backups"]["retentionDays"], "BackupRetentionPeriod"),
            (&database["storageGib"], "AllocatedStorage"),
            (&database["multiAz"], "MultiAZ"),
            (&database["deletionProtection"], "DeletionProtection"),
            (&database["instanceClass"], "DBInstanceClass"),
        ] {
            self.is(&format!("database {name}: {field}"), &text(declared), &found[field]);
        }
        for (tag, value) in object(&spec["tags"]) {
            self.is(&format!("database {name}: tag {tag}"), value, &found["tags"][tag]);
        }
        let names = object(&self.aws["databases"]).map(|(name, _)| name.clone()).collect();
        self.names("databases", BTreeSet::from([name.to_owned()]), names);
        // Of each slot of the schedule that passed since the database was made there is one at most. The last one's may be
        // on its way.
        for place in ["snapshots", "copies"] {
            let count = self.aws[place].as_array().map_or(0, Vec::len);
            if count > slots || (count == 0 && slots > 1) {
                self.wrong.push(format!("{place}: {} for {slots} slots of the schedule", self.aws[place]));
            }
        }
    }

    fn rest(&mut self, spec: &Value) {
        let names = |value: &Value| object(value).map(|(name, _)| name.clone()).collect::<BTreeSet<String>>();
        for (name, secret) in object(&spec["secrets"]) {
            let is = self.aws["secrets"][name]["Description"].clone();
            self.is(&format!("secret {name}: description"), &secret["description"], &is);
        }
        // RDS keeps the master password in a secret of its own.
        let ours = names(&self.aws["secrets"]).into_iter().filter(|name| !name.starts_with("rds!")).collect();
        self.names("secrets", names(&spec["secrets"]), ours);
        let cluster = spec["cluster"]["name"].as_str().unwrap_or_default();
        let clusters = self.aws["clusters"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.names("clusters", BTreeSet::from([cluster.to_owned()]), clusters.map(str::to_owned).collect());
        let (mut groups, mut scaled) = (BTreeSet::new(), BTreeSet::new());
        for (short, service) in object(&spec["services"]) {
            if let Some(group) = service["targetGroup"]["name"].as_str() {
                groups.insert(group.to_owned());
                let is = self.aws["targetGroups"][group]["HealthCheckPath"].clone();
                let should = &service["targetGroup"]["healthCheck"]["path"];
                self.is(&format!("target group {group}: health check"), should, &is);
            }
            if !service["autoscaling"].is_null() {
                scaled.insert(format!("service/{cluster}/{}", service["name"].as_str().unwrap_or(short)));
            }
        }
        self.names("target groups", groups, names(&self.aws["targetGroups"]));
        self.names("scalable targets", scaled.clone(), names(&self.aws["scalableTargets"]));
        self.names("scaling policies", scaled, names(&self.aws["scalingPolicies"]));
        let mut ports: Vec<u64> = spec["loadBalancer"]["listeners"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["port"].as_u64())
            .collect();
        ports.sort_unstable();
        let ports = Value::from(ports);
        if ports != self.aws["listeners"] {
            self.wrong.push(format!("listeners at {} instead of {ports}", self.aws["listeners"]));
        }
    }
}
