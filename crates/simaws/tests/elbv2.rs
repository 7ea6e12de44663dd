//! Elastic Load Balancing v2, as documented.
use simaws::testing::{Reply, query};
use simaws::{Clock, Sim};
use std::time::Duration;

use crate::cli::Cli;
use crate::support::still;

const ELB: &str = "elasticloadbalancing";

async fn call(sim: &Sim, operation: &str, parameters: &[(&str, &str)]) -> Reply {
    query(sim, ELB, operation, parameters).await
}

/// The contents of every `<name>` element.
fn all(reply: &Reply, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = reply.xml().split(&open).skip(1);
    parts.map(|part| part.split(&close).next().unwrap_or("").to_owned()).collect()
}

fn first(reply: &Reply, name: &str) -> String {
    assert!(reply.xml().contains(&format!("<{name}>")), "no {name} in {}", reply.xml());
    all(reply, name).remove(0)
}

async fn balancer(sim: &Sim, name: &str) -> String {
    let subnets = [("Name", name), ("Subnets.member.1", "subnet-a"), ("Subnets.member.2", "subnet-b")];
    first(&call(sim, "CreateLoadBalancer", &subnets).await, "LoadBalancerArn")
}

const GROUP: [(&str, &str); 5] =
    [("Name", "api"), ("Protocol", "HTTP"), ("Port", "8080"), ("VpcId", "vpc-1"), ("TargetType", "ip")];

async fn group(sim: &Sim, name: &str) -> String {
    let mut parameters = GROUP;
    parameters[0].1 = name;
    first(&call(sim, "CreateTargetGroup", &parameters).await, "TargetGroupArn")
}

async fn forward(sim: &Sim, balancer: &str, port: &str, group: &str) -> Reply {
    let parameters = [
        ("LoadBalancerArn", balancer),
        ("Protocol", "HTTP"),
        ("Port", port),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", group),
    ];
    call(sim, "CreateListener", &parameters).await
}

#[tokio::test]
async fn a_target_group_gets_the_documented_defaults_and_create_is_idempotent() {
    let sim = still();
    let made = call(&sim, "CreateTargetGroup", &GROUP).await;
    for (name, value) in [
        ("HealthCheckIntervalSeconds", "30"),
        ("HealthCheckTimeoutSeconds", "5"),
        ("HealthyThresholdCount", "5"),
        ("UnhealthyThresholdCount", "2"),
        ("HealthCheckPath", "/"),
        ("HttpCode", "200"),
        ("HealthCheckPort", "traffic-port"),
        ("LoadBalancerArns", ""),
    ] {
        assert_eq!(first(&made, name), value, "{name}");
    }
    let again = call(&sim, "CreateTargetGroup", &GROUP).await;
    assert_eq!(first(&again, "TargetGroupArn"), first(&made, "TargetGroupArn"));
    let mut other = GROUP.to_vec();
    other.push(("HealthCheckPath", "/health"));
    assert_eq!(call(&sim, "CreateTargetGroup", &other).await.code(), "DuplicateTargetGroupName");
}

#[tokio::test]
async fn a_target_group_is_refused_without_port_or_with_a_timeout_not_below_its_interval() {
    let sim = still();
    assert_eq!(call(&sim, "CreateTargetGroup", &GROUP[..2]).await.code(), "ValidationError");
    let mut slow = GROUP.to_vec();
    slow.extend([("HealthCheckIntervalSeconds", "10"), ("HealthCheckTimeoutSeconds", "10")]);
    assert_eq!(call(&sim, "CreateTargetGroup", &slow).await.code(), "ValidationError");
    let mut long = GROUP.to_vec();
    long[0].1 = "a-name-of-more-than-thirty-two-characters";
    assert_eq!(call(&sim, "CreateTargetGroup", &long).await.code(), "ValidationError");
    assert_eq!(all(&call(&sim, "DescribeTargetGroups", &[]).await, "TargetGroupArn").len(), 0);
}

#[tokio::test]
async fn groups_are_found_by_name_and_arn_and_a_missing_one_fails_the_call() {
    let sim = still();
    let arn = group(&sim, "api").await;
    group(&sim, "web").await;
    let named = call(&sim, "DescribeTargetGroups", &[("Names.member.1", "api")]).await;
    assert_eq!(all(&named, "TargetGroupArn"), std::slice::from_ref(&arn));
    let missing = [("Names.member.1", "api"), ("Names.member.2", "none")];
    assert_eq!(call(&sim, "DescribeTargetGroups", &missing).await.code(), "TargetGroupNotFound");
    let both = [("Names.member.1", "api"), ("TargetGroupArns.member.1", arn.as_str())];
    assert_eq!(call(&sim, "DescribeTargetGroups", &both).await.code(), "ValidationError");
    let missing = [("LoadBalancerArn", "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/x/1")];
    assert_eq!(call(&sim, "DescribeTargetGroups", &missing).await.code(), "LoadBalancerNotFound");
}

