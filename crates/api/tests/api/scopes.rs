//! Roles for some environments only: what a label selector shows and hides, in every form in which it could leak.

use api::Role;
use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use store::{NewEvent, RequestKind};
use tower::ServiceExt as _;

use super::access::{Guarded, Users};
use super::audit::chain;
use super::support::{Answer, CHANGES, ENVIRONMENTS, gated_plan, prod, small};

const GROUP: &str = "/apis/eventchain.io/v1";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

const USERS: Users = &[
    ("root", &[(Role::Admin, "")]),
    ("ann", &[(Role::Editor, "team=a")]),
    ("abe", &[(Role::Admin, "team=a")]),
    ("vic", &[(Role::Viewer, ""), (Role::Editor, "team=a")]),
];

/// Environments `mine` of team a and `theirs` of team b, each with an event.
async fn two_teams() -> Guarded {
    let guarded = Guarded::with(USERS, None).await;
    for (name, team) in [("mine", "a"), ("theirs", "b")] {
        let uid = guarded.send("root", Method::POST, ENVIRONMENTS, of_team(name, team)).await.expect(201);
        let event = NewEvent {
            environment: name.to_owned(),
            environment_uid: uid["metadata"]["uid"].as_str().map(|uid| uid.parse().unwrap()),
            regarding_kind: "Environment".to_owned(),
            regarding_identity: name.to_owned(),
            event_type: "Normal".to_owned(),
            reason: "Tested".to_owned(),
            message: format!("secret of {name}"),
            details: json!({}),
            now: guarded.api.now(),
        };
        guarded.api.store.write_events(&[event]).await.unwrap();
    }
    guarded
}

fn of_team(name: &str, team: &str) -> Value {
    let mut document = small(name);
    document["metadata"]["labels"] = json!({ "team": team });
    document
}

fn labels(team: Value) -> Value {
    json!({ "metadata": { "labels": { "team": team } } })
}

async fn listed(guarded: &Guarded, user: &str, path: &str, accept: &str) -> Answer {
    let token = guarded.token(user);
    guarded.api.send(Method::GET, path, &[("authorization", &token), ("accept", accept)], String::new()).await
}

#[tokio::test]
async fn lists_tables_and_the_page_show_what_may_be_seen_and_nothing_else() {
    let guarded = two_teams().await;
    for path in [
        ENVIRONMENTS.to_owned(),
        format!("{ENVIRONMENTS}?limit=1"),
        format!("{ENVIRONMENTS}?labelSelector=team%3Db"),
        format!("{ENVIRONMENTS}?fieldSelector=metadata.name%3Dtheirs"),
        format!("{GROUP}/revisions"),
        format!("{GROUP}/changes"),
        format!("{GROUP}/managedresources"),
        "/api/v1/events".to_owned(),
        "/api/v1/namespaces/default/events".to_owned(),
        "/".to_owned(),
    ] {
        for accept in ["application/json", TABLE] {
            let own = listed(&guarded, "ann", &path, accept).await;
            assert_eq!(own.code, StatusCode::OK, "{path}: {}", own.text);
            assert!(!own.text.contains("theirs"), "{path} {accept}: {}", own.text);
        }
    }
    for path in [ENVIRONMENTS, "/apis/eventchain.io/v1/revisions", "/api/v1/events", "/"] {
        let own = listed(&guarded, "ann", path, "application/json").await;
        assert!(own.text.contains("mine"), "{path}: {}", own.text);
        let all = listed(&guarded, "root", path, "application/json").await;
        assert!(all.text.contains("theirs"), "{path}: {}", all.text);
    }
}

