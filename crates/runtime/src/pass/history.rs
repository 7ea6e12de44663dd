//! What the journal says about one object: whether the same write keeps being without effect, and whether the object
//! was written to too often. Pure.

use std::time::Duration;

use engine::guard::{StepFacts, fingerprint};
use jiff::{SignedDuration, Timestamp};
use model::plan::Verb;
use model::{Class, ResourceKey, Step};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{JournalRow, MutationOutcome};

/// The same write without effect so often is not tried again by itself.
pub(super) const MOST_WITHOUT_EFFECT: usize = 3;

/// What makes two writes the same, whatever the generation.
pub(super) fn print(key: &ResourceKey, step: &Step) -> String {
    fingerprint(0, key, step)
}

/// What the journal keeps of a step. The body is the kind's instruction and holds no private value. `approvable` is what
/// an approval names it by: once it had its effect it is used up in every approval made before (`store::valid_approvals`).
pub(super) fn journalled(step: &Step, print: &str, approvable: &str) -> Value {
    json!({
        "print": print,
        "approvable": approvable,
        "verb": step.verb,
        "changes": step.changes,
        "reason": step.reason,
        "adopts": step.adopts,
        "body": step.body,
    })
}

/// The print of a journalled step.
pub(super) fn print_of(row: &JournalRow) -> &str {
    row.body.get("print").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a journalled step took over an object.
pub(super) fn adopts(row: &JournalRow) -> bool {
    row.body.get("adopts").and_then(Value::as_bool).unwrap_or_default()
}

/// Whether a journalled step made its object.
pub(super) fn creates(row: &JournalRow) -> bool {
    row.body.get("verb").is_some_and(|verb| *verb == json!(Verb::Create))
}

/// Until when the effect of a journalled write may still show, if it was not seen: it was applied, or nobody knows, or a look
/// right after a lost answer did not see it.
pub(super) fn to_await(row: &JournalRow, effect_poll: Duration, now: Timestamp) -> Option<Timestamp> {
    let unsure = match row.outcome {
        Some(MutationOutcome::Applied) => row.effective != Some(true),
        Some(MutationOutcome::NotApplied) => row.error_class.as_deref() == Some(<&str>::from(Class::Transient)),
        Some(MutationOutcome::Unknown) | None => true,
    };
    let until = row.begun_at.checked_add(SignedDuration::try_from(effect_poll).ok()?).ok()?;
    (unsure && until > now).then_some(until)
}

/// The idempotency token of a write: the same when the same write is tried again after an attempt of which nothing is
/// known to have been applied, another once something has been.
pub(super) fn token(uid: uuid::Uuid, print: &str, history: &[JournalRow]) -> String {
    let last_applied = history.iter().find(|row| row.outcome == Some(MutationOutcome::Applied)).map_or(0, |row| row.id);
    let digest = Sha256::digest(format!("{uid}/{print}/{last_applied}"));
    // ECS takes 36 characters at most, Secrets Manager 32 at least (ECS API Reference, CreateService, clientToken;
    // Secrets Manager API Reference, CreateSecret, ClientRequestToken).
    hex::encode(digest)[..32].to_owned()
}

/// How many writes one object may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) writes: u32,
    pub(super) window: Duration,
}

impl Budget {
    /// How many journal rows must be looked at.
    pub(super) fn rows(self) -> u32 {
        self.writes.max(MOST_WITHOUT_EFFECT as u32) + 2
    }
}

/// What holds for a step by the object's history, newest first.
pub(super) fn facts(
    history: &[JournalRow],
    (print, step): (&str, &Step),
    generation: i64,
    budget: Budget,
    now: Timestamp,
) -> StepFacts {
    let applied = || history.iter().filter(|row| row.outcome != Some(MutationOutcome::NotApplied));
    let without_effect = applied()
        .take_while(|row| print_of(row) == print && row.effective == Some(false) && row.generation == generation)
        .count();
    let window = SignedDuration::try_from(budget.window).unwrap_or(SignedDuration::ZERO);
    let since = now.saturating_sub(window).unwrap_or(Timestamp::MIN);
    let mut recent: Vec<Timestamp> = applied().map(|row| row.begun_at).filter(|begun| *begun > since).collect();
    // The order of intents need not be that of the clocks of those who wrote them.
    recent.sort_unstable_by(|a, b| b.cmp(a));
    let budget_until =
        recent.get((budget.writes as usize).saturating_sub(1)).and_then(|oldest| oldest.checked_add(window).ok());
    StepFacts {
        adopted_now: false,
        non_converging: (without_effect >= MOST_WITHOUT_EFFECT).then(|| fields(step)),
        budget_until,
    }
}

