//! The documents: every path of every resource, its parameters, bodies and answers.

use serde_json::{Map, Value, json};

use super::schemas::{self, group_version_kind, name, reference};
use crate::discovery::resources::{self, Resource, Subresource};
use crate::objects::Kind;
use crate::wire::GROUP;

/// Statuses that any path may answer with, each with a `Status`.
const FAILURES: &[(u16, &str)] = &[
    (400, "The body or the query cannot be decoded."),
    (401, "Who asks is not known."),
    (403, "Who asks may not do this."),
    (404, "There is no such object."),
    (405, "The path is served, with other methods."),
    (408, "The body did not arrive in time."),
    (409, "It exists already, or was changed by somebody else."),
    (410, "The past that is asked for is no longer held."),
    (413, "The body is too long."),
    (415, "The type of the body is not understood."),
    (422, "The content is refused: each problem with its field."),
    (429, "Too many requests."),
    (500, "A bug; the log says what."),
    (503, "The database or the account's owner is away: try again."),
];

const DOCUMENT_TYPES: &[&str] = &["application/json", "application/yaml"];
const PATCH_TYPES: &[&str] =
    &["application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"];

/// The document of version 3 of a group and version, or of everything.
pub(super) fn document(group_version: Option<&str>) -> Value {
    let mut paths = Map::new();
    for resource in resources::ALL.iter().filter(|one| group_version.is_none_or(|only| one.kind.api_version() == only))
    {
        add(&mut paths, resource);
    }
    if group_version.is_none() {
        probes(&mut paths);
    }
    json!({
        "openapi": "3.0.0",
        "info": {
            "title": "eventchain-operator",
            "version": "v1",
            "description": "Desired state of EventChain environments on AWS, and what became of it.",
        },
        "paths": paths,
        "components": { "schemas": schemas::all() },
    })
}

/// The document of version 2: the same, in older words.
pub(super) fn version_2() -> Value {
    let whole = document(None);
    let mut paths = whole["paths"].clone();
    for operation in paths.as_object_mut().into_iter().flatten().filter_map(|(_, item)| item.as_object_mut()).flatten()
    {
        let Some(fields) = operation.1.as_object_mut() else { continue };
        if let Some(body) = fields.remove("requestBody") {
            let types = body["content"].as_object().map(|content| content.keys().cloned().collect::<Vec<_>>());
            fields.insert("consumes".to_owned(), json!(types));
        }
        for parameter in fields.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            let kind = parameter["schema"]["type"].clone();
            parameter["type"] = kind;
            parameter.as_object_mut().map(|fields| fields.remove("schema"));
        }
        for (_, answer) in fields.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
            answer.as_object_mut().map(|fields| fields.remove("content"));
        }
    }
    let mut definitions = whole["components"]["schemas"].clone();
    in_version_2(&mut definitions);
    json!({ "swagger": "2.0", "info": whole["info"], "paths": paths, "definitions": definitions })
}

/// References point elsewhere in version 2, and a reference stands alone.
fn in_version_2(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(parts)) = fields.remove("allOf") {
                fields.extend(parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten());
                fields.remove("description");
            }
            fields
                .retain(|field, value| field != "nullable" && !(field == "additionalProperties" && value.is_boolean()));
            if let Some(Value::String(to)) = fields.get_mut("$ref") {
                *to = to.replace("#/components/schemas/", "#/definitions/");
            }
            fields.iter_mut().for_each(|(_, value)| in_version_2(value));
        }
        Value::Array(items) => items.iter_mut().for_each(in_version_2),
        _ => {}
    }
}

