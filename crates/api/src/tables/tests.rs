//! What each kind looks like in a table, and how ages are told.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns::human;
use super::{Include, Printing, render};

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn printed(kind: &str, object: &Value, include: Include) -> Value {
    let printing = Printing { version: "v1".to_owned(), include };
    render(kind, std::slice::from_ref(object), json!({ "resourceVersion": "7" }), &printing, now())
}

fn shown(table: &Value) -> Vec<(&str, &str)> {
    let columns = table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap());
    columns.zip(table["rows"][0]["cells"].as_array().unwrap().iter().map(|cell| cell.as_str().unwrap())).collect()
}

#[test]
fn an_environment_is_told_in_one_row() {
    let environment = json!({
        "metadata": { "name": "prod", "creationTimestamp": "2026-11-20T12:00:00Z" },
        "spec": { "aws": { "accountId": "123456789012", "region": "us-east-1" } },
        "status": {
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Synced", "status": "False" }],
            "resources": { "drifted": 1, "kinds": { "EcsService": { "total": 4, "ready": 3 } } },
            "newestBackupAt": "2026-11-23T09:00:00Z",
            "revision": 12,
            "pause": { "by": "ann" },
        },
    });
    let table = printed("Environment", &environment, Include::Metadata);
    assert_eq!(
        shown(&table),
        [
            ("Name", "prod"),
            ("Ready", "True"),
            ("Synced", "False"),
            ("Drift", "1"),
            ("Services", "3/4"),
            ("Backup", "3h"),
            ("Account", "123456789012"),
            ("Region", "us-east-1"),
            ("Revision", "12"),
            ("Paused", "ann"),
            ("Age", "3d"),
        ]
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "prod");
    assert_eq!(table["metadata"]["resourceVersion"], "7");
}

#[test]
fn what_is_not_known_is_said_so() {
    let table = printed("Environment", &json!({ "metadata": { "name": "new" } }), Include::None);
    assert_eq!(shown(&table)[..4], [("Name", "new"), ("Ready", "Unknown"), ("Synced", "Unknown"), ("Drift", "")]);
    assert!(table["rows"][0].get("object").is_none());
}

#[test]
fn an_event_is_one_line_and_names_its_object_as_kubectl_does() {
    let event = json!({
        "metadata": { "name": "e1" }, "type": "Normal", "reason": "Repaired", "message": "two\n  lines", "count": 3,
        "involvedObject": { "kind": "Environment", "name": "prod" }, "lastTimestamp": "2026-11-23T11:59:55Z",
    });
    let table = printed("Event", &event, Include::Object);
    let cells = shown(&table);
    assert_eq!(cells[0], ("Last Seen", "5s"));
    assert_eq!(cells[3], ("Object", "environment/prod"));
    assert_eq!(cells[5], ("Message", "two lines"));
    assert_eq!(table["rows"][0]["object"], event);
}

#[test]
fn ages_are_those_of_kubectl() {
    for (seconds, expected) in [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_060, "3h21m"),
        (28_800, "8h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (66_528_000, "2y40d"),
        (252_288_000, "8y"),
    ] {
        assert_eq!(human(seconds), expected, "{seconds}");
    }
}
