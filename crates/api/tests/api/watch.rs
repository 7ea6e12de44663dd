//! Watches: what there is, then what changes, each once and in order, as kubectl and client libraries ask for it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use store::Store;
use testkit::fixtures::patched;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::support::{Api, ENVIRONMENTS, Server, small};

const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const LONG: Duration = Duration::from_secs(20);

/// One open watch.
struct Watch {
    body: BodyDataStream,
    text: String,
}

impl Watch {
    async fn open(api: &Api, path: &str, accept: &str) -> Self {
        Self::open_on(&api.router, path, accept).await
    }

    async fn open_on(server: &Router, path: &str, accept: &str) -> Self {
        let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
        let response = server.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let event = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = timeout(LONG, self.body.next()).await.expect("an event comes")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// The next event's type and the name of its object.
    async fn event(&mut self) -> (String, String) {
        let event = self.next().await.expect("the stream goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

fn listening(api: &Api) -> tokio::task::JoinHandle<()> {
    listening_on(&api.store)
}

fn listening_on(store: &Store) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move { store.run_listener(std::future::pending()).await })
}

fn is(event: &str, name: &str) -> (String, String) {
    (event.to_owned(), name.to_owned())
}

async fn label(api: &Api, name: &str, labels: Value) -> Value {
    api.patch(&format!("{ENVIRONMENTS}/{name}"), &json!({ "metadata": { "labels": labels } })).await.expect(200)
}

/// The stream begins, says that the past is gone, and ends: clients list again then.
async fn assert_expired(api: &Api, from: i64) {
    let path = format!("{ENVIRONMENTS}?resourceVersion={from}&watch=true");
    let mut watch = Watch::open(api, &path, "application/json").await;
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("ERROR"), &json!("Status")));
    assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(410), &json!("Expired")));
    assert_eq!(watch.next().await, None);
}

fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn without_a_version_it_tells_what_there_is_and_then_what_changes() {
    let api = Api::new().await;
    let _listening = listening(&api);
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    for query in ["watch=true", "watch=True&resourceVersion=0", "watch=1"] {
        let mut watch = Watch::open(&api, &format!("{ENVIRONMENTS}?{query}"), "application/json").await;
        assert_eq!(watch.event().await, is("ADDED", "a"), "{query}");
        let changed = label(&api, "a", json!({ "q": query.len().to_string() })).await;
        let event = watch.next().await.unwrap();
        assert_eq!((&event["type"], version(&event["object"])), (&json!("MODIFIED"), version(&changed)));
    }
}

#[tokio::test]
async fn from_a_version_it_tells_what_came_after() {
    let api = Api::new().await;
    let _listening = listening(&api);
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    let list = api.get(ENVIRONMENTS).await.expect(200);
    api.post(ENVIRONMENTS, &small("b")).await.expect(201);
    let from = version(&list);
    let mut watch =
        Watch::open(&api, &format!("{ENVIRONMENTS}?resourceVersion={from}&watch=true"), "application/json").await;
    assert_eq!(watch.event().await, is("ADDED", "b"));
    label(&api, "a", json!({ "x": "y" })).await;
    assert_eq!(watch.event().await, is("MODIFIED", "a"));
    // Never given out: after the database was put back to an older state, for instance.
    assert_expired(&api, from + 1000).await;
    assert_eq!(api.get(&format!("{ENVIRONMENTS}?resourceVersion=x&watch=true")).await.fields(), ["resourceVersion"]);
}

#[tokio::test]
async fn the_past_that_is_no_longer_held_is_gone() {
    let api = Api::new().await;
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    let from = api.version().await;
    label(&api, "a", json!({ "x": "y" })).await;
    api.store.prune_log(Duration::ZERO).await.unwrap();
    assert_expired(&api, from).await;
    let token = format!("{from}.a");
    assert_eq!(api.get(&format!("{ENVIRONMENTS}?continue={token}")).await.refusal(410).0, "Expired");
}

