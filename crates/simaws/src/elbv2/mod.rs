//! Elastic Load Balancing v2 (API version 2015-12-01, awsQuery): application load balancers with their listeners and
//! default actions, target groups and targets. No network or gateway load balancers, no rules but the default one,
//! no traffic.
//!
//! Other services ask [`State::group`] and [`State::attached`], and register targets through
//! [`State::register`] and [`State::deregister`].
mod attributes;
mod balancers;
mod groups;
pub mod hand;
mod listeners;
mod shapes;
mod state;
mod tagging;
mod targets;

pub(crate) use state::{Listener, LoadBalancer, State, Target, TargetGroup};

use crate::service::{Identity, Op, Service};
use crate::shape::{int, list, opt, req, text};
use crate::{AwsError, Rate};

/// The service.
pub(crate) struct Elbv2;

impl Service for Elbv2 {
    fn identity(&self) -> Identity {
        Identity {
            name: "elasticloadbalancing",
            target: "",
            version: "2015-12-01",
            namespace: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            elements: &[],
            cbor: false,
        }
    }

    /// Elastic Load Balancing User Guide, "Throttling for the Elastic Load Balancing API".
    fn rates(&self) -> Vec<Rate> {
        vec![Rate::new("elbv2-read", 40.0, 10.0), Rate::new("elbv2-write", 20.0, 3.0)]
    }

    fn operations(&self) -> Vec<Op> {
        let all = [balancer_operations(), group_operations(), listener_operations(), tag_operations()];
        let all = all.into_iter().flatten();
        all.map(|op| if op.mutating { op.rate("elbv2-write") } else { op.rate("elbv2-read") }).collect()
    }
}

fn balancer_operations() -> Vec<Op> {
    let balancer = || req("LoadBalancerArn", text().min(1));
    let address = || text().one_of(["ipv4", "dualstack", "dualstack-without-public-ipv4"]);
    vec![
        Op::write(
            "CreateLoadBalancer",
            [
                req("Name", shapes::name()),
                opt("Subnets", list(text())),
                opt("SubnetMappings", list(shapes::subnet_mapping())),
                opt("SecurityGroups", list(text())),
                opt("Scheme", text().one_of(["internet-facing", "internal"])),
                opt("Tags", shapes::tags()),
                opt("Type", text().one_of(["application"])),
                opt("IpAddressType", address()),
            ],
            balancers::create,
        ),
        Op::read(
            "DescribeLoadBalancers",
            [
                opt("LoadBalancerArns", list(text())),
                opt("Names", list(text())),
                opt("Marker", text()),
                opt("PageSize", int().range(1, 400)),
            ],
            balancers::describe,
        )
        .paged("Marker", "NextMarker"),
        Op::write("DeleteLoadBalancer", [balancer()], balancers::delete),
        Op::read("DescribeLoadBalancerAttributes", [balancer()], attributes::describe_balancer),
        Op::write(
            "ModifyLoadBalancerAttributes",
            [balancer(), req("Attributes", shapes::attributes())],
            attributes::modify_balancer,
        ),
        Op::write(
            "SetSecurityGroups",
            [balancer(), req("SecurityGroups", list(text()))],
            balancers::set_security_groups,
        ),
        Op::write(
            "SetSubnets",
            [
                balancer(),
                opt("Subnets", list(text())),
                opt("SubnetMappings", list(shapes::subnet_mapping())),
                opt("IpAddressType", address()),
            ],
            balancers::set_subnets,
        ),
        Op::write("SetIpAddressType", [balancer(), req("IpAddressType", address())], balancers::set_ip_address_type),
        Op::read("DescribeCapacityReservation", [balancer()], balancers::describe_capacity_reservation),
    ]
}

