//! Listeners, their default actions and the default rule.
use super::balancers::page_size;
use super::state::forwards;
use super::{Listener, State, configuration, invalid, no_balancer, no_group, no_listener};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc};

/// API Reference, CreateListener: the policy of an HTTPS listener that is given none.
const DEFAULT_POLICY: &str = "ELBSecurityPolicy-2016-08";

/// User Guide for Application Load Balancers, "Security policies": the prefixes of their names.
const POLICIES: [&str; 4] =
    ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS13-", "ELBSecurityPolicy-TLS-", "ELBSecurityPolicy-FS-"];

fn show(arn: &str, listener: &Listener) -> Doc {
    doc! {
        "ListenerArn" => arn,
        "LoadBalancerArn" => &listener.balancer,
        "Port" => listener.port,
        "Protocol" => &listener.protocol,
        "Certificates" => listener.certificate.as_ref().map(|c| vec![doc! { "CertificateArn" => c }]),
        "SslPolicy" => listener.ssl_policy.as_ref(),
        "DefaultActions" => listener.actions.iter().collect::<Doc>(),
    }
}

/// An action with what AWS fills in (API Reference, Action and RedirectActionConfig).
fn action(state: &State, balancer: &str, given: &Doc) -> Result<Doc, AwsError> {
    let wrong = |message: &str| AwsError::new("InvalidLoadBalancerAction", message);
    let mut out = doc! { "Type" => given.need("Type"), "Order" => given.int("Order") };
    match given.need("Type") {
        "forward" => {
            let groups = given.at("ForwardConfig").list("TargetGroups");
            let single = given.text("TargetGroupArn");
            let all = forwards(std::slice::from_ref(given));
            if all.is_empty() {
                return Err(wrong("A target group ARN must be specified"));
            }
            if let (Some(single), false) = (single, groups.is_empty())
                && (groups.len() > 1 || groups[0].need("TargetGroupArn") != single)
            {
                return Err(wrong("You cannot specify both a target group ARN and another forward configuration"));
            }
            for arn in &all {
                if !state.groups.contains_key(arn) {
                    return Err(no_group());
                }
                if state.balancers_of(arn).iter().any(|b| b != balancer) {
                    let message = format!(
                        "The following target groups cannot be associated with more than one load balancer: {arn}"
                    );
                    return Err(AwsError::new("TargetGroupAssociationLimit", message));
                }
            }
            let weighted: Vec<Doc> = if groups.is_empty() {
                all.iter().map(|arn| doc! { "TargetGroupArn" => arn, "Weight" => 1 }).collect()
            } else {
                let row = |g: &Doc| doc! { "TargetGroupArn" => g.need("TargetGroupArn"), "Weight" => g.int("Weight").unwrap_or(1) };
                groups.iter().map(row).collect()
            };
            let sticky = given.at("ForwardConfig").at("TargetGroupStickinessConfig");
            let sticky = doc! {
                "Enabled" => sticky.flag("Enabled").unwrap_or(false), "DurationSeconds" => sticky.int("DurationSeconds"),
            };
            if all.len() == 1 {
                out.set("TargetGroupArn", all.first());
            }
            out.set("ForwardConfig", doc! { "TargetGroups" => weighted, "TargetGroupStickinessConfig" => sticky });
        }
        "redirect" => {
            let config = given.at("RedirectConfig");
            if config.is_null() {
                return Err(wrong("A redirect configuration must be specified"));
            }
            let field = |name: &str, default: &str| config.text(name).unwrap_or(default).to_owned();
            let defaults =
                [("Protocol", "#{protocol}"), ("Port", "#{port}"), ("Host", "#{host}"), ("Path", "/#{path}")];
            if defaults.iter().all(|(name, default)| field(name, default) == *default) {
                return Err(wrong("The redirect configuration is not valid because it creates a loop."));
            }
            let mut redirect =
                doc! { "StatusCode" => config.need("StatusCode"), "Query" => field("Query", "#{query}") };
            for (name, default) in defaults {
                redirect.set(name, field(name, default));
            }
            out.set("RedirectConfig", redirect);
        }
        _ => {
            let config = given.at("FixedResponseConfig");
            if config.is_null() {
                return Err(wrong("A fixed response configuration must be specified"));
            }
            out.set("FixedResponseConfig", config);
        }
    }
    Ok(out)
}