#[tokio::test]
async fn the_end_of_what_there_is_is_told_by_a_bookmark() {
    let api = Api::new().await;
    let _listening = listening(&api);
    let query = "allowWatchBookmarks=true&fieldSelector=metadata.name%3Da&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=407&watch=true";
    let path = format!("{ENVIRONMENTS}?{query}");
    let mut nothing = Watch::open(&api, &path, "application/json").await;
    let bookmark = nothing.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["kind"], "Environment");
    api.post(ENVIRONMENTS, &small("b")).await.expect(201);
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    assert_eq!(nothing.event().await, is("ADDED", "a"));
    let mut one = Watch::open(&api, &path, "application/json").await;
    assert_eq!(one.event().await, is("ADDED", "a"));
    let bookmark = one.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(version(&bookmark["object"]), api.version().await);
    for bad in [
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
        "resourceVersionMatch=NotOlderThan",
    ] {
        let refused = api.get(&format!("{ENVIRONMENTS}?watch=true&{bad}")).await;
        assert_eq!(refused.fields(), ["resourceVersionMatch"], "{bad}");
    }
}

#[tokio::test]
async fn an_object_that_no_longer_matches_is_deleted_to_the_watcher() {
    let api = Api::new().await;
    let _listening = listening(&api);
    for (name, team) in [("a", "x"), ("b", "y")] {
        api.post(ENVIRONMENTS, &patched(small(name), &json!({ "metadata": { "labels": { "team": team } } })))
            .await
            .expect(201);
    }
    let from = api.version().await;
    let open = async |query: &str| {
        Watch::open(&api, &format!("{ENVIRONMENTS}?watch=true&labelSelector=team%3Dx{query}"), "application/json").await
    };
    let mut all = open("").await;
    assert_eq!(all.event().await, is("ADDED", "a"));
    let mut resumed = open(&format!("&resourceVersion={from}")).await;
    label(&api, "a", json!({ "tier": "1" })).await;
    label(&api, "a", json!({ "team": "y" })).await;
    label(&api, "a", json!({ "tier": "2" })).await;
    label(&api, "b", json!({ "tier": "1" })).await;
    label(&api, "b", json!({ "team": "x" })).await;
    for watch in [&mut all, &mut resumed] {
        assert_eq!(watch.event().await, is("MODIFIED", "a"));
        assert_eq!(watch.event().await, is("DELETED", "a"));
        assert_eq!(watch.event().await, is("ADDED", "b"), "and nothing of what does not match");
    }
}

#[tokio::test]
async fn kubectl_gets_each_event_as_a_table_of_one_row() {
    let api = Api::new().await;
    let _listening = listening(&api);
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    let path = format!("{ENVIRONMENTS}?fieldSelector=metadata.name%3Da&resourceVersion=0&watch=true");
    let mut watch = Watch::open(&api, &path, TABLE).await;
    for expected in ["ADDED", "MODIFIED"] {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], expected);
        assert_eq!(event["object"]["kind"], "Table");
        assert_eq!(event["object"]["rows"][0]["cells"][0], "a");
        assert_eq!(event["object"]["rows"][0]["object"]["metadata"]["name"], "a");
        label(&api, "a", json!({ "x": expected })).await;
    }
}

#[tokio::test]
async fn every_kind_can_be_watched() {
    let api = Api::new().await;
    let _listening = listening(&api);
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    let group = "/apis/eventchain.io/v1";
    let open = async |path: &str| Watch::open(&api, &format!("{path}?watch=true"), "application/json").await;
    let mut revisions = open(&format!("{group}/revisions")).await;
    let mut changes = open(&format!("{group}/changes")).await;
    let mut operators = open(&format!("{group}/operators")).await;
    let mut events = open("/api/v1/namespaces/default/events").await;
    assert_eq!(revisions.event().await, is("ADDED", "a-1"));
    assert_eq!(operators.event().await, is("ADDED", "default"));
    api.patch(&format!("{ENVIRONMENTS}/a"), &json!({ "spec": { "tags": { "n": "1" } } })).await.expect(200);
    assert_eq!(revisions.event().await, is("ADDED", "a-2"));
    assert_eq!(changes.event().await.0, "ADDED");
    api.patch(&format!("{group}/operators/default"), &json!({ "spec": { "mode": "Observe" } })).await.expect(200);
    assert_eq!(operators.event().await, is("MODIFIED", "default"));
    let event = events.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["reason"]), (&json!("ADDED"), &json!("ModeChanged")));
    open(&format!("{group}/managedresources")).await;
}

