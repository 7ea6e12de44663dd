//! `apply` and `diff`, with the client's own merge and with the server's, and the way from the one to the other.

use serde_json::{Value, json};
use testkit::fixtures::patched;

use super::super::server::Server;
use super::program::Version::{New, Old};
use super::program::{Kubectl, Row, row};
use super::writing::document;

fn tagged(tags: &Value) -> Value {
    patched(document("one"), &json!({ "spec": { "tags": tags } }))
}

const CLIENT_SIDE: &[Row] = &[
    row("the whole of it is new", "diff -f one.yaml").differs(&["+kind: Environment", "+  name: one"]),
    row("tried out", "apply -f one.yaml --dry-run=server")
        .out(&["environment.eventchain.io/one created (server dry run)"]),
    row("created", "apply -f one.yaml").out(&["environment.eventchain.io/one created"]),
    row("unchanged", "apply -f one.yaml").out(&["environment.eventchain.io/one unchanged"]),
    row("no difference", "diff -f one.yaml"),
    row("the difference", "diff -f two.yaml").differs(&["-    A: \"1\"", "+    B: \"2\""]),
    row("its trial", "apply -f two.yaml --dry-run=server")
        .out(&["environment.eventchain.io/one configured (server dry run)"]),
    row("its trial by the client", "apply -f two.yaml --dry-run=client")
        .out(&["environment.eventchain.io/one configured (dry run)"]),
    row("nothing came of trying", "get env one -o jsonpath={.spec.tags.A}").out(&["1"]),
    row("configured", "apply -f two.yaml").out(&["environment.eventchain.io/one configured"]),
    row("what is no longer said is gone", "get env one -o jsonpath={.spec.tags}").out(&["{\"B\":\"2\"}"]),
    row("what was applied last", "apply view-last-applied env one").out(&["B: \"2\""]),
    row("somebody patches", "patch env one --type=merge -p '{\"spec\":{\"tags\":{\"C\":\"3\"}}}'").out(&["patched"]),
    row("what others said stays", "apply -f two.yaml").out(&["environment.eventchain.io/one"]),
    row("and it does", "get env one -o jsonpath={.spec.tags}").out(&["\"C\":\"3\""]),
    row("made by hand", "create -f hand.yaml").out(&["created"]),
    row("what was not applied is warned of", "apply -f hand.yaml")
        .out(&["environment.eventchain.io/hand configured"])
        .err(&["kubectl.kubernetes.io/last-applied-configuration"])
        .only(New),
    row("what was not applied is warned of", "apply -f hand.yaml")
        .out(&["environment.eventchain.io/hand configured"])
        .only(Old),
    row("several in one", "apply -f several.yaml")
        .out(&["environment.eventchain.io/one unchanged", "environment.eventchain.io/three created"]),
    row("a field that is not known", "apply -f unknown.yaml").fails(&["unknown field"]),
    row("a value that is wrong", "apply -f wrong.yaml --validate=false")
        .fails(&["The Environment \"one\" is invalid", "spec.aws.region"]),
];

pub(super) async fn client_side(kubectl: &Kubectl, _server: &Server) {
    kubectl.file("one.yaml", &tagged(&json!({ "A": "1" })));
    kubectl.file("two.yaml", &tagged(&json!({ "B": "2" })));
    kubectl.file("hand.yaml", &document("hand"));
    let several = [tagged(&json!({ "B": "2" })), document("three")].map(|one| one.to_string()).join("\n---\n");
    kubectl.text("several.yaml", &format!("# Two.\n{several}"));
    kubectl.file("unknown.yaml", &patched(document("one"), &json!({ "spec": { "colour": "red" } })));
    kubectl.file("wrong.yaml", &patched(document("one"), &json!({ "spec": { "aws": { "region": "eu-west-1" } } })));
    kubectl.check(CLIENT_SIDE).await;
}

