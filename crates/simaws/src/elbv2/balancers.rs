//! Load balancers. Must not look into listeners beyond deleting them with their load balancer.
use super::{LoadBalancer, State, invalid, no_balancer};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc};

/// The subnets of `Subnets` or `SubnetMappings`. An application load balancer has two or more, in different zones
/// (API Reference, CreateLoadBalancer).
fn subnets(input: &Doc) -> Result<Vec<String>, AwsError> {
    let mapped = input.list("SubnetMappings").iter().filter_map(|m| m.owned("SubnetId"));
    let named = input.texts("Subnets");
    if input.has("Subnets") && input.has("SubnetMappings") {
        return Err(invalid("You can specify either subnets or subnet mappings, not both"));
    }
    let mut all: Vec<String> = named.into_iter().chain(mapped).collect();
    all.sort();
    all.dedup();
    if all.len() < 2 {
        return Err(invalid("At least two subnets in two different Availability Zones must be specified"));
    }
    if let Some(bad) = all.iter().find(|s| !s.starts_with("subnet-")) {
        return Err(AwsError::new("SubnetNotFound", format!("The subnet ID '{bad}' is not valid")));
    }
    Ok(all)
}

/// Zones in the order of the subnets' ids: simaws has no subnets to ask.
fn zones(region: &str, subnets: &[String]) -> Doc {
    let letters = ["a", "b", "c", "d", "e", "f"];
    let zone = |n: usize| format!("{region}{}", letters[n % letters.len()]);
    subnets.iter().enumerate().map(|(n, s)| doc! { "ZoneName" => zone(n), "SubnetId" => s }).collect()
}

fn show(ctx: &Ctx<'_>, arn: &str, balancer: &LoadBalancer) -> Doc {
    let id = arn.rsplit('/').next().unwrap_or("");
    let host = if balancer.scheme == "internal" { "internal-" } else { "" };
    let state = if ctx.now() >= balancer.active_at { "active" } else { "provisioning" };
    doc! {
        "LoadBalancerArn" => arn,
        "DNSName" => format!("{host}{}-{}.{}.elb.amazonaws.com", balancer.name, &id[..id.len().min(10)], ctx.region()),
        "CanonicalHostedZoneId" => "Z35SXDOTRQ7X7K",
        "CreatedTime" => balancer.created,
        "LoadBalancerName" => &balancer.name,
        "Scheme" => &balancer.scheme,
        "VpcId" => "vpc-51a305",
        "State" => doc! { "Code" => state },
        "Type" => "application",
        "AvailabilityZones" => zones(ctx.region(), &balancer.subnets),
        "SecurityGroups" => &balancer.security_groups,
        "IpAddressType" => &balancer.ip_address_type,
    }
}

/// API Reference, CreateLoadBalancer: idempotent for the same settings.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("Name").to_owned();
    if name.starts_with("internal-") {
        return Err(invalid("The load balancer name cannot begin with 'internal-'"));
    }
    let tags = super::tagging::read(input)?;
    let now = ctx.now();
    let balancer = LoadBalancer {
        name: name.clone(),
        scheme: input.text("Scheme").unwrap_or("internet-facing").to_owned(),
        ip_address_type: input.text("IpAddressType").unwrap_or("ipv4").to_owned(),
        subnets: subnets(input)?,
        security_groups: input.texts("SecurityGroups"),
        created: now,
        active_at: now + ctx.timings().load_balancer_create,
        attributes: std::collections::BTreeMap::new(),
    };
    let state = ctx.state::<State>();
    if let Some(arn) = state.balancer_names.get(&name).cloned() {
        let there = state.balancers.get(&arn).cloned().ok_or_else(no_balancer)?;
        let same = there.scheme == balancer.scheme
            && there.subnets == balancer.subnets
            && (!input.has("SecurityGroups") || there.security_groups == balancer.security_groups)
            && there.ip_address_type == balancer.ip_address_type;
        if !same {
            let message = format!("A load balancer with the same name '{name}' exists, but with different settings");
            return Err(AwsError::new("DuplicateLoadBalancerName", message));
        }
        return Ok(doc! { "LoadBalancers" => vec![show(ctx, &arn, &there)] });
    }
    let id = ctx.rng().hex(16);
    let arn = ctx.arn("elasticloadbalancing", &format!("loadbalancer/app/{name}/{id}"));
    let shown = show(ctx, &arn, &balancer);
    let state = ctx.state::<State>();
    state.balancer_names.insert(name, arn.clone());
    state.balancers.insert(arn.clone(), balancer);
    ctx.tags().register(&arn, tags, now);
    Ok(doc! { "LoadBalancers" => vec![shown] })
}

