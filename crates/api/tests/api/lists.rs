//! Lists: selectors, pages, and what cannot be asked.

use serde_json::{Value, json};
use testkit::fixtures::patched;

use super::support::{Api, CHANGES, ENVIRONMENTS, small};

const REVISIONS: &str = "/apis/eventchain.io/v1/revisions";

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn some_environments(api: &Api) {
    for (name, team) in [("a", Some("x")), ("b", Some("y")), ("c", None), ("d", Some("x"))] {
        let labels = team.map_or_else(|| json!({}), |team| json!({"team": team}));
        let document = patched(small(name), &json!({"metadata": {"labels": labels}}));
        api.post(ENVIRONMENTS, &document).await.expect(201);
    }
}

#[tokio::test]
async fn label_selectors_choose_environments() {
    let api = Api::new().await;
    some_environments(&api).await;
    for (selector, expected) in [
        ("team=x", vec!["a", "d"]),
        ("team!=x", vec!["b", "c"]),
        ("team+in+(x,y)", vec!["a", "b", "d"]),
        ("team+notin+(x)", vec!["b", "c"]),
        ("team", vec!["a", "b", "d"]),
        ("!team", vec!["c"]),
        ("team=x,team!=y", vec!["a", "d"]),
    ] {
        let list = api.get(&format!("{ENVIRONMENTS}?labelSelector={selector}")).await.expect(200);
        assert_eq!(names(&list), expected, "{selector}");
        assert_eq!(list["kind"], "EnvironmentList");
    }
    assert_eq!(api.get(&format!("{ENVIRONMENTS}?labelSelector=a+b")).await.fields(), ["labelSelector"]);
    let one = api.get(&format!("{ENVIRONMENTS}?fieldSelector=metadata.name%3Db")).await.expect(200);
    assert_eq!(names(&one), ["b"]);
    assert_eq!(api.get(&format!("{ENVIRONMENTS}?fieldSelector=spec.x=b")).await.fields(), ["fieldSelector"]);
}

#[tokio::test]
async fn pages_continue_and_keep_the_first_version() {
    let api = Api::new().await;
    some_environments(&api).await;
    let first = api.get(&format!("{ENVIRONMENTS}?limit=3")).await.expect(200);
    assert_eq!(names(&first), ["a", "b", "c"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    api.post(ENVIRONMENTS, &small("e")).await.expect(201);
    let second = api.get(&format!("{ENVIRONMENTS}?limit=3&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["d", "e"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(second["metadata"].get("continue").is_none());
    for bad in ["continue=x", "limit=many", "limit=-1", "continue=x.y"] {
        assert_eq!(api.get(&format!("{ENVIRONMENTS}?{bad}")).await.fields().len(), 1, "{bad}");
    }
    let all = api.get(&format!("{ENVIRONMENTS}?limit=0")).await.expect(200);
    assert_eq!(names(&all).len(), 5);
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let api = Api::new().await;
    for path in [ENVIRONMENTS, CHANGES, REVISIONS, "/apis/eventchain.io/v1/managedresources", "/api/v1/events"] {
        let list = api.get(path).await.expect(200);
        assert_eq!(list["items"], json!([]));
        assert!(list["metadata"]["resourceVersion"].is_string());
    }
}

#[tokio::test]
async fn a_flag_is_read_as_go_reads_it() {
    let api = Api::new().await;
    assert_eq!(api.get(&format!("{ENVIRONMENTS}?watch=perhaps")).await.fields(), ["watch"]);
    api.get(&format!("{ENVIRONMENTS}?watch=false&timeout=2s&pretty=1")).await.expect(200);
}

#[tokio::test]
async fn revisions_and_changes_are_listed_by_environment() {
    let api = Api::new().await;
    some_environments(&api).await;
    for n in 1..=12 {
        api.patch(&format!("{ENVIRONMENTS}/a"), &json!({"spec": {"tags": {"n": n.to_string()}}})).await.expect(200);
    }
    api.patch(&format!("{ENVIRONMENTS}/b"), &json!({"spec": {"tags": {"n": "1"}}})).await.expect(200);
    for query in ["environment=b", "fieldSelector=spec.environment=b", "labelSelector=eventchain.io/environment=b"] {
        assert_eq!(names(&api.get(&format!("{REVISIONS}?{query}")).await.expect(200)), ["b-1", "b-2"], "{query}");
        assert_eq!(names(&api.get(&format!("{CHANGES}?{query}")).await.expect(200)).len(), 1, "{query}");
    }
    let one = api.get(&format!("{REVISIONS}?fieldSelector=metadata.name=a-10")).await.expect(200);
    assert_eq!(names(&one), ["a-10"]);
    let mut found = Vec::new();
    let mut path = format!("{REVISIONS}?environment=a&limit=5");
    loop {
        let page = api.get(&path).await.expect(200);
        found.extend(names(&page).into_iter().map(str::to_owned));
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        path = format!("{REVISIONS}?environment=a&limit=5&continue={token}");
    }
    let expected: Vec<String> = (1..=13).map(|n| format!("a-{n}")).collect();
    assert_eq!(found, expected, "numbers sort as numbers");
    // Pages of a selection that the store cannot make.
    let mut found = Vec::new();
    let mut path = format!("{CHANGES}?labelSelector=eventchain.io/environment+in+(a)&limit=5");
    loop {
        let page = api.get(&path).await.expect(200);
        assert!(names(&page).len() <= 5);
        found.extend(names(&page).into_iter().map(str::to_owned));
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        path = format!("{CHANGES}?labelSelector=eventchain.io/environment+in+(a)&limit=5&continue={token}");
    }
    assert_eq!(found.len(), 12);
    for bad in ["a-99", "a", "nobody-1", "a-x"] {
        assert_eq!(api.get(&format!("{REVISIONS}/{bad}")).await.refusal(404).0, "NotFound");
    }
}

#[tokio::test]
async fn plain_environment_values_are_masked_in_diffs() {
    let api = Api::new().await;
    api.create_prod().await;
    let revision = api.get(&format!("{REVISIONS}/prod-1")).await.expect(200);
    let diff = revision["spec"]["diff"].to_string();
    assert!(diff.contains("services.api-gateway.environment.CANARY"));
    assert!(!diff.contains(testkit::fixtures::CANARY), "{diff}");
}
