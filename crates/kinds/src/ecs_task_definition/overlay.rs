//! The live revision overlaid with the declared fields. Pure: the plan and the provider use the same functions, so what
//! is registered is what was planned.

use std::collections::{BTreeMap, BTreeSet};

use model::FieldChange;
use serde::Serialize;
use serde_json::Value;

use super::content::{Container, Content, Logs, Masked, Plain, Port, same_secret};

/// The declared fields but for secrets, which must be resolved first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields {
    /// Name of the managed container.
    pub container: String,
    /// Image, enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// TCP port of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// CPU units of a task, in digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory of a task in MiB, in digits.
    #[serde(rename = "memoryMib", skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// ARN of the task execution role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<String>,
    /// ARN of the task role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// Variables. Empty: there shall be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, Plain>>,
    /// Log configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

/// Names that an earlier document declared and this one does not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dropped {
    /// Variables.
    pub environment: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}

/// One change that turns a revision into the overlay.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// CPU units of a task.
    Cpu(String),
    /// Memory of a task.
    Memory(String),
    /// Task execution role.
    ExecutionRole(String),
    /// Task role.
    TaskRole(String),
    /// Image of the managed container.
    Image(String),
    /// A TCP port of the managed container, in the place of another one where that is the only one.
    Port {
        /// The port.
        port: u16,
        /// The one it replaces.
        replaces: Option<Port>,
    },
    /// A variable: its value, or none.
    Variable {
        /// Name.
        name: String,
        /// Value; `None` removes it.
        value: Option<Plain>,
    },
    /// A secret: its ARN, or none.
    Secret {
        /// Name of the variable.
        name: String,
        /// ARN; `None` removes it.
        value: Option<String>,
    },
    /// Log configuration: group and region, and the prefix where there is none.
    Logs(Logs),
}

/// What turns `content` into the overlay. Empty: the declared fields hold already.
///
/// `secrets` are the declared ones, resolved. A content without managed container yields nothing; callers check that.
pub fn edits(
    fields: &Fields,
    secrets: Option<&BTreeMap<String, String>>,
    dropped: &Dropped,
    content: &Content,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let Some(container) = content.managed(&fields.container).map(|n| &content.containers[n]) else { return edits };
    let mut text = |declared: &Option<String>, live: &Option<String>, edit: fn(String) -> Edit| {
        if declared.is_some() && declared != live {
            edits.extend(declared.clone().map(edit));
        }
    };
    text(&fields.cpu, &content.cpu, Edit::Cpu);
    text(&fields.memory, &content.memory, Edit::Memory);
    text(&fields.execution_role, &content.execution_role, Edit::ExecutionRole);
    text(&fields.task_role, &content.task_role, Edit::TaskRole);
    if let Some(image) = fields.image.as_ref().filter(|image| **image != container.image) {
        edits.push(Edit::Image(image.clone()));
    }
    if let Some(port) = fields.port {
        port_edit(port, container, &mut edits);
    }
    variable_edits(fields, dropped, container, &mut edits);
    secret_edits(fields, secrets, dropped, container, &mut edits);
    if let Some(logs) = fields.logs.as_ref().filter(|logs| !holds(logs, container.logs.as_ref())) {
        edits.push(Edit::Logs(logs.clone()));
    }
    edits
}

fn port_edit(port: u16, container: &Container, edits: &mut Vec<Edit>) {
    if container.ports.iter().any(|live| live.port == port && live.protocol == "tcp") {
        return;
    }
    let replaces = match container.ports.len() {
        1 => container.ports.first().cloned(),
        _ => None,
    };
    edits.push(Edit::Port { port, replaces });
}

fn variable_edits(fields: &Fields, dropped: &Dropped, container: &Container, edits: &mut Vec<Edit>) {
    let Some(declared) = &fields.environment else { return };
    for (name, value) in declared {
        if container.environment.get(name) != Some(&value.mask()) {
            edits.push(Edit::Variable { name: name.clone(), value: Some(value.clone()) });
        }
        // ECS refuses a name that is both.
        if container.secrets.contains_key(name) {
            edits.push(Edit::Secret { name: name.clone(), value: None });
        }
    }
    if declared.is_empty() || !dropped.environment.is_empty() {
        for name in container.environment.keys() {
            if declared.is_empty() || dropped.environment.contains(name) && !declared.contains_key(name) {
                edits.push(Edit::Variable { name: name.clone(), value: None });
            }
        }
    }
}