#[tokio::test]
async fn a_stream_ends_at_its_time_and_when_the_daemon_stops() {
    let mut stop = None;
    let api = Api::with(|state| stop = Some(state.stop_watches())).await;
    let mut short = Watch::open(&api, &format!("{ENVIRONMENTS}?watch=true&timeoutSeconds=1"), "application/json").await;
    assert_eq!(short.next().await, None, "it ends cleanly");
    let mut long = Watch::open(&api, &format!("{ENVIRONMENTS}?watch=true"), "application/json").await;
    stop.unwrap().cancel();
    assert_eq!(long.next().await, None);
}

/// Writes labels at random environments, as one of several replicas.
async fn write(store: Store, writer: usize) {
    for n in 0..30 {
        let name = format!("e{}", (writer * 7 + n) % 5);
        let labels = BTreeMap::from([("w".to_owned(), format!("{writer}-{n}"))]);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let update = store::EnvironmentUpdate { labels: Some(labels), ..store::EnvironmentUpdate::new(&name, now) };
        store.update_environment(&update).await.unwrap();
    }
}

#[tokio::test]
async fn with_many_writers_on_two_replicas_a_watcher_that_reconnects_misses_nothing_and_sees_nothing_twice() {
    let api = Api::new().await;
    let _listening = listening(&api);
    for n in 0..5 {
        api.post(ENVIRONMENTS, &small(&format!("e{n}"))).await.expect(201);
    }
    let from = api.version().await;
    let other = api.another_replica().await;
    let writers: Vec<_> = (0..6)
        .map(|writer| tokio::spawn(write(if writer % 2 == 0 { api.store.clone() } else { other.clone() }, writer)))
        .collect();
    let follow = async |most: usize| {
        let (mut at, mut seen) = (from, Vec::new());
        while seen.len() < 180 {
            let path = format!("{ENVIRONMENTS}?watch=true&resourceVersion={at}");
            let mut watch = Watch::open(&api, &path, "application/json").await;
            // It leaves in the middle, and comes back with the last version that it saw.
            for _ in 0..most.min(180 - seen.len()) {
                let event = watch.next().await.unwrap();
                at = version(&event["object"]);
                seen.push(at);
            }
        }
        seen
    };
    let (one, few, many) = tokio::join!(follow(1), follow(13), follow(1000));
    for writer in writers {
        writer.await.unwrap();
    }
    let log = api.store.changes_since(from, &["Environment"], 1000).await.unwrap();
    let expected: Vec<i64> = log.iter().map(|entry| entry.resource_version).collect();
    assert_eq!(expected.len(), 180);
    assert_eq!(one, expected);
    assert_eq!(few, expected);
    assert_eq!(many, expected);
}

#[tokio::test]
async fn a_watcher_that_reconnects_to_the_other_of_two_servers_misses_nothing_and_sees_nothing_twice() {
    let api = Api::new().await;
    let _listening = listening(&api);
    for n in 0..5 {
        api.post(ENVIRONMENTS, &small(&format!("e{n}"))).await.expect(201);
    }
    let from = api.version().await;
    let other = api.another_server().await;
    let _listening_too = listening_on(&other.store);
    let servers = [&api.router, &other.router];
    let stores = [&api.store, &other.store];
    let writers: Vec<_> = (0..6).map(|writer| tokio::spawn(write(stores[writer % 2].clone(), writer))).collect();
    let follow = async |most: usize, first: usize| {
        let (mut at, mut seen, mut server) = (from, Vec::new(), first);
        while seen.len() < 180 {
            let path = format!("{ENVIRONMENTS}?watch=true&resourceVersion={at}");
            let mut watch = Watch::open_on(servers[server % 2], &path, "application/json").await;
            server += 1;
            for _ in 0..most.min(180 - seen.len()) {
                let event = watch.next().await.unwrap();
                at = version(&event["object"]);
                seen.push(at);
            }
        }
        seen
    };
    let (one, few, many) = tokio::join!(follow(1, 0), follow(13, 1), follow(1000, 1));
    for writer in writers {
        writer.await.unwrap();
    }
    let log = api.store.changes_since(from, &["Environment"], 1000).await.unwrap();
    let expected: Vec<i64> = log.iter().map(|entry| entry.resource_version).collect();
    assert_eq!(expected.len(), 180);
    assert_eq!((one, few, many), (expected.clone(), expected.clone(), expected));
}

