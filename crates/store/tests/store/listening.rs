//! Notifications, also across the server's death.

use std::time::Duration;

use serde_json::json;
use store::{
    Config, Error, Listener, NewApproval, NewRequest, NoObserver, Notification, OperatorMode, OperatorUpdate,
    Precondition, RequestKind, Store,
};
use tokio::time::timeout;

use crate::postgres::{Lifetime, PrivateServer, test_database};
use crate::support::{ACCOUNT, at, create, event, hold, update_spec};

/// A bound, not a wait: what is expected comes within milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

async fn next(listener: &mut Listener) -> Notification {
    timeout(PATIENCE, listener.recv()).await.expect("no notification came")
}

/// The next that is not merely about the log.
async fn next_of_interest(listener: &mut Listener) -> Notification {
    loop {
        let notification = next(listener).await;
        if !matches!(notification, Notification::ObjectsChanged { .. }) {
            return notification;
        }
    }
}

fn environment_changed() -> Notification {
    Notification::EnvironmentChanged { name: "prod".to_owned(), account: ACCOUNT.to_owned() }
}

#[tokio::test]
async fn each_write_says_what_to_look_at() {
    let db = test_database().await;
    let store = db.store();
    let mut listener = store.listen();
    assert_eq!(next(&mut listener).await, Notification::Resync, "listening begins by looking at everything");

    let environment = create(&store, "prod").await;
    assert_eq!(next(&mut listener).await, environment_changed());
    let version = store.resource_version().await.unwrap();
    assert_eq!(next(&mut listener).await, Notification::ObjectsChanged { resource_version: version });

    store.set_pause("prod", Precondition::default(), None).await.unwrap();
    store.update_environment(&update_spec("prod", environment.spec.clone())).await.unwrap();
    // Neither changed anything: the next notification is the lease's.
    let fence = hold(&store, "one").await;
    assert_eq!(next(&mut listener).await, Notification::LeaseChanged { shard: ACCOUNT.to_owned() });
    hold(&store, "one").await;
    store.release_lease(&fence, "one").await.unwrap();
    assert_eq!(next(&mut listener).await, Notification::LeaseChanged { shard: ACCOUNT.to_owned() });

    let request = NewRequest {
        kind: RequestKind::Reconcile,
        shard: ACCOUNT.to_owned(),
        environment: "prod".to_owned(),
        body: json!({}),
        ttl: PATIENCE,
    };
    let id = store.ask(&request).await.unwrap();
    let asked = Notification::RequestAsked { id, shard: ACCOUNT.to_owned(), environment: "prod".to_owned() };
    assert_eq!(next(&mut listener).await, asked);
    store.answer_request(id, &json!({})).await.unwrap();
    assert_eq!(next(&mut listener).await, Notification::RequestAnswered { id });

    let update = OperatorUpdate { mode: Some(OperatorMode::Observe), ..OperatorUpdate::default() };
    store.update_operator(Precondition::default(), &update).await.unwrap();
    assert_eq!(next_of_interest(&mut listener).await, Notification::OperatorChanged);
    let approval = NewApproval {
        environment_uid: environment.uid,
        plan_hash: "h".to_owned(),
        steps: Vec::new(),
        apply: None,
        approver: "alice".to_owned(),
        now: at(0),
        expires_at: at(1),
    };
    store.approve(&approval).await.unwrap();
    assert_eq!(next_of_interest(&mut listener).await, environment_changed());
}

#[tokio::test]
async fn what_a_newer_release_says_is_a_reason_to_look_at_everything() {
    let db = test_database().await;
    let store = db.store();
    let mut listener = store.listen();
    assert_eq!(next(&mut listener).await, Notification::Resync);
    sqlx::query("SELECT pg_notify('environment', 'not json')").execute(&db.pool).await.unwrap();
    assert_eq!(next(&mut listener).await, Notification::Resync);
}

#[tokio::test]
async fn a_cut_connection_becomes_a_resync_and_listening_goes_on() {
    let db = test_database().await;
    let store = db.store();
    let mut listener = store.listen();
    assert_eq!(next(&mut listener).await, Notification::Resync);
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )
    .execute(&db.pool)
    .await
    .unwrap();
    assert_eq!(next(&mut listener).await, Notification::Resync);
    create(&store, "prod").await;
    assert_eq!(next(&mut listener).await, environment_changed());
}

#[tokio::test]
async fn all_subscribers_hear_what_one_connection_hears() {
    let db = test_database().await;
    let store = db.store();
    let mut left = store.subscribe();
    let mut right = store.clone().subscribe();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listening = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .run_listener(async {
                    let _ = stopped.await;
                })
                .await;
        }
    });
    for receiver in [&mut left, &mut right] {
        assert_eq!(timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap(), Notification::Resync);
    }
    store.write_events(&[event("A", "a", 1)]).await.unwrap();
    for receiver in [&mut left, &mut right] {
        let heard = timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap();
        assert_eq!(heard, Notification::ObjectsChanged { resource_version: 2 });
    }
    stop.send(()).unwrap();
    listening.await.unwrap();
}

async fn start(directory: std::path::PathBuf) -> PrivateServer {
    tokio::task::spawn_blocking(move || PrivateServer::start(&directory, Lifetime::Persistent)).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_store_and_its_listener_survive_a_restart_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("pg");
    let server = start(home.clone()).await;
    let mut config = Config::new(server.url("postgres"));
    config.connect_timeout = Duration::from_millis(500);
    let store = Store::connect(&config, std::sync::Arc::new(NoObserver)).await.unwrap();
    store.migrate().await.unwrap();
    let created = create(&store, "prod").await;
    let mut listener = store.listen();
    assert_eq!(next(&mut listener).await, Notification::Resync);

    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    let error = store.get_environment("prod").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let write = store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap_err();
    assert!(write.is_unavailable(), "{write:?}");
    // The listener waits; it does not fail.
    assert!(timeout(Duration::from_millis(100), listener.recv()).await.is_err());

    let server = start(home).await;
    assert_eq!(next(&mut listener).await, Notification::Resync);
    assert_eq!(store.get_environment("prod").await.unwrap(), created, "what was committed is still there");
    store.update_environment(&update_spec("prod", json!({ "v": 2 }))).await.unwrap();
    assert_eq!(next(&mut listener).await, environment_changed());
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}

#[tokio::test]
async fn waiting_for_an_answer_outlasts_a_restart_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("pg");
    let server = start(home.clone()).await;
    let mut config = Config::new(server.url("postgres"));
    config.connect_timeout = Duration::from_millis(500);
    let store = Store::connect(&config, std::sync::Arc::new(NoObserver)).await.unwrap();
    store.migrate().await.unwrap();
    let request = NewRequest {
        kind: RequestKind::Diagnosis,
        shard: ACCOUNT.to_owned(),
        environment: "prod".to_owned(),
        body: json!({}),
        ttl: PATIENCE,
    };
    let id = store.ask(&request).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_for_answer(id, PATIENCE).await }
    });
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    let server = start(home).await;
    store.answer_request(id, &json!({ "findings": [] })).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Some(json!({ "findings": [] })));
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}