fn secret_edits(
    fields: &Fields,
    secrets: Option<&BTreeMap<String, String>>,
    dropped: &Dropped,
    container: &Container,
    edits: &mut Vec<Edit>,
) {
    let Some(declared) = secrets else { return };
    let is_variable = |name: &str| fields.environment.as_ref().is_some_and(|declared| declared.contains_key(name));
    for (name, arn) in declared {
        if !container.secrets.get(name).is_some_and(|live| same_secret(live, arn)) {
            edits.push(Edit::Secret { name: name.clone(), value: Some(arn.clone()) });
        }
        let goes_anyway = fields.environment.as_ref().is_some_and(BTreeMap::is_empty);
        if container.environment.contains_key(name) && !goes_anyway && !dropped.environment.contains(name) {
            edits.push(Edit::Variable { name: name.clone(), value: None });
        }
    }
    if declared.is_empty() || !dropped.secrets.is_empty() {
        for name in container.secrets.keys().filter(|name| !is_variable(name)) {
            if declared.is_empty() || dropped.secrets.contains(name) && !declared.contains_key(name) {
                edits.push(Edit::Secret { name: name.clone(), value: None });
            }
        }
    }
}

/// A prefix and other options set by hand stay: only group and region are declared.
fn holds(declared: &Logs, live: Option<&Logs>) -> bool {
    live.is_some_and(|live| {
        live.driver == declared.driver
            && live.group == declared.group
            && live.region == declared.region
            && live.stream_prefix.is_some()
    })
}

/// The content with the edits carried out.
pub fn apply(edits: &[Edit], container: &str, content: &Content) -> Content {
    let mut new = content.clone();
    let Some(position) = new.managed(container) else { return new };
    for edit in edits {
        match edit {
            Edit::Cpu(units) => new.cpu = Some(units.clone()),
            Edit::Memory(mib) => new.memory = Some(mib.clone()),
            Edit::ExecutionRole(arn) => new.execution_role = Some(arn.clone()),
            Edit::TaskRole(arn) => new.task_role = Some(arn.clone()),
            Edit::Image(_) | Edit::Port { .. } | Edit::Variable { .. } | Edit::Secret { .. } | Edit::Logs(_) => {
                apply_to(edit, &mut new.containers[position]);
            }
        }
    }
    new
}

fn apply_to(edit: &Edit, container: &mut Container) {
    match edit {
        Edit::Image(image) => container.image.clone_from(image),
        Edit::Port { port, replaces } => {
            if let Some(old) = replaces {
                container.ports.remove(old);
            }
            container.ports.insert(Port::tcp(*port));
        }
        Edit::Variable { name, value } => match value {
            Some(value) => drop(container.environment.insert(name.clone(), value.mask())),
            None => drop(container.environment.remove(name)),
        },
        Edit::Secret { name, value } => match value {
            Some(arn) => drop(container.secrets.insert(name.clone(), arn.clone())),
            None => drop(container.secrets.remove(name)),
        },
        Edit::Logs(declared) => container.logs = Some(merged(declared, container.logs.as_ref())),
        Edit::Cpu(_) | Edit::Memory(_) | Edit::ExecutionRole(_) | Edit::TaskRole(_) => {}
    }
}

/// The log configuration that declared fields over the live one give. Options of another driver go with it.
pub(super) fn merged(declared: &Logs, live: Option<&Logs>) -> Logs {
    let live = live.filter(|live| live.driver == declared.driver);
    Logs {
        stream_prefix: live.and_then(|live| live.stream_prefix.clone()).or_else(|| declared.stream_prefix.clone()),
        rest: live.and_then(|live| live.rest),
        ..declared.clone()
    }
}

/// The fields that edits change, in the words of the document; values of variables masked.
pub(super) fn changes(edits: &[Edit], container: &str, content: &Content) -> Vec<FieldChange> {
    let Some(live) = content.managed(container).map(|n| &content.containers[n]) else { return Vec::new() };
    let mask = |mask: Option<Masked>| mask.map_or(Value::Null, |mask| mask.to_string().into());
    let ports = |live: &Container| -> Vec<String> {
        live.ports.iter().map(|port| format!("{}/{}", port.port, port.protocol)).collect()
    };
    edits
        .iter()
        .map(|edit| match edit {
            Edit::Cpu(units) => FieldChange::new("cpu", content.cpu.clone(), units.as_str()),
            Edit::Memory(mib) => FieldChange::new("memoryMib", content.memory.clone(), mib.as_str()),
            Edit::ExecutionRole(arn) => FieldChange::new("executionRole", content.execution_role.clone(), arn.as_str()),
            Edit::TaskRole(arn) => FieldChange::new("taskRole", content.task_role.clone(), arn.as_str()),
            Edit::Image(image) => FieldChange::new("image", live.image.as_str(), image.as_str()),
            Edit::Port { port, .. } => FieldChange::new("port", ports(live), *port),
            Edit::Variable { name, value } => FieldChange::new(
                format!("environment[{name:?}]"),
                mask(live.environment.get(name).copied()),
                mask(value.as_ref().map(Plain::mask)),
            ),
            Edit::Secret { name, value } => {
                FieldChange::new(format!("secrets[{name:?}]"), live.secrets.get(name).cloned(), value.clone())
            }
            Edit::Logs(logs) => FieldChange::new(
                "logs.group",
                live.logs.as_ref().and_then(|live| live.group.clone()),
                logs.group.clone(),
            ),
        })
        .collect()
}