const SERVER_SIDE: &[Row] = &[
    row("tried out", "apply --server-side -f one.yaml --dry-run=server")
        .out(&["environment.eventchain.io/one serverside-applied (server dry run)"]),
    row("created", "apply --server-side -f one.yaml").out(&["environment.eventchain.io/one serverside-applied"]),
    row("again", "apply --server-side -f one.yaml").out(&["environment.eventchain.io/one serverside-applied"]),
    row("no generation for it", "get env one -o jsonpath={.metadata.generation}").out(&["1"]),
    row("no difference", "diff --server-side -f one.yaml"),
    row("the difference", "diff --server-side -f two.yaml").differs(&["-    A: \"1\"", "+    B: \"2\""]),
    row("somebody patches", "patch env one --type=merge -p '{\"spec\":{\"tags\":{\"A\":\"9\"}}}'").out(&["patched"]),
    row("their field is theirs", "apply --server-side -f one.yaml").fails(&[
        "Apply failed with 1 conflict: conflict with \"kubectl-patch\" using eventchain.io/v1",
        ".spec.tags.A",
        "--force-conflicts",
    ]),
    row("taken over", "apply --server-side -f one.yaml --force-conflicts")
        .out(&["environment.eventchain.io/one serverside-applied"]),
    row("it is ours again", "get env one -o jsonpath={.spec.tags.A}").out(&["1"]),
    row("another manager", "apply --server-side --field-manager=other -f other.yaml").out(&["serverside-applied"]),
    row("what is no longer said is gone", "apply --server-side -f two.yaml").out(&["serverside-applied"]),
    row("and what others said is not", "get env one -o jsonpath={.spec.tags}").out(&["\"B\":\"2\"", "\"D\":\"4\""]),
    row("a field that is not known", "apply --server-side -f unknown.yaml --validate=false")
        .fails(&["unknown field \"spec.colour\""])
        .only(Old),
    row("a field that is not known", "apply --server-side -f unknown.yaml")
        .fails(&["unknown field \"spec.colour\""])
        .only(New),
];

pub(super) async fn server_side(kubectl: &Kubectl, _server: &Server) {
    kubectl.file("one.yaml", &tagged(&json!({ "A": "1" })));
    kubectl.file("two.yaml", &tagged(&json!({ "B": "2" })));
    kubectl.file("other.yaml", &tagged(&json!({ "D": "4" })));
    kubectl.file("unknown.yaml", &patched(document("one"), &json!({ "spec": { "colour": "red" } })));
    kubectl.check(SERVER_SIDE).await;
}

/// The managers of an environment, each with its operation.
fn managers(environment: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = environment["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<String> =
        entries.iter().map(|entry| format!("{} {}", text(&entry["manager"]), text(&entry["operation"]))).collect();
    all.sort();
    all
}

pub(super) async fn migration(kubectl: &Kubectl, server: &Server) {
    kubectl.file("one.yaml", &tagged(&json!({ "A": "1", "B": "2" })));
    kubectl.file("two.yaml", &tagged(&json!({ "A": "1" })));
    kubectl.ok("apply -f one.yaml").await;
    assert_eq!(managers(&server.environment("one").await), ["kubectl-client-side-apply Update"]);
    kubectl.ok("apply --server-side -f one.yaml").await;
    let moved = managers(&server.environment("one").await);
    kubectl.ok("apply --server-side -f two.yaml").await;
    let after = server.environment("one").await;
    match kubectl.version {
        New => {
            assert!(!moved.contains(&"kubectl-client-side-apply Update".to_owned()), "{moved:?}");
            assert!(moved.contains(&"kubectl Apply".to_owned()), "{moved:?}");
            assert_eq!(after["spec"]["tags"], json!({ "A": "1" }), "the moved field is the manager's to drop");
        }
        // It leaves its former self as an owner, and so the field stays.
        Old => assert_eq!(after["spec"]["tags"], json!({ "A": "1", "B": "2" })),
    }
    kubectl.ok("apply --server-side -f one.yaml").await;
    // And back again.
    kubectl.ok("apply -f two.yaml").await;
    let back = server.environment("one").await;
    assert_eq!(back["spec"]["tags"]["A"], "1");
    kubectl.ok("diff -f two.yaml").await;
}