fn add(paths: &mut Map<String, Value>, resource: &Resource) {
    let base = match (resource.kind.is_core(), resource.namespaced) {
        (true, true) => "/api/v1/namespaces/{namespace}".to_owned(),
        (true, false) => "/api/v1".to_owned(),
        (false, _) => format!("/apis/{GROUP}/v1"),
    };
    let has = |verb: &str| resource.verbs.contains(&verb);
    let kind = resource.kind.name();
    let object = || reference(&name(kind));
    let list_of = || reference(&name(&format!("{kind}List")));
    let mut collection = Map::new();
    if has("list") {
        collection
            .insert("get".to_owned(), operation(resource, "list", list_parameters(resource), None, (200, list_of())));
    }
    if has("create") {
        let parameters = vec![dry_run(), field_manager(), field_validation(), message()];
        let body = Some((DOCUMENT_TYPES, object(), true));
        collection.insert("post".to_owned(), operation(resource, "post", parameters, body, (201, object())));
    }
    if has("deletecollection") {
        let parameters = vec![
            query("labelSelector", "string", "Which; this or fieldSelector must be given."),
            query("fieldSelector", "string", "Which; this or labelSelector must be given."),
            dry_run(),
        ];
        collection.insert(
            "delete".to_owned(),
            operation(resource, "deletecollection", parameters, Some(delete_options()), (200, list_of())),
        );
    }
    if resource.namespaced {
        paths.insert(format!("/api/v1/{}", resource.plural), Value::Object(collection.clone()));
        let namespace = json!({ "name": "namespace", "in": "path", "required": true, "schema": { "type": "string" } });
        collection.insert("parameters".to_owned(), json!([namespace]));
    }
    paths.insert(format!("{base}/{}", resource.plural), Value::Object(collection));

    let mut one = Map::new();
    one.insert("parameters".to_owned(), named(resource));
    if has("get") {
        let form = query("includeObject", "string", "With a table: Metadata, Object or None.");
        one.insert("get".to_owned(), operation(resource, "get", vec![form], None, (200, object())));
    }
    if has("update") {
        let parameters = vec![dry_run(), field_manager(), field_validation(), message()];
        one.insert(
            "put".to_owned(),
            operation(resource, "put", parameters, Some((DOCUMENT_TYPES, object(), true)), (200, object())),
        );
    }
    if has("patch") {
        let force = query("force", "boolean", "With server-side apply: take fields over from other managers.");
        let parameters = vec![dry_run(), field_manager(), field_validation(), message(), force];
        let types = if resource.kind == Kind::Environment { PATCH_TYPES } else { &PATCH_TYPES[..1] };
        let body = Some((types, json!({}), true));
        let mut patch = operation(resource, "patch", parameters, body, (200, object()));
        if resource.kind == Kind::Environment {
            patch["responses"]["201"] = answer("Created by server-side apply.", &object());
        }
        one.insert("patch".to_owned(), patch);
    }
    if has("delete") {
        one.insert(
            "delete".to_owned(),
            operation(resource, "delete", vec![dry_run()], Some(delete_options()), (200, json!({ "type": "object" }))),
        );
    }
    paths.insert(format!("{base}/{}/{{name}}", resource.plural), Value::Object(one));
    for below in resource.subresources {
        paths.insert(format!("{base}/{}/{{name}}/{}", resource.plural, below.name), subresource(resource, below));
    }
}

/// The body of a deletion: types, schema, and that it may be left out.
fn delete_options() -> (&'static [&'static str], Value, bool) {
    (DOCUMENT_TYPES, json!({ "type": "object", "description": "DeleteOptions." }), false)
}

fn subresource(resource: &Resource, below: &Subresource) -> Value {
    let shape = reference(&name(below.kind));
    let mut item = Map::new();
    item.insert("parameters".to_owned(), named(resource));
    for verb in below.verbs {
        let mut parameters = Vec::new();
        if below.name == "reconcile" {
            parameters.push(query("wait", "string", "Wait so long for it to be handled: 30s."));
            parameters.push(query("token", "string", "Ask about an earlier request."));
        }
        if *verb == "create" && below.name != "plan" && below.name != "reconcile" {
            parameters.push(dry_run());
        }
        let body = (*verb == "create").then(|| (DOCUMENT_TYPES, shape.clone(), false));
        let (method, code) = match *verb {
            "create" if below.name == "approve" => ("post", 201),
            "create" => ("post", 200),
            _ => ("get", 200),
        };
        let mut described = operation(resource, method, parameters, body, (code, json!({ "type": "object" })));
        described["description"] = json!(below.what);
        described["operationId"] = json!(format!("{method}_{}_{}", resource.singular, below.name));
        if below.name == "reconcile" {
            described["responses"]["202"] = answer("Asked for; not handled yet.", &shape);
        }
        item.insert(method.to_owned(), described);
    }
    Value::Object(item)
}

