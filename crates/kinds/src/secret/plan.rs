//! Planning a secret. Pure.

use engine::{Expansion, Health, Kind, KindTraits, Lane, Output, Ownership, PlanContext};
use model::plan::Verb;
use model::{Environment, FieldChange, Note, ResourcePlan, Risk, Step, Tags, Wait, WaitKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Desired, Observed, Rotated, Rotation, desired};
use crate::changes::{Changes, created};

/// The kind.
pub struct Secret;

/// What a step tells the provider to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "action")]
#[expect(missing_docs, reason = "each names the AWS operation it is for")]
pub enum Action {
    CreateSecret {
        description: Option<String>,
        kms_key_id: Option<String>,
        tags: Tags,
    },
    UpdateSecret {
        description: String,
    },
    /// With the window that the live rules have: RotateSecret replaces them whole.
    RotateSecret {
        rotation: Rotation,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<String>,
    },
    TagResource {
        tags: Tags,
    },
    DeleteSecret {
        recovery_window_days: i64,
    },
}

impl Action {
    fn body(&self) -> Value {
        serde_json::to_value(self).expect("an action is plain data")
    }
}

/// The longest recovery window there is. (Secrets Manager API Reference, DeleteSecret, RecoveryWindowInDays.)
const RECOVERY_WINDOW_DAYS: i64 = 30;

/// A change of rotation, and what it may do. RotateSecret is told not to rotate now; what follows is the schedule's.
fn rotation_step(wanted: &Rotation, live: Option<&Rotated>) -> Option<Step> {
    let (live_arn, live_days) = (live.and_then(|r| r.lambda_arn.as_ref()), live.and_then(|r| r.every_days));
    let same_function = live_arn == Some(&wanted.lambda_arn);
    if same_function && live_days == Some(wanted.every_days) {
        return None;
    }
    let (risk, reason) = match live_days {
        Some(days) if same_function && wanted.every_days > days => {
            (Risk::Safe, "rotation is more frequent than declared")
        }
        _ if same_function => (
            Risk::Disruptive,
            "rotation is not as frequent as declared; the next one may come soon, and tasks read a secret only at their start",
        ),
        _ => (
            Risk::Disruptive,
            "rotation is not by the declared function; once it rotates, tasks that run hold the value of before",
        ),
    };
    let change = FieldChange::new("rotation", live.map_or(Value::Null, |r| json!(r)), json!(wanted));
    let duration = live.and_then(|live| live.duration.clone());
    let body = Action::RotateSecret { rotation: wanted.clone(), duration }.body();
    Some(Step::new("RotateSecret", Verb::Update, risk, reason, body).changing(vec![change]))
}

fn pending_deletion(observed: &Observed) -> Option<String> {
    observed.deletion_pending.then(|| {
        "its deletion is pending; until the recovery window ends, which `aws secretsmanager describe-secret` tells as \
         DeletedDate, `aws secretsmanager restore-secret` brings it back"
            .to_owned()
    })
}

/// The key is used at creation only: with another one every version is encrypted anew, and who may read them changes.
fn key_note(desired: &Desired, observed: &Observed) -> Option<Note> {
    let declared = desired.kms_key_id.as_deref()?;
    // AWS tells no key for the account's own.
    let live = observed.kms_key_id.as_deref().unwrap_or("alias/aws/secretsmanager");
    let same = |long: &str, short: &str| {
        long == short || long.strip_suffix(short).is_some_and(|start| start.ends_with(['/', ':']))
    };
    // Which key an alias names only KMS knows.
    let comparable = declared.contains("alias/") == live.contains("alias/");
    (comparable && !same(declared, live) && !same(live, declared)).then(|| {
        let message = "the key is used when a secret is made: it is left as it is";
        Note::new("KmsKeyDiffers", message).with(FieldChange::new("kmsKeyId", live, declared))
    })
}

impl Kind for Secret {
    const NAME: &'static str = "Secret";
    const TRAITS: KindTraits = KindTraits { lane: Lane::Slow, ownership: Ownership::Tags, stale_after_periods: 4 };
    type Desired = Desired;
    type Observed = Observed;

