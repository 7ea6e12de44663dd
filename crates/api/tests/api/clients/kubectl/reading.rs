//! Reading: every form of `get`, `describe`, `explain`, and what is asked for before.

use serde_json::json;
use testkit::fixtures::patched;

use super::super::super::support::{ENVIRONMENTS, small};
use super::super::server::Server;
use super::program::Version::{New, Old};
use super::program::{Kubectl, Row, row};

/// Two environments, of which the first is ready.
pub(super) async fn two(server: &Server) {
    for (name, team) in [("alpha", "x"), ("beta", "y")] {
        let document = patched(small(name), &json!({ "metadata": { "labels": { "team": team } } }));
        server.api.post(ENVIRONMENTS, &document).await.expect(201);
    }
    server.ready("alpha").await;
}

const FORMS: &[Row] = &[
    row("a list is a table", "get env").out(&[
        "NAME", "READY", "SYNCED", "DRIFT", "SERVICES", "BACKUP", "AGE", "alpha", "True", "beta", "Unknown", "0s",
    ]),
    row("wide", "get env -o wide").out(&["NAME", "ACCOUNT", "123456789012"]),
    row("one", "get env alpha").out(&["NAME", "alpha"]),
    row("several by name", "get env alpha beta").out(&["alpha", "beta"]),
    row("kind/name", "get environment/alpha").out(&["alpha"]),
    row("the whole name of the resource", "get environments.v1.eventchain.io alpha").out(&["alpha"]),
    row("several kinds", "get env,rev").out(&["environment.eventchain.io/alpha", "revision.eventchain.io/alpha-1"]),
    row("the category", "get eventchain").out(&["environment.eventchain.io/alpha", "operator.eventchain.io/default"]),
    row("names", "get env -o name").out(&["environment.eventchain.io/alpha\nenvironment.eventchain.io/beta\n"]),
    row("yaml", "get env alpha -o yaml").out(&["kind: Environment", "accountId: \"123456789012\"", "type: Ready"]),
    row("json", "get env -o json").out(&["\"kind\": \"List\"", "\"name\": \"beta\""]),
    row("jsonpath", "get env alpha -o jsonpath={.spec.aws.region}").out(&["us-east-1"]),
    row("columns of one's own", "get env -o custom-columns=N:.metadata.name,R:.spec.aws.region")
        .out(&["alpha   us-east-1"]),
    row("without the server's table", "get env --server-print=false").out(&["NAME", "AGE", "alpha"]),
    row("labels", "get env --show-labels").out(&["team=x", "team=y"]),
    row("a label's column", "get env -L team").out(&["TEAM", "x"]),
    row("by label", "get env -l team=x -o name").out(&["environment.eventchain.io/alpha\n"]),
    row("by a set of labels", "get env -l 'team in (y,z)' -o name").out(&["environment.eventchain.io/beta\n"]),
    row("by field", "get env --field-selector metadata.name=beta -o name").out(&["environment.eventchain.io/beta\n"]),
    row("nothing", "get env -l team=none").err(&["No resources found"]),
    row("sorted", "get env --sort-by=.metadata.name").out(&["alpha", "beta"]),
    row("in pages", "get env --chunk-size=1 -o name")
        .out(&["environment.eventchain.io/alpha\nenvironment.eventchain.io/beta\n"]),
    row("a namespace means nothing", "get env alpha -n elsewhere").out(&["alpha"]),
    row("a time limit", "get env --request-timeout=20s").out(&["alpha"]),
    row("the status alone, as a table", "get env alpha --subresource=status").out(&["alpha", "True"]).only(New),
    row("the status alone", "get env alpha --subresource=status -o jsonpath={.status.resources.total}")
        .out(&["2"])
        .only(New),
    row("revisions", "get rev").out(&["alpha-1", "beta-1"]),
    row("one revision", "get rev alpha-1 -o jsonpath={.spec.environment}").out(&["alpha"]),
    row("changes", "get chg").err(&["No resources found"]),
    row("managed resources", "get mr").err(&["No resources found"]),
    row("the operator", "get operators default").out(&["default", "Enforce"]),
    row("namespaces", "get ns").out(&["NAME", "STATUS", "default", "Active"]),
    row("a namespace", "get ns default -o name").out(&["namespace/default"]),
    row("what is not there", "get env nobody")
        .fails(&["Error from server (NotFound): environments.eventchain.io \"nobody\" not found"]),
    row("what may not be there", "get env nobody --ignore-not-found"),
    row("another namespace", "get ns other").fails(&["Error from server (NotFound): namespaces \"other\" not found"]),
    row("describe", "describe env alpha").out(&[
        "Name:         alpha",
        "team=x",
        "Kind:         Environment",
        "Region:",
        "Events:",
    ]),
    row("describe all", "describe env").out(&["alpha", "beta"]),
    row("describe the operator", "describe operators default").out(&["Mode:", "Enforce"]),
    row("raw", "get --raw /apis/eventchain.io/v1/environments/alpha").out(&["\"kind\":\"Environment\""]),
    row("raw, beside Kubernetes", "get --raw /livez").out(&["ok"]),
    row("raw, nothing there", "get --raw /nowhere")
        .fails(&["Error from server (NotFound): the path \"/nowhere\" is not served"]),
];