fn operation(
    resource: &Resource,
    action: &str,
    parameters: Vec<Value>,
    body: Option<(&[&str], Value, bool)>,
    (code, shape): (u16, Value),
) -> Value {
    let mut responses = Map::new();
    responses.insert(code.to_string(), answer("As asked.", &shape));
    for (code, what) in FAILURES {
        responses.insert(code.to_string(), answer(what, &reference(schemas::STATUS)));
    }
    let mut operation = json!({
        "operationId": format!("{action}_{}", resource.plural),
        "description": resource.what,
        "tags": [resource.plural],
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(resource.kind),
    });
    if let Some((types, schema, required)) = body {
        let content: Map<String, Value> =
            types.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect();
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    operation
}

fn answer(what: &str, shape: &Value) -> Value {
    json!({ "description": what, "content": { "application/json": { "schema": shape } } })
}

fn query(name: &str, kind: &str, what: &str) -> Value {
    json!({ "name": name, "in": "query", "description": what, "schema": { "type": kind } })
}

fn dry_run() -> Value {
    query("dryRun", "string", "All: answer what would be, and change nothing.")
}

fn field_manager() -> Value {
    query("fieldManager", "string", "Who sets the fields; required for server-side apply.")
}

fn field_validation() -> Value {
    query("fieldValidation", "string", "Unknown fields: Strict (refused, the default), Warn or Ignore.")
}

fn message() -> Value {
    query("message", "string", "Why, for the revision.")
}

fn named(resource: &Resource) -> Value {
    let path = |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    if resource.namespaced { json!([path("namespace"), path("name")]) } else { json!([path("name")]) }
}

fn list_parameters(resource: &Resource) -> Vec<Value> {
    let fields = resource.kind.fields().join(", ");
    vec![
        query("labelSelector", "string", "Such as team=a,tier!=b."),
        query("fieldSelector", "string", &format!("On {fields}.")),
        query("limit", "integer", "Items of a page."),
        query("continue", "string", "Token of the next page."),
        query("watch", "boolean", "Go on with what changes, as JSON lines."),
        query("resourceVersion", "string", "With watch: tell what came after it."),
        query("resourceVersionMatch", "string", "NotOlderThan."),
        query("sendInitialEvents", "boolean", "With watch: first what there is, and a bookmark at its end."),
        query("allowWatchBookmarks", "boolean", "With watch: say now and then how far it is."),
        query("timeoutSeconds", "integer", "With watch: end after so long."),
        query("includeObject", "string", "With a table: Metadata, Object or None."),
    ]
}

/// What is not Kubernetes, beside it.
fn probes(paths: &mut Map<String, Value>) {
    for (path, what, media) in [
        ("/livez", "Whether the daemon's main loop goes round.", "text/plain"),
        ("/readyz", "Whether requests can be served.", "text/plain"),
        ("/metrics", "Metrics in Prometheus' text form.", "text/plain"),
        ("/version", "The version, in Kubernetes' form.", "application/json"),
    ] {
        let shape = if media == "text/plain" { json!({ "type": "string" }) } else { json!({ "type": "object" }) };
        let answer = |what: &str| json!({ "description": what, "content": { (media): { "schema": shape } } });
        let get = json!({
            "operationId": format!("get_{}", path.trim_start_matches('/')),
            "description": what,
            "responses": { "200": answer("Yes, or the answer."), "503": answer("No, and why."), "405": answer("Another method.") },
        });
        paths.insert(path.to_owned(), json!({ "get": get }));
    }
}
