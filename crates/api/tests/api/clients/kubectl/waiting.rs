//! Commands that go on: `get -w`, `wait`, `delete`, `replace --force`.

use std::time::Duration;

use serde_json::json;

use super::super::super::support::{ENVIRONMENTS, small};
use super::super::server::Server;
use super::program::Kubectl;
use super::program::Version::New;
use super::reading::two;
use super::writing::document;

/// Between two changes, where kubectl does not say that it watches.
const PAUSE: Duration = Duration::from_millis(200);

async fn label(server: &Server, name: &str, value: &str) {
    let patch = json!({ "metadata": { "labels": { "step": value } } });
    server.api.patch(&format!("{ENVIRONMENTS}/{name}"), &patch).await.expect(200);
}

pub(super) async fn follows(kubectl: &Kubectl, server: &Server) {
    two(server).await;
    let mut all = kubectl.start("get env -w -L step");
    all.line_with("NAME").await;
    all.line_with("alpha").await;
    all.line_with("beta").await;
    label(server, "beta", "one").await;
    let line = all.line().await;
    assert!(line.contains("beta") && line.contains("one"), "{line}");
    server.api.post(ENVIRONMENTS, &small("gamma")).await.expect(201);
    assert!(all.line().await.contains("gamma"));

    let mut one = kubectl.start("get env alpha -w -L step");
    one.line_with("alpha").await;
    // Of one object kubectl prints what it got, then watches, and drops the first event, which tells it how the object is:
    // what is changed in between is not seen. So changes go on until one is.
    for n in 0.. {
        label(server, "alpha", &format!("s{n}")).await;
        if tokio::time::timeout(PAUSE, one.line_with("alpha")).await.is_ok() {
            break;
        }
    }
    label(server, "alpha", "1").await;
    while !one.line_with("alpha").await.trim_end().ends_with(" 1") {}
    for step in ["2", "3"] {
        label(server, "alpha", step).await;
        let line = one.line().await;
        assert!(line.trim_end().ends_with(step), "{line}");
    }

    let mut events = kubectl.start("get events -w");
    server.happened("alpha", "Painted", "the fence is green").await;
    events.line_with("Painted").await;
    server.happened("beta", "Mended", "the gate is whole").await;
    events.line_with("Mended").await;

    let mut selected = kubectl.start("get env -w -l step=3 -o name");
    assert!(selected.line().await.contains("alpha"));
    label(server, "beta", "3").await;
    assert!(selected.line().await.contains("beta"));
    let mut only = kubectl.start("get env --watch-only -o name");
    // Nothing is printed of what there is, so that its being there cannot be seen: changes go on until one is.
    let line = loop {
        label(server, "gamma", "x").await;
        label(server, "gamma", "y").await;
        if let Ok(line) = tokio::time::timeout(PAUSE, only.line()).await {
            break line;
        }
    };
    assert!(line.contains("gamma"), "{line}");
}

pub(super) async fn waits(kubectl: &Kubectl, server: &Server) {
    two(server).await;
    let met = kubectl.ok("wait --for=condition=Ready env/alpha --timeout=30s").await;
    assert!(met.contains("environment.eventchain.io/alpha condition met"), "{met}");
    let unmet = kubectl.run("wait --for=condition=Ready env/beta --timeout=1s", "").await;
    assert_eq!(unmet.code, Some(1));
    assert!(unmet.err.contains("timed out waiting for the condition"), "{}", unmet.err);
    let waiting = kubectl.start("wait --for=condition=Ready env/beta --timeout=50s");
    server.ready("beta").await;
    let met = waiting.finish().await;
    assert!(met.code == Some(0) && met.out.contains("environment.eventchain.io/beta condition met"), "{met:?}");
    let missing = kubectl.run("wait --for=condition=Ready env/nobody --timeout=5s", "").await;
    assert!(missing.code == Some(1) && missing.err.contains("\"nobody\" not found"), "{missing:?}");

    if kubectl.version == New {
        let total = "'--for=jsonpath={.status.resources.total}=2'";
        kubectl.ok(&format!("wait {total} env/beta --timeout=30s")).await;
        let waiting = kubectl.start("wait --for=create env/later --timeout=50s");
        server.api.post(ENVIRONMENTS, &small("later")).await.expect(201);
        let met = waiting.finish().await;
        assert!(met.code == Some(0) && met.out.contains("later condition met"), "{met:?}");
    }

    // A deletion is waited for until the daemon lets go.
    let before = server.lists();
    let waiting = kubectl.start("wait --for=delete env/beta --timeout=50s");
    server.listed(before + 1).await;
    let deleting = kubectl.start("delete env beta --timeout=50s");
    server.deletion_asked_for("beta").await;
    server.let_go("beta").await;
    for gone in [deleting, waiting] {
        let gone = gone.finish().await;
        assert!(gone.code == Some(0) && gone.out.contains("beta"), "{gone:?}");
    }

    kubectl.file("alpha.yaml", &document("alpha"));
    let before = server.environment("alpha").await["metadata"]["uid"].clone();
    let replacing = kubectl.start("replace --force -f alpha.yaml");
    server.deletion_asked_for("alpha").await;
    server.let_go("alpha").await;
    let replaced = replacing.finish().await;
    assert!(replaced.code == Some(0) && replaced.out.contains("replaced"), "{replaced:?}");
    assert_ne!(server.environment("alpha").await["metadata"]["uid"], before, "another object");
}
