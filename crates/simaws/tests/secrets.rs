//! Secrets Manager, as documented.
use std::time::Duration;

use serde_json::{Value, json};
use simaws::testing::{Reply, json as call};
use simaws::{Sim, Timings};

use crate::support::still;

const DAY: Duration = Duration::from_hours(24);
const TOKEN: &str = "00000000-0000-4000-8000-000000000001";
const OTHER: &str = "00000000-0000-4000-8000-000000000002";

async fn sm(sim: &Sim, operation: &str, body: Value) -> Reply {
    call(sim, "secretsmanager", operation, body).await
}

#[tokio::test]
async fn a_create_is_retried_with_the_same_token_and_value_only() {
    let sim = still();
    let body = json!({ "Name": "a", "ClientRequestToken": TOKEN, "SecretString": "x" });
    let first = sm(&sim, "CreateSecret", body.clone()).await;
    assert_eq!((first.status, &first.body["VersionId"]), (200, &json!(TOKEN)));
    assert_eq!(sm(&sim, "CreateSecret", body).await.body, first.body);
    for body in [
        json!({ "Name": "a", "ClientRequestToken": TOKEN, "SecretString": "y" }),
        json!({ "Name": "a", "ClientRequestToken": OTHER, "SecretString": "x" }),
        json!({ "Name": "a" }),
    ] {
        assert_eq!(sm(&sim, "CreateSecret", body).await.code(), "ResourceExistsException");
    }
}

#[tokio::test]
async fn a_secret_without_a_value_has_no_version_and_no_value_to_get() {
    let sim = still();
    let made = sm(&sim, "CreateSecret", json!({ "Name": "a" })).await.body;
    assert_eq!(made.get("VersionId"), None);
    let described = sm(&sim, "DescribeSecret", json!({ "SecretId": "a" })).await.body;
    assert_eq!((described.get("VersionIdsToStages"), described.get("RotationEnabled")), (None, None));
    let got = sm(&sim, "GetSecretValue", json!({ "SecretId": "a" })).await;
    assert_eq!((got.status, got.code().as_str()), (400, "ResourceNotFoundException"));
}

#[tokio::test]
async fn a_new_value_moves_the_labels_and_leaves_the_previous_one() {
    let sim = still();
    sm(&sim, "CreateSecret", json!({ "Name": "a", "ClientRequestToken": TOKEN, "SecretString": "1" })).await;
    let put = json!({ "SecretId": "a", "ClientRequestToken": OTHER, "SecretString": "2" });
    assert_eq!(sm(&sim, "PutSecretValue", put.clone()).await.body["VersionStages"], json!(["AWSCURRENT"]));
    assert_eq!(sm(&sim, "PutSecretValue", put).await.status, 200, "a retry");
    let clash = json!({ "SecretId": "a", "ClientRequestToken": OTHER, "SecretString": "3" });
    assert_eq!(sm(&sim, "PutSecretValue", clash).await.code(), "ResourceExistsException");
    let stages = sm(&sim, "DescribeSecret", json!({ "SecretId": "a" })).await.body["VersionIdsToStages"].clone();
    assert_eq!(stages, json!({ TOKEN: ["AWSPREVIOUS"], OTHER: ["AWSCURRENT"] }));
    let previous = json!({ "SecretId": "a", "VersionStage": "AWSPREVIOUS" });
    assert_eq!(sm(&sim, "GetSecretValue", previous).await.body["SecretString"], "1");
}

