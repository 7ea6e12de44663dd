//! Many environments: a call does not get slower with the number of objects beside those it is about.
use serde_json::json;
use simaws::testing::json as call;

use crate::support::still;

#[tokio::test]
async fn ten_thousand_environments_are_listed_in_the_fewest_pages() {
    let sim = still();
    for n in 0..10_000 {
        let tags = json!({ "eventchain.io/environment": format!("env-{n:05}") });
        call(&sim, "logs", "CreateLogGroup", json!({ "logGroupName": format!("/ecs/env-{n:05}/api"), "tags": tags }))
            .await;
    }
    let one = json!({ "TagFilters": [{ "Key": "eventchain.io/environment", "Values": ["env-07777"] }] });
    let found = call(&sim, "tagging", "GetResources", one).await.body["ResourceTagMappingList"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    sim.reset_calls();
    let (mut seen, mut token) = (0, None);
    loop {
        let body = token.take().map_or(json!({}), |t: String| json!({ "nextToken": t }));
        let page = call(&sim, "logs", "DescribeLogGroups", body).await.body;
        seen += page["logGroups"].as_array().map_or(0, Vec::len);
        let Some(next) = page["nextToken"].as_str() else { break };
        token = Some(next.to_owned());
    }
    assert_eq!((seen, sim.calls().count("logs", "DescribeLogGroups")), (10_000, 200));
}
