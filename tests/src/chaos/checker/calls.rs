//! Nothing is made twice, and nothing is deleted that nobody asked to be deleted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, Violation};

/// The thing that a call makes, where the same call again would make or be refused another. Clusters, target groups and
/// listeners are not among them: AWS answers a repeated creation with the one that is there; the end shows how many are.
fn made(call: &Call) -> Option<String> {
    let text = |field: &str| call.input[field].as_str().map(str::to_owned);
    Some(match call.operation.as_str() {
        "CreateService" => format!("service {}/{}", last(&text("cluster")?), text("serviceName")?),
        "CreateDBInstance" => format!("database {}", text("DBInstanceIdentifier")?),
        "CreateDBSnapshot" => format!("snapshot {}", text("DBSnapshotIdentifier")?),
        "CopyDBSnapshot" => format!("snapshot {}", text("TargetDBSnapshotIdentifier")?),
        "CreateLogGroup" => format!("log group {}", text("logGroupName")?),
        "CreateSecret" => format!("secret {}", text("Name")?),
        _ => return None,
    })
}

/// The thing that a call removes, named as [`made`] names it.
fn removed(call: &Call) -> Option<String> {
    let text = |field: &str| call.input[field].as_str().map(str::to_owned);
    Some(match call.operation.as_str() {
        "DeleteService" => format!("service {}/{}", last(&text("cluster")?), last(&text("service")?)),
        "DeleteDBInstance" => format!("database {}", text("DBInstanceIdentifier")?),
        "DeleteDBSnapshot" => format!("snapshot {}", text("DBSnapshotIdentifier")?),
        "DeleteLogGroup" => format!("log group {}", text("logGroupName")?),
        "DeleteSecret" => format!("secret {}", text("SecretId")?),
        _ => return None,
    })
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether AWS takes the second call for the first one, by a token that the caller gave both.
fn same_request(first: &Call, second: &Call) -> bool {
    ["ClientRequestToken", "clientToken"].iter().any(|token| {
        let token = |call: &Call| call.input[*token].as_str().map(str::to_owned);
        token(first).is_some() && token(first) == token(second)
    })
}

/// Whether a call takes something away.
fn removes(call: &Call) -> bool {
    ["Delete", "Deregister", "Stop", "Disable"].iter().any(|verb| call.operation.starts_with(verb))
}

/// Nothing is made twice: each thing at most once as long as nobody removes it. A revision of a task definition is new
/// each time; the same one twice running is one too many.
pub(super) fn duplicates(calls: &[Call]) -> Vec<Violation> {
    let rule = "nothing is made twice";
    let mut standing: BTreeMap<(String, String, String), &Call> = BTreeMap::new();
    let mut revisions: BTreeMap<(String, String, String), &Call> = BTreeMap::new();
    let mut violations = Vec::new();
    for call in calls.iter().filter(|call| call.applied) {
        let place = |thing: String| (call.account.clone(), call.region.clone(), thing);
        if let Some(thing) = removed(call) {
            standing.remove(&place(thing));
        }
        if call.app.is_none() {
            continue;
        }
        if let Some(thing) = made(call)
            && let Some(before) = standing.insert(place(thing.clone()), call)
            && !same_request(before, call)
        {
            violations.push(Violation::of(rule, call, &format!("{thing} was there by call #{}", before.number)));
        }
        if call.operation == "RegisterTaskDefinition" {
            let family = plain(&call.input["family"]);
            if let Some(before) = revisions.insert(place(family.clone()), call)
                && before.input == call.input
            {
                let what = format!("a revision of {family} with the same content was made by call #{}", before.number);
                violations.push(Violation::of(rule, call, &what));
            }
        }
    }
    violations
}

/// Nothing is deleted: no spec here asks for it. But for a snapshot that failed, which is taken again under its name.
pub(super) fn deletions(calls: &[Call]) -> Vec<Violation> {
    let failed: Vec<String> =
        calls.iter().filter(|call| call.faults.iter().any(|fault| fault == "failsLater")).filter_map(made).collect();
    calls
        .iter()
        .filter(|call| call.app.is_some() && removes(call))
        .filter(|call| !removed(call).is_some_and(|thing| thing.starts_with("snapshot ") && failed.contains(&thing)))
        .map(|call| Violation::of("nothing is deleted that nobody asked to be deleted", call, "a deletion"))
        .collect()
}
