//! Members of target groups. Health follows from the time of registration, and from what a hand said that the application
//! answers: there is no traffic and no check.
use jiff::Timestamp;

use super::{State, Target, no_group};
use crate::{AwsError, Ctx, Doc, Outcome, doc};

/// API Reference, RegisterTargets. A target without a port gets the group's.
pub(super) fn register(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now, timings) = (input.need("TargetGroupArn"), ctx.now(), ctx.timings().clone());
    let state = ctx.state::<State>();
    let group = state.group(arn).ok_or_else(no_group)?;
    let (port, by_ip) = (group.port, group.target_type == "ip");
    for target in input.list("Targets") {
        let id = target.need("Id");
        if by_ip != id.parse::<std::net::IpAddr>().is_ok() {
            let message = format!("The target '{id}' does not fit the target type of the target group");
            return Err(AwsError::new("InvalidTarget", message));
        }
    }
    for target in input.list("Targets") {
        let (id, port) = (target.need("Id"), target.int("Port").unwrap_or(port));
        state.register(arn, id, port, now, &timings);
        let entry = state.groups.get_mut(arn).and_then(|g| g.targets.get_mut(&(id.to_owned(), port)));
        if let (Some(entry), Some(zone)) = (entry, target.owned("AvailabilityZone")) {
            entry.zone = Some(zone);
        }
    }
    Ok(Doc::empty())
}

/// API Reference, DeregisterTargets. Without a port: the target on every port.
pub(super) fn deregister(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now, timings) = (input.need("TargetGroupArn"), ctx.now(), ctx.timings().clone());
    let state = ctx.state::<State>();
    let group = state.group(arn).ok_or_else(no_group)?;
    let leaving: Vec<(String, i64)> = input
        .list("Targets")
        .iter()
        .flat_map(|t| {
            let keys = group
                .targets
                .keys()
                .filter(|(id, port)| id == t.need("Id") && t.int("Port").is_none_or(|wanted| wanted == *port));
            keys.cloned().collect::<Vec<_>>()
        })
        .collect();
    for (id, port) in leaving {
        state.deregister(arn, &id, port, now, &timings);
    }
    Ok(Doc::empty())
}

/// State, reason, description (API Reference, TargetHealth).
fn health(
    target: &Target,
    attached: bool,
    answers: Option<u16>,
    now: Timestamp,
) -> (&'static str, Option<&'static str>, Option<String>) {
    if target.gone_at.is_some() {
        let text = "Target deregistration is in progress";
        ("draining", Some("Target.DeregistrationInProgress"), Some(text.to_owned()))
    } else if !attached {
        let text = "Target group is not configured to receive traffic from the load balancer";
        ("unused", Some("Target.NotInUse"), Some(text.to_owned()))
    } else if now < target.healthy_at {
        ("initial", Some("Elb.RegistrationInProgress"), Some("Target registration is in progress".to_owned()))
    } else if let Some(code) = answers {
        let text = format!("Health checks failed with these codes: [{code}]");
        ("unhealthy", Some("Target.ResponseCodeMismatch"), Some(text))
    } else {
        ("healthy", None, None)
    }
}

/// API Reference, DescribeTargetHealth. Targets asked for that are not registered are `unused`.
pub(super) fn describe_health(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now) = (input.need("TargetGroupArn"), ctx.now());
    let state = ctx.state::<State>();
    let attached = state.attached(arn);
    let group = state.groups.get_mut(arn).ok_or_else(no_group)?;
    let answers = group.answers;
    group.targets.retain(|_, t| t.gone_at.is_none_or(|at| at > now));
    let row =
        |id: &str, port: i64, zone: Option<&String>, (state, reason, text): (&str, Option<&str>, Option<String>)| {
            doc! {
                "Target" => doc! { "Id" => id, "Port" => port, "AvailabilityZone" => zone },
                "HealthCheckPort" => port.to_string(),
                "TargetHealth" => doc! { "State" => state, "Reason" => reason, "Description" => text },
            }
        };
    let asked = input.list("Targets");
    if asked.is_empty() {
        let rows = group
            .targets
            .iter()
            .map(|((id, port), t)| row(id, *port, t.zone.as_ref(), health(t, attached, answers, now)));
        return Ok(doc! { "TargetHealthDescriptions" => rows.collect::<Doc>() });
    }
    let rows = asked.iter().map(|t| {
        let (id, port) = (t.need("Id"), t.int("Port").unwrap_or(group.port));
        match group.targets.get(&(id.to_owned(), port)) {
            Some(there) => row(id, port, there.zone.as_ref(), health(there, attached, answers, now)),
            None => {
                let text = "Target is not registered to the target group";
                row(id, port, None, ("unused", Some("Target.NotRegistered"), Some(text.to_owned())))
            }
        }
    });
    Ok(doc! { "TargetHealthDescriptions" => rows.collect::<Doc>() })
}
