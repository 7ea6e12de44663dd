//! kube-rs: its dynamic objects, its discovery, its watcher in both of its ways, and a controller.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Event as CoreEvent;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, Status};
use kube::discovery::{Discovery, Scope};
use kube::runtime::controller::Action;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt as _};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use tokio::time::timeout;

use super::super::support::small;
use super::server::Server;

const LONG: Duration = Duration::from_secs(60);

fn client(server: &Server) -> Client {
    Client::try_from(Config::new(server.url().parse().unwrap())).unwrap()
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("eventchain.io", "v1", "Environment"))
}

fn environments(server: &Server) -> Api<DynamicObject> {
    Api::all_with(client(server), &resource())
}

fn object(name: &str) -> DynamicObject {
    DynamicObject::new(name, &resource()).data(json!({ "spec": small(name)["spec"] }))
}

fn refusal<T>(result: Result<T, kube::Error>) -> Box<Status> {
    match result {
        Err(kube::Error::Api(status)) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is not refused"),
    }
}

#[tokio::test]
async fn objects_are_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let api = environments(&server);
    let made = api.create(&PostParams::default(), &object("a")).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let again = refusal(api.create(&PostParams::default(), &object("a")).await);
    assert!(again.is_already_exists(), "{again:?}");

    let patch = json!({ "spec": { "tags": { "A": "1" } } });
    let merged = api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(merged.data["spec"]["tags"], json!({ "A": "1" }));
    let mut wanted = object("a");
    wanted.data["spec"]["tags"] = json!({ "B": "2" });
    let applied = api.patch("a", &PatchParams::apply("rows"), &Patch::Apply(&wanted)).await.unwrap();
    assert_eq!(applied.data["spec"]["tags"], json!({ "A": "1", "B": "2" }));
    let fresh = api.patch("b", &PatchParams::apply("rows"), &Patch::Apply(&object("b"))).await.unwrap();
    assert_eq!(fresh.name_any(), "b");

    let mut replaced = applied.clone();
    replaced.data["spec"]["tags"] = json!({ "C": "3" });
    let replaced = api.replace("a", &PostParams::default(), &replaced).await.unwrap();
    assert_eq!(replaced.data["spec"]["tags"], json!({ "C": "3" }));
    let stale = refusal(api.replace("a", &PostParams::default(), &applied).await);
    assert!(stale.is_conflict(), "{stale:?}");

    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 2);
    let first = api.list(&ListParams::default().limit(1)).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let second = api.list(&ListParams::default().limit(1).continue_token(&token)).await.unwrap();
    assert_eq!(second.items[0].name_any(), "b");
    let labelled = json!({ "metadata": { "labels": { "team": "x" } } });
    api.patch_metadata("b", &PatchParams::default(), &Patch::Merge(&labelled)).await.unwrap();
    let selected = api.list_metadata(&ListParams::default().labels("team=x")).await.unwrap();
    assert_eq!(selected.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    assert_eq!(api.get_metadata("b").await.unwrap().labels()["team"], "x");
    assert!(api.get_opt("nobody").await.unwrap().is_none());
    assert_eq!(api.get_status("a").await.unwrap().name_any(), "a");

    let tried = DeleteParams { dry_run: true, ..DeleteParams::default() };
    api.delete("a", &tried).await.unwrap();
    let deleted = api.delete("a", &DeleteParams::foreground()).await.unwrap().left().unwrap();
    assert!(deleted.metadata.deletion_timestamp.is_some());
    let several = api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("team=x")).await;
    assert_eq!(several.unwrap().left().unwrap().items[0].name_any(), "b");
    server.let_go("a").await;
    assert!(refusal(api.get("a").await).is_not_found());
    let bad = refusal(api.create(&PostParams::default(), &DynamicObject::new("c", &resource())).await);
    assert!(bad.code == 422 && bad.details.is_some_and(|details| !details.causes.is_empty()));
}

#[tokio::test]
async fn discovery_finds_every_kind() {
    let server = Server::start().await;
    for aggregated in [false, true] {
        let discovery = Discovery::new(client(&server));
        let discovery = if aggregated { discovery.run_aggregated().await } else { discovery.run().await }.unwrap();
        let kind = GroupVersionKind::gvk("eventchain.io", "v1", "Environment");
        let (found, capabilities) = discovery.resolve_gvk(&kind).unwrap();
        assert_eq!((found.plural.as_str(), capabilities.scope), ("environments", Scope::Cluster));
        let group = discovery.get("eventchain.io").unwrap();
        let kinds: Vec<String> = group.recommended_resources().into_iter().map(|(one, _)| one.kind).collect();
        for kind in ["Change", "Revision", "ManagedResource", "Operator"] {
            assert!(kinds.iter().any(|one| one == kind), "{kind} is not among {kinds:?}");
        }
    }
    assert_eq!(client(&server).apiserver_version().await.unwrap().minor, "35");
}

