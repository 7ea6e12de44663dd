//! The wire: protocols, authorization, strictness.
use bytes::Bytes;
use http::Request;
use serde_json::json;
use simaws::testing::{json as call, query};

use crate::support::still;

#[tokio::test]
async fn an_unknown_parameter_is_named_and_nothing_is_done() {
    let sim = still();
    let reply = call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": "/a", "colour": "red" })).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "ValidationException"));
    assert_eq!(reply.body["message"], "simaws does not implement parameter colour of operation CreateLogGroup");
    let groups = call(&sim, "logs", "DescribeLogGroups", json!({})).await;
    assert_eq!(groups.body["logGroups"], json!([]));
}

#[tokio::test]
async fn an_unknown_operation_and_an_unknown_service_are_named_501() {
    let sim = still();
    let reply = call(&sim, "logs", "PutSubscriptionFilter", json!({})).await;
    assert_eq!((reply.status, reply.code().as_str()), (501, "UnsupportedOperation"));
    assert!(reply.body["message"].as_str().is_some_and(|m| m.contains("PutSubscriptionFilter")));
    assert_eq!(sim.calls().log().next().and_then(|c| c.error.clone()).as_deref(), Some("UnsupportedOperation"));
    let reply = query(&sim, "sqs", "ListQueues", &[]).await;
    assert_eq!((reply.status, reply.code().as_str()), (501, "UnsupportedOperation"));
}

#[tokio::test]
async fn a_call_without_authorization_is_refused() {
    let sim = still();
    let request = Request::post("/").header("x-amz-target", "Logs_20140328.DescribeLogGroups");
    let reply = sim.handle(request.body(Bytes::from_static(b"{}")).expect("valid")).await.expect("no faults");
    assert_eq!(reply.status(), 403);
    assert!(String::from_utf8_lossy(reply.body()).contains("MissingAuthenticationTokenException"));
    let form = Request::post("/").body(Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15"));
    let reply = sim.handle(form.expect("valid")).await.expect("no faults");
    assert_eq!(reply.status(), 403);
    assert!(String::from_utf8_lossy(reply.body()).contains("<Code>MissingAuthenticationToken</Code>"));
}

#[tokio::test]
async fn query_answers_xml_with_the_services_namespace() {
    let sim = still();
    let reply = query(&sim, "sts", "GetCallerIdentity", &[]).await;
    let start =
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>";
    assert!(reply.xml().starts_with(start), "{}", reply.xml());
    assert!(reply.xml().contains("<ResponseMetadata><RequestId>"));
    let reply = query(&sim, "sts", "AssumeRole", &[("RoleArn", "arn:aws:iam::210987654321:role/r")]).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "ValidationError"));
    assert!(reply.xml().contains("<Type>Sender</Type>"));
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_serialization_error() {
    let sim = still();
    let caller = simaws::testing::Caller::default();
    let request = Request::post("/")
        .header("authorization", caller.authorization("logs"))
        .header("x-amz-target", "Logs_20140328.DescribeLogGroups");
    let reply = sim.handle(request.body(Bytes::from_static(b"{")).expect("valid")).await.expect("no faults");
    assert_eq!(reply.status(), 400);
    assert!(String::from_utf8_lossy(reply.body()).contains("SerializationException"));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_request_ids() {
    let (a, b) = (still(), still());
    let first = call(&a, "logs", "DescribeLogGroups", json!({})).await;
    let second = call(&b, "logs", "DescribeLogGroups", json!({})).await;
    assert_eq!(first.headers["x-amzn-requestid"], second.headers["x-amzn-requestid"]);
}