#[tokio::test]
async fn target_groups_page_by_four_hundred() {
    let sim = still();
    for n in 0..401 {
        group(&sim, &format!("g{n:03}")).await;
    }
    let page = call(&sim, "DescribeTargetGroups", &[]).await;
    assert_eq!(all(&page, "TargetGroupArn").len(), 400);
    let marker = first(&page, "NextMarker");
    let rest = call(&sim, "DescribeTargetGroups", &[("Marker", &marker)]).await;
    assert_eq!((all(&rest, "TargetGroupArn").len(), all(&rest, "NextMarker").len()), (1, 0));
    assert_eq!(call(&sim, "DescribeTargetGroups", &[("Marker", "made-up")]).await.code(), "ValidationError");
    assert_eq!(call(&sim, "DescribeTargetGroups", &[("PageSize", "401")]).await.code(), "ValidationError");
}

#[tokio::test]
async fn a_listener_attaches_its_target_group_and_deleting_it_detaches_it() {
    let sim = still();
    let (lb, tg) = (balancer(&sim, "main").await, group(&sim, "api").await);
    let listener = first(&forward(&sim, &lb, "80", &tg).await, "ListenerArn");
    let attached = call(&sim, "DescribeTargetGroups", &[("LoadBalancerArn", &lb)]).await;
    assert_eq!(first(&attached, "LoadBalancerArns"), format!("<member>{lb}</member>"));
    assert_eq!(call(&sim, "DeleteTargetGroup", &[("TargetGroupArn", &tg)]).await.code(), "ResourceInUse");
    assert_eq!(call(&sim, "DeleteListener", &[("ListenerArn", &listener)]).await.status, 200);
    let detached = call(&sim, "DescribeTargetGroups", &[("Names.member.1", "api")]).await;
    assert_eq!(first(&detached, "LoadBalancerArns"), "");
    assert_eq!(call(&sim, "DeleteTargetGroup", &[("TargetGroupArn", &tg)]).await.status, 200);
    assert_eq!(call(&sim, "DeleteListener", &[("ListenerArn", &listener)]).await.code(), "ListenerNotFound");
}

#[tokio::test]
async fn a_port_belongs_to_one_listener_and_a_target_group_to_one_load_balancer() {
    let sim = still();
    let (lb, tg, other) = (balancer(&sim, "main").await, group(&sim, "api").await, group(&sim, "web").await);
    let made = first(&forward(&sim, &lb, "80", &tg).await, "ListenerArn");
    assert_eq!(first(&forward(&sim, &lb, "80", &tg).await, "ListenerArn"), made, "the same settings: idempotent");
    assert_eq!(forward(&sim, &lb, "80", &other).await.code(), "DuplicateListener");
    let second = balancer(&sim, "second").await;
    assert_eq!(forward(&sim, &second, "80", &tg).await.code(), "TargetGroupAssociationLimit");
    assert_eq!(forward(&sim, &lb, "81", "arn:aws:elasticloadbalancing:x").await.code(), "TargetGroupNotFound");
    assert_eq!(forward(&sim, "arn:aws:elasticloadbalancing:x", "80", &tg).await.code(), "LoadBalancerNotFound");
}

