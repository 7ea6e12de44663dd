//! Discovery and OpenAPI, as kubectl and client libraries read them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::fixtures;

use super::support::{Answer, Api, LOAD_BALANCER};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

async fn accepting(api: &Api, path: &str, accept: &str) -> Answer {
    api.send(http::Method::GET, path, &[("accept", accept)], "").await
}

#[tokio::test]
async fn the_plain_documents_are_those_of_kubernetes() {
    let api = Api::new().await;
    assert_eq!(api.get("/api").await.expect(200)["versions"], json!(["v1"]));
    let groups = api.get("/apis").await.expect(200);
    assert_eq!(groups["kind"], "APIGroupList");
    assert_eq!(groups["groups"][0]["preferredVersion"]["groupVersion"], "eventchain.io/v1");
    for (group, reviews) in [
        ("authentication.k8s.io", &["selfsubjectreviews"][..]),
        ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ] {
        assert!(groups["groups"].as_array().unwrap().iter().any(|it| it["name"] == group), "{groups}");
        assert_eq!(api.get(&format!("/apis/{group}")).await.expect(200)["name"], group);
        let listed = api.get(&format!("/apis/{group}/v1")).await.expect(200);
        let names: Vec<&str> =
            listed["resources"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, reviews);
    }
    assert_eq!(api.get("/apis/eventchain.io").await.expect(200)["kind"], "APIGroup");
    api.get("/apis/other.io").await.refusal(404);
    let resources = api.get("/apis/eventchain.io/v1").await.expect(200);
    let environments = &resources["resources"][0];
    assert_eq!((&environments["name"], &environments["shortNames"]), (&json!("environments"), &json!(["env"])));
    assert_eq!(api.get("/api/v1").await.expect(200)["resources"][0]["namespaced"], true);
    for path in ["/version", "/version/"] {
        assert!(api.get(path).await.expect(200)["minor"].is_string());
    }
}

#[tokio::test]
async fn the_aggregated_documents_say_what_they_are() {
    let api = Api::new().await;
    for path in ["/api", "/apis"] {
        let answer = accepting(&api, path, AGGREGATED).await;
        let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        assert_eq!((answer.header("content-type"), answer.header("vary")), (media, "Accept"));
        let document = answer.expect(200);
        assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
        for item in document["items"].as_array().unwrap() {
            assert!(!item["versions"][0]["resources"].as_array().unwrap().is_empty());
        }
    }
    let older = AGGREGATED.split_once(',').unwrap().1;
    assert_eq!(accepting(&api, "/apis", older).await.expect(200)["apiVersion"], "apidiscovery.k8s.io/v2beta1");
}

/// Every verb of every resource that discovery names is served.
#[tokio::test]
async fn what_discovery_says_is_served() {
    let api = Api::new().await;
    for (base, document) in
        [("/apis/eventchain.io/v1", "/apis/eventchain.io/v1"), ("/api/v1/namespaces/default", "/api/v1")]
    {
        for resource in api.get(document).await.expect(200)["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let (collection, one) = match name.split_once('/') {
                None if resource["namespaced"] == false && document == "/api/v1" => {
                    (format!("/api/v1/{name}"), format!("/api/v1/{name}/none"))
                }
                None => (format!("{base}/{name}"), format!("{base}/{name}/none")),
                Some((plural, below)) => {
                    let path = format!("{base}/{plural}/none/{below}");
                    (path.clone(), path)
                }
            };
            for verb in resource["verbs"].as_array().unwrap() {
                let (method, path) = match verb.as_str().unwrap() {
                    "get" => ("GET", &one),
                    "list" | "watch" => ("GET", &collection),
                    "create" => ("POST", &collection),
                    "update" => ("PUT", &one),
                    "patch" => ("PATCH", &one),
                    "delete" => ("DELETE", &one),
                    "deletecollection" => ("DELETE", &collection),
                    other => panic!("{other}"),
                };
                let answer = api.send(method.parse().unwrap(), path, &[], "").await;
                assert_ne!(answer.code, 405, "{verb} {path}");
                if answer.code == 404 {
                    assert!(!answer.text.contains("is not served"), "{verb} {path}: {}", answer.text);
                }
            }
        }
    }
}

#[tokio::test]
async fn openapi_is_kept_by_its_hash() {
    let api = Api::new().await;
    let index = api.get("/openapi/v3").await.expect(200);
    for path in ["apis/eventchain.io/v1", "api/v1"] {
        let address = index["paths"][path]["serverRelativeURL"].as_str().unwrap();
        let answer = api.get(address).await;
        assert!(answer.header("cache-control").contains("immutable"));
        assert!(address.ends_with(answer.header("etag").trim_matches('"')));
        assert_eq!(answer.expect(200)["openapi"], "3.0.0");
    }
    api.get("/openapi/v3/apis/other.io/v1").await.refusal(404);
}

/// The schema of a document's field, through maps and lists.
fn schema_of<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    let inner = schema["properties"].get(field);
    inner.or_else(|| schema.get("additionalProperties").filter(|extra| extra.is_object()))
}