#[tokio::test]
async fn pages_go_on_past_what_may_not_be_seen() {
    let guarded = two_teams().await;
    for n in 0..4 {
        let document = of_team(&format!("n{n}"), if n % 2 == 0 { "b" } else { "a" });
        guarded.send("root", Method::POST, ENVIRONMENTS, document).await.expect(201);
    }
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let page = guarded.get("ann", &format!("{ENVIRONMENTS}?limit=1{next}")).await.expect(200);
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()));
        match page["metadata"]["continue"].as_str() {
            Some(token) => next = format!("&continue={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["mine", "n1", "n3"]);
}

#[tokio::test]
async fn what_may_not_be_seen_is_forbidden_by_its_name_and_nothing_is_told_of_it() {
    let guarded = two_teams().await;
    let theirs = guarded.get("root", &format!("{GROUP}/revisions/theirs-1")).await.expect(200);
    assert_eq!(theirs["spec"]["environment"], "theirs");
    let events = guarded.get("root", "/api/v1/events").await.expect(200);
    let secret = events["items"].as_array().unwrap().iter().find(|event| event["involvedObject"]["name"] == "theirs");
    let event = secret.unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
    for path in [
        format!("{ENVIRONMENTS}/theirs"),
        format!("{ENVIRONMENTS}/theirs/status"),
        format!("{ENVIRONMENTS}/theirs/plan"),
        format!("{GROUP}/revisions/theirs-1"),
        format!("/api/v1/namespaces/default/events/{event}"),
    ] {
        let hidden = guarded.get("ann", &path).await;
        assert_eq!(hidden.refusal(403).0, "Forbidden", "{path}");
        assert!(hidden.text.contains("their roles allow it only where team=a"), "{}", hidden.text);
        assert!(!hidden.text.contains("secret") && !hidden.text.contains("team=b"), "{}", hidden.text);
    }
    // A name that nobody uses may be made: `kubectl apply` asks for it first.
    guarded.get("ann", &format!("{ENVIRONMENTS}/nobody")).await.refusal(404);
    guarded.get("ann", &format!("{ENVIRONMENTS}/mine")).await.expect(200);
    for (method, path) in [
        (Method::PATCH, format!("{ENVIRONMENTS}/theirs")),
        (Method::POST, format!("{ENVIRONMENTS}/theirs/pause")),
        (Method::POST, format!("{ENVIRONMENTS}/theirs/reconcile")),
    ] {
        guarded.send("ann", method, &path, json!({ "reason": "x" })).await.refusal(403);
    }
    // Who may see it is told why he may not touch it.
    let refused = guarded.send("vic", Method::PATCH, &format!("{ENVIRONMENTS}/theirs"), labels(json!("b"))).await;
    let message = refused.expect(403)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("\"theirs\" is forbidden") && message.ends_with("only where team=a"), "{message}");
}

#[tokio::test]
async fn nobody_makes_or_takes_or_lets_out_an_environment_by_its_labels() {
    let guarded = two_teams().await;
    let mine = format!("{ENVIRONMENTS}/mine");
    for document in [of_team("new", "b"), small("new")] {
        guarded.send("ann", Method::POST, ENVIRONMENTS, document).await.refusal(403);
    }
    guarded.send("ann", Method::POST, ENVIRONMENTS, of_team("new", "a")).await.expect(201);
    for team in [json!("b"), Value::Null] {
        guarded.send("ann", Method::PATCH, &mine, labels(team)).await.refusal(403);
    }
    guarded.send("ann", Method::PUT, &mine, of_team("mine", "b")).await.refusal(403);
    // To see it is not to take it.
    let theirs = format!("{ENVIRONMENTS}/theirs");
    guarded.send("vic", Method::PATCH, &theirs, labels(json!("a"))).await.refusal(403);
    guarded.send("ann", Method::PATCH, &theirs, labels(json!("a"))).await.refusal(403);
    for (environment, team) in [("mine", "b"), ("theirs", "a"), ("theirs", "b")] {
        let change = json!({ "spec": { "environment": environment, "patch": labels(json!(team)) } });
        guarded.send("ann", Method::POST, CHANGES, change).await.refusal(403);
    }
    let apply = [("content-type", "application/apply-patch+yaml"), ("authorization", &guarded.token("ann"))];
    let path = format!("{ENVIRONMENTS}/applied?fieldManager=me");
    guarded.api.send(Method::PATCH, &path, &apply, of_team("applied", "b").to_string()).await.refusal(403);
    guarded.api.send(Method::PATCH, &path, &apply, of_team("applied", "a").to_string()).await.expect(201);
    let after = guarded.get("root", &theirs).await.expect(200);
    assert_eq!(after["metadata"]["labels"]["team"], "b");
    assert_eq!(guarded.get("root", &mine).await.expect(200)["metadata"]["labels"]["team"], "a");
}