/// API Reference, DescribeLoadBalancers: 400 a page, or up to 20 by ARN, or by name; one that is missing fails all.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arns, names) = (input.texts("LoadBalancerArns"), input.texts("Names"));
    if !arns.is_empty() && !names.is_empty() {
        return Err(invalid("Load balancer ARNs and names cannot be specified at the same time"));
    }
    if arns.len() > 20 || names.len() > 20 {
        return Err(invalid("Up to 20 load balancers can be described in a single call"));
    }
    let pager = Pager::new(ctx, "DescribeLoadBalancers", input.text("Marker"), page_size(input))
        .map_err(|_| invalid("The marker is not valid"))?;
    ctx.state::<State>();
    let Some(state) = ctx.peek::<State>() else { return Ok(doc! {}) };
    if arns.is_empty() && names.is_empty() {
        let all = state.balancers.range::<str, _>(pager.range()).map(|(arn, b)| (arn, show(ctx, arn, b)));
        let (page, token) = pager.take(all);
        return Ok(doc! { "LoadBalancers" => page, "NextMarker" => token });
    }
    let by_name = names.iter().map(|n| state.balancer_names.get(n).cloned().ok_or_else(no_balancer));
    let wanted: Vec<String> = arns.into_iter().map(Ok).chain(by_name).collect::<Result<_, _>>()?;
    let found = wanted.iter().map(|arn| Ok(show(ctx, arn, state.balancers.get(arn).ok_or_else(no_balancer)?)));
    Ok(doc! { "LoadBalancers" => found.collect::<Result<Vec<_>, AwsError>>()? })
}

pub(super) fn page_size(input: &Doc) -> usize {
    usize::try_from(input.int("PageSize").unwrap_or(400)).unwrap_or(400)
}

/// API Reference, DeleteLoadBalancer: succeeds when there is none; deletes its listeners.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = input.need("LoadBalancerArn");
    let now = ctx.now();
    let state = ctx.state::<State>();
    let Some(balancer) = state.balancers.get(arn) else { return Ok(Doc::empty()) };
    if balancer.attributes.get("deletion_protection.enabled").is_some_and(|v| v == "true") {
        let message = format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        return Err(AwsError::new("OperationNotPermitted", message));
    }
    let name = balancer.name.clone();
    let listeners: Vec<String> = state.listeners_of(arn).map(|(l, _)| l.clone()).collect();
    for listener in &listeners {
        state.remove_listener(listener);
    }
    state.balancers.remove(arn);
    state.balancer_names.remove(&name);
    for gone in listeners.iter().map(String::as_str).chain([arn]) {
        ctx.tags().forget(gone, now);
    }
    Ok(Doc::empty())
}

fn get<'a>(ctx: &'a mut Ctx<'_>, input: &Doc) -> Result<&'a mut LoadBalancer, AwsError> {
    ctx.state::<State>().balancers.get_mut(input.need("LoadBalancerArn")).ok_or_else(no_balancer)
}

/// API Reference, SetSecurityGroups: replaces all of them.
pub(super) fn set_security_groups(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let groups = input.texts("SecurityGroups");
    let balancer = get(ctx, input)?;
    balancer.security_groups.clone_from(&groups);
    Ok(doc! { "SecurityGroupIds" => groups })
}

/// API Reference, SetSubnets: replaces all of them.
pub(super) fn set_subnets(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let subnets = subnets(input)?;
    let balancer = get(ctx, input)?;
    balancer.subnets.clone_from(&subnets);
    if let Some(kind) = input.owned("IpAddressType") {
        balancer.ip_address_type = kind;
    }
    let kind = balancer.ip_address_type.clone();
    Ok(doc! { "AvailabilityZones" => zones(ctx.region(), &subnets), "IpAddressType" => kind })
}

/// API Reference, SetIpAddressType.
pub(super) fn set_ip_address_type(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let kind = input.need("IpAddressType").to_owned();
    get(ctx, input)?.ip_address_type.clone_from(&kind);
    Ok(doc! { "IpAddressType" => kind })
}

/// API Reference, DescribeCapacityReservation: nobody reserves any here.
pub(super) fn describe_capacity_reservation(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    get(ctx, input)?;
    Ok(doc! { "DecreaseRequestsRemaining" => 2, "CapacityReservationState" => Doc::List(Vec::new()) })
}