/// A server whose first feed takes its place in the log only when the gate is opened: whoever asks for the newest version
/// a second time waits (the first is the watch's own question, before it begins). All else it reads goes on.
async fn gated_server(api: &Api) -> Server {
    for sql in [
        "CREATE SCHEMA gate",
        "CREATE SEQUENCE gate.asked",
        "CREATE FUNCTION gate.version() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
         BEGIN
             IF nextval('gate.asked') > 1 THEN
                 PERFORM pg_advisory_lock_shared(4711);
                 PERFORM pg_advisory_unlock_shared(4711);
             END IF;
             RETURN (SELECT resource_version FROM public.counter);
         END $$",
        "CREATE VIEW gate.counter AS SELECT only_row, pruned_through,
             CASE WHEN current_query() = 'SELECT resource_version FROM counter' THEN gate.version()
                  ELSE resource_version END AS resource_version
         FROM public.counter",
    ] {
        sqlx::query(sql).execute(api.pool()).await.unwrap();
    }
    let options = (*api.pool().connect_options()).clone().options([("search_path", "gate,public")]);
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
    api.server_on(Store::from_pool(pool))
}

#[tokio::test]
async fn the_first_watcher_of_a_server_is_told_what_was_written_before_the_feed_took_its_place() {
    let api = Api::new().await;
    api.post(ENVIRONMENTS, &small("a")).await.expect(201);
    let server = gated_server(&api).await;
    let mut gate = api.pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(4711)").execute(&mut *gate).await.unwrap();
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Watch::open_on(&server.router, &format!("{ENVIRONMENTS}?{query}"), "application/json").await;
    assert_eq!(watch.event().await, is("ADDED", "a"));
    // The stream has read the log to its end, and from here on relies on the feed.
    assert_eq!(watch.event().await.0, "BOOKMARK");
    let waiting = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(api.pool()).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waiting).await.expect("the feed takes its place");
    let written = label(&api, "a", json!({ "n": "1" })).await;
    sqlx::query("SELECT pg_advisory_unlock(4711)").execute(&mut *gate).await.unwrap();
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], version(&event["object"])), (&json!("MODIFIED"), version(&written)));
}

#[tokio::test]
async fn a_watcher_that_does_not_read_holds_up_nobody() {
    let api = Api::new().await;
    let _listening = listening(&api);
    api.post(ENVIRONMENTS, &small("e0")).await.expect(201);
    let from = api.version().await;
    let path = format!("{ENVIRONMENTS}?watch=true&resourceVersion={from}");
    let mut slow = Watch::open(&api, &path, "application/json").await;
    let mut quick = Watch::open(&api, &path, "application/json").await;
    for n in 0..400 {
        let labels = BTreeMap::from([("n".to_owned(), n.to_string())]);
        let update = store::EnvironmentUpdate {
            labels: Some(labels),
            ..store::EnvironmentUpdate::new("e0", jiff::Timestamp::UNIX_EPOCH)
        };
        api.store.update_environment(&update).await.unwrap();
        assert_eq!(quick.event().await, is("MODIFIED", "e0"));
    }
    // It is behind by more than is kept for anybody, and finds all of it in the log.
    for _ in 0..400 {
        assert_eq!(slow.event().await, is("MODIFIED", "e0"));
    }
}