#[tokio::test]
async fn nobody_approves_what_takes_an_environment_out_of_his_reach() {
    const USERS: Users = &[
        ("root", &[(Role::Admin, "")]),
        ("apa", &[(Role::Approver, "team=a")]),
        ("apb", &[(Role::Approver, "team=b")]),
        ("all", &[(Role::Approver, "team in (a, b)")]),
    ];
    let guarded = Guarded::with(USERS, None).await;
    let mut document = prod();
    document["metadata"]["labels"] = json!({ "team": "a" });
    document["spec"]["policy"]["changes"] = json!({ "approvals": 2 });
    guarded.send("root", Method::POST, ENVIRONMENTS, document).await.expect(201);
    let owner = guarded.api.own().await;
    let spec = json!({ "database": { "multiAz": false } });
    let post = async |patch: Value| {
        let change = json!({ "spec": { "environment": "prod", "patch": patch } });
        let posting = guarded.send("root", Method::POST, CHANGES, change);
        let (answer, _) = tokio::join!(posting, owner.answer(RequestKind::Plan, gated_plan(2)));
        let change = answer.expect(201);
        assert_eq!(change["status"]["phase"], "PendingApproval");
        format!("{CHANGES}/{}/approve", change["metadata"]["name"].as_str().unwrap())
    };
    let moving = post(json!({ "metadata": { "labels": { "team": "b" } }, "spec": spec.clone() })).await;
    for user in ["apa", "apb"] {
        guarded.send(user, Method::POST, &moving, json!({})).await.refusal(403);
    }
    guarded.send("all", Method::POST, &moving, json!({})).await.expect(201);
    let staying = post(json!({ "spec": spec })).await;
    guarded.send("apb", Method::POST, &staying, json!({})).await.refusal(403);
    guarded.send("apa", Method::POST, &staying, json!({})).await.expect(201);
    // The plan of an environment likewise.
    let plan = json!({ "plan": "x" });
    guarded.send("apb", Method::POST, &format!("{ENVIRONMENTS}/prod/approve"), plan).await.refusal(403);
}

#[tokio::test]
async fn an_admin_of_some_environments_has_no_red_button() {
    let guarded = two_teams().await;
    let operator = format!("{GROUP}/operators/default");
    let observe = json!({ "spec": { "mode": "Observe" } });
    guarded.send("abe", Method::PATCH, &operator, observe).await.refusal(403);
    guarded.send("abe", Method::DELETE, &format!("{ENVIRONMENTS}/theirs"), Value::Null).await.refusal(403);
    guarded.send("abe", Method::DELETE, &format!("{ENVIRONMENTS}/mine"), Value::Null).await.expect(200);
    let operators = guarded.get("ann", &format!("{GROUP}/operators")).await.expect(200);
    assert_eq!(operators["items"], json!([]));
}

