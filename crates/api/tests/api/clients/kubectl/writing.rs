//! Writing: create, replace, patch, edit, label, annotate, delete, and what is refused.

use serde_json::json;
use testkit::fixtures::patched;

use super::super::super::support::{ENVIRONMENTS, small};
use super::super::server::Server;
use super::program::Version::{New, Old};
use super::program::{Kubectl, Row, row};
use super::reading::two;

const WRITES: &[Row] = &[
    row("tried out by the client", "create -f new.yaml --dry-run=client").out(&["environment.eventchain.io/new created (dry run)"]),
    row("tried out by the server", "create -f new.yaml --dry-run=server")
        .out(&["environment.eventchain.io/new created (server dry run)"]),
    row("nothing came of it", "get env new").fails(&["NotFound"]),
    row("created", "create -f new.yaml").out(&["environment.eventchain.io/new created"]),
    row("there already", "create -f new.yaml")
        .fails(&["Error from server (AlreadyExists): error when creating \"new.yaml\": environments.eventchain.io \"new\" already exists"]),
    row("a name that the server makes up", "create -f - -o jsonpath={.metadata.name}")
        .input("{\"apiVersion\":\"eventchain.io/v1\",\"kind\":\"Environment\",\"metadata\":{\"generateName\":\"made-\"},\"spec\":{\"aws\":{\"accountId\":\"123456789012\",\"region\":\"us-east-1\"}}}")
        .out(&["made-"]),
    row("without a type, in chunks", "create --raw /apis/eventchain.io/v1/environments -f raw.json").out(&["\"name\":\"raw\""]),
    row("replaced", "replace -f changed.yaml").out(&["environment.eventchain.io/new replaced"]),
    row("it is so", "get env new -o jsonpath={.spec.tags.A},{.metadata.generation}").out(&["1,2"]),
    row("replacing tried out", "replace -f new.yaml --dry-run=server").out(&["environment.eventchain.io/new replaced (server dry run)"]),
    row("it is still so", "get env new -o jsonpath={.spec.tags.A},{.metadata.generation}").out(&["1,2"]),
    row("replacing what is not there", "replace -f absent.yaml").fails(&["Error from server (NotFound)", "\"absent\" not found"]),
    row("labelled", "label env new team=a").out(&["environment.eventchain.io/new labeled"]),
    row("labelled already", "label env new team=b").fails(&["'team' already has a value (a), and --overwrite is false"]),
    row("labelled anew", "label env new team=b --overwrite").out(&["environment.eventchain.io/new labeled"]),
    row("a label gone", "label env new team-").out(&["environment.eventchain.io/new"]),
    row("labelled by selector", "label env -l '!nothing' all=1").out(&["new", "raw"]),
    row("annotated", "annotate env new note='two words'").out(&["environment.eventchain.io/new annotated"]),
    row("an annotation gone", "annotate env new note-").out(&["environment.eventchain.io/new"]),
    row("a bad label", "label env new 'team=not a label'").fails(&["invalid label value"]),
    row("no generation for metadata", "get env new -o jsonpath={.metadata.generation},{.metadata.labels}").out(&["2,"]),
    row("the red button", "patch operators default --type=merge -p '{\"spec\":{\"mode\":\"Observe\"}}'")
        .out(&["operator.eventchain.io/default patched"]),
];

pub(super) async fn writes(kubectl: &Kubectl, _server: &Server) {
    kubectl.file("new.yaml", &document("new"));
    kubectl.file("raw.json", &document("raw"));
    kubectl.file("absent.yaml", &document("absent"));
    kubectl.file("changed.yaml", &patched(document("new"), &json!({ "spec": { "tags": { "A": "1" } } })));
    kubectl.check(WRITES).await;
}

/// A small environment as a file has it.
pub(super) fn document(name: &str) -> serde_json::Value {
    patched(small(name), &json!({ "apiVersion": "eventchain.io/v1", "kind": "Environment" }))
}

