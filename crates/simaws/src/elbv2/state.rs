//! One (account, region)'s load balancers, listeners, target groups and targets, with the indexes that calls need.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{Doc, Timings};

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// By ARN.
    pub(crate) balancers: BTreeMap<String, LoadBalancer>,
    /// By ARN.
    pub(crate) groups: BTreeMap<String, TargetGroup>,
    /// By ARN.
    pub(crate) listeners: BTreeMap<String, Listener>,
    pub(super) balancer_names: BTreeMap<String, String>,
    pub(super) group_names: BTreeMap<String, String>,
    /// The listeners whose default action forwards to a target group.
    pub(super) users: BTreeMap<String, BTreeSet<String>>,
}

/// An application load balancer.
#[derive(Clone, Debug)]
pub(crate) struct LoadBalancer {
    pub(crate) name: String,
    pub(crate) scheme: String,
    pub(crate) ip_address_type: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) created: Timestamp,
    pub(crate) active_at: Timestamp,
    /// Attributes that differ from the defaults.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A target group.
#[derive(Clone, Debug)]
pub(crate) struct TargetGroup {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) protocol_version: String,
    pub(crate) port: i64,
    pub(crate) vpc: String,
    pub(crate) target_type: String,
    pub(crate) ip_address_type: String,
    pub(crate) check: HealthCheck,
    /// Attributes that differ from the defaults.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The code that the application answers its health check with; none: it answers as it should.
    pub(crate) answers: Option<u16>,
    /// By (id, port).
    pub(crate) targets: BTreeMap<(String, i64), Target>,
}

/// How targets are judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HealthCheck {
    pub(crate) enabled: bool,
    pub(crate) protocol: String,
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) interval: i64,
    pub(crate) timeout: i64,
    pub(crate) healthy: i64,
    pub(crate) unhealthy: i64,
    pub(crate) matcher: String,
}

/// A registered target.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) zone: Option<String>,
    /// `initial` before, `healthy` from then on.
    pub(crate) healthy_at: Timestamp,
    /// Set once deregistered: `draining` before, gone from then on.
    pub(crate) gone_at: Option<Timestamp>,
}

/// A listener with its default actions.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// ARN of its load balancer.
    pub(crate) balancer: String,
    pub(crate) port: i64,
    pub(crate) protocol: String,
    pub(crate) certificate: Option<String>,
    pub(crate) ssl_policy: Option<String>,
    /// As DescribeListeners shows them.
    pub(crate) actions: Vec<Doc>,
    /// ARN of the default rule.
    pub(crate) rule: String,
    /// Attributes that differ from the defaults.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// The target groups that actions forward to.
pub(super) fn forwards(actions: &[Doc]) -> BTreeSet<String> {
    actions
        .iter()
        .flat_map(|a| {
            let weighted = a.at("ForwardConfig").list("TargetGroups").iter().filter_map(|g| g.owned("TargetGroupArn"));
            a.owned("TargetGroupArn").into_iter().chain(weighted)
        })
        .collect()
}

impl State {
    /// A target group by ARN.
    pub(crate) fn group(&self, arn: &str) -> Option<&TargetGroup> {
        self.groups.get(arn)
    }

    /// The load balancers whose listeners forward to a target group. None: it is not attached, and CreateService
    /// refuses it (ECS Developer Guide, "The target group does not have an associated load balancer").
    pub(crate) fn balancers_of(&self, group: &str) -> BTreeSet<String> {
        let users = self.users.get(group).into_iter().flatten();
        users.filter_map(|l| self.listeners.get(l)).map(|l| l.balancer.clone()).collect()
    }

    /// Whether a listener forwards to a target group.
    pub(crate) fn attached(&self, group: &str) -> bool {
        self.users.get(group).is_some_and(|users| !users.is_empty())
    }

    /// Registers a target; false when there is no such group.
    pub(crate) fn register(&mut self, group: &str, id: &str, port: i64, now: Timestamp, timings: &Timings) -> bool {
        let Some(group) = self.groups.get_mut(group) else { return false };
        let key = (id.to_owned(), port);
        let fresh = Target { zone: None, healthy_at: now + timings.target_initial, gone_at: None };
        match group.targets.get_mut(&key) {
            Some(target) if target.gone_at.is_none() => {}
            Some(target) => *target = fresh,
            None => {
                group.targets.insert(key, fresh);
            }
        }
        true
    }

    /// Deregisters a target, which drains first; false when there is no such group or target.
    pub(crate) fn deregister(&mut self, group: &str, id: &str, port: i64, now: Timestamp, timings: &Timings) -> bool {
        let Some(group) = self.groups.get_mut(group) else { return false };
        group.targets.retain(|_, t| t.gone_at.is_none_or(|at| at > now));
        let Some(target) = group.targets.get_mut(&(id.to_owned(), port)) else { return false };
        target.gone_at.get_or_insert(now + timings.target_draining);
        true
    }

    pub(super) fn put_listener(&mut self, arn: &str, listener: Listener) {
        self.unlink(arn);
        for group in forwards(&listener.actions) {
            self.users.entry(group).or_default().insert(arn.to_owned());
        }
        self.listeners.insert(arn.to_owned(), listener);
    }

    pub(super) fn remove_listener(&mut self, arn: &str) -> Option<Listener> {
        self.unlink(arn);
        self.listeners.remove(arn)
    }

    fn unlink(&mut self, arn: &str) {
        let Some(old) = self.listeners.get(arn) else { return };
        for group in forwards(&old.actions) {
            if let Some(users) = self.users.get_mut(&group) {
                users.remove(arn);
                if users.is_empty() {
                    self.users.remove(&group);
                }
            }
        }
    }

    /// The listeners of a load balancer: their ARNs begin alike.
    pub(super) fn listeners_of<'a>(
        &'a self,
        balancer: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Listener)> + use<'a> {
        let prefix = format!("{}/", balancer.replace(":loadbalancer/", ":listener/"));
        self.listeners.range(prefix.clone()..).take_while(move |(arn, _)| arn.starts_with(&prefix))
    }
}
