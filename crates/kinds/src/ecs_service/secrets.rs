//! New versions of the secrets that a service's tasks read: ECS reads a secret when a task starts, so tasks that run go on
//! with the value of before until they are replaced. Pure. Knows versions, never values.
//!
//! What is remembered of each secret is the version that was current when it was last looked at. A version that is first
//! seen is taken for the one that the tasks have: nothing is known of the time before. Another one later is news of the
//! deployment that was the primary one at that moment, and any other primary deployment has read it: no clocks are
//! compared. ECS may take such a deployment back, to the very one that the news is of; that is not tried again.

use std::collections::BTreeMap;

use engine::PlanContext;
use model::{FieldChange, Observation, ResourceKey, ResourcePlan, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::update::Part;
use super::{Desired, Observed};

/// Where in the memory it stands.
pub(super) const SECRETS: &str = "secrets";

/// What is remembered of a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen {
    version: String,
    /// When the secret was last changed, as AWS says: a listing may show what was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_ms: Option<i64>,
    /// The version is news of this deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    news: Option<News>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct News {
    /// The deployment whose tasks may have read what was before.
    deployment: String,
    /// The version of before.
    was: String,
    /// Whether another deployment was seen since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tried: bool,
}

/// What to remember now, by the secret's name.
pub(super) fn seen(context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> BTreeMap<String, Seen> {
    let before: BTreeMap<String, Seen> = context
        .memory
        .and_then(|memory| memory.get(SECRETS))
        .and_then(|secrets| BTreeMap::deserialize(secrets).ok())
        .unwrap_or_default();
    let primary = observed.primary().map(|primary| primary.id.as_str());
    let now = |key: &ResourceKey| {
        let old = before.get(&*key.identity).cloned();
        let seen = match current(context, key) {
            Some((version, changed_ms)) => match old {
                Some(old) if old.version == version || changed_ms < old.changed_ms => old,
                Some(old) => {
                    let news = |deployment: &str| News {
                        deployment: deployment.to_owned(),
                        // What was news of it before it was deployed was never read.
                        was: old.pending(deployment).map_or(&old.version, |news| &news.was).clone(),
                        tried: false,
                    };
                    Seen { news: primary.map(news), version, changed_ms }
                }
                None => Seen { version, changed_ms, news: None },
            },
            // Not known now, or without a value.
            None => old?,
        };
        Some((key.identity.to_string(), seen.looked_at(observed)))
    };
    desired.secrets.iter().filter_map(now).collect()
}

impl Seen {
    /// The news that is still to be read by the tasks of a deployment.
    fn pending(&self, primary: &str) -> Option<&News> {
        self.news.as_ref().filter(|news| news.deployment == primary && !news.tried)
    }

    /// With what the deployments tell now.
    fn looked_at(mut self, observed: &Observed) -> Self {
        let Some(primary) = observed.primary() else { return self };
        if let Some(news) = &mut self.news
            && news.deployment != primary.id
        {
            news.tried = true;
            if primary.rollout == super::Rollout::Completed {
                self.news = None;
            }
        }
        self
    }
}

/// The current version of a secret, and when the secret was last changed.
fn current(context: &PlanContext<'_>, key: &ResourceKey) -> Option<(String, Option<i64>)> {
    let Observation::Present(Value::String(version)) = context.output(key, "versionId") else { return None };
    let changed = context.output(key, "changedMs");
    Some((version, changed.present().and_then(Value::as_i64)))
}

/// A deployment of what is there, when tasks run with a version of before; or why there is none.
pub(super) fn plan_restart(seen: &BTreeMap<String, Seen>, observed: &Observed, plan: &mut ResourcePlan) -> Part {
    const REASON: &str = "a secret has another version than the tasks read when they started";
    let mut part = Part::default();
    let tasks = observed.running_count + observed.pending_count;
    let Some(primary) = observed.primary().filter(|_| tasks > 0) else { return part };
    let mut taken_back = Vec::new();
    for (name, seen) in seen {
        let Some(news) = seen.news.as_ref().filter(|news| news.deployment == primary.id) else { continue };
        if news.tried {
            taken_back.push(name.as_str());
        } else {
            part.update.restart = true;
            let change =
                FieldChange::new(format!("secrets[{name:?}].version"), news.was.as_str(), seen.version.as_str());
            part.note(REASON, change);
        }
    }
    if !taken_back.is_empty() {
        let message = format!(
            "ECS took back the deployment that was to read {}, and it is not tried again with the same version; tasks \
             that have run since before hold the value of before",
            taken_back.join(", ")
        );
        plan.waits.push(Wait::new(WaitKind::Stalled, "SecretNewerThanDeployment", message));
    }
    part
}
