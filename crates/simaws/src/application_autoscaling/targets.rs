//! Scalable targets.
use std::collections::BTreeMap;

use super::{DIMENSION, State, Suspended, Target, bad_token, invalid, no_target, page_size, parts, policies, tracking};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc, ecs};

fn overlay(old: Suspended, given: &Doc) -> Suspended {
    Suspended {
        scale_in: given.flag("DynamicScalingInSuspended").unwrap_or(old.scale_in),
        scale_out: given.flag("DynamicScalingOutSuspended").unwrap_or(old.scale_out),
        scheduled: given.flag("ScheduledScalingSuspended").unwrap_or(old.scheduled),
    }
}

/// The range of a target after this call.
fn range(old: Option<&Target>, input: &Doc) -> Result<(i64, i64), AwsError> {
    let min = input.int("MinCapacity").or(old.map(|t| t.min));
    let max = input.int("MaxCapacity").or(old.map(|t| t.max));
    let (Some(min), Some(max)) = (min, max) else {
        return Err(invalid("MinCapacity and MaxCapacity must be specified when registering a new scalable target"));
    };
    if min < 0 {
        return Err(invalid("Minimum capacity cannot be less than 0"));
    }
    if max < min {
        return Err(invalid("Maximum capacity cannot be less than minimum capacity"));
    }
    Ok((min, max))
}

/// API Reference, RegisterScalableTarget: registers, or changes what is given. The count is moved into the range at once,
/// unless scaling in that direction is suspended.
pub(super) fn register(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let resource = input.need("ResourceId").to_owned();
    let Some((cluster, service)) = parts(&resource) else {
        return Err(invalid(&format!(
            "Unsupported service namespace, resource type or scalable dimension: {resource}"
        )));
    };
    let Some((_, desired)) = ecs::counts(ctx, cluster, service) else {
        return Err(invalid(&format!("ECS service doesn't exist: {resource}")));
    };
    let old = ctx.state::<State>().targets.get(&resource).cloned();
    let (min, max) = range(old.as_ref(), input)?;
    let tags = input.text_map("Tags");
    if old.is_some() && !tags.is_empty() {
        return Err(invalid(
            "Tags can only be specified when registering a new scalable target. Use TagResource instead.",
        ));
    }
    let now = ctx.now();
    let suspended = overlay(old.as_ref().map(|t| t.suspended).unwrap_or_default(), input.at("SuspendedState"));
    let target = match old {
        Some(old) => Target { min, max, suspended, ..old },
        None => {
            let id = format!("0ec5{}", ctx.rng().hex(32));
            let arn = ctx.arn("application-autoscaling", &format!("scalable-target/{id}"));
            ctx.tags().register(&arn, tags, now);
            ctx.state::<State>().arns.insert(arn.clone(), resource.clone());
            let account = ctx.account();
            let role = format!(
                "arn:aws:iam::{account}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/\
                 AWSServiceRoleForApplicationAutoScaling_ECSService"
            );
            Target { arn, min, max, role, created: now, suspended, scaled_out: None, scaled_in: None }
        }
    };
    let arn = target.arn.clone();
    ctx.state::<State>().targets.insert(resource.clone(), target);
    let wanted = desired.clamp(min, max);
    let held = if wanted > desired { suspended.scale_out } else { suspended.scale_in };
    if wanted != desired && !held {
        ecs::set_desired(ctx, cluster, service, wanted);
    }
    tracking::wake(ctx, cluster, service);
    Ok(doc! { "ScalableTargetARN" => arn })
}

fn show(resource: &str, target: &Target) -> Doc {
    doc! {
        "ServiceNamespace" => "ecs",
        "ResourceId" => resource,
        "ScalableDimension" => DIMENSION,
        "MinCapacity" => target.min,
        "MaxCapacity" => target.max,
        "RoleARN" => &target.role,
        "CreationTime" => target.created,
        "SuspendedState" => doc! {
            "DynamicScalingInSuspended" => target.suspended.scale_in,
            "DynamicScalingOutSuspended" => target.suspended.scale_out,
            "ScheduledScalingSuspended" => target.suspended.scheduled,
        },
        "ScalableTargetARN" => &target.arn,
    }
}

/// API Reference, DescribeScalableTargets: 50 a page; up to 50 resource ids, of which unknown ones are left out; a
/// dimension needs resource ids.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let asked = input.texts("ResourceIds");
    if asked.len() > 50 {
        return Err(invalid("The maximum number of resource IDs is 50"));
    }
    if input.has("ScalableDimension") && asked.is_empty() {
        return Err(invalid("A resource ID must be specified with the scalable dimension"));
    }
    let size = page_size(input, 50)?;
    let pager = Pager::new(ctx, "DescribeScalableTargets", input.text("NextToken"), size).map_err(|_| bad_token())?;
    let state = ctx.state::<State>();
    let row = |(id, target): (&String, &Target)| (id.clone(), show(id, target));
    let (page, token) = if asked.is_empty() {
        pager.take(state.targets.range::<str, _>(pager.range()).map(row))
    } else {
        let found: BTreeMap<&String, &Target> = asked.iter().filter_map(|id| state.targets.get_key_value(id)).collect();
        let rest = found.into_iter().filter(|(id, _)| pager.after().is_none_or(|after| id.as_str() > after));
        pager.take(rest.map(row))
    };
    Ok(doc! { "ScalableTargets" => page, "NextToken" => token })
}

/// API Reference, DeregisterScalableTarget: deletes the target's policies too; the count stays as it is.
pub(super) fn deregister(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (resource, now) = (input.need("ResourceId"), ctx.now());
    let state = ctx.state::<State>();
    let target = state.targets.remove(resource).ok_or_else(|| no_target(resource))?;
    state.arns.remove(&target.arn);
    state.agenda.cancel(&resource.to_owned());
    policies::delete_all(ctx, resource);
    ctx.tags().forget(&target.arn, now);
    Ok(Doc::empty())
}