    fn expand(environment: &Environment, expansion: &mut Expansion<'_, Desired>) {
        desired::expand(environment, expansion);
    }

    fn plan_absent(_context: &PlanContext<'_>, desired: &Desired) -> ResourcePlan {
        let body = Action::CreateSecret {
            description: desired.description.clone(),
            kms_key_id: desired.kms_key_id.clone(),
            tags: desired.tags.clone(),
        }
        .body();
        let reason = "does not exist; it is made without a value";
        ResourcePlan::step(Step::new("CreateSecret", Verb::Create, Risk::Safe, reason, body).changing(created(desired)))
    }

    fn plan_present(_context: &PlanContext<'_>, desired: &Desired, observed: &Observed) -> ResourcePlan {
        if let Some(message) = pending_deletion(observed) {
            return ResourcePlan::wait(Wait::new(WaitKind::Blocked, "SecretPendingDeletion", message));
        }
        if let Some(service) = &observed.owning_service {
            let message = format!("the secret is managed by {service}; it is not touched");
            return ResourcePlan::wait(Wait::new(WaitKind::Blocked, "ManagedByService", message));
        }
        let mut plan = ResourcePlan::in_sync();
        let mut changes = Changes::new();
        // AWS keeps no empty description.
        let live = observed.description.clone().unwrap_or_default();
        if changes.field("description", desired.description.as_ref(), Some(&live)) {
            let body = Action::UpdateSecret { description: desired.description.clone().unwrap_or_default() }.body();
            let step = Step::new("UpdateSecret", Verb::Update, Risk::Safe, "the description is not as declared", body);
            plan.steps.push(step.changing(changes.into_vec()));
        }
        plan.notes.extend(key_note(desired, observed));
        if let Some(step) = desired.rotation.as_ref().and_then(|r| rotation_step(r, observed.rotation.as_ref())) {
            if observed.version_id.is_some() {
                plan.steps.push(step);
            } else {
                let message = "rotation is set up once the secret has a value";
                plan.waits.push(Wait::new(WaitKind::Progressing, "SecretHasNoValue", message));
            }
        }
        plan
    }

    fn plan_delete(_context: &PlanContext<'_>, observed: &Observed) -> ResourcePlan {
        // Pending is all that a deletion comes to before the window is over.
        if observed.deletion_pending {
            return ResourcePlan::in_sync();
        }
        let body = Action::DeleteSecret { recovery_window_days: RECOVERY_WINDOW_DAYS }.body();
        let reason = format!("no longer declared; it can be restored for {RECOVERY_WINDOW_DAYS} days");
        ResourcePlan::step(Step::new("DeleteSecret", Verb::Delete, Risk::Destructive, reason, body))
    }

    fn health(_context: &PlanContext<'_>, _desired: &Desired, observed: &Observed) -> Health {
        if let Some(message) = pending_deletion(observed) {
            return Health::Stalled { reason: "SecretPendingDeletion", message };
        }
        if observed.version_id.is_none() {
            let message = "the secret has no value: a task that needs it cannot start; someone must put one".to_owned();
            return Health::Stalled { reason: "SecretHasNoValue", message };
        }
        Health::Ready
    }

    fn tags(observed: &Observed) -> Option<&Tags> {
        Some(&observed.tags)
    }

    /// TagResource refuses a secret whose deletion is pending.
    fn taggable(observed: &Observed) -> bool {
        !observed.deletion_pending
    }

    fn tag_step_body(_observed: &Observed, set: &Tags) -> Value {
        Action::TagResource { tags: set.clone() }.body()
    }

    fn output(observed: &Observed, name: &str) -> Option<Output> {
        match name {
            "arn" => Some(Value::from(observed.arn.as_str())),
            "versionId" => observed.version_id.as_deref().map(Value::from),
            "changedMs" => observed.changed_at.map(|at| Value::from(at.as_millisecond())),
            "hasValue" => Some(Value::from(observed.version_id.is_some())),
            _ => None,
        }
    }
}
