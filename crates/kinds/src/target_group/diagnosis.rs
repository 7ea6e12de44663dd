//! Why targets get no traffic, from what ELB says of each. Pure.
//!
//! The reasons: ELB API Reference, TargetHealth.

use std::collections::BTreeMap;

use model::{Finding, Severity};

use super::Observed;

/// A registered target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    /// `id:port`.
    pub(super) target: String,
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unused`, …
    pub(super) state: String,
    /// ELB's reason code.
    pub(super) reason: String,
    /// ELB's words.
    pub(super) description: String,
}

/// Shown of each sort.
const EXAMPLES: usize = 3;

/// What the targets of a group show.
pub(super) fn findings(observed: &Observed, members: &[Member]) -> Vec<Finding> {
    let staying: Vec<&Member> = members.iter().filter(|member| member.state != "draining").collect();
    if staying.is_empty() {
        let message = "no target is registered: no task of the service runs, or none was registered";
        return vec![Finding::new(Severity::Warning, "NoTargets", message)];
    }
    let healthy = staying.iter().filter(|member| member.state == "healthy").count();
    let mut sorts: BTreeMap<(&str, &str), Vec<&Member>> = BTreeMap::new();
    for member in staying.iter().filter(|member| member.state != "healthy") {
        sorts.entry((&member.state, &member.reason)).or_default().push(member);
    }
    let finding = |((state, reason), of): ((&str, &str), Vec<&Member>)| {
        let (severity, name) = match state {
            "unhealthy" if healthy == 0 => (Severity::Error, "TargetsUnhealthy"),
            "unhealthy" => (Severity::Warning, "TargetsUnhealthy"),
            "unused" => (Severity::Warning, "TargetsUnused"),
            "initial" => (Severity::Info, "TargetsRegistering"),
            _ => (Severity::Warning, "TargetsUnavailable"),
        };
        let message = format!("{} of {} targets: {state}; {healthy} healthy", of.len(), staying.len());
        let mut finding = Finding::new(severity, name, message);
        finding.remedy = remedy(observed, reason);
        of.iter().take(EXAMPLES).fold(finding, |finding, member| {
            let said = format!("{} is {}: {} {}", member.target, member.state, member.reason, member.description);
            finding.shown_by("elasticloadbalancing:DescribeTargetHealth", said.trim_end(), None)
        })
    };
    sorts.into_iter().map(finding).collect()
}

fn remedy(observed: &Observed, reason: &str) -> Option<String> {
    let check = &observed.health_check;
    let path = check.path.as_deref().unwrap_or("/");
    Some(match reason {
        "Target.ResponseCodeMismatch" => format!(
            "the application answers {path} with another code than {}: see that path, and the application's log",
            check.matcher.as_deref().unwrap_or("200")
        ),
        "Target.Timeout" => format!(
            "no answer to {path} within {} s: see that the tasks' security group lets the load balancer's in on the port, and \
             that the application listens on it",
            check.timeout_s.unwrap_or(5)
        ),
        "Target.FailedHealthChecks" => {
            format!("the connection for {path} fails: see that the application listens on the port of the group")
        }
        "Target.NotInUse" => "no listener forwards to the group: see the listeners of the load balancer".to_owned(),
        _ => return None,
    })
}
