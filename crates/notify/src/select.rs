//! Which receivers want an event. Pure.

use std::collections::{BTreeMap, BTreeSet};

use store::{EventRow, LabelRequirement};

use crate::config::Receiver;
use crate::topics::{Class, RECEIVER, Severity, topic};

/// What a receiver wants to be told.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Events of these classes.
    pub classes: BTreeSet<Class>,
    /// Events for these reasons, whatever their class.
    pub reasons: BTreeSet<String>,
    /// Only of environments with such labels; empty: of all, and of the installation itself.
    pub labels: Vec<LabelRequirement>,
    /// Nothing below; none: everything.
    pub least: Option<Severity>,
}

/// Labels of environments, by name.
pub(crate) type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// Those of the receivers that want an event.
pub(crate) fn wanted<'a>(
    receivers: &'a [Receiver],
    event: &'a EventRow,
    labels: &'a Labels,
) -> impl Iterator<Item = &'a Receiver> {
    let (class, severity) = topic(event);
    receivers.iter().filter(move |receiver| {
        let wants = &receiver.wants;
        // Nobody is told of his own silence.
        let about_itself = event.regarding_kind == RECEIVER && event.regarding_identity == receiver.name;
        let chosen = wants.classes.contains(&class) || wants.reasons.contains(&event.reason);
        chosen && !about_itself && wants.least.is_none_or(|least| severity >= least) && wants.covers(event, labels)
    })
}

impl Wants {
    fn covers(&self, event: &EventRow, labels: &Labels) -> bool {
        // What is about no environment, or about one that is gone, has no labels to be chosen by.
        self.labels.is_empty()
            || labels.get(&event.environment).is_some_and(|labels| self.labels.iter().all(|one| holds(one, labels)))
    }
}

fn holds(requirement: &LabelRequirement, labels: &BTreeMap<String, String>) -> bool {
    match requirement {
        LabelRequirement::In { key, values } => labels.get(key).is_some_and(|value| values.contains(value)),
        LabelRequirement::NotIn { key, values } => labels.get(key).is_none_or(|value| !values.contains(value)),
        LabelRequirement::Exists { key } => labels.contains_key(key),
        LabelRequirement::DoesNotExist { key } => !labels.contains_key(key),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::tests::event;
    use crate::{Target, Wants};

    fn receiver(wants: Wants) -> Receiver {
        let target = Target::Sns { topic_arn: String::new() };
        Receiver { name: "ops".to_owned(), wants, repeat_after: std::time::Duration::ZERO, target }
    }

    fn is_wanted(wants: Wants, event: &EventRow) -> bool {
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        wanted(&[receiver(wants)], event, &BTreeMap::from([("prod".to_owned(), labels)])).count() == 1
    }

    #[test]
    fn events_are_chosen_by_class_or_reason_severity_and_labels() {
        let drift = event("DriftDetected", "Warning", json!({}));
        let classes = |class| Wants { classes: BTreeSet::from([class]), ..Wants::default() };
        assert!(is_wanted(classes(Class::Drift), &drift));
        assert!(!is_wanted(classes(Class::Backup), &drift));
        assert!(is_wanted(Wants { reasons: BTreeSet::from(["DriftDetected".to_owned()]), ..Wants::default() }, &drift));
        assert!(!is_wanted(Wants::default(), &drift));
        assert!(!is_wanted(Wants { least: Some(Severity::Critical), ..classes(Class::Drift) }, &drift));
        let gold = vec![LabelRequirement::equals("tier", "gold")];
        assert!(is_wanted(Wants { labels: gold.clone(), ..classes(Class::Drift) }, &drift));
        let of_nobody = EventRow { environment: String::new(), ..drift.clone() };
        assert!(!is_wanted(Wants { labels: gold, ..classes(Class::Drift) }, &of_nobody));
        assert!(is_wanted(classes(Class::Drift), &of_nobody));
    }

    #[test]
    fn a_stall_is_known_by_its_condition_and_a_change_by_its_name() {
        let stalled = event("TasksFailToStart", "Warning", json!({ "condition": "Stalled" }));
        assert_eq!(topic(&stalled), (Class::Stalled, Severity::Critical));
        let denied = event("StepFailed", "Warning", json!({ "error": { "class": "Denied" } }));
        assert_eq!(topic(&denied), (Class::Stalled, Severity::Critical));
        let conflict = event("StepFailed", "Warning", json!({ "error": { "class": "Conflict" } }));
        assert_eq!(topic(&conflict), (Class::Failures, Severity::Warning));
        let held = event("Blocked", "Warning", json!({ "condition": "Blocked", "reason": "ApprovalRequired" }));
        assert_eq!(topic(&held), (Class::Blocked, Severity::Warning));
        assert_eq!(topic(&event("ChangeExpired", "Warning", json!({}))), (Class::Changes, Severity::Warning));
        assert_eq!(topic(&event("ChangeApplied", "Normal", json!({}))), (Class::Changes, Severity::Info));
        assert_eq!(topic(&event("SomethingNew", "Warning", json!({}))), (Class::Other, Severity::Warning));
    }

    #[test]
    fn nobody_is_told_of_his_own_silence() {
        let mut silent = event("NotificationFailing", "Warning", json!({}));
        silent.regarding_kind = RECEIVER.to_owned();
        silent.regarding_identity = "ops".to_owned();
        let wants = Wants { classes: BTreeSet::from([Class::Notifications]), ..Wants::default() };
        assert!(!is_wanted(wants.clone(), &silent));
        silent.regarding_identity = "another".to_owned();
        assert!(is_wanted(wants, &silent));
    }
}
