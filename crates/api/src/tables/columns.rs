//! The columns of each kind. A cell is text or a number taken from the wire object; ages are told as kubectl tells them.

use jiff::Timestamp;
use serde_json::{Value, json};

/// One column.
pub(super) struct Column {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    description: &'static str,
    /// Above 0: shown with `-o wide` only.
    priority: u8,
    pub(super) cell: fn(&Value, Timestamp) -> Value,
}

impl Column {
    pub(super) fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

const fn text(name: &'static str, description: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0, cell }
}

const fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name of the object.",
    priority: 0,
    cell: |object, _| at(object, "/metadata/name"),
};

const AGE: Column = Column {
    name: "Age",
    kind: "date",
    format: "",
    description: "Time since the object was created.",
    priority: 0,
    cell: |object, now| since(object, "/metadata/creationTimestamp", now),
};

const ENVIRONMENT: &[Column] = &[
    NAME,
    text("Ready", "Whether everything declared works.", |object, _| condition(object, "Ready")),
    text("Synced", "Whether AWS is as declared, by the last look.", |object, _| condition(object, "Synced")),
    text("Drift", "Objects that differ from what is declared.", |object, _| at(object, "/status/resources/drifted")),
    text("Services", "ECS services that are ready, of all.", |object, _| services(object)),
    text("Backup", "Age of the newest backup.", |object, now| since(object, "/status/newestBackupAt", now)),
    wide(text("Account", "AWS account.", |object, _| at(object, "/spec/aws/accountId"))),
    wide(text("Region", "AWS region.", |object, _| at(object, "/spec/aws/region"))),
    wide(text("Revision", "Number of the revision that is declared.", |object, _| at(object, "/status/revision"))),
    wide(text("Paused", "Who paused it, if it is paused.", |object, _| at(object, "/status/pause/by"))),
    AGE,
];

const CHANGE: &[Column] = &[
    NAME,
    text("Environment", "Whose desired state it changes.", |object, _| at(object, "/spec/environment")),
    text("Phase", "What became of it.", |object, _| at(object, "/status/phase")),
    text("Risk", "The highest risk in its plan.", |object, _| at(object, "/status/risk")),
    text("Author", "Who asked for it.", |object, _| at(object, "/status/author")),
    text("Waiting", "What holds it now.", |object, _| at(object, "/status/waiting/reason")),
    text("Message", "Why.", |object, _| at(object, "/spec/message")),
    wide(text("Until", "Until when it waits.", |object, _| at(object, "/status/waiting/until"))),
    wide(text("Revision", "The revision that it became.", |object, _| at(object, "/status/revision"))),
    wide(text("Plan", "Hash of its plan.", |object, _| at(object, "/status/planHash"))),
    AGE,
];

const REVISION: &[Column] = &[
    NAME,
    text("Environment", "Whose spec it is.", |object, _| at(object, "/spec/environment")),
    text("Revision", "Its number.", |object, _| at(object, "/spec/revision")),
    text("Author", "Who made it.", |object, _| at(object, "/spec/author")),
    text("Message", "Why.", |object, _| at(object, "/spec/message")),
    AGE,
];

const MANAGED_RESOURCE: &[Column] = &[
    NAME,
    text("Environment", "Who declares it.", |object, _| at(object, "/spec/environment")),
    text("Kind", "Kind of AWS object.", |object, _| at(object, "/spec/kind")),
    text("Identity", "Its name in AWS.", |object, _| at(object, "/spec/identity")),
    text("Ready", "Whether it works.", |object, _| condition(object, "Ready")),
    text("Synced", "Whether it is as declared.", |object, _| condition(object, "Synced")),
    text("Hold", "Why nothing is done about a difference.", |object, _| at(object, "/status/report/hold/reason")),
    wide(text("Region", "AWS region.", |object, _| at(object, "/spec/region"))),
    wide(text("Seen", "Age of the observation.", |object, now| since(object, "/status/observedAt", now))),
    AGE,
];

const OPERATOR: &[Column] = &[
    NAME,
    text("Mode", "Enforce, or Observe: the red button.", |object, _| at(object, "/spec/mode")),
    text("Accounts", "Accounts that are worked on, of all.", |object, _| held(object)),
    AGE,
];