const PATCHES: &[Row] = &[
    row("merged", "patch env alpha --type=merge -p '{\"spec\":{\"tags\":{\"A\":\"1\"}}}'")
        .out(&["environment.eventchain.io/alpha patched"]),
    row("nothing to merge", "patch env alpha --type=merge -p '{\"spec\":{\"tags\":{\"A\":\"1\"}}}'")
        .out(&["environment.eventchain.io/alpha patched (no change)"]),
    row("by operations", "patch env alpha --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/tags/B\",\"value\":\"2\"}]'")
        .out(&["environment.eventchain.io/alpha patched"]),
    row("an operation that cannot be", "patch env alpha --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/nothing\"}]'")
        .fails(&["The Environment \"alpha\" is invalid", "patch[0]"]),
    row("strategic", "patch env alpha -p '{\"spec\":{\"tags\":{\"A\":\"2\"}}}'").fails(&[
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    ]),
    row("tried out", "patch env alpha --type=merge --dry-run=server -p '{\"spec\":{\"tags\":{\"A\":\"9\"}}}' -o jsonpath={.spec.tags.A}")
        .out(&["9"]),
    row("both stayed", "get env alpha -o jsonpath={.spec.tags.A}{.spec.tags.B}").out(&["12"]),
    row("the status is the daemon's", "patch env alpha --subresource=status --type=merge -p '{\"status\":{\"observedGeneration\":9}}'")
        .fails(&["Error from server (MethodNotAllowed): ", "only the daemon writes"])
        .only(New),
    row("a field that is not known", "patch env alpha --type=merge -p '{\"spec\":{\"colour\":\"red\"}}'")
        .fails(&["unknown field \"spec.colour\""]),
    row("what cannot change", "patch env alpha --type=merge -p '{\"spec\":{\"aws\":{\"region\":\"eu-west-1\"}}}'")
        .fails(&["The Environment \"alpha\" is invalid", "spec.aws.region"]),
    row("a stale version", "patch env alpha --type=merge -p '{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"tags\":{\"A\":\"3\"}}}'")
        .fails(&["Error from server (Conflict): Operation cannot be fulfilled on environments.eventchain.io \"alpha\": the object has been modified; please apply your changes to the latest version and try again"]),
    row("no replicas", "scale env alpha --replicas=3").fails(&["scale"]),
];

pub(super) async fn patches(kubectl: &Kubectl, server: &Server) {
    two(server).await;
    kubectl.check(PATCHES).await;
    // Editors that change a line, nothing, and something that is refused.
    kubectl.text("editor.sh", "sed -i 's/us-east-1/&/; s/A: \"1\"/A: \"7\"/' \"$1\"\n");
    kubectl.check(&[row("edited", "edit env alpha").out(&["environment.eventchain.io/alpha edited"])]).await;
    assert_eq!(server.environment("alpha").await["spec"]["tags"]["A"], "7");
    kubectl.text("editor.sh", "true\n");
    kubectl.check(&[row("left as it was", "edit env alpha").err(&["Edit cancelled, no changes made"])]).await;
    kubectl.text("editor.sh", "sed -i 's/us-east-1/eu-west-1/' \"$1\"\n");
    kubectl
        .check(&[row("refused, and shown again", "edit env alpha")
            .fails(&["environments.eventchain.io \"alpha\" is invalid", "A copy of your changes has been stored"])])
        .await;
    assert_eq!(server.environment("alpha").await["spec"]["aws"]["region"], "us-east-1");
}

