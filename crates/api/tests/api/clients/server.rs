//! The API on loopback, with somebody who writes statuses as the daemon would.

use std::net::SocketAddr;
use std::time::Duration;

use api::{ServeConfig, serve};
use serde_json::{Value, json};
use store::NewEvent;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::support::{Api, ENVIRONMENTS, Owner};

/// A served API. It stops when it is dropped.
pub(super) struct Server {
    pub(super) api: Api,
    pub(super) owner: Owner,
    pub(super) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        let api = Api::new().await;
        let owner = api.own().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serving(&api, listener);
        Self { api, owner, address, serving }
    }

    /// Breaks every connection, and serves on under the same address.
    pub(super) async fn restart(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = serving(&self.api, listener);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says that an environment is ready, as the daemon would once it has converged.
    pub(super) async fn ready(&self, name: &str) {
        let row = self.api.store.get_environment(name).await.unwrap();
        let condition = |kind: &str, reason: &str| {
            json!({
                "type": kind, "status": "True", "reason": reason, "message": "", "observedGeneration": row.generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let status = json!({
            "observedGeneration": row.generation,
            "conditions": [condition("Ready", "AllReady"), condition("Synced", "InSync")],
            "resources": { "total": 2, "ready": 2, "inSync": 2, "drifted": 0, "blocked": 0, "unknown": 0, "kinds": {} },
        });
        self.owner.write_status(name, status).await;
    }

    /// Lets an environment go whose deletion was asked for, as the daemon would once its objects are gone.
    pub(super) async fn let_go(&self, name: &str) {
        let row = self.api.store.get_environment(name).await.unwrap();
        self.api.store.remove_environment(row.uid, Some(&self.owner.fence)).await.unwrap();
    }

    /// Tells of something that happened to an environment.
    pub(super) async fn happened(&self, name: &str, reason: &str, message: &str) {
        let row = self.api.store.get_environment(name).await.unwrap();
        let event = NewEvent {
            environment: row.name.clone(),
            environment_uid: Some(row.uid),
            regarding_kind: "Environment".to_owned(),
            regarding_identity: row.name,
            event_type: "Normal".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            details: json!({}),
            now: self.api.now(),
        };
        self.api.store.write_events(&[event]).await.unwrap();
    }

    /// How many lists of environments, and watches of them, have been answered.
    pub(super) fn lists(&self) -> usize {
        let seen = self.api.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.method == "GET" && seen.route == ENVIRONMENTS).count()
    }

    /// Until there have been so many.
    pub(super) async fn listed(&self, times: usize) {
        until("lists and watches", async || self.lists() >= times).await;
    }

    /// Until the deletion of an environment was asked for.
    pub(super) async fn deletion_asked_for(&self, name: &str) {
        let asked = async || self.environment(name).await["metadata"].get("deletionTimestamp").is_some();
        until("a deletion", asked).await;
    }

    /// A stored environment, read past the clients.
    pub(super) async fn environment(&self, name: &str) -> Value {
        self.api.get(&format!("/apis/eventchain.io/v1/environments/{name}")).await.expect(200)
    }
}

fn serving(api: &Api, listener: TcpListener) -> JoinHandle<()> {
    let router = api.router.clone();
    tokio::spawn(async move { serve(listener, router, ServeConfig::default(), std::future::pending()).await.unwrap() })
}

/// Asks again until it is so.
pub(super) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        while !so().await {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), asking).await.is_ok(), "waited for {what}");
}
