//! The audit trail over HTTP: every write that is accepted stands in it, who was refused too, and nobody can write it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use store::{AUDIT_SHARD, Acquired, Fence, RequestKind};

use super::support::{Api, CHANGES, ENVIRONMENTS, PROD, gated_plan, prod, small};

const AUDIT: &str = "/apis/eventchain.io/v1/auditentries";
const AS_ANN: [(&str, &str); 3] =
    [("x-remote-user", "ann"), ("user-agent", "curl/8"), ("content-type", "application/json")];

async fn lease(api: &Api) -> Fence {
    let acquired = api.store.acquire_lease(AUDIT_SHARD, "test", Duration::from_secs(600)).await.unwrap();
    let Acquired::Held(lease) = acquired else { panic!("somebody else writes the trail") };
    lease.fence()
}

/// Chains what was written.
pub(crate) async fn chain(api: &Api) {
    let fence = lease(api).await;
    while api.store.chain_audit(&fence).await.unwrap().more {}
}

/// The trail, chained.
async fn trail(api: &Api, query: &str) -> Vec<Value> {
    chain(api).await;
    api.get(&format!("{AUDIT}{query}")).await.expect(200)["items"].as_array().unwrap().clone()
}

fn told(entries: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |entry: &Value| {
        let spec = &entry["spec"];
        let of = &spec["object"];
        format!("{} {} {}/{}", text(&spec["actor"]), text(&spec["verb"]), text(&of["kind"]), text(&of["name"]))
    };
    entries.iter().map(line).collect()
}

#[tokio::test]
async fn every_accepted_write_is_told_and_no_dry_run_or_refused_one() {
    let api = Api::new().await;
    let owner = api.own().await;
    let ann = async |method: Method, path: &str, body: Value| api.send(method, path, &AS_ANN, body.to_string()).await;
    let mut document = prod();
    document["spec"]["services"]["event-service"]["environment"] = json!({ "TOKEN": "hunter2" });
    ann(Method::POST, &format!("{ENVIRONMENTS}?dryRun=All"), document.clone()).await.expect(201);
    let created = ann(Method::POST, ENVIRONMENTS, document.clone()).await;
    created.expect(201);
    ann(Method::POST, ENVIRONMENTS, document).await.refusal(409);
    ann(Method::PATCH, PROD, json!({ "spec": { "no": 1 } })).await.refusal(422);
    let count = |n: i64| json!({ "spec": { "services": { "event-service": { "desiredCount": n } } } });
    ann(Method::PATCH, PROD, count(3)).await.expect(200);
    ann(Method::PATCH, PROD, count(3)).await.expect(200);
    let ungated = json!({ "generation": 3, "hash": null, "gated": null, "resources": [] });
    let change = json!({ "spec": { "environment": "prod", "message": "sale", "patch": count(4) } });
    let (changed, _) = tokio::join!(ann(Method::POST, CHANGES, change), owner.answer(RequestKind::Plan, ungated));
    let change = changed.expect(201)["metadata"]["name"].as_str().unwrap().to_owned();
    ann(Method::POST, &format!("{PROD}/rollback"), json!({ "revision": 1 })).await.expect(200);
    ann(Method::POST, &format!("{PROD}/pause"), json!({ "reason": "night" })).await.expect(200);
    ann(Method::POST, &format!("{PROD}/resume"), json!({})).await.expect(200);
    let status = json!({ "observedGeneration": 4, "plan": gated_plan(4)["gated"] });
    owner.write_status("prod", status).await;
    let hash = json!({ "plan": gated_plan(4)["hash"] });
    ann(Method::POST, &format!("{PROD}/approve"), hash).await.expect(201);
    ann(Method::POST, &format!("{PROD}/reconcile"), json!({})).await.expect(202);
    ann(Method::PATCH, "/apis/eventchain.io/v1/operators/default", json!({ "spec": { "mode": "Observe" } }))
        .await
        .expect(200);
    ann(Method::DELETE, &format!("{CHANGES}/{change}"), json!({})).await.expect(200);
    ann(Method::DELETE, PROD, json!({})).await.expect(200);

    let entries = trail(&api, "").await;
    assert_eq!(
        told(&entries),
        [
            "ann create Environment/prod",
            "ann patch Environment/prod",
            "ann update Environment/prod",
            "ann rollback Environment/prod",
            "ann pause Environment/prod",
            "ann resume Environment/prod",
            "ann approve Environment/prod",
            "ann reconcile Environment/prod",
            "ann patch Operator/default",
            &format!("ann delete Change/{change}"),
            "ann delete Environment/prod",
        ]
    );
    let first = &entries[0]["spec"];
    assert_eq!((&first["userAgent"], &first["request"]), (&json!("curl/8"), &json!(format!("POST {ENVIRONMENTS}"))));
    assert_eq!(first["requestId"], created.header("audit-id"), "the answer tells the id under which it is found");
    assert_eq!(
        entries[1]["spec"]["diff"],
        json!([{ "field": "spec.services.event-service.desiredCount", "from": 2, "to": 3 }])
    );
    assert_eq!((&entries[2]["spec"]["change"], &entries[2]["spec"]["message"]), (&json!(change), &json!("sale")));
    assert!(!json!(entries).to_string().contains("hunter2"), "plain environment values are masked");
    let previous = |at: usize| &entries[at]["status"]["previousHash"];
    assert_eq!(previous(0), &json!("0".repeat(64)));
    assert!((1..entries.len()).all(|at| previous(at) == &entries[at - 1]["status"]["hash"]));
}