const DELETES: &[Row] = &[
    row("tried out", "delete env alpha --dry-run=server")
        .out(&["environment.eventchain.io \"alpha\" deleted (server dry run)"]),
    row("still there", "get env alpha -o jsonpath={.metadata.deletionTimestamp}|").out(&["|"]),
    row("asked for", "delete env alpha --wait=false").out(&["environment.eventchain.io \"alpha\" deleted"]),
    row("asked for again", "delete env alpha --wait=false --now").out(&["environment.eventchain.io \"alpha\" deleted"]),
    row("it stays until it is let go", "get env alpha -o jsonpath={.metadata.finalizers}")
        .out(&["eventchain.io/converge"]),
    row("by selector", "delete env -l team=y --wait=false").out(&["\"beta\" deleted"]),
    row("what depends on it is not Kubernetes'", "delete env gamma --wait=false --cascade=orphan")
        .fails(&["spec.policy.onDelete"]),
    row("what is not there", "delete env nobody")
        .fails(&["Error from server (NotFound): environments.eventchain.io \"nobody\" not found"]),
    row("what may not be there", "delete env nobody --ignore-not-found"),
    row("raw", "delete --raw /apis/eventchain.io/v1/environments/gamma").out(&["deletionTimestamp"]),
    row("a revision stays", "delete rev alpha-1 --wait=false").fails(&["Error from server (MethodNotAllowed)"]),
    row("a revision is not changed", "label rev alpha-1 a=b").fails(&["MethodNotAllowed"]),
    row("a managed resource cannot be made", "create -f mr.yaml --validate=false").fails(&["MethodNotAllowed"]),
    row("a change's record goes", "delete chg --all").out(&["change.eventchain.io", "deleted"]),
];

pub(super) async fn deletes(kubectl: &Kubectl, server: &Server) {
    two(server).await;
    let owned = patched(small("gamma"), &json!({ "spec": { "policy": { "onDelete": "Delete" } } }));
    server.api.post(ENVIRONMENTS, &owned).await.expect(201);
    server.api.patch(&format!("{ENVIRONMENTS}/gamma"), &json!({ "spec": { "tags": { "A": "1" } } })).await.expect(200);
    let resource = json!({ "apiVersion": "eventchain.io/v1", "kind": "ManagedResource", "metadata": { "name": "x" } });
    kubectl.file("mr.yaml", &resource);
    kubectl.check(DELETES).await;
}

const REFUSALS: &[Row] = &[
    row("an unknown field, by the server", "create -f unknown.yaml")
        .fails(&["strict decoding error: unknown field \"spec.colour\""])
        .only(New),
    row("an unknown field, by the client", "create -f unknown.yaml")
        .fails(&["error validating \"unknown.yaml\": error validating data: ValidationError(Environment.spec): unknown field \"colour\""])
        .only(Old),
    row("by the server, which is strict unless told otherwise", "create -f unknown.yaml --validate=false")
        .fails(&["strict decoding error: unknown field \"spec.colour\""])
        .only(Old),
    row("warned of", "create -f unknown.yaml --validate=warn --dry-run=server")
        .out(&["created (server dry run)"])
        .err(&["Warning: unknown field \"spec.colour\""])
        .only(New),
    row("ignored", "create -f unknown.yaml --validate=false --dry-run=server").out(&["created (server dry run)"]).only(New),
    row("warnings as errors", "create -f unknown.yaml --validate=warn --dry-run=server --warnings-as-errors")
        .fails(&["Warning: unknown field \"spec.colour\"", "1 warning received"])
        .only(New),
    row("all problems at once", "create -f wrong.yaml --validate=false").fails(&[
        "The Environment \"wrong\" is invalid",
        "* spec.aws.region:",
        "* spec.database.storageGib:",
    ]),
    row("not YAML", "create -f -").input("a: [").fails(&["error"]),
    row("raw, not JSON", "create --raw /apis/eventchain.io/v1/environments -f broken.json")
        .fails(&["Error from server (BadRequest): not JSON"]),
];

pub(super) async fn refusals(kubectl: &Kubectl, _server: &Server) {
    kubectl.file("unknown.yaml", &patched(document("unknown"), &json!({ "spec": { "colour": "red" } })));
    let wrong = json!({ "spec": { "aws": { "region": 7 }, "database": { "identifier": "d", "storageGib": "many" } } });
    kubectl.file("wrong.yaml", &patched(document("wrong"), &wrong));
    kubectl.text("broken.json", "{\"spec\": ");
    kubectl.check(REFUSALS).await;
}
