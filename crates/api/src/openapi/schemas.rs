//! Schemas: of the spec from the types that parse it, of the rest from what the wire types write.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::discovery::resources::{self, Resource};
use crate::objects::Kind;
use crate::wire::GROUP;

/// Name of a schema of ours.
pub(super) fn name(kind: &str) -> String {
    format!("io.eventchain.v1.{kind}")
}

pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

/// All schemas, by name.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert(OBJECT_META.to_owned(), object_meta());
    schemas.insert(STATUS.to_owned(), status());
    for resource in resources::ALL {
        let kind = resource.kind.name();
        schemas.insert(name(kind), object(resource));
        schemas.insert(name(&format!("{kind}List")), list(resource));
    }
    for (kind, properties) in actions() {
        schemas.insert(name(kind), json!({ "type": "object", "properties": properties }));
    }
    schemas
}

/// Group, version and kind, as the extension wants them.
pub(super) fn group_version_kind(kind: Kind) -> Value {
    let group = if kind.is_core() { "" } else { GROUP };
    json!({ "group": group, "version": "v1", "kind": kind.name() })
}

pub(super) fn reference(to: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{to}") })
}

fn object(resource: &Resource) -> Value {
    let mut properties = json!({
        "apiVersion": { "type": "string", "description": "Group and version of this object." },
        "kind": { "type": "string", "description": "Kind of this object." },
        "metadata": { "allOf": [reference(OBJECT_META)], "description": "Name, labels, annotations, versions." },
    });
    let mut required: Vec<&str> = Vec::new();
    match resource.kind {
        Kind::Environment => {
            properties["spec"] = spec();
            properties["status"] = environment_status();
            required.push("spec");
        }
        Kind::Event => {
            for (field, kind, what) in [
                ("involvedObject", "object", "What it happened to."),
                ("type", "string", "Normal or Warning."),
                ("reason", "string", "What happened, in a word."),
                ("message", "string", "What happened."),
                ("count", "integer", "How often it happened."),
                ("firstTimestamp", "string", "When it happened first."),
                ("lastTimestamp", "string", "When it happened last."),
                ("source", "object", "Who says so."),
                ("reportingComponent", "string", "Who says so."),
            ] {
                properties[field] = json!({ "type": kind, "description": what });
            }
            properties["involvedObject"]["properties"] = ["apiVersion", "kind", "name", "namespace", "uid"]
                .map(|field| (field, json!({ "type": "string" })))
                .into_iter()
                .collect::<Value>();
        }
        Kind::Namespace => properties["status"] = free("Active."),
        Kind::Change => {
            properties["spec"] = json!({
                "type": "object",
                "description": "What is asked for.",
                "required": ["environment", "patch"],
                "properties": {
                    "environment": { "type": "string", "description": "Name of the Environment to change." },
                    "message": { "type": "string", "description": "Why, for the revision." },
                    "patch": { "type": "object", "description": "Merge patch of the Environment.", "x-kubernetes-preserve-unknown-fields": true },
                    "apply": { "type": "string", "enum": ["Immediately", "InWindow"], "description": "When approved steps run; InWindow by default where policy keeps disruptive steps for its windows." },
                },
            });
            properties["status"] = change_status();
            required.push("spec");
        }
        Kind::Revision => {
            properties["spec"] = free("The spec with its number, author, message, and diff to the one before.");
        }
        Kind::AuditEntry => {
            properties["spec"] = free("Who, what, from where, the diff: all that was hashed.");
            properties["status"] = free("The hash, the one before, and the AWS calls that followed.");
        }
        Kind::ManagedResource => {
            properties["spec"] = free("Environment, account, region, kind, identity, and what is desired.");
            properties["status"] =
                free("What was observed, how it differs, conditions, and why nothing is done where nothing is.");
        }
        Kind::Operator => {
            properties["spec"] = json!({
                "type": "object",
                "description": "Settings of the whole installation.",
                "properties": {
                    "mode": { "type": "string", "enum": ["Enforce", "Observe"], "description": "The red button: Observe writes nothing to AWS." },
                    "blastRadius": {
                        "type": "object",
                        "description": "How many Environments may be changed within an hour.",
                        "properties": {
                            "count": { "type": "integer", "minimum": 0, "nullable": true, "description": "At most so many." },
                            "share": { "type": "number", "minimum": 0, "maximum": 1, "nullable": true, "description": "At most this part of all." },
                        },
                    },
                },
            });
            properties["status"] = free("Who works on which account.");
        }
    }
    json!({
        "type": "object",
        "description": resource.what,
        "properties": properties,
        "required": required,
        "x-kubernetes-group-version-kind": [group_version_kind(resource.kind)],
    })
}