#[tokio::test]
async fn an_https_listener_needs_a_certificate_and_gets_the_default_policy() {
    let sim = still();
    let (lb, tg) = (balancer(&sim, "main").await, group(&sim, "api").await);
    let mut https = vec![
        ("LoadBalancerArn", lb.as_str()),
        ("Protocol", "HTTPS"),
        ("Port", "443"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", tg.as_str()),
    ];
    assert_eq!(call(&sim, "CreateListener", &https).await.code(), "ValidationError");
    https.push(("Certificates.member.1.CertificateArn", "arn:aws:acm:us-east-1:123456789012:certificate/1"));
    let made = call(&sim, "CreateListener", &https).await;
    assert_eq!(first(&made, "SslPolicy"), "ELBSecurityPolicy-2016-08");
    let listener = first(&made, "ListenerArn");
    let odd = [("ListenerArn", listener.as_str()), ("SslPolicy", "MyPolicy")];
    assert_eq!(call(&sim, "ModifyListener", &odd).await.code(), "SSLPolicyNotFound");
    let newer = [("ListenerArn", listener.as_str()), ("SslPolicy", "ELBSecurityPolicy-TLS13-1-2-2021-06")];
    let changed = call(&sim, "ModifyListener", &newer).await;
    assert!(first(&changed, "Certificates").contains("certificate/1"), "what is not given stays");
    let plain = call(&sim, "ModifyListener", &[("ListenerArn", &listener), ("Protocol", "HTTP")]).await;
    assert_eq!((all(&plain, "SslPolicy").len(), all(&plain, "CertificateArn").len()), (0, 0));
}

#[tokio::test]
async fn a_redirect_is_filled_in_and_one_to_itself_is_refused() {
    let sim = still();
    let lb = balancer(&sim, "main").await;
    let mut redirect = vec![
        ("LoadBalancerArn", lb.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "redirect"),
        ("DefaultActions.member.1.RedirectConfig.StatusCode", "HTTP_301"),
    ];
    assert_eq!(call(&sim, "CreateListener", &redirect).await.code(), "InvalidLoadBalancerAction");
    redirect.push(("DefaultActions.member.1.RedirectConfig.Protocol", "HTTPS"));
    redirect.push(("DefaultActions.member.1.RedirectConfig.Port", "443"));
    let made = call(&sim, "CreateListener", &redirect).await;
    assert_eq!(first(&made, "Path"), "/#{path}");
    assert_eq!(first(&made, "Host"), "#{host}");
    let rules = call(&sim, "DescribeRules", &[("ListenerArn", &first(&made, "ListenerArn"))]).await;
    assert_eq!((first(&rules, "Priority").as_str(), first(&rules, "IsDefault").as_str()), ("default", "true"));
}

#[tokio::test]
async fn targets_are_unused_until_attached_then_initial_then_healthy_and_drain_before_they_go() {
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().expect("a valid time"));
    let sim = Sim::builder().clock(clock).build();
    let (lb, tg) = (balancer(&sim, "main").await, group(&sim, "api").await);
    let target = [("TargetGroupArn", tg.as_str()), ("Targets.member.1.Id", "10.0.0.1")];
    assert_eq!(call(&sim, "RegisterTargets", &target).await.status, 200);
    let state = async || first(&call(&sim, "DescribeTargetHealth", &[("TargetGroupArn", &tg)]).await, "State");
    assert_eq!(state().await, "unused");
    forward(&sim, &lb, "80", &tg).await;
    assert_eq!(state().await, "initial");
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(state().await, "healthy");
    call(&sim, "DeregisterTargets", &target).await;
    assert_eq!(state().await, "draining");
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(all(&call(&sim, "DescribeTargetHealth", &[("TargetGroupArn", &tg)]).await, "State").len(), 0);
    let instance = [("TargetGroupArn", tg.as_str()), ("Targets.member.1.Id", "i-1")];
    assert_eq!(call(&sim, "RegisterTargets", &instance).await.code(), "InvalidTarget");
}

#[tokio::test]
async fn attributes_have_defaults_and_unknown_keys_and_values_out_of_range_are_refused() {
    let sim = still();
    let tg = group(&sim, "api").await;
    let delay = |value: &'static str| {
        [
            ("TargetGroupArn".to_owned(), tg.clone()),
            ("Attributes.member.1.Key".to_owned(), "deregistration_delay.timeout_seconds".to_owned()),
            ("Attributes.member.1.Value".to_owned(), value.to_owned()),
        ]
    };
    let modify = async |parameters: [(String, String); 3]| {
        let pairs = parameters.each_ref().map(|(k, v)| (k.as_str(), v.as_str()));
        call(&sim, "ModifyTargetGroupAttributes", &pairs).await
    };
    let before = call(&sim, "DescribeTargetGroupAttributes", &[("TargetGroupArn", &tg)]).await;
    assert!(before.xml().contains("<Key>deregistration_delay.timeout_seconds</Key><Value>300</Value>"));
    assert_eq!(modify(delay("3601")).await.code(), "InvalidConfigurationRequest");
    let mut unknown = delay("1");
    unknown[1].1 = "no.such.key".to_owned();
    assert_eq!(modify(unknown).await.code(), "ValidationError");
    let after = modify(delay("30")).await;
    assert!(after.xml().contains("<Key>deregistration_delay.timeout_seconds</Key><Value>30</Value>"));
}

