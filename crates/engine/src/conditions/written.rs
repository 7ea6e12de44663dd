//! The status that goes with a new spec: what was said of the old one no longer holds.

use jiff::Timestamp;
use model::condition::{self, Condition, ConditionStatus, ConditionType};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

/// `Ready` and `Synced` become Unknown until AWS was looked at; the plan of the old spec is dropped. The rest stays,
/// `observedGeneration` too: it is the generation that the daemon has worked on.
pub fn spec_written(old: &Value, generation: i64, now: Timestamp) -> Value {
    let mut status = match old {
        Value::Object(status) => status.clone(),
        _ => Map::new(),
    };
    let stored = status.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut conditions: Vec<Condition> = stored.iter().filter_map(|one| Condition::deserialize(one).ok()).collect();
    for kind in [ConditionType::Ready, ConditionType::Synced] {
        let unknown = Condition {
            kind,
            status: ConditionStatus::Unknown,
            reason: "NotObserved".to_owned(),
            message: "not looked at since the spec was written".to_owned(),
            observed_generation: generation,
            last_transition_time: now,
        };
        condition::set(&mut conditions, unknown);
    }
    status.insert("conditions".to_owned(), json!(conditions));
    status.remove("plan");
    Value::Object(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_spec_makes_ready_and_synced_unknown_and_keeps_the_rest() {
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": "True", "reason": "Fine", "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let old = json!({
            "observedGeneration": 1,
            "conditions": [condition("Ready"), condition("BackupHealthy")],
            "plan": { "hash": "x" },
            "resources": { "total": 3 },
        });
        let now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        let new = spec_written(&old, 2, now);
        let said: Vec<(&str, &str, i64)> = new["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let text = |field: &str| one[field].as_str().unwrap();
                (text("type"), text("status"), one["observedGeneration"].as_i64().unwrap())
            })
            .collect();
        assert_eq!(said, [("Ready", "Unknown", 2), ("Synced", "Unknown", 2), ("BackupHealthy", "True", 1)]);
        assert_eq!((&new["observedGeneration"], &new["resources"]["total"]), (&json!(1), &json!(3)));
        assert!(new.get("plan").is_none());
    }
}