fn list(resource: &Resource) -> Value {
    let mut kind = group_version_kind(resource.kind);
    kind["kind"] = json!(format!("{}List", resource.kind.name()));
    json!({
        "type": "object",
        "description": format!("A list of {}.", resource.plural),
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": free("resourceVersion, and continue where there is more."),
            "items": { "type": "array", "items": reference(&name(resource.kind.name())) },
        },
        "x-kubernetes-group-version-kind": [kind],
    })
}

fn free(description: &str) -> Value {
    json!({ "type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": true })
}

fn change_status() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let time = |what: &str| json!({ "type": "string", "format": "date-time", "description": what });
    let number = |what: &str| json!({ "type": "integer", "format": "int64", "description": what });
    let mut status = free("Where it stands, and what became of it.");
    status["properties"] = json!({
        "phase": text("Pending, PendingApproval, Applying; Converged, Failed, RolledBack, Rejected, Expired, Superseded."),
        "origin": text("How it came about: Posted, Direct, Deletion, Rollback, Drift, Steps."),
        "author": text("Who made it."),
        "risk": text("The highest risk in its plan."),
        "plan": free("What it would do."),
        "planHash": text("What an approval is of."),
        "requires": free("Who must approve: how many, and whether the author counts."),
        "approvals": { "type": "array", "description": "Who approved, when, why.", "items": free("An approval.") },
        "waiting": free("What holds it now: reason, message, until when."),
        "revision": number("The revision that it became."),
        "baseRevision": number("The revision before it."),
        "appliedAt": time("When its spec was written, or its steps were approved."),
        "expiresAt": time("When it lapses, if nobody approves."),
        "finishedAt": time("When it ended."),
        "outcome": free("How it ended: reason, message, evidence."),
    });
    status
}

fn environment_status() -> Value {
    let mut status = free("What the daemon last said.");
    status["properties"] = json!({
        "observedGeneration": { "type": "integer", "format": "int64", "description": "The generation that the rest is about." },
        "conditions": { "type": "array", "description": "Ready, Synced, and what else holds; docs/conditions.md.", "items": free("A condition.") },
        "resources": free("How many objects are ready, in sync, drifted, blocked, unknown; by kind."),
        "plan": free("The steps that wait for an approval, and their hash."),
        "pause": free("Who paused it, why, until when."),
        "newestBackupAt": { "type": "string", "format": "date-time", "description": "When the newest backup was made." },
        "observedAt": { "type": "string", "format": "date-time", "description": "The oldest observation that this rests on." },
        "revision": { "type": "integer", "format": "int64", "description": "The revision that is declared." },
    });
    status
}

/// The spec's schema, by the types that parse it.
fn spec() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<model::env::EnvironmentSpec>();
    let mut spec = schema.to_value();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("$schema");
        fields.remove("title");
        fields.remove("components");
    }
    structural(&mut spec);
    list_keys(&mut spec);
    spec
}

/// In the form that Kubernetes' clients read: one type each, no unions with null, enumerations as lists of words.
fn structural(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for union in ["anyOf", "oneOf", "allOf"] {
        let Some(Value::Array(parts)) = fields.remove(union) else { continue };
        let (words, others): (Vec<Value>, Vec<Value>) = parts.into_iter().partition(is_words);
        if words.is_empty() {
            // What is left besides null is the type itself; its own description gives way to the field's.
            let is_null = |part: &Value| part.get("enum") == Some(&json!([null])) || part["type"] == "null";
            for (field, value) in others.into_iter().filter(|part| !is_null(part)).filter_map(as_object).flatten() {
                fields.entry(field).or_insert(value);
            }
        } else {
            let told = words.iter().map(word).collect::<Vec<_>>();
            let values: Vec<&String> = told.iter().map(|(value, _)| value).collect();
            fields.insert("enum".to_owned(), json!(values));
            fields.insert("type".to_owned(), json!("string"));
            let meanings: Vec<String> = told
                .iter()
                .filter(|(_, what)| !what.is_empty())
                .map(|(value, what)| format!("{value}: {what}"))
                .collect();
            let own = fields.get("description").and_then(Value::as_str).unwrap_or_default();
            fields.insert("description".to_owned(), json!(format!("{own} {}", meanings.join(" ")).trim()));
        }
    }
    fields.remove("nullable");
    fields.remove("default");
    if let Some(format) = fields.get("format").and_then(Value::as_str).filter(|format| format.starts_with("uint")) {
        let signed = if format == "uint64" { "int64" } else { "int32" };
        fields.insert("format".to_owned(), json!(signed));
    }
    for (field, value) in fields.iter_mut() {
        match field.as_str() {
            "properties" => value.as_object_mut().into_iter().flatten().for_each(|(_, schema)| structural(schema)),
            "items" | "additionalProperties" => structural(value),
            _ => {}
        }
    }
}