fn group_operations() -> Vec<Op> {
    let group = || req("TargetGroupArn", text().min(1));
    let mut create = vec![
        req("Name", shapes::name()),
        opt("Protocol", text().one_of(["HTTP", "HTTPS"])),
        // Clients that know no version send an empty one.
        opt("ProtocolVersion", text().one_of(["", "HTTP1", "HTTP2"])),
        opt("Port", int().range(1, 65_535)),
        opt("VpcId", text()),
        opt("TargetType", text().one_of(["instance", "ip"])),
        opt("IpAddressType", text().one_of(["ipv4", "ipv6"])),
        opt("Tags", shapes::tags()),
    ];
    create.extend(shapes::health_check());
    let mut modify = vec![group()];
    modify.extend(shapes::health_check());
    vec![
        Op::write("CreateTargetGroup", create, groups::create),
        Op::read(
            "DescribeTargetGroups",
            [
                opt("LoadBalancerArn", text()),
                opt("TargetGroupArns", list(text())),
                opt("Names", list(text())),
                opt("Marker", text()),
                opt("PageSize", int().range(1, 400)),
            ],
            groups::describe,
        )
        .paged("Marker", "NextMarker"),
        Op::write("ModifyTargetGroup", modify, groups::modify),
        Op::write("DeleteTargetGroup", [group()], groups::delete),
        Op::read("DescribeTargetGroupAttributes", [group()], attributes::describe_group),
        Op::write(
            "ModifyTargetGroupAttributes",
            [group(), req("Attributes", shapes::attributes())],
            attributes::modify_group,
        ),
        Op::write("RegisterTargets", [group(), req("Targets", shapes::targets())], targets::register),
        Op::write("DeregisterTargets", [group(), req("Targets", shapes::targets())], targets::deregister),
        Op::read("DescribeTargetHealth", [group(), opt("Targets", shapes::targets())], targets::describe_health),
    ]
}

fn listener_operations() -> Vec<Op> {
    let listener = || req("ListenerArn", text().min(1));
    let protocol = || opt("Protocol", text().one_of(["HTTP", "HTTPS"]));
    let port = || opt("Port", int().range(1, 65_535));
    let page = || [opt("Marker", text()), opt("PageSize", int().range(1, 400))];
    let paged = |first: Vec<crate::shape::Field>| first.into_iter().chain(page()).collect::<Vec<_>>();
    vec![
        Op::write(
            "CreateListener",
            [
                req("LoadBalancerArn", text().min(1)),
                protocol(),
                port(),
                opt("SslPolicy", text()),
                opt("Certificates", shapes::certificates()),
                req("DefaultActions", shapes::actions()),
                opt("Tags", shapes::tags()),
            ],
            listeners::create,
        ),
        Op::read(
            "DescribeListeners",
            paged(vec![opt("LoadBalancerArn", text()), opt("ListenerArns", list(text()))]),
            listeners::describe,
        )
        .paged("Marker", "NextMarker"),
        Op::write(
            "ModifyListener",
            [
                listener(),
                protocol(),
                port(),
                opt("SslPolicy", text()),
                opt("Certificates", shapes::certificates()),
                opt("DefaultActions", shapes::actions()),
            ],
            listeners::modify,
        ),
        Op::write("DeleteListener", [listener()], listeners::delete),
        Op::read("DescribeListenerAttributes", [listener()], attributes::describe_listener),
        Op::write(
            "ModifyListenerAttributes",
            [listener(), req("Attributes", shapes::attributes())],
            attributes::modify_listener,
        ),
        Op::read("DescribeListenerCertificates", paged(vec![listener()]), listeners::describe_certificates),
        Op::read(
            "DescribeRules",
            paged(vec![opt("ListenerArn", text()), opt("RuleArns", list(text()))]),
            listeners::describe_rules,
        ),
    ]
}

fn tag_operations() -> Vec<Op> {
    let resources = || req("ResourceArns", list(text()).len(1, 20));
    vec![
        Op::read("DescribeTags", [resources()], tagging::describe),
        Op::write("AddTags", [resources(), req("Tags", shapes::tags())], tagging::add),
        Op::write("RemoveTags", [resources(), req("TagKeys", list(text().len(1, 128)))], tagging::remove),
    ]
}

fn no_balancer() -> AwsError {
    AwsError::new("LoadBalancerNotFound", "One or more load balancers not found")
}

fn no_group() -> AwsError {
    AwsError::new("TargetGroupNotFound", "One or more target groups not found")
}

fn no_listener() -> AwsError {
    AwsError::new("ListenerNotFound", "One or more listeners not found")
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

fn configuration(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidConfigurationRequest", message)
}