fn fields(step: &Step) -> String {
    let fields: Vec<&str> = step.changes.iter().map(|change| change.field.as_str()).collect();
    if fields.is_empty() { "the object".to_owned() } else { fields.join(", ") }
}

#[cfg(test)]
mod tests {
    use model::{AwsAccountId, FieldChange, KindName, Region, Risk};
    use uuid::Uuid;

    use super::*;

    const BUDGET: Budget = Budget { writes: 4, window: Duration::from_secs(600) };

    fn key() -> ResourceKey {
        ResourceKey {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            kind: KindName::of("Thing"),
            identity: "one".into(),
        }
    }

    fn step(to: i64) -> Step {
        Step::new("PutThing", Verb::Update, Risk::Safe, "differs", Value::Null)
            .changing(vec![FieldChange::new("size", 1, to)])
    }

    fn row(id: i64, step: &Step, second: i64, effective: Option<bool>) -> JournalRow {
        JournalRow {
            id,
            environment_uid: Uuid::nil(),
            environment: "prod".to_owned(),
            generation: 1,
            resource: crate::keys::to_store(&key()),
            step: step.operation.to_string(),
            body: journalled(step, &print(&key(), step), &fingerprint(1, &key(), step)),
            risk: "Safe".to_owned(),
            epoch: 1,
            token: String::new(),
            begun_at: Timestamp::from_second(second).unwrap(),
            resolved_at: None,
            outcome: Some(MutationOutcome::Applied),
            request_id: None,
            error_class: None,
            effective,
        }
    }

    fn judged(history: &[JournalRow], step: &Step, generation: i64) -> StepFacts {
        let now = Timestamp::from_second(1000).unwrap();
        facts(history, (&print(&key(), step), step), generation, BUDGET, now)
    }

    #[test]
    fn the_same_write_three_times_without_effect_names_the_field() {
        let same = step(2);
        let history = |n: i64| (0..n).map(|i| row(9 - i, &same, 0, Some(false))).collect::<Vec<_>>();
        assert_eq!(judged(&history(2), &same, 1).non_converging, None);
        assert_eq!(judged(&history(3), &same, 1).non_converging, Some("size".to_owned()));
    }

    #[test]
    fn another_write_an_effect_or_a_new_generation_ends_the_run() {
        let (same, other) = (step(2), step(3));
        let run = [row(9, &same, 0, Some(false)), row(8, &same, 0, Some(false)), row(7, &same, 0, Some(false))];
        assert_eq!(judged(&run, &other, 1).non_converging, None);
        assert_eq!(judged(&run, &same, 2).non_converging, None);
        let effective = [&run[..2], &[row(7, &same, 0, Some(true))], &run[2..]].concat();
        assert_eq!(judged(&effective, &same, 1).non_converging, None);
    }

    #[test]
    fn a_write_that_was_refused_counts_for_nothing() {
        let same = step(2);
        let refused = JournalRow { outcome: Some(MutationOutcome::NotApplied), ..row(9, &same, 990, None) };
        let mut history = vec![refused.clone(), refused.clone(), refused.clone(), refused];
        assert!(
            judged(&history, &same, 1).budget_until.is_none() && judged(&history, &same, 1).non_converging.is_none()
        );
        history.extend([6, 5, 4].map(|id| row(id, &same, 0, Some(false))));
        assert!(judged(&history, &same, 1).non_converging.is_some(), "nor does it end a run");
    }

    #[test]
    fn the_budget_is_used_up_until_its_oldest_write_leaves_the_window() {
        let at = |second| row(second, &step(second), second, Some(true));
        let full = [at(990), at(980), at(700), at(500)];
        assert_eq!(judged(&full, &step(2), 1).budget_until, Some(Timestamp::from_second(1100).unwrap()));
        let freed = [at(990), at(980), at(700), at(400)];
        assert_eq!(judged(&freed, &step(2), 1).budget_until, None);
    }

    #[test]
    fn a_token_is_the_same_until_something_was_applied() {
        let same = step(2);
        let print = print(&key(), &same);
        let unknown = JournalRow { outcome: None, ..row(5, &same, 0, None) };
        let first = token(Uuid::nil(), &print, &[]);
        assert_eq!(first, token(Uuid::nil(), &print, &[unknown]));
        assert_ne!(first, token(Uuid::nil(), &print, &[row(6, &same, 0, Some(true))]));
        assert_eq!(first.len(), 32);
    }
}