fn as_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// Whether a part of a union is an enumeration's word, or several.
fn is_words(part: &Value) -> bool {
    part.get("const").is_some_and(Value::is_string)
        || part
            .get("enum")
            .and_then(Value::as_array)
            .is_some_and(|words| words.iter().all(Value::is_string) && words.len() == 1)
}

fn word(part: &Value) -> (String, String) {
    let value = part.get("const").or_else(|| part["enum"].get(0)).and_then(Value::as_str).unwrap_or_default();
    (value.to_owned(), part["description"].as_str().unwrap_or_default().to_owned())
}

/// Lists whose items have a key: they are merged by it.
fn list_keys(spec: &mut Value) {
    for (pointer, key) in crate::openapi::LIST_KEYS {
        if let Some(list) = spec.pointer_mut(pointer) {
            list["x-kubernetes-list-type"] = json!("map");
            list["x-kubernetes-list-map-keys"] = json!([key]);
        }
    }
}

fn object_meta() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let words =
        |what: &str| json!({ "type": "object", "description": what, "additionalProperties": { "type": "string" } });
    let number = |what: &str| json!({ "type": "integer", "format": "int64", "description": what });
    json!({
        "type": "object",
        "description": "Metadata that every object has.",
        "properties": {
            "name": text("Unique among the objects of its kind: a DNS label, at most 63 characters."),
            "generateName": text("First part of a name that the server makes up."),
            "namespace": text("Empty; events are in `default`."),
            "labels": words("For selectors."),
            "annotations": words("For tools."),
            "uid": text("Identity of this object, never used again."),
            "resourceVersion": text("Changes with every change of the object; makes a write conditional."),
            "generation": number("Grows with every change of the spec."),
            "creationTimestamp": text("When it was created."),
            "deletionTimestamp": text("When its deletion was asked for."),
            "deletionGracePeriodSeconds": number("Means nothing here."),
            "finalizers": { "type": "array", "description": "What must happen before it may go.", "items": { "type": "string" } },
            "ownerReferences": { "type": "array", "description": "Means nothing here.", "items": { "type": "object" } },
            "managedFields": { "type": "array", "description": "Who set which field.", "items": { "type": "object" } },
            "selfLink": text("Means nothing here."),
        },
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was not answered as asked.",
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "status": { "type": "string" },
            "message": { "type": "string", "description": "For people." },
            "reason": { "type": "string", "description": "For machines." },
            "code": { "type": "integer", "format": "int32" },
            "details": free("What it is about, and a cause for each problem: field, reason, message."),
        },
    })
}

/// What is sent to, and answered by, the paths below an object.
fn actions() -> Vec<(&'static str, Value)> {
    let text = |what: &str| json!({ "type": "string", "description": what });
    vec![
        (
            "Plan",
            json!({
                "patch": free("Merge patch of the Environment: what would be done then?"),
                "spec": free("A whole spec instead."),
                "hash": text("Hash of the steps that wait for an approval."),
            }),
        ),
        (
            "Diagnosis",
            json!({
                "generation": { "type": "integer", "format": "int64", "description": "Of the document that was looked at." },
                "observedAt": text("When."),
                "summary": free("How many findings of each severity."),
                "findings": { "type": "array", "items": free("severity, reason, resource, message, remedy, evidence."),
                    "description": "The worst first." },
            }),
        ),
        ("Reconcile", json!({ "token": text("Ask again with it."), "handled": { "type": "boolean" } })),
        (
            "Pause",
            json!({
                "reason": text("Why."),
                "until": text("RFC 3339: it ends by itself."),
                "duration": text("Instead of until: 2h."),
            }),
        ),
        ("Resume", json!({})),
        (
            "Approval",
            json!({ "plan": text("Hash of the plan."), "expiresIn": text("How long it counts: 24h."), "message": text("Why.") }),
        ),
        (
            "Decision",
            json!({
                "plan": text("Hash of the plan that is approved; the one that is shown, if not said."),
                "message": text("Why."),
                "expiresIn": text("How long an approval counts: 24h."),
            }),
        ),
        (
            "Rollback",
            json!({ "revision": { "type": "integer", "format": "int64", "description": "Its number." }, "message": text("Why.") }),
        ),
    ]
}