#[tokio::test]
async fn events_are_those_of_core() {
    let server = Server::start().await;
    environments(&server).create(&PostParams::default(), &object("a")).await.unwrap();
    server.happened("a", "Painted", "the fence is green").await;
    let events: Api<CoreEvent> = Api::namespaced(client(&server), "default");
    let found = events.list(&ListParams::default().fields("involvedObject.name=a")).await.unwrap();
    assert_eq!(found.items[0].message.as_deref(), Some("the fence is green"));
    assert_eq!(events.get(&found.items[0].name_any()).await.unwrap().count, Some(1));
}

type Told = Pin<Box<dyn Stream<Item = Result<Event<DynamicObject>, watcher::Error>> + Send>>;

/// The next event that is no error: it reconnects by itself.
async fn next(events: &mut Told) -> Event<DynamicObject> {
    let next = async {
        loop {
            if let Ok(event) = events.next().await.expect("an endless stream") {
                return event;
            }
        }
    };
    timeout(LONG, next).await.expect("an event comes")
}

async fn label(server: &Server, name: &str, step: usize) {
    let patch = json!({ "metadata": { "labels": { "step": step.to_string() } } });
    server.api.patch(&format!("/apis/eventchain.io/v1/environments/{name}"), &patch).await.expect(200);
}

/// What there is, each change, and nothing lost when every connection breaks in between.
async fn watched(config: watcher::Config) {
    let mut server = Server::start().await;
    let api = environments(&server);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &object(name)).await.unwrap();
    }
    let mut events: Told = Box::pin(watcher::watcher(api.clone(), config).default_backoff());
    assert!(matches!(next(&mut events).await, Event::Init));
    for expected in ["a", "b"] {
        match next(&mut events).await {
            Event::InitApply(found) => assert_eq!(found.name_any(), expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(next(&mut events).await, Event::InitDone));

    label(&server, "a", 1).await;
    let step = |event: Event<DynamicObject>| match event {
        Event::Apply(object) => object.labels()["step"].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(step(next(&mut events).await), "1");
    // It goes on from the last version that it saw; what happened meanwhile is told.
    server.restart().await;
    for n in 2..5 {
        label(&server, "a", n).await;
    }
    for expected in ["2", "3", "4"] {
        assert_eq!(step(next(&mut events).await), expected);
    }
    api.delete("b", &DeleteParams::default()).await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Apply(object) if object.metadata.deletion_timestamp.is_some()));
    server.let_go("b").await;
    assert!(matches!(next(&mut events).await, Event::Delete(object) if object.name_any() == "b"));
}

#[tokio::test]
async fn a_watcher_that_lists_first_misses_nothing_when_it_reconnects() {
    watched(watcher::Config::default()).await;
}

#[tokio::test]
async fn a_watcher_whose_list_is_streamed_misses_nothing_when_it_reconnects() {
    watched(watcher::Config::default().streaming_lists()).await;
}

#[tokio::test]
async fn a_watcher_begins_anew_when_the_past_is_gone() {
    let mut server = Server::start().await;
    let api = environments(&server);
    api.create(&PostParams::default(), &object("a")).await.unwrap();
    let mut events: Told = Box::pin(watcher::watcher(api, watcher::Config::default()).default_backoff());
    for _ in ["Init", "InitApply", "InitDone"] {
        next(&mut events).await;
    }
    // Nobody asks the stream while all of its past goes.
    server.restart().await;
    label(&server, "a", 1).await;
    server.api.store.prune_log(Duration::ZERO).await.unwrap();
    let told = async {
        loop {
            if let Event::InitApply(object) = next(&mut events).await {
                return object;
            }
        }
    };
    assert_eq!(timeout(LONG, told).await.unwrap().labels()["step"], "1");
}

#[tokio::test]
async fn a_controller_reconciles_what_is_there_and_what_changes() {
    let server = Server::start().await;
    let api = environments(&server);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &object(name)).await.unwrap();
    }
    let seen: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let reconcile = async |object: Arc<DynamicObject>, seen: Arc<Mutex<BTreeMap<String, i64>>>| {
        let generation = object.metadata.generation.unwrap_or_default();
        seen.lock().unwrap().insert(object.name_any(), generation);
        Ok::<_, Box<Status>>(Action::await_change())
    };
    let controller = Controller::new_with(api.clone(), watcher::Config::default(), resource()).run(
        reconcile,
        |_, _, _| Action::requeue(Duration::from_secs(1)),
        Arc::clone(&seen),
    );
    let running = tokio::spawn(controller.for_each(|_| std::future::ready(())));
    let reconciled = async |wanted: &[(&str, i64)]| {
        let wanted: BTreeMap<String, i64> = wanted.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        super::server::until("the controller", async || *seen.lock().unwrap() == wanted).await;
    };
    reconciled(&[("a", 1), ("b", 1)]).await;
    let patch = json!({ "spec": { "tags": { "A": "1" } } });
    api.patch("b", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    api.create(&PostParams::default(), &object("c")).await.unwrap();
    reconciled(&[("a", 1), ("b", 2), ("c", 1)]).await;
    running.abort();
}
