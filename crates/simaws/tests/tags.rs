//! Resource Groups Tagging: over all services.
use std::time::Duration;

use serde_json::{Value, json};
use simaws::testing::{Reply, json as call};
use simaws::{Sim, Timings};

use crate::support::still;

async fn get(sim: &Sim, body: Value) -> Reply {
    call(sim, "tagging", "GetResources", body).await
}

async fn arns(sim: &Sim, body: Value) -> Vec<String> {
    let list = get(sim, body).await.body["ResourceTagMappingList"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|r| r["ResourceARN"].as_str()?.rsplit("group:").next().map(str::to_owned)).collect()
}

async fn filled() -> Sim {
    let sim = still();
    for (name, tags) in [
        ("/a", json!({ "Team": "x", "Stage": "prod" })),
        ("/b", json!({ "Team": "y", "Stage": "prod" })),
        ("/c", json!({ "Team": "x" })),
    ] {
        call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": name, "tags": tags })).await;
    }
    call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/untagged" })).await;
    let tags = json!([{ "Key": "Team", "Value": "x" }]);
    call(&sim, "secretsmanager", "CreateSecret", json!({ "Name": "s", "Tags": tags })).await;
    sim
}

#[tokio::test]
async fn filters_are_all_met_and_values_any() {
    let sim = filled().await;
    let logs = json!(["logs:log-group"]);
    for (filters, found) in [
        (json!([]), vec!["/a", "/b", "/c"]),
        (json!([{ "Key": "Team", "Values": ["x"] }]), vec!["/a", "/c"]),
        (json!([{ "Key": "Team", "Values": ["x", "y"] }]), vec!["/a", "/b", "/c"]),
        (json!([{ "Key": "Team", "Values": ["x"] }, { "Key": "Stage" }]), vec!["/a"]),
        (json!([{ "Key": "Nothing" }]), vec![]),
    ] {
        let body = json!({ "TagFilters": filters, "ResourceTypeFilters": logs });
        assert_eq!(arns(&sim, body).await, found, "{filters}");
    }
    let secrets = get(&sim, json!({ "ResourceTypeFilters": ["secretsmanager"] })).await.body;
    assert_eq!(secrets["ResourceTagMappingList"].as_array().map(Vec::len), Some(1));
    assert_eq!(secrets["PaginationToken"], "");
}

#[tokio::test]
async fn pages_end_with_an_empty_token_and_garbage_is_refused() {
    let sim = filled().await;
    let first = get(&sim, json!({ "ResourcesPerPage": 3 })).await.body;
    let rest = json!({ "ResourcesPerPage": 3, "PaginationToken": first["PaginationToken"] });
    let rest = get(&sim, rest).await.body;
    assert_eq!(rest["ResourceTagMappingList"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["PaginationToken"], "");
    assert_eq!(get(&sim, json!({ "PaginationToken": "nonsense" })).await.code(), "InvalidParameterException");
    let both = json!({ "ResourceARNList": ["arn:aws:logs:us-east-1:123456789012:log-group:/a"], "TagFilters": [{ "Key": "a" }] });
    assert_eq!(get(&sim, both).await.code(), "InvalidParameterException");
}

#[tokio::test]
async fn tags_written_here_are_seen_by_the_service_and_unknown_arns_are_told() {
    let sim = filled().await;
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/untagged";
    let none = "arn:aws:logs:us-east-1:123456789012:log-group:/none";
    let body = json!({ "ResourceARNList": [arn, none], "Tags": { "k": "v" } });
    let failed = call(&sim, "tagging", "TagResources", body).await.body["FailedResourcesMap"].clone();
    assert_eq!(failed.as_object().map(|f| f.keys().cloned().collect::<Vec<_>>()), Some(vec![none.to_owned()]));
    let tags = call(&sim, "logs", "ListTagsForResource", json!({ "resourceArn": arn })).await.body;
    assert_eq!(tags["tags"], json!({ "k": "v" }));
    call(&sim, "tagging", "UntagResources", json!({ "ResourceARNList": [arn], "TagKeys": ["k"] })).await;
    let listed = get(&sim, json!({ "ResourceARNList": [arn] })).await.body["ResourceTagMappingList"].clone();
    assert_eq!(listed, json!([{ "ResourceARN": arn, "Tags": [] }]), "tagged before");
}

#[tokio::test]
async fn changes_show_after_the_lag() {
    let sim = filled().await;
    sim.clock().advance(Duration::from_mins(1));
    sim.set_timings(Timings { tagging_lag: Duration::from_secs(30), ..Timings::default() });
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/a";
    let body = json!({ "TagFilters": [{ "Key": "Team", "Values": ["z"] }] });
    call(&sim, "logs", "TagResource", json!({ "resourceArn": arn, "tags": { "Team": "z" } })).await;
    call(&sim, "logs", "DeleteLogGroup", json!({ "logGroupName": "/b" })).await;
    assert_eq!(arns(&sim, body.clone()).await, Vec::<String>::new());
    let logs = json!({ "ResourceTypeFilters": ["logs"] });
    assert_eq!(arns(&sim, logs.clone()).await, ["/a", "/b", "/c"]);
    sim.clock().advance(Duration::from_secs(30));
    assert_eq!(arns(&sim, body).await, ["/a"]);
    assert_eq!(arns(&sim, logs).await, ["/a", "/c"]);
}
