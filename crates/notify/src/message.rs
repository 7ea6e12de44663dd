//! What a receiver is told: one JSON document for webhooks and SNS alike. Pure. docs/notifications.md has an example.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use store::EventRow;

use crate::topics::topic;

/// Longer details are left out: SNS takes 256 KiB of a message, and other receivers less.
const LONGEST_DETAILS: usize = 64 * 1024;

/// Longer sentences are cut.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// The document.
pub(crate) fn body(installation: &str, event: &EventRow, labels: Option<&BTreeMap<String, String>>) -> String {
    let (class, severity) = topic(event);
    let mut data = json!({
        "installation": installation,
        "class": <&str>::from(class),
        "severity": <&str>::from(severity),
        "reason": event.reason,
        "message": cut(&event.message),
        "regarding": { "kind": event.regarding_kind, "name": event.regarding_identity },
        "event": event.name,
        "count": event.count,
        "firstSeen": event.first_seen,
        "lastSeen": event.last_seen,
    });
    if !event.environment.is_empty() {
        data["environment"] = json!({ "name": event.environment, "labels": labels });
    }
    match event.details.to_string() {
        details if details.len() > LONGEST_DETAILS => data["detailsLeftOut"] = json!(details.len()),
        _ if event.details.as_object().is_none_or(serde_json::Map::is_empty) => {}
        _ => data["details"] = event.details.clone(),
    }
    let class: &str = class.into();
    let document: Value =
        json!({ "type": format!("{class}.{}", event.reason), "timestamp": event.last_seen, "data": data });
    document.to_string()
}

fn cut(message: &str) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    format!("{}…", &message[..message.floor_char_boundary(LONGEST_MESSAGE)])
}

/// What receivers filter by.
pub(crate) fn attributes(installation: &str, event: &EventRow) -> BTreeMap<String, String> {
    let (class, severity) = topic(event);
    let all = [
        ("installation", installation),
        ("class", class.into()),
        ("severity", severity.into()),
        ("reason", &*event.reason),
        ("environment", &*event.environment),
        ("kind", &*event.regarding_kind),
    ];
    // SNS refuses an attribute without a value.
    all.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;

    use super::*;

    pub(crate) fn event(reason: &str, event_type: &str, details: Value) -> EventRow {
        EventRow {
            uid: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            name: "prod.0123456789abcdef".to_owned(),
            environment: "prod".to_owned(),
            environment_uid: None,
            regarding_kind: "RdsInstance".to_owned(),
            regarding_identity: "eventchain-prod-db".to_owned(),
            event_type: event_type.to_owned(),
            reason: reason.to_owned(),
            message: "windows: backups.window".to_owned(),
            details,
            count: 2,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            resource_version: 7,
        }
    }

    #[test]
    fn a_message_tells_what_happened_where_and_how_often() {
        let event = event("DriftDetected", "Warning", json!({ "risk": "Safe" }));
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let body: Value = serde_json::from_str(&body("eventchain", &event, Some(&labels))).unwrap();
        assert_eq!(
            (&body["type"], &body["timestamp"]),
            (&json!("drift.DriftDetected"), &json!("1970-01-01T00:00:00Z"))
        );
        let data = &body["data"];
        assert_eq!(
            (&data["severity"], &data["count"], &data["details"]["risk"]),
            (&json!("warning"), &json!(2), &json!("Safe"))
        );
        assert_eq!(data["environment"], json!({ "name": "prod", "labels": { "tier": "gold" } }));
    }

    #[test]
    fn long_details_are_left_out_and_said_to_be() {
        let event = event("DriftDetected", "Warning", json!({ "x": "y".repeat(LONGEST_DETAILS) }));
        let body: Value = serde_json::from_str(&body("eventchain", &event, None)).unwrap();
        assert!(body["data"]["details"].is_null() && body["data"]["detailsLeftOut"].as_u64().unwrap() > 60_000);
        assert_eq!(cut(&"ü".repeat(LONGEST_MESSAGE)).chars().count(), LONGEST_MESSAGE / 2 + 1);
    }
}