#[tokio::test]
async fn names_arns_and_arns_without_suffix_find_a_secret() {
    let sim = still();
    let arn = sm(&sim, "CreateSecret", json!({ "Name": "eventchain/a" })).await.body["ARN"].clone();
    let arn = arn.as_str().expect("an ARN").to_owned();
    let partial = "arn:aws:secretsmanager:us-east-1:123456789012:secret:eventchain/a";
    for id in ["eventchain/a", arn.as_str(), partial] {
        assert_eq!(sm(&sim, "DescribeSecret", json!({ "SecretId": id })).await.body["ARN"], arn, "{id}");
    }
    let wrong = format!("{partial}-XXXXXX");
    assert_eq!(sm(&sim, "DescribeSecret", json!({ "SecretId": wrong })).await.code(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_deleted_secret_can_be_restored_until_its_window_is_over() {
    let sim = still();
    sm(&sim, "CreateSecret", json!({ "Name": "a", "SecretString": "x" })).await;
    for (body, code) in [
        (json!({ "SecretId": "a", "RecoveryWindowInDays": 6 }), "InvalidParameterException"),
        (
            json!({ "SecretId": "a", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true }),
            "InvalidParameterException",
        ),
    ] {
        assert_eq!(sm(&sim, "DeleteSecret", body).await.code(), code);
    }
    sm(&sim, "DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await;
    assert_eq!(sm(&sim, "GetSecretValue", json!({ "SecretId": "a" })).await.code(), "InvalidRequestException");
    assert_eq!(sm(&sim, "CreateSecret", json!({ "Name": "a" })).await.code(), "InvalidRequestException");
    assert_eq!(sm(&sim, "ListSecrets", json!({})).await.body["SecretList"], json!([]));
    let planned = sm(&sim, "ListSecrets", json!({ "IncludePlannedDeletion": true })).await.body;
    assert!(planned["SecretList"][0]["DeletedDate"].is_number());
    sm(&sim, "RestoreSecret", json!({ "SecretId": "a" })).await;
    assert_eq!(sm(&sim, "GetSecretValue", json!({ "SecretId": "a" })).await.body["SecretString"], "x");
    sm(&sim, "DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await;
    sim.clock().advance(7 * DAY);
    assert_eq!(sm(&sim, "DescribeSecret", json!({ "SecretId": "a" })).await.code(), "ResourceNotFoundException");
    assert_eq!(sm(&sim, "CreateSecret", json!({ "Name": "a" })).await.status, 200);
}

#[tokio::test]
async fn rotation_makes_a_version_current_after_a_while_and_again_by_schedule() {
    let sim = still();
    sm(&sim, "CreateSecret", json!({ "Name": "a", "SecretString": "x" })).await;
    let none = sm(&sim, "RotateSecret", json!({ "SecretId": "a" })).await;
    assert_eq!(none.code(), "InvalidRequestException");
    let lambda = "arn:aws:lambda:us-east-1:123456789012:function:rotate";
    let rules = json!({ "AutomaticallyAfterDays": 10 });
    let body = json!({ "SecretId": "a", "RotationLambdaARN": lambda, "RotationRules": rules });
    let version = sm(&sim, "RotateSecret", body.clone()).await.body["VersionId"].clone();
    assert_eq!(sm(&sim, "RotateSecret", body).await.code(), "InvalidRequestException", "one at a time");
    let value = async || sm(&sim, "GetSecretValue", json!({ "SecretId": "a" })).await.body;
    assert_eq!(value().await["SecretString"], "x");
    sim.clock().advance(Timings::default().rotation);
    let rotated = value().await;
    assert_eq!(rotated["VersionId"], version);
    let described = sm(&sim, "DescribeSecret", json!({ "SecretId": "a" })).await.body;
    assert_eq!((&described["RotationEnabled"], &described["RotationRules"]), (&json!(true), &rules));
    assert!(described["LastRotatedDate"].is_number() && described["NextRotationDate"].is_number());
    sim.clock().advance(11 * DAY);
    assert_ne!(value().await["VersionId"], version);
    sm(&sim, "CancelRotateSecret", json!({ "SecretId": "a" })).await;
    let described = sm(&sim, "DescribeSecret", json!({ "SecretId": "a" })).await.body;
    assert_eq!((&described["RotationEnabled"], described.get("NextRotationDate")), (&json!(false), None));
}

#[tokio::test]
async fn list_filters_by_prefix_and_by_negation_in_order_of_age() {
    let sim = still();
    for (name, team) in [("b/1", "x"), ("a/1", "y"), ("a/2", "x")] {
        let tags = json!([{ "Key": "Team", "Value": team }]);
        sm(&sim, "CreateSecret", json!({ "Name": name, "Description": format!("My {name}"), "Tags": tags })).await;
    }
    for (filters, names) in [
        (json!([]), vec!["b/1", "a/1", "a/2"]),
        (json!([{ "Key": "name", "Values": ["a/"] }]), vec!["a/1", "a/2"]),
        (json!([{ "Key": "name", "Values": ["A/"] }]), vec![]),
        (json!([{ "Key": "name", "Values": ["!a/"] }]), vec!["b/1"]),
        (json!([{ "Key": "description", "Values": ["my b"] }]), vec!["b/1"]),
        (json!([{ "Key": "tag-value", "Values": ["x"] }, { "Key": "name", "Values": ["a"] }]), vec!["a/2"]),
        (json!([{ "Key": "all", "Values": ["MY a"] }]), vec!["a/1", "a/2"]),
    ] {
        let list = sm(&sim, "ListSecrets", json!({ "Filters": filters })).await.body["SecretList"].clone();
        let got: Vec<&str> = list.as_array().expect("a list").iter().filter_map(|s| s["Name"].as_str()).collect();
        assert_eq!(got, names, "{filters}");
    }
    let page = sm(&sim, "ListSecrets", json!({ "MaxResults": 2, "SortOrder": "desc" })).await.body;
    assert_eq!(page["SecretList"][0]["Name"], "a/2");
    let rest = json!({ "MaxResults": 2, "SortOrder": "desc", "NextToken": page["NextToken"] });
    assert_eq!(sm(&sim, "ListSecrets", rest).await.body["SecretList"][0]["Name"], "b/1");
    let garbage = sm(&sim, "ListSecrets", json!({ "NextToken": "nonsense" })).await;
    assert_eq!(garbage.code(), "InvalidNextTokenException");
}

#[tokio::test]
async fn list_lags_and_describe_does_not() {
    let sim = still();
    sim.set_timings(Timings { list_secrets_lag: Duration::from_mins(5), ..Timings::default() });
    sm(&sim, "CreateSecret", json!({ "Name": "a", "Description": "one" })).await;
    let listed = async || sm(&sim, "ListSecrets", json!({})).await.body["SecretList"].clone();
    assert_eq!(listed().await, json!([]));
    assert_eq!(sm(&sim, "DescribeSecret", json!({ "SecretId": "a" })).await.body["Description"], "one");
    sim.clock().advance(Duration::from_mins(5));
    assert_eq!(listed().await[0]["Description"], "one");
    sm(&sim, "UpdateSecret", json!({ "SecretId": "a", "Description": "two" })).await;
    assert_eq!(listed().await[0]["Description"], "one");
    sim.clock().advance(Duration::from_mins(5));
    assert_eq!(listed().await[0]["Description"], "two");
}

#[tokio::test]
async fn a_managed_secret_belongs_to_its_service() {
    let sim = still();
    let arn = sim.with("123456789012", "us-east-1", |ctx| {
        simaws::create_managed_secret(ctx, "rds!db-1", "rds", "password", "{}", simaws::TagMap::new())
    });
    let described = sm(&sim, "DescribeSecret", json!({ "SecretId": arn })).await.body;
    assert_eq!((&described["OwningService"], &described["RotationEnabled"]), (&json!("rds"), &json!(true)));
    sim.with("123456789012", "us-east-1", |ctx| simaws::delete_managed_secret(ctx, &arn));
    assert_eq!(sm(&sim, "DescribeSecret", json!({ "SecretId": arn })).await.code(), "ResourceNotFoundException");
}