pub(super) async fn forms(kubectl: &Kubectl, server: &Server) {
    two(server).await;
    kubectl.check(FORMS).await;
    assert_eq!(kubectl.ok("get env nobody --ignore-not-found").await, "");
}

const DISCOVERY: &[Row] = &[
    row("the server's version", "version").out(&["v1.35.0+eventchain."]),
    row("groups", "api-versions").out(&["eventchain.io/v1\n", "v1\n"]),
    row("resources", "api-resources").out(&[
        "environments",
        "env ",
        "Environment",
        "managedresources",
        "mr ",
        "events",
        "namespaces",
        "changes",
    ]),
    row("resources of the group", "api-resources --api-group=eventchain.io -o name").out(&[
        "changes.eventchain.io\n",
        "environments.eventchain.io\n",
        "managedresources.eventchain.io\n",
        "operators.eventchain.io\n",
        "revisions.eventchain.io\n",
    ]),
    row("verbs", "api-resources --verbs=deletecollection -o name").out(&["environments.eventchain.io"]),
    row("a kind explained", "explain env").out(&["Environment", "eventchain.io", "spec", "status"]),
    row("a field explained", "explain env.spec.database.backups").out(&["retentionDays", "window"]),
    row("a scalar explained", "explain env.spec.database.backups.retentionDays").out(&["integer"]),
    row("a list explained", "explain env.spec.loadBalancer.listeners").out(&["port", "-required-"]),
    row("all fields", "explain env --recursive").out(&["retentionDays", "listeners", "accountId"]),
    row("metadata explained", "explain env.metadata.finalizers").out(&["finalizers"]),
    row("a change explained", "explain chg.spec.patch").out(&["patch"]),
    row("an event explained", "explain events.involvedObject").out(&["involvedObject"]),
    row("a namespace explained", "explain ns").out(&["Namespace"]),
    row("the operator explained", "explain operators.spec.mode").out(&["Observe"]),
    row("no such field", "explain env.spec.colour").fails(&["colour"]),
    row("no such kind", "get pods").fails(&["the server doesn't have a resource type \"pods\""]),
    row("no category of this name", "get all").fails(&["the server doesn't have a resource type \"all\""]),
    row("no such kind in a document", "apply -f -")
        .input("{\"apiVersion\":\"eventchain.io/v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"}}")
        .fails(&["no matches for kind \"Pod\" in version \"eventchain.io/v1\""]),
    row("no such group", "get --raw /apis/other.io").fails(&["NotFound"]),
];

pub(super) async fn discovery(kubectl: &Kubectl, _server: &Server) {
    kubectl.check(DISCOVERY).await;
}

const EVENTS: &[Row] = &[
    row("events", "get events").out(&[
        "LAST SEEN",
        "TYPE",
        "REASON",
        "OBJECT",
        "MESSAGE",
        "Normal",
        "Painted",
        "environment/alpha",
        "the fence",
    ]),
    row("events everywhere", "get events -A").out(&["NAMESPACE", "default", "environment/alpha"]),
    row("events elsewhere", "get events -n elsewhere").err(&["No resources found in elsewhere namespace"]),
    row("events by field", "get events --field-selector reason=Painted -o jsonpath={.items[*].message}")
        .out(&["the fence"]),
    row(
        "events by what they are about",
        "get events --field-selector involvedObject.kind=Environment,involvedObject.name=beta",
    )
    .err(&["No resources found"]),
    row("describe has them", "describe env alpha").out(&["Painted", "the fence"]),
    row("describe of another has not", "describe env beta").out(&["Events:"]),
    row("the command of its own", "events").out(&["Painted", "Environment/alpha"]).only(New),
    row("of one object", "events --for env/alpha").out(&["Painted"]).only(New),
    row("of another object", "events --for env/beta").err(&["No events found"]).only(New),
    row("an older kubectl has no such command", "events").fails(&["unknown command"]).only(Old),
];

pub(super) async fn events(kubectl: &Kubectl, server: &Server) {
    two(server).await;
    server.happened("alpha", "Painted", "the fence is green").await;
    kubectl.check(EVENTS).await;
    assert!(!kubectl.ok("describe env beta").await.contains("Painted"), "what happened to another object");
}
