//! Target groups and their health checks. Members are in `targets`.
use super::balancers::page_size;
use super::state::HealthCheck;
use super::{State, TargetGroup, invalid, no_balancer, no_group};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc};

impl HealthCheck {
    /// API Reference, CreateTargetGroup: the defaults for HTTP and HTTPS.
    fn standard() -> Self {
        Self {
            enabled: true,
            protocol: "HTTP".to_owned(),
            port: "traffic-port".to_owned(),
            path: "/".to_owned(),
            interval: 30,
            timeout: 5,
            healthy: 5,
            unhealthy: 2,
            matcher: "200".to_owned(),
        }
    }

    /// This check with what the input gives.
    fn with(mut self, input: &Doc) -> Result<Self, AwsError> {
        let text = |name: &str, now: String| input.owned(name).unwrap_or(now);
        let int = |name: &str, now: i64| input.int(name).unwrap_or(now);
        self.enabled = input.flag("HealthCheckEnabled").unwrap_or(self.enabled);
        self.protocol = text("HealthCheckProtocol", self.protocol);
        self.port = text("HealthCheckPort", self.port);
        self.path = text("HealthCheckPath", self.path);
        self.interval = int("HealthCheckIntervalSeconds", self.interval);
        self.timeout = int("HealthCheckTimeoutSeconds", self.timeout);
        self.healthy = int("HealthyThresholdCount", self.healthy);
        self.unhealthy = int("UnhealthyThresholdCount", self.unhealthy);
        if let Some(codes) = input.at("Matcher").owned("HttpCode") {
            self.matcher = codes;
        }
        if !self.enabled {
            return Err(invalid(
                "Health check enabled must be true for target groups with target type 'instance' or 'ip'",
            ));
        }
        if self.timeout >= self.interval {
            return Err(invalid("Health check interval must be greater than the timeout."));
        }
        Ok(self)
    }
}

fn show(arn: &str, group: &TargetGroup, state: &State) -> Doc {
    let check = &group.check;
    doc! {
        "TargetGroupArn" => arn,
        "TargetGroupName" => &group.name,
        "Protocol" => &group.protocol,
        "ProtocolVersion" => &group.protocol_version,
        "Port" => group.port,
        "VpcId" => &group.vpc,
        "TargetType" => &group.target_type,
        "IpAddressType" => &group.ip_address_type,
        "HealthCheckEnabled" => check.enabled,
        "HealthCheckProtocol" => &check.protocol,
        "HealthCheckPort" => &check.port,
        "HealthCheckPath" => &check.path,
        "HealthCheckIntervalSeconds" => check.interval,
        "HealthCheckTimeoutSeconds" => check.timeout,
        "HealthyThresholdCount" => check.healthy,
        "UnhealthyThresholdCount" => check.unhealthy,
        "Matcher" => doc! { "HttpCode" => &check.matcher },
        "LoadBalancerArns" => state.balancers_of(arn).into_iter().collect::<Vec<_>>(),
    }
}