const AUDIT_ENTRY: &[Column] = &[
    NAME,
    text("Actor", "Who.", |object, _| at(object, "/spec/actor")),
    text("Verb", "What was done.", |object, _| at(object, "/spec/verb")),
    text("Object", "To what.", |object, _| acted_on(object)),
    text("Environment", "Whose desired state it is.", |object, _| at(object, "/spec/environment")),
    text("Outcome", "Accepted or Refused.", |object, _| at(object, "/spec/outcome")),
    text("Acts", "AWS calls that followed.", |object, _| {
        json!(object.pointer("/status/acts").and_then(Value::as_array).map_or(0, Vec::len).to_string())
    }),
    wide(text("Address", "From where.", |object, _| at(object, "/spec/address"))),
    wide(text("Message", "Why.", |object, _| at(object, "/spec/message"))),
    AGE,
];

const EVENT: &[Column] = &[
    text("Last Seen", "When it happened last.", |object, now| since(object, "/lastTimestamp", now)),
    text("Type", "Normal or Warning.", |object, _| at(object, "/type")),
    text("Reason", "What happened, in a word.", |object, _| at(object, "/reason")),
    text("Object", "What it happened to.", |object, _| involved(object)),
    wide(text("Source", "Who says so.", |object, _| at(object, "/source/component"))),
    text("Message", "What happened.", |object, _| at(object, "/message")),
    wide(text("First Seen", "When it happened first.", |object, now| since(object, "/firstTimestamp", now))),
    wide(text("Count", "How often it happened.", |object, _| at(object, "/count"))),
    wide(NAME),
];

const NAMESPACE: &[Column] = &[NAME, text("Status", "Active.", |object, _| at(object, "/status/phase")), AGE];

const OTHER: &[Column] = &[NAME, AGE];

/// The columns of a kind.
pub(super) fn of(kind: &str) -> &'static [Column] {
    match kind {
        "Environment" => ENVIRONMENT,
        "Change" => CHANGE,
        "Revision" => REVISION,
        "ManagedResource" => MANAGED_RESOURCE,
        "Operator" => OPERATOR,
        "Event" => EVENT,
        "Namespace" => NAMESPACE,
        "AuditEntry" => AUDIT_ENTRY,
        _ => OTHER,
    }
}

/// A field as a cell: scalars as they are, in one line; nothing where there is nothing.
fn at(object: &Value, pointer: &str) -> Value {
    match object.pointer(pointer) {
        None | Some(Value::Null) => json!(""),
        Some(Value::String(text)) => json!(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Some(other) => json!(other.to_string()),
    }
}

fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition.get("status")).cloned().unwrap_or_else(|| json!("Unknown"))
}

fn services(object: &Value) -> Value {
    match object.pointer("/status/resources/kinds/EcsService") {
        Some(counts) => json!(format!("{}/{}", counts["ready"], counts["total"])),
        None => json!(""),
    }
}

fn held(object: &Value) -> Value {
    let shards = object.pointer("/status/shards").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let held = shards.iter().filter(|shard| shard["held"] == true).count();
    json!(format!("{held}/{}", shards.len()))
}

/// As events name what they are about.
fn acted_on(object: &Value) -> Value {
    let text = |field: &str| object["spec"]["object"][field].as_str().unwrap_or_default().to_owned();
    json!(format!("{}/{}", text("kind").to_lowercase(), text("name")))
}

/// `environment/prod`: kinds in small letters, as kubectl writes them.
fn involved(object: &Value) -> Value {
    let kind = object["involvedObject"]["kind"].as_str().unwrap_or_default().to_lowercase();
    json!(format!("{kind}/{}", object["involvedObject"]["name"].as_str().unwrap_or_default()))
}

fn since(object: &Value, pointer: &str, now: Timestamp) -> Value {
    let then = object.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    then.map_or_else(|| json!(""), |then| json!(human(now.duration_since(then).as_secs())))
}

/// A time passed in Kubernetes' short form (apimachinery `HumanDuration`): `5s`, `3m20s`, `12m`, `2h`, `3d`, `1y40d`.
pub(super) fn human(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let seconds = seconds.max(0);
    let two = |value: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{value}{unit}") } else { format!("{value}{unit}{rest}{small}") }
    };
    match seconds {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, "m", s % MINUTE, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, "h", s % HOUR / MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, "d", s % DAY / HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, "y", s % YEAR / DAY, "d"),
        s => format!("{}y", s / YEAR),
    }
}