fn actions(state: &State, balancer: &str, input: &Doc) -> Result<Vec<Doc>, AwsError> {
    let given = input.list("DefaultActions");
    if given.is_empty() {
        return Err(invalid("A default action must be specified"));
    }
    if given.len() > 1 {
        return Err(AwsError::new("TooManyActions", "You've reached the limit on the number of actions per rule"));
    }
    given.iter().map(|g| action(state, balancer, g)).collect()
}

/// Certificate and policy of a listener with this protocol, given what the input says and what was there.
fn security(
    input: &Doc,
    protocol: &str,
    before: (Option<String>, Option<String>),
) -> Result<(Option<String>, Option<String>), AwsError> {
    let certificates = input.list("Certificates");
    if certificates.len() > 1 {
        return Err(AwsError::new("TooManyCertificates", "Exactly one default certificate must be specified"));
    }
    let certificate = certificates.first().and_then(|c| c.owned("CertificateArn"));
    let policy = input.owned("SslPolicy").filter(|p| !p.is_empty());
    if protocol == "HTTP" {
        if certificate.is_some() || policy.is_some() {
            return Err(configuration("A certificate or SSL policy cannot be specified for HTTP listeners"));
        }
        return Ok((None, None));
    }
    if let Some(bad) = certificate.as_ref().filter(|c| !c.starts_with("arn:")) {
        return Err(AwsError::new("CertificateNotFound", format!("Certificate ARN '{bad}' is not valid")));
    }
    if let Some(bad) = policy.as_ref().filter(|p| !POLICIES.iter().any(|known| p.starts_with(known))) {
        return Err(AwsError::new("SSLPolicyNotFound", format!("SSL policy '{bad}' not found")));
    }
    let certificate =
        certificate.or(before.0).ok_or_else(|| invalid("A certificate must be specified for HTTPS listeners"))?;
    Ok((Some(certificate), Some(policy.or(before.1).unwrap_or_else(|| DEFAULT_POLICY.to_owned()))))
}

/// API Reference, CreateListener: idempotent for the same settings; a port belongs to one listener.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let balancer = input.need("LoadBalancerArn").to_owned();
    let tags = super::tagging::read(input)?;
    let now = ctx.now();
    let (id, rule) = (ctx.rng().hex(16), ctx.rng().hex(16));
    let state = ctx.state::<State>();
    if !state.balancers.contains_key(&balancer) {
        return Err(no_balancer());
    }
    let protocol = input.owned("Protocol").ok_or_else(|| invalid("A listener protocol must be specified"))?;
    let port = input.int("Port").ok_or_else(|| invalid("A listener port must be specified"))?;
    let (certificate, ssl_policy) = security(input, &protocol, (None, None))?;
    let actions = actions(state, &balancer, input)?;
    if let Some((arn, there)) = state.listeners_of(&balancer).find(|(_, l)| l.port == port) {
        let same = there.protocol == protocol
            && there.certificate == certificate
            && there.ssl_policy == ssl_policy
            && there.actions == actions;
        if !same {
            return Err(AwsError::new(
                "DuplicateListener",
                "A listener already exists on this port for this load balancer",
            ));
        }
        return Ok(doc! { "Listeners" => vec![show(arn, there)] });
    }
    let arn = format!("{}/{id}", balancer.replace(":loadbalancer/", ":listener/"));
    let rule = format!("{}/{rule}", arn.replace(":listener/", ":listener-rule/"));
    let attributes = std::collections::BTreeMap::new();
    let listener = Listener { balancer, port, protocol, certificate, ssl_policy, actions, rule, attributes };
    let shown = show(&arn, &listener);
    state.put_listener(&arn, listener);
    ctx.tags().register(&arn, tags, now);
    Ok(doc! { "Listeners" => vec![shown] })
}

