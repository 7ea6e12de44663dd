//! CloudWatch Logs, as documented.
use serde_json::json;
use simaws::testing::{Caller, json as call};

use crate::support::still;

#[tokio::test]
async fn describe_pages_by_fifty_and_refuses_a_made_up_token() {
    let sim = still();
    for n in 0..120 {
        call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": format!("/g/{n:03}") })).await;
    }
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let mut body = json!({ "logGroupNamePrefix": "/g/" });
        if let Some(token) = &token {
            body["nextToken"] = json!(token);
        }
        let page = call(&sim, "logs", "DescribeLogGroups", body).await.body;
        let groups = page["logGroups"].as_array().expect("a list").clone();
        assert!(groups.len() <= 50);
        seen.extend(groups.into_iter().map(|g| g["logGroupName"].as_str().expect("a name").to_owned()));
        token = page["nextToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..120).map(|n| format!("/g/{n:03}")).collect::<Vec<_>>());
    let garbage = call(&sim, "logs", "DescribeLogGroups", json!({ "nextToken": "bm9uc2Vuc2U" })).await;
    assert_eq!((garbage.status, garbage.code().as_str()), (400, "InvalidParameterException"));
    let beyond = call(&sim, "logs", "DescribeLogGroups", json!({ "limit": 51 })).await;
    assert_eq!(beyond.code(), "InvalidParameterException");
}

#[tokio::test]
async fn a_group_exists_once_per_account_and_region() {
    let sim = still();
    let body = json!({ "logGroupName": "/a" });
    assert_eq!(call(&sim, "logs", "CreateLogGroup", body.clone()).await.status, 200);
    let again = call(&sim, "logs", "CreateLogGroup", body.clone()).await;
    assert_eq!(again.code(), "ResourceAlreadyExistsException");
    let elsewhere = Caller { region: "eu-west-1".to_owned(), ..Caller::default() };
    assert_eq!(elsewhere.json(&sim, "logs", "CreateLogGroup", body.clone()).await.expect("no faults").status, 200);
    let other = Caller { access_key: "111122223333".to_owned(), ..Caller::default() };
    assert_eq!(other.json(&sim, "logs", "CreateLogGroup", body).await.expect("no faults").status, 200);
}

#[tokio::test]
async fn identifiers_are_names_or_arns_and_missing_ones_are_left_out() {
    let sim = still();
    call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/a" })).await;
    call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/b" })).await;
    let ids = json!({ "logGroupIdentifiers": ["/a", "arn:aws:logs:us-east-1:123456789012:log-group:/b", "/none"] });
    let found = call(&sim, "logs", "DescribeLogGroups", ids).await.body;
    assert_eq!(found["logGroups"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn only_documented_retentions_are_taken_and_zero_is_not_for_ever() {
    let sim = still();
    call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/a" })).await;
    for (days, status) in [(30, 200), (31, 400), (0, 400), (3653, 200)] {
        let put =
            call(&sim, "logs", "PutRetentionPolicy", json!({ "logGroupName": "/a", "retentionInDays": days })).await;
        assert_eq!(put.status, status, "{days}");
    }
    call(&sim, "logs", "DeleteRetentionPolicy", json!({ "logGroupName": "/a" })).await;
    let group = call(&sim, "logs", "DescribeLogGroups", json!({})).await.body["logGroups"][0].clone();
    assert_eq!(group.get("retentionInDays"), None);
}