#[tokio::test]
async fn a_load_balancer_is_provisioned_then_active_and_takes_its_listeners_with_it() {
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().expect("a valid time"));
    let sim = Sim::builder().clock(clock).build();
    let one = [("Name", "x"), ("Subnets.member.1", "subnet-a")];
    assert_eq!(call(&sim, "CreateLoadBalancer", &one).await.code(), "ValidationError", "one subnet is not enough");
    let (lb, tg) = (balancer(&sim, "main").await, group(&sim, "api").await);
    let code = async || first(&call(&sim, "DescribeLoadBalancers", &[("Names.member.1", "main")]).await, "Code");
    assert_eq!(code().await, "provisioning");
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(code().await, "active");
    let listener = first(&forward(&sim, &lb, "80", &tg).await, "ListenerArn");
    let protect = [
        ("LoadBalancerArn", lb.as_str()),
        ("Attributes.member.1.Key", "deletion_protection.enabled"),
        ("Attributes.member.1.Value", "true"),
    ];
    call(&sim, "ModifyLoadBalancerAttributes", &protect).await;
    let target = [("LoadBalancerArn", lb.as_str())];
    assert_eq!(call(&sim, "DeleteLoadBalancer", &target).await.code(), "OperationNotPermitted");
    let mut unprotect = protect;
    unprotect[2].1 = "false";
    call(&sim, "ModifyLoadBalancerAttributes", &unprotect).await;
    assert_eq!(call(&sim, "DeleteLoadBalancer", &target).await.status, 200);
    assert_eq!(call(&sim, "DeleteLoadBalancer", &target).await.status, 200, "deleting nothing succeeds");
    let gone = call(&sim, "DescribeListeners", &[("ListenerArns.member.1", &listener)]).await;
    assert_eq!(gone.code(), "ListenerNotFound");
    assert_eq!(
        call(&sim, "DescribeLoadBalancers", &[("LoadBalancerArns.member.1", &lb)]).await.code(),
        "LoadBalancerNotFound"
    );
}

#[tokio::test]
async fn twenty_load_balancers_or_resources_are_described_at_once_and_no_more() {
    let sim = still();
    let mut arns = Vec::new();
    for n in 0..21 {
        arns.push(balancer(&sim, &format!("lb{n}")).await);
    }
    let list = |name: &str, n: usize| -> Vec<(String, String)> {
        arns.iter().take(n).enumerate().map(|(i, a)| (format!("{name}.member.{}", i + 1), a.clone())).collect()
    };
    for (operation, name) in [("DescribeLoadBalancers", "LoadBalancerArns"), ("DescribeTags", "ResourceArns")] {
        for (n, status) in [(20, 200), (21, 400)] {
            let owned = list(name, n);
            let pairs: Vec<_> = owned.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(call(&sim, operation, &pairs).await.status, status, "{operation} {n}");
        }
    }
}

#[tokio::test]
async fn tags_are_added_and_removed_and_a_key_given_twice_is_refused() {
    let sim = still();
    let tg = group(&sim, "api").await;
    let add = [
        ("ResourceArns.member.1", tg.as_str()),
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "x"),
        ("Tags.member.2.Key", "Env"),
        ("Tags.member.2.Value", "prod"),
    ];
    assert_eq!(call(&sim, "AddTags", &add).await.status, 200);
    let mut twice = add;
    twice[3].1 = "Team";
    assert_eq!(call(&sim, "AddTags", &twice).await.code(), "DuplicateTagKeys");
    let remove = [("ResourceArns.member.1", tg.as_str()), ("TagKeys.member.1", "Env")];
    assert_eq!(call(&sim, "RemoveTags", &remove).await.status, 200);
    let tags = call(&sim, "DescribeTags", &[("ResourceArns.member.1", &tg)]).await;
    assert_eq!(all(&tags, "Key"), ["Team"]);
}

#[tokio::test]
async fn the_cli_builds_a_load_balancer_with_listener_and_target_group() {
    let sim = Sim::default();
    let Some(cli) = Cli::start(&sim).await else { return };
    let lb = cli.ok(&["elbv2", "create-load-balancer", "--name", "main", "--subnets", "subnet-a", "subnet-b"]).await;
    let lb = lb["LoadBalancers"][0]["LoadBalancerArn"].as_str().expect("an ARN").to_owned();
    let group = ["--protocol", "HTTP", "--port", "80", "--vpc-id", "vpc-1", "--target-type", "ip"];
    let words = ["elbv2", "create-target-group", "--name", "api"];
    let made = cli.ok(&[&words[..], &group[..]].concat()).await;
    let tg = made["TargetGroups"][0]["TargetGroupArn"].as_str().expect("an ARN").to_owned();
    assert_eq!(made["TargetGroups"][0]["HealthCheckIntervalSeconds"], 30);
    let action = format!("Type=forward,TargetGroupArn={tg}");
    let listener = ["elbv2", "create-listener", "--load-balancer-arn", &lb, "--protocol", "HTTP", "--port", "80"];
    cli.ok(&[&listener[..], &["--default-actions", &action]].concat()).await;
    let groups = cli.ok(&["elbv2", "describe-target-groups", "--names", "api"]).await;
    assert_eq!(groups["TargetGroups"][0]["LoadBalancerArns"][0], lb.as_str());
    let error = cli.run(&["elbv2", "delete-target-group", "--target-group-arn", &tg]).await;
    assert!(error.expect_err("in use").contains("ResourceInUse"));
}
