//! The resources that are served: the one table from which discovery and OpenAPI are made.

use crate::objects::Kind;

/// A resource.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) verbs: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) subresources: &'static [Subresource],
    /// For people.
    pub(crate) what: &'static str,
}

/// A path below an object.
#[derive(Debug)]
pub(crate) struct Subresource {
    pub(crate) name: &'static str,
    /// The kind that it takes and answers.
    pub(crate) kind: &'static str,
    pub(crate) verbs: &'static [&'static str],
    /// For people.
    pub(crate) what: &'static str,
}

const fn sub(
    name: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
    what: &'static str,
) -> Subresource {
    Subresource { name, kind, verbs, what }
}

/// All of them.
pub(crate) const ALL: &[Resource] = &[
    Resource {
        kind: Kind::Environment,
        plural: "environments",
        singular: "environment",
        short: &["env"],
        verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        namespaced: false,
        subresources: &[
            sub("status", "Environment", &["get"], "The status alone; only the daemon writes it."),
            sub(
                "plan",
                "Plan",
                &["create", "get"],
                "What the next pass would do; with a patch or a spec, what it would do then. Changes nothing.",
            ),
            sub("diagnosis", "Diagnosis", &["get"], "What is wrong and what shows it, looked at now. Changes nothing."),
            sub("reconcile", "Reconcile", &["create"], "Look and converge now; answers with a token."),
            sub("pause", "Pause", &["create"], "Stop changing AWS; still observe and report."),
            sub("resume", "Resume", &["create"], "End a pause."),
            sub("approve", "Approval", &["create"], "Let the gated steps of a plan through."),
            sub("rollback", "Rollback", &["create"], "Make an earlier revision the spec, as a new revision."),
        ],
        what: "Desired state of one EventChain environment, and its status.",
    },
    Resource {
        kind: Kind::Change,
        plural: "changes",
        singular: "change",
        short: &["chg"],
        verbs: &["create", "delete", "get", "list", "watch"],
        namespaced: false,
        subresources: &[
            sub(
                "approve",
                "Decision",
                &["create"],
                "Approve its plan; by somebody else than its author, where policy says so.",
            ),
            sub("reject", "Decision", &["create"], "Say no: it ends."),
        ],
        what: "A governed desired-state change: patch, author, message, plan, approvals, outcome.",
    },
    Resource {
        kind: Kind::Revision,
        plural: "revisions",
        singular: "revision",
        short: &["rev"],
        verbs: &["get", "list", "watch"],
        namespaced: false,
        subresources: &[],
        what: "A spec that was accepted: author, time, message, diff to the one before.",
    },
    Resource {
        kind: Kind::ManagedResource,
        plural: "managedresources",
        singular: "managedresource",
        short: &["mr"],
        verbs: &["get", "list", "watch"],
        namespaced: false,
        subresources: &[],
        what: "One AWS object: identity, desired, observed, field diff, risk, conditions, age.",
    },
    Resource {
        kind: Kind::Operator,
        plural: "operators",
        singular: "operator",
        short: &[],
        verbs: &["get", "list", "patch", "watch"],
        namespaced: false,
        subresources: &[],
        what: "The whole installation: mode (the red button), blast-radius cap, who works on which account.",
    },
    Resource {
        kind: Kind::AuditEntry,
        plural: "auditentries",
        singular: "auditentry",
        short: &["audit"],
        verbs: &["get", "list", "watch"],
        namespaced: false,
        subresources: &[],
        what: "Who wrote what, from where, the diff, and the AWS calls that followed; one link of a chain of hashes.",
    },
    Resource {
        kind: Kind::Event,
        plural: "events",
        singular: "event",
        short: &["ev"],
        verbs: &["get", "list", "watch"],
        namespaced: true,
        subresources: &[],
        what: "What happened, deduplicated with a count.",
    },
    Resource {
        kind: Kind::Namespace,
        plural: "namespaces",
        singular: "namespace",
        short: &["ns"],
        verbs: &["get", "list", "watch"],
        namespaced: false,
        subresources: &[],
        what: "The one that events are in; it means nothing.",
    },
];

/// A question that everybody who is known may ask about himself: it is created, answered, and kept nowhere.
#[derive(Debug)]
pub(crate) struct Review {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
}

/// All of them.
pub(crate) const REVIEWS: [Review; 3] = [
    Review {
        group: AUTHENTICATION,
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
    },
    Review {
        group: AUTHORIZATION,
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
    },
    Review {
        group: AUTHORIZATION,
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
    },
];

/// Kubernetes' group of reviews of who one is.
pub(crate) const AUTHENTICATION: &str = "authentication.k8s.io";
/// Kubernetes' group of reviews of what one may do.
pub(crate) const AUTHORIZATION: &str = "authorization.k8s.io";

impl Review {
    /// Where it is asked.
    pub(crate) fn path(&self) -> String {
        format!("/apis/{}/v1/{}", self.group, self.plural)
    }
}

/// The reviews of a group.
pub(crate) fn reviews(group: &str) -> impl Iterator<Item = &'static Review> {
    REVIEWS.iter().filter(move |review| review.group == group)
}

/// Those of a group and version.
pub(crate) fn of(group_version: &str) -> impl Iterator<Item = &'static Resource> {
    ALL.iter().filter(move |resource| resource.kind.api_version() == group_version)
}