#[tokio::test]
async fn a_selection_is_deleted_as_far_as_it_may_be() {
    let guarded = two_teams().await;
    let all = format!("{ENVIRONMENTS}?labelSelector=team");
    let gone = guarded.send("abe", Method::DELETE, &all, Value::Null).await.expect(200);
    let names: Vec<&str> = gone["items"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(names, ["mine"]);
    let theirs = guarded.get("root", &format!("{ENVIRONMENTS}/theirs")).await.expect(200);
    assert!(theirs["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test]
async fn the_audit_trail_tells_an_admin_of_some_environments_of_those() {
    let guarded = two_teams().await;
    let path = format!("{GROUP}/auditentries");
    chain(&guarded.api).await;
    let all = guarded.get("root", &path).await.expect(200);
    let own = guarded.get("abe", &path).await.expect(200);
    let of = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|it| it["spec"]["environment"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert!(of(&all).contains(&"theirs".to_owned()));
    assert!(!of(&own).is_empty() && of(&own).iter().all(|one| one == "mine"), "{own}");
    for entry in all["items"].as_array().unwrap() {
        let code = if entry["spec"]["environment"] == "mine" { 200 } else { 403 };
        guarded.get("abe", &format!("{path}/{}", name(entry))).await.expect(code);
    }
    guarded.get("ann", &path).await.refusal(403);
}

#[tokio::test]
async fn namespaces_are_everybodys_and_the_operator_is_not() {
    let guarded = two_teams().await;
    let listed = guarded.get("ann", "/api/v1/namespaces").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    guarded.get("ann", "/api/v1/namespaces/default").await.expect(200);
    guarded.get("ann", &format!("{GROUP}/operators/default")).await.refusal(403);
    guarded.get("vic", &format!("{GROUP}/operators/default")).await.expect(200);
}

#[tokio::test]
async fn a_name_that_is_used_again_shows_nothing_of_who_had_it_before() {
    let guarded = two_teams().await;
    let theirs = guarded.api.store.get_environment("theirs").await.unwrap();
    guarded.send("root", Method::DELETE, &format!("{ENVIRONMENTS}/theirs"), Value::Null).await.expect(200);
    let owner = guarded.api.own().await;
    guarded.api.store.remove_environment(theirs.uid, Some(&owner.fence)).await.unwrap();
    guarded.send("ann", Method::POST, ENVIRONMENTS, of_team("theirs", "a")).await.expect(201);
    guarded.get("ann", &format!("{GROUP}/revisions/theirs-2")).await.expect(200);
    guarded.get("ann", &format!("{GROUP}/revisions/theirs-1")).await.refusal(403);
    let back = format!("{ENVIRONMENTS}/theirs/rollback");
    guarded.send("ann", Method::POST, &back, json!({ "revision": 1 })).await.refusal(422);
    let revisions = guarded.get("ann", &format!("{GROUP}/revisions")).await.expect(200);
    let names: Vec<&str> =
        revisions["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mine-1", "theirs-2"]);
    let events = guarded.get("ann", "/api/v1/events").await;
    assert!(!events.text.contains("secret of theirs"), "{}", events.text);
}

/// One open watch.
struct Watch {
    body: BodyDataStream,
    text: String,
}

impl Watch {
    async fn open(guarded: &Guarded, user: &str, path: &str) -> Self {
        let request = Request::get(path).header("authorization", guarded.token(user)).body(Body::empty()).unwrap();
        let response = guarded.api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event as text; none when the stream has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Some(line);
            }
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(20), self.body.next());
            let chunk = chunk.await.expect("an event comes")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// Its type and object.
    async fn event(&mut self) -> (String, Value) {
        let line = self.next().await.expect("the stream goes on");
        let event: Value = serde_json::from_str(&line).unwrap();
        (event["type"].as_str().unwrap().to_owned(), event["object"].clone())
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

#[tokio::test]
async fn a_watch_of_environments_tells_what_may_be_seen_and_a_farewell_without_content() {
    let guarded = two_teams().await;
    let mut watch = Watch::open(&guarded, "ann", &format!("{ENVIRONMENTS}?watch=true")).await;
    let (event, object) = watch.event().await;
    assert_eq!((event.as_str(), name(&object)), ("ADDED", "mine"));
    let tell = |environment: &'static str, body: Value| {
        let path = format!("{ENVIRONMENTS}/{environment}");
        let guarded = &guarded;
        async move { guarded.send("root", Method::PATCH, &path, body).await.expect(200) }
    };
    let annotated = |text: &str| json!({ "metadata": { "annotations": { "note": text } } });
    tell("theirs", annotated("of team b")).await;
    tell("mine", annotated("of team a")).await;
    let (event, object) = watch.event().await;
    assert_eq!((event.as_str(), name(&object)), ("MODIFIED", "mine"));
    // It goes to the other team, which writes into it what is not to be seen here.
    let mut gone = labels(json!("b"));
    gone["metadata"]["annotations"] = json!({ "note": "private" });
    tell("mine", gone).await;
    let line = watch.next().await.unwrap();
    assert!(line.contains("\"DELETED\"") && line.contains("mine"), "{line}");
    assert!(!line.contains("private") && !line.contains("\"spec\"") && !line.contains("\"b\""), "{line}");
    tell("mine", annotated("again")).await;
    tell("theirs", labels(json!("a"))).await;
    let (event, object) = watch.event().await;
    assert_eq!((event.as_str(), name(&object)), ("ADDED", "theirs"));
}

#[tokio::test]
async fn a_watch_that_resumes_is_not_told_of_what_was_never_seen() {
    let guarded = two_teams().await;
    let version = guarded.api.version().await;
    let path = format!("{ENVIRONMENTS}/theirs");
    let note = json!({ "metadata": { "annotations": { "note": "private" } } });
    guarded.send("root", Method::PATCH, &path, note).await.expect(200);
    guarded.send("root", Method::POST, ENVIRONMENTS, of_team("last", "a")).await.expect(201);
    let path = format!("{ENVIRONMENTS}?watch=true&resourceVersion={version}");
    let (event, object) = Watch::open(&guarded, "ann", &path).await.event().await;
    assert_eq!((event.as_str(), name(&object)), ("ADDED", "last"));
}

#[tokio::test]
async fn watches_of_what_belongs_to_environments_tell_only_their_own() {
    let guarded = two_teams().await;
    let version = guarded.api.version().await;
    for path in [format!("{GROUP}/revisions"), "/api/v1/events".to_owned()] {
        let mut watch = Watch::open(&guarded, "ann", &format!("{path}?watch=true")).await;
        let (event, object) = watch.event().await;
        assert_eq!(event, "ADDED", "{path}");
        assert!(object.to_string().contains("mine") && !object.to_string().contains("theirs"), "{object}");
    }
    let mut watch =
        Watch::open(&guarded, "ann", &format!("{GROUP}/revisions?watch=true&resourceVersion={version}")).await;
    guarded.send("root", Method::POST, ENVIRONMENTS, of_team("other", "b")).await.expect(201);
    guarded.send("root", Method::POST, ENVIRONMENTS, of_team("own", "a")).await.expect(201);
    let (event, object) = watch.event().await;
    assert_eq!((event.as_str(), name(&object)), ("ADDED", "own-1"));
    // An environment comes into sight: what belongs to it would be missing, so that the client is to list again.
    guarded.send("root", Method::PATCH, &format!("{ENVIRONMENTS}/theirs"), labels(json!("a"))).await.expect(200);
    guarded.send("root", Method::POST, ENVIRONMENTS, of_team("third", "a")).await.expect(201);
    let (event, object) = watch.event().await;
    assert_eq!((event.as_str(), object["reason"].as_str()), ("ERROR", Some("Expired")));
    assert!(watch.next().await.is_none());
    // And so it is for whoever comes back with a list from before.
    let before = format!("{GROUP}/revisions?watch=true&resourceVersion={version}");
    let (event, object) = Watch::open(&guarded, "ann", &before).await.event().await;
    assert_eq!((event.as_str(), object["reason"].as_str()), ("ERROR", Some("Expired")));
    let (event, object) = Watch::open(&guarded, "root", &before).await.event().await;
    assert_eq!((event.as_str(), name(&object)), ("ADDED", "other-1"));
}
