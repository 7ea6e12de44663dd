//! Clusters.
use serde_json::json;

use super::{ecs, pass, prepared, refused, serving};
use crate::support::still;

#[tokio::test]
async fn creating_an_active_cluster_again_returns_it_unchanged() {
    let sim = still();
    let settings = json!([{ "name": "containerInsights", "value": "enabled" }]);
    let first = ecs(&sim, "CreateCluster", json!({ "clusterName": "a", "settings": settings })).await;
    let again = ecs(&sim, "CreateCluster", json!({ "clusterName": "a" })).await;
    assert_eq!(first, again);
    assert_eq!(again["cluster"]["settings"], settings);
    let plain = ecs(&sim, "CreateCluster", json!({ "clusterName": "b" })).await;
    assert_eq!(plain["cluster"]["settings"][0]["value"], "disabled");
}

#[tokio::test]
async fn describe_shows_parts_only_when_asked_and_names_what_is_missing() {
    let sim = still();
    let tags = json!([{ "key": "Team", "value": "x" }]);
    ecs(&sim, "CreateCluster", json!({ "clusterName": "a", "tags": tags })).await;
    let plain = ecs(&sim, "DescribeClusters", json!({ "clusters": ["a", "none"] })).await;
    assert_eq!((&plain["clusters"][0]["settings"], &plain["clusters"][0]["tags"]), (&json!([]), &json!([])));
    let missing = json!([{ "arn": "arn:aws:ecs:us-east-1:123456789012:cluster/none", "reason": "MISSING" }]);
    assert_eq!(plain["failures"], missing);
    let asked = json!({ "clusters": ["a"], "include": ["SETTINGS", "TAGS"] });
    let full = ecs(&sim, "DescribeClusters", asked).await["clusters"][0].clone();
    assert_eq!((&full["settings"][0]["name"], &full["tags"]), (&json!("containerInsights"), &tags));
    let many: Vec<String> = (0..101).map(|n| format!("c{n}")).collect();
    assert_eq!(refused(&sim, "DescribeClusters", json!({ "clusters": many })).await.0, "InvalidParameterException");
}

#[tokio::test]
async fn settings_change_and_only_documented_values_are_taken() {
    let sim = prepared().await;
    let settings =
        |value: &str| json!({ "cluster": "main", "settings": [{ "name": "containerInsights", "value": value }] });
    let changed = ecs(&sim, "UpdateClusterSettings", settings("enhanced")).await;
    assert_eq!(changed["cluster"]["settings"][0]["value"], "enhanced");
    assert_eq!(refused(&sim, "UpdateClusterSettings", settings("on")).await.0, "InvalidParameterException");
    let unknown = json!({ "cluster": "none", "settings": [{ "name": "containerInsights", "value": "enabled" }] });
    assert_eq!(refused(&sim, "UpdateClusterSettings", unknown).await.0, "ClusterNotFoundException");
}

#[tokio::test]
async fn a_cluster_with_services_stays_and_a_deleted_one_is_inactive_then_missing() {
    let sim = serving(1).await;
    let delete = json!({ "cluster": "main" });
    assert_eq!(refused(&sim, "DeleteCluster", delete.clone()).await.0, "ClusterContainsServicesException");
    ecs(&sim, "DeleteService", json!({ "cluster": "main", "service": "web", "force": true })).await;
    pass(&sim, 10);
    assert_eq!(ecs(&sim, "DeleteCluster", delete.clone()).await["cluster"]["status"], "INACTIVE");
    let asked = json!({ "clusters": ["main"] });
    assert_eq!(ecs(&sim, "DescribeClusters", asked.clone()).await["clusters"][0]["status"], "INACTIVE");
    assert_eq!(ecs(&sim, "ListClusters", json!({})).await["clusterArns"], json!([]));
    assert_eq!(refused(&sim, "DeleteCluster", delete).await.0, "ClusterNotFoundException");
    pass(&sim, 3601);
    assert_eq!(ecs(&sim, "DescribeClusters", asked).await["failures"][0]["reason"], "MISSING");
}

#[tokio::test]
async fn capacity_providers_are_fargates_and_the_strategy_uses_only_those() {
    let sim = prepared().await;
    let put = |providers: &[&str], used: &str| {
        json!({ "cluster": "main", "capacityProviders": providers,
                "defaultCapacityProviderStrategy": [{ "capacityProvider": used, "weight": 1 }] })
    };
    let ok = ecs(&sim, "PutClusterCapacityProviders", put(&["FARGATE", "FARGATE_SPOT"], "FARGATE")).await;
    let strategy = json!([{ "capacityProvider": "FARGATE", "weight": 1, "base": 0 }]);
    assert_eq!(ok["cluster"]["defaultCapacityProviderStrategy"], strategy);
    for wrong in [put(&["mine"], "mine"), put(&["FARGATE"], "FARGATE_SPOT")] {
        assert_eq!(refused(&sim, "PutClusterCapacityProviders", wrong).await.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn a_name_another_account_or_region_uses_is_free() {
    let sim = prepared().await;
    let elsewhere = simaws::testing::Caller { region: "eu-west-1".to_owned(), ..Default::default() };
    let there =
        elsewhere.json(&sim, "ecs", "DescribeClusters", json!({ "clusters": ["main"] })).await.expect("no faults");
    assert_eq!(there.body["failures"][0]["reason"], "MISSING");
    let other = json!({ "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/main", "services": ["web"] });
    assert_eq!(refused(&sim, "DescribeServices", other).await.0, "ClusterNotFoundException");
}

#[tokio::test]
async fn tags_are_seen_by_get_resources_and_gone_with_the_cluster() {
    let sim = prepared().await;
    let arn = "arn:aws:ecs:us-east-1:123456789012:cluster/main";
    ecs(&sim, "TagResource", json!({ "resourceArn": arn, "tags": [{ "key": "Team", "value": "x" }] })).await;
    let listed = ecs(&sim, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(listed["tags"], json!([{ "key": "Team", "value": "x" }]));
    let filter = json!({ "TagFilters": [{ "Key": "Team" }], "ResourceTypeFilters": ["ecs:cluster"] });
    let found = simaws::testing::json(&sim, "tagging", "GetResources", filter).await.body;
    assert_eq!(found["ResourceTagMappingList"][0]["ResourceARN"], arn);
    ecs(&sim, "UntagResource", json!({ "resourceArn": arn, "tagKeys": ["Team"] })).await;
    assert_eq!(ecs(&sim, "ListTagsForResource", json!({ "resourceArn": arn })).await["tags"], json!([]));
    ecs(&sim, "DeleteCluster", json!({ "cluster": "main" })).await;
    assert_eq!(refused(&sim, "ListTagsForResource", json!({ "resourceArn": arn })).await.0, "ClusterNotFoundException");
}