/// API Reference, CreateTargetGroup: idempotent for the same settings.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.need("Name").to_owned();
    let required = |field: &str| invalid(format!("A {field} must be specified"));
    let tags = super::tagging::read(input)?;
    let group = TargetGroup {
        name: name.clone(),
        protocol: input.owned("Protocol").ok_or_else(|| required("protocol"))?,
        protocol_version: input.text("ProtocolVersion").filter(|v| !v.is_empty()).unwrap_or("HTTP1").to_owned(),
        port: input.int("Port").ok_or_else(|| required("port"))?,
        vpc: input.owned("VpcId").filter(|v| !v.is_empty()).ok_or_else(|| required("VPC ID"))?,
        target_type: input.text("TargetType").unwrap_or("instance").to_owned(),
        ip_address_type: input.text("IpAddressType").unwrap_or("ipv4").to_owned(),
        check: HealthCheck::standard().with(input)?,
        attributes: std::collections::BTreeMap::new(),
        answers: None,
        targets: std::collections::BTreeMap::new(),
    };
    let now = ctx.now();
    let state = ctx.state::<State>();
    if let Some(arn) = state.group_names.get(&name) {
        let there = state.groups.get(arn).ok_or_else(no_group)?;
        let same = there.protocol == group.protocol
            && there.protocol_version == group.protocol_version
            && there.port == group.port
            && there.vpc == group.vpc
            && there.target_type == group.target_type
            && there.ip_address_type == group.ip_address_type
            && there.check == group.check;
        if !same {
            let message = format!("A target group with the same name '{name}' exists, but with different settings");
            return Err(AwsError::new("DuplicateTargetGroupName", message));
        }
        return Ok(doc! { "TargetGroups" => vec![show(arn, there, state)] });
    }
    let id = ctx.rng().hex(16);
    let arn = ctx.arn("elasticloadbalancing", &format!("targetgroup/{name}/{id}"));
    let state = ctx.state::<State>();
    let shown = show(&arn, &group, state);
    state.group_names.insert(name, arn.clone());
    state.groups.insert(arn.clone(), group);
    ctx.tags().register(&arn, tags, now);
    Ok(doc! { "TargetGroups" => vec![shown] })
}

/// API Reference, DescribeTargetGroups: 400 a page, or by ARN, by name, or those of a load balancer; one that is
/// missing fails all.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arns, names) = (input.texts("TargetGroupArns"), input.texts("Names"));
    let balancer = input.text("LoadBalancerArn");
    let filters = usize::from(!arns.is_empty()) + usize::from(!names.is_empty()) + usize::from(balancer.is_some());
    if filters > 1 {
        return Err(invalid("Load balancer ARN, target group ARNs and names cannot be specified at the same time"));
    }
    let pager = Pager::new(ctx, "DescribeTargetGroups", input.text("Marker"), page_size(input))
        .map_err(|_| invalid("The marker is not valid"))?;
    let state = &*ctx.state::<State>();
    if !arns.is_empty() || !names.is_empty() {
        let by_name = names.iter().map(|n| state.group_names.get(n).cloned().ok_or_else(no_group));
        let wanted: Vec<String> = arns.into_iter().map(Ok).chain(by_name).collect::<Result<_, _>>()?;
        let found = wanted.iter().map(|arn| Ok(show(arn, state.groups.get(arn).ok_or_else(no_group)?, state)));
        return Ok(doc! { "TargetGroups" => found.collect::<Result<Vec<_>, AwsError>>()? });
    }
    if let Some(balancer) = balancer
        && !state.balancers.contains_key(balancer)
    {
        return Err(no_balancer());
    }
    let all = state
        .groups
        .range::<str, _>(pager.range())
        .filter(|(arn, _)| balancer.is_none_or(|b| state.balancers_of(arn).contains(b)))
        .map(|(arn, group)| (arn, show(arn, group, state)));
    let (page, token) = pager.take(all);
    Ok(doc! { "TargetGroups" => page, "NextMarker" => token })
}

/// API Reference, ModifyTargetGroup: the health check only.
pub(super) fn modify(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = input.need("TargetGroupArn");
    let state = ctx.state::<State>();
    let group = state.groups.get_mut(arn).ok_or_else(no_group)?;
    group.check = group.check.clone().with(input)?;
    let group = group.clone();
    Ok(doc! { "TargetGroups" => vec![show(arn, &group, state)] })
}

/// API Reference, DeleteTargetGroup: succeeds when there is none.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = input.need("TargetGroupArn");
    let now = ctx.now();
    let state = ctx.state::<State>();
    if state.attached(arn) {
        let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(AwsError::new("ResourceInUse", message));
    }
    if let Some(group) = state.groups.remove(arn) {
        state.group_names.remove(&group.name);
        ctx.tags().forget(arn, now);
    }
    Ok(Doc::empty())
}