#[tokio::test]
async fn entries_are_selected_paged_printed_watched_and_read_one_by_one() {
    let api = Api::new().await;
    for name in ["a", "b", "c"] {
        api.send(Method::POST, ENVIRONMENTS, &[("x-remote-user", name)], small(name).to_string()).await.expect(201);
    }
    assert_eq!(told(&trail(&api, "").await).len(), 3);
    assert_eq!(told(&trail(&api, "?actor=b").await), ["b create Environment/b"]);
    assert_eq!(told(&trail(&api, "?fieldSelector=spec.environment=c,spec.verb=create").await).len(), 1);
    assert_eq!(told(&trail(&api, "?fieldSelector=spec.object.name=c").await).len(), 1);
    assert_eq!(told(&trail(&api, "?labelSelector=eventchain.io/environment=a").await).len(), 1);
    let page = api.get(&format!("{AUDIT}?limit=2")).await.expect(200);
    let token = page["metadata"]["continue"].as_str().unwrap();
    let rest = api.get(&format!("{AUDIT}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    let one = api.get(&format!("{AUDIT}/000000000002")).await.expect(200);
    assert_eq!(one["metadata"]["name"], "000000000002");
    assert_eq!(api.get(&format!("{AUDIT}/2")).await.expect(200), one);
    for missing in ["9", "x", "-1"] {
        assert_eq!(api.get(&format!("{AUDIT}/{missing}")).await.refusal(404).0, "NotFound");
    }
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = api.send(Method::GET, AUDIT, &table, "").await.expect(200);
    let cells = table["rows"][1]["cells"].as_array().unwrap();
    assert_eq!(
        cells[..6],
        [json!("000000000002"), json!("b"), json!("create"), json!("environment/b"), json!("b"), json!("Accepted")]
    );
    let watched = api.get(&format!("{AUDIT}?watch=true&timeoutSeconds=1")).await;
    let lines: Vec<Value> = watched.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["type"] == "ADDED").count(), 3);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        api.send(method, &format!("{AUDIT}/1"), &[], "").await.refusal(405);
    }
}

#[tokio::test]
async fn a_burst_of_refusals_is_told_once_at_first_and_never_floods() {
    let api = Api::new().await;
    // What a web page sends is refused.
    let page = [("origin", "http://evil.example"), ("x-remote-user", "ann")];
    for _ in 0..20 {
        api.send(Method::DELETE, PROD, &page, "").await.refusal(403);
    }
    // Told behind the answer.
    let waits = async {
        while api.store.audit_state().await.unwrap().pending == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("the refusal is told");
    let entries = trail(&api, "?fieldSelector=spec.outcome=Refused").await;
    assert_eq!(told(&entries), ["ann delete Environment/prod"]);
    assert_eq!((&entries[0]["spec"]["code"], &entries[0]["spec"]["environment"]), (&json!(403), &json!("prod")));
}

/// Asks so often, refused each time, and waits until the first refusal stands in the trail.
async fn refuse(api: &Api, times: usize) {
    let page = [("origin", "http://evil.example"), ("x-remote-user", "ann")];
    for _ in 0..times {
        api.send(Method::DELETE, PROD, &page, "").await.refusal(403);
    }
    told_times(api, 1).await;
}

/// Until so many refusals were told, chained or not.
async fn told_times(api: &Api, times: usize) -> Vec<Value> {
    let waits = async {
        loop {
            let entries = trail(api, "?fieldSelector=spec.outcome=Refused").await;
            if entries.len() >= times {
                return entries;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits).await.expect("the refusals are told")
}

#[tokio::test]
async fn what_repeats_a_refusal_is_told_with_its_count_when_the_minute_is_over() {
    let api = Api::new().await;
    refuse(&api, 20).await;
    // Only over the minute: the database is asked in real time.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    let entries = told_times(&api, 2).await;
    assert_eq!((&entries[0]["spec"]["count"], &entries[1]["spec"]["count"]), (&json!(1), &json!(19)));
    assert_eq!(told(&entries), ["ann delete Environment/prod"; 2]);
    // A new minute begins with the next.
    refuse(&api, 1).await;
    assert_eq!(told_times(&api, 3).await[2]["spec"]["count"], 1);
}

#[tokio::test]
async fn what_was_counted_is_told_when_the_daemon_stops_in_the_middle_of_the_minute() {
    let mut stop = None;
    let api = Api::with(|state| stop = Some(state.stop_watches())).await;
    refuse(&api, 5).await;
    stop.unwrap().cancel();
    assert_eq!(told_times(&api, 2).await[1]["spec"]["count"], 4);
}

#[tokio::test]
async fn a_refusal_that_nothing_repeats_is_told_once() {
    let mut stop = None;
    let api = Api::with(|state| stop = Some(state.stop_watches())).await;
    refuse(&api, 1).await;
    stop.unwrap().cancel();
    // Another sort of refusal comes after it: what was to be told of the first had its chance.
    let page = [("origin", "http://evil.example"), ("x-remote-user", "bob")];
    api.send(Method::DELETE, PROD, &page, "").await.refusal(403);
    let entries = told_times(&api, 2).await;
    assert_eq!(told(&entries), ["ann delete Environment/prod", "bob delete Environment/prod"]);
}
