//! The fewest AWS calls that a sweep of everything can make, from the page sizes that AWS documents, for environments of
//! the fixtures' size (a cluster, four services, one autoscaled; a target group, two listeners on a load balancer of its own; a
//! database with a snapshot and a copy; four log groups; two secrets; an alarm), all in one account and region.

/// One operation of a sweep.
#[derive(Debug)]
pub(crate) struct Fewest {
    /// As the simulated AWS counts it.
    pub(crate) operation: &'static str,
    /// The kind whose sweep makes the call; none: it is made once in a slow period, for all kinds.
    pub(crate) kind: Option<&'static str>,
    /// Calls in one sweep.
    pub(crate) calls: usize,
}

/// The fewest calls for so many environments.
pub(crate) fn fewest(environments: usize) -> Vec<Fewest> {
    let n = environments;
    let pages = |objects: usize, a_page: usize| objects.div_ceil(a_page);
    let of = |operation, kind, calls| Fewest { operation, kind: Some(kind), calls };
    vec![
        // ECS API Reference, DescribeClusters: up to 100 clusters.
        of("ecs:DescribeClusters", "EcsCluster", pages(n, 100)),
        // ECS API Reference, DescribeServices: up to 10 services of one cluster; four services each.
        of("ecs:DescribeServices", "EcsService", n * pages(4, 10)),
        // RDS API Reference, DescribeDBInstances: MaxRecords up to 100.
        of("rds:DescribeDBInstances", "RdsInstance", pages(n, 100)),
        // CloudWatch API Reference, DescribeAlarms: up to 100 names.
        of("monitoring:DescribeAlarms", "Alarm", pages(n, 100)),
        // ELB API Reference 2015-12-01, DescribeTargetGroups: PageSize up to 400.
        of("elasticloadbalancing:DescribeTargetGroups", "TargetGroup", pages(n, 400)),
        // CloudWatch Logs API Reference, DescribeLogGroups: limit up to 50; four groups each.
        of("logs:DescribeLogGroups", "LogGroup", pages(4 * n, 50)),
        // Application Auto Scaling API Reference, DescribeScalableTargets: MaxResults 50; one each.
        of("application-autoscaling:DescribeScalableTargets", "ScalableTarget", pages(n, 50)),
        // … and DescribeScalingPolicies: 10 as measured; one each.
        of("application-autoscaling:DescribeScalingPolicies", "ScalingPolicy", pages(n, 10)),
        // ELB API Reference, DescribeListeners: of one load balancer a call.
        of("elasticloadbalancing:DescribeListeners", "Listener", n),
        // Secrets Manager API Reference, ListSecrets: MaxResults 100; two each, and the one that RDS keeps the password in.
        of("secretsmanager:ListSecrets", "Secret", pages(3 * n, 100)),
        // RDS API Reference, DescribeDBSnapshots: MaxRecords up to 100; here one each, and its copy. The two regions have
        // the same operation: the copies' sweep is counted with the snapshots'.
        of("rds:DescribeDBSnapshots", "RdsSnapshot", 2 * pages(n, 100)),
        // Resource Groups Tagging API Reference, GetResources: ResourcesPerPage up to 100. Per environment: cluster,
        // services 4, definitions 4, log groups 4, target group, listeners 2, alarm, secrets 2, database, snapshot,
        // scalable target.
        Fewest { operation: "tagging:GetResources", kind: None, calls: pages(22 * n, 100) },
    ]
}
