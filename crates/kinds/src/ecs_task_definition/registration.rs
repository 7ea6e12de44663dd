//! What a step that registers a revision tells the provider. Values of variables stay out of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use model::plan::{Private, Verb};
use model::{Risk, Step, Tags};
use serde::{Deserialize, Serialize};

use super::Desired;
use super::content::{Logs, Plain};
use super::overlay::{Dropped, Fields};
use super::plan::Action;

/// A revision to register: the base, read again by the provider, and the declared fields. Variables that are not
/// declared never get here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// ARN of the revision to overlay; `None` for the first of its family.
    pub base: Option<String>,
    /// Name of the managed container.
    pub container: String,
    /// Image.
    pub image: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// CPU units of a task.
    pub cpu: Option<String>,
    /// Memory of a task.
    pub memory: Option<String>,
    /// Task execution role.
    pub execution_role: Option<String>,
    /// Task role.
    pub task_role: Option<String>,
    /// Masks of the declared variables; their values travel with the step, unseen.
    pub environment: Option<BTreeMap<String, String>>,
    /// Declared secrets, resolved.
    pub secrets: Option<BTreeMap<String, String>>,
    /// Variables that are no longer declared.
    pub drop_environment: BTreeSet<String>,
    /// Secrets that are no longer declared.
    pub drop_secrets: BTreeSet<String>,
    /// Log group and region.
    pub logs: Option<(String, String)>,
    /// Tags of the revision, over those of the base.
    pub tags: Tags,
}

impl Registration {
    pub(super) fn new(
        desired: &Desired,
        base: Option<&str>,
        secrets: Option<BTreeMap<String, String>>,
        dropped: Dropped,
    ) -> Self {
        let fields = &desired.fields;
        Self {
            base: base.map(str::to_owned),
            container: fields.container.clone(),
            image: fields.image.clone(),
            port: fields.port,
            cpu: fields.cpu.clone(),
            memory: fields.memory.clone(),
            execution_role: fields.execution_role.clone(),
            task_role: fields.task_role.clone(),
            environment: fields.environment.as_ref().map(|variables| {
                variables.iter().map(|(name, value)| (name.clone(), value.mask().to_string())).collect()
            }),
            secrets,
            drop_environment: dropped.environment,
            drop_secrets: dropped.secrets,
            logs: fields.logs.as_ref().and_then(|logs| Some((logs.group.clone()?, logs.region.clone()?))),
            tags: desired.tags.clone(),
        }
    }

    /// The declared fields, as they were planned with. `Err` names a variable whose value the step does not carry.
    pub fn fields(&self, private: &Private) -> Result<Fields, String> {
        let variable = |(name, mask): (&String, &String)| {
            let value = private.reveal(name).map(Plain::new).filter(|value| value.mask().to_string() == *mask);
            value.map(|value| (name.clone(), value)).ok_or_else(|| name.clone())
        };
        let environment = self.environment.as_ref().map(|variables| variables.iter().map(variable).collect());
        Ok(Fields {
            container: self.container.clone(),
            image: self.image.clone(),
            port: self.port,
            cpu: self.cpu.clone(),
            memory: self.memory.clone(),
            execution_role: self.execution_role.clone(),
            task_role: self.task_role.clone(),
            environment: environment.transpose()?,
            logs: self.logs.as_ref().map(|(group, region)| Logs {
                driver: "awslogs".to_owned(),
                group: Some(group.clone()),
                region: Some(region.clone()),
                stream_prefix: Some("ecs".to_owned()),
                rest: None,
            }),
        })
    }

    /// The names that are no longer declared, as they were planned with.
    pub fn dropped(&self) -> Dropped {
        Dropped { environment: self.drop_environment.clone(), secrets: self.drop_secrets.clone() }
    }

    pub(super) fn step(self, desired: &Desired, verb: Verb, reason: &'static str) -> Step {
        let variables = desired.fields.environment.iter().flatten();
        let private = variables.map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
        let body = Action::RegisterTaskDefinition(Box::new(self)).body();
        Step { private: Private::new(private), ..Step::new("RegisterTaskDefinition", verb, Risk::Safe, reason, body) }
    }
}