fn described(path: &str, value: &Value, schema: &Value, problems: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let path = format!("{path}.{field}");
                match schema_of(schema, field) {
                    Some(schema) => described(&path, value, schema, problems),
                    None => problems.push(path),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| described(path, item, &schema["items"], problems)),
        Value::String(_) if schema["type"] == "string" => {}
        Value::Bool(_) if schema["type"] == "boolean" => {}
        Value::Number(_) if schema["type"] == "integer" || schema["type"] == "number" => {}
        _ => problems.push(format!("{path}: {value} is no {}", schema["type"])),
    }
}

/// Every schema in it, with its place.
fn every<'a>(path: &str, schema: &'a Value, all: &mut Vec<(String, &'a Value)>) {
    all.push((path.to_owned(), schema));
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        every(&format!("{path}.{field}"), inner, all);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            every(&format!("{path}[]"), &schema[inner], all);
        }
    }
}

#[tokio::test]
async fn every_field_of_the_example_is_explained() {
    let api = Api::new().await;
    let document = api.get("/openapi/v3/apis/eventchain.io/v1").await.expect(200);
    let environment = &document["components"]["schemas"]["io.eventchain.v1.Environment"];
    let spec = &environment["properties"]["spec"];
    let mut problems = Vec::new();
    described("spec", &fixtures::document(LOAD_BALANCER)["spec"], spec, &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(schema_of(spec, "nonsense").is_none());
    let mut all = Vec::new();
    every("spec", spec, &mut all);
    let unexplained: Vec<&String> = all
        .iter()
        .filter(|(path, schema)| !path.ends_with("[]") && schema["description"].as_str().is_none_or(str::is_empty))
        .map(|(path, _)| path)
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let untyped: Vec<&String> =
        all.iter().filter(|(_, schema)| !schema["type"].is_string()).map(|(path, _)| path).collect();
    assert!(untyped.is_empty(), "{untyped:#?}");
    assert_eq!(
        spec["properties"]["database"]["properties"]["snapshots"]["properties"]["copyTo"]["x-kubernetes-list-map-keys"],
        json!(["region"])
    );
    assert_eq!(spec["properties"]["policy"]["properties"]["mode"]["enum"], json!(["Enforce", "Observe"]));
    assert!(spec["required"].as_array().unwrap().contains(&json!("aws")));
    let patch = &document["paths"]["/apis/eventchain.io/v1/environments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Environment");
    let parameters: BTreeSet<&str> =
        patch["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(parameters.is_superset(&BTreeSet::from(["dryRun", "fieldManager", "fieldValidation"])));
}

/// Reads the fields of a protobuf message: number and bytes (0 for anything but bytes).
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => {
                varint(&mut bytes);
                all.push((key >> 3, &[][..]));
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                all.push((key >> 3, inner));
            }
            other => panic!("wire type {other}"),
        }
    }
    all
}

#[tokio::test]
async fn version_2_is_protobuf_where_it_is_asked_for() {
    let api = Api::new().await;
    let media = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let request = http::Request::get("/openapi/v2").header("accept", media).body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(api.router.clone(), request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let document = fields(&body);
    let inside = |number: u64, of: &[u8]| -> Vec<Vec<u8>> {
        fields(of).into_iter().filter(|(field, _)| *field == number).map(|(_, inner)| inner.to_vec()).collect()
    };
    let part = |number: u64| document.iter().find(|(field, _)| *field == number).unwrap().1;
    let definitions = inside(1, part(9));
    let names: Vec<Vec<u8>> = definitions.iter().flat_map(|one| inside(1, one)).collect();
    assert!(names.contains(&b"io.eventchain.v1.Environment".to_vec()));
    let paths: Vec<Vec<u8>> = inside(2, part(8)).iter().flat_map(|one| inside(1, one)).collect();
    assert!(paths.contains(&b"/apis/eventchain.io/v1/environments/{name}".to_vec()));
    let plain = api.get("/openapi/v2").await.expect(200);
    assert_eq!(plain["swagger"], "2.0");
    assert!(!plain.to_string().contains("#/components/"));
}

#[tokio::test]
async fn a_table_is_what_kubectl_get_asks_for() {
    let api = Api::new().await;
    api.create_prod().await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let group = "/apis/eventchain.io/v1";
    for (path, rows) in [
        (format!("{group}/environments?limit=500"), 1),
        (format!("{group}/environments/prod"), 1),
        (format!("{group}/revisions/prod-1"), 1),
        (format!("{group}/changes"), 0),
        (format!("{group}/managedresources"), 0),
        (format!("{group}/operators/default"), 1),
        ("/api/v1/namespaces/default/events".to_owned(), 0),
        ("/api/v1/namespaces/other/events".to_owned(), 0),
    ] {
        let answer = accepting(&api, &path, table).await.expect(200);
        assert_eq!(answer["kind"], "Table", "{path}");
        assert_eq!(answer["rows"].as_array().unwrap().len(), rows, "{path}");
        assert!(answer["metadata"]["resourceVersion"].is_string(), "{path}");
    }
    let whole = accepting(&api, &format!("{group}/environments?includeObject=Object"), table).await.expect(200);
    assert_eq!(whole["rows"][0]["object"]["kind"], "Environment");
}