/// API Reference, DescribeListeners: those of one load balancer, 400 a page, or by ARN.
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arns = input.texts("ListenerArns");
    let balancer = input.text("LoadBalancerArn").unwrap_or("").to_owned();
    if arns.is_empty() == balancer.is_empty() {
        return Err(invalid("You must specify either listener ARNs or a load balancer ARN"));
    }
    let pager = Pager::new(ctx, "DescribeListeners", input.text("Marker"), page_size(input))
        .map_err(|_| invalid("The marker is not valid"))?;
    let state = ctx.state::<State>();
    if !arns.is_empty() {
        let found = arns.iter().map(|arn| Ok(show(arn, state.listeners.get(arn).ok_or_else(no_listener)?)));
        return Ok(doc! { "Listeners" => found.collect::<Result<Vec<_>, AwsError>>()? });
    }
    if !state.balancers.contains_key(&balancer) {
        return Err(no_balancer());
    }
    let all = state
        .listeners_of(&balancer)
        .filter(|(arn, _)| pager.after().is_none_or(|after| arn.as_str() > after))
        .map(|(arn, listener)| (arn, show(arn, listener)));
    let (page, token) = pager.take(all);
    Ok(doc! { "Listeners" => page, "NextMarker" => token })
}

/// API Reference, ModifyListener: only what is given changes; becoming HTTP drops certificate and policy.
pub(super) fn modify(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let arn = input.need("ListenerArn");
    let state = ctx.state::<State>();
    let mut listener = state.listeners.get(arn).cloned().ok_or_else(no_listener)?;
    if let Some(port) = input.int("Port") {
        if state.listeners_of(&listener.balancer).any(|(other, l)| other != arn && l.port == port) {
            return Err(AwsError::new(
                "DuplicateListener",
                "A listener already exists on this port for this load balancer",
            ));
        }
        listener.port = port;
    }
    if let Some(protocol) = input.owned("Protocol") {
        listener.protocol = protocol;
    }
    let before = (listener.certificate.take(), listener.ssl_policy.take());
    (listener.certificate, listener.ssl_policy) = security(input, &listener.protocol, before)?;
    if input.has("DefaultActions") {
        listener.actions = actions(state, &listener.balancer, input)?;
    }
    let shown = show(arn, &listener);
    state.put_listener(arn, listener);
    Ok(doc! { "Listeners" => vec![shown] })
}

/// API Reference, DeleteListener.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let (arn, now) = (input.need("ListenerArn"), ctx.now());
    ctx.state::<State>().remove_listener(arn).ok_or_else(no_listener)?;
    ctx.tags().forget(arn, now);
    Ok(Doc::empty())
}

/// API Reference, DescribeListenerCertificates: the default one; simaws knows no further ones.
pub(super) fn describe_certificates(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let listener = ctx.state::<State>().listeners.get(input.need("ListenerArn")).ok_or_else(no_listener)?;
    let shown = listener.certificate.iter().map(|c| doc! { "CertificateArn" => c, "IsDefault" => true });
    Ok(doc! { "Certificates" => shown.collect::<Doc>() })
}

/// API Reference, DescribeRules: each listener's default rule, the only one there is.
pub(super) fn describe_rules(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let state = ctx.state::<State>();
    let show = |listener: &Listener| {
        doc! {
            "RuleArn" => &listener.rule,
            "Priority" => "default",
            "Conditions" => Doc::List(Vec::new()),
            "Actions" => listener.actions.iter().collect::<Doc>(),
            "IsDefault" => true,
        }
    };
    let rules = input.texts("RuleArns");
    match (input.text("ListenerArn"), rules.is_empty()) {
        (Some(arn), true) => {
            let listener = state.listeners.get(arn).ok_or_else(no_listener)?;
            Ok(doc! { "Rules" => vec![show(listener)] })
        }
        (None, false) => {
            let missing = || AwsError::new("RuleNotFound", "One or more rules not found");
            let found = rules.iter().map(|rule| {
                let listener = rule.rsplit_once('/').map(|(l, _)| l.replace(":listener-rule/", ":listener/"));
                let listener = listener.and_then(|arn| state.listeners.get(&arn)).filter(|l| l.rule == *rule);
                listener.map(show).ok_or_else(missing)
            });
            Ok(doc! { "Rules" => found.collect::<Result<Vec<_>, AwsError>>()? })
        }
        _ => Err(invalid("You must specify either a listener ARN or rule ARNs")),
    }
}
