//! Elastic Load Balancing calls for target groups. Decides nothing, and never touches members.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::types::{
    Matcher, ProtocolEnum, Tag, TargetGroup as Live, TargetGroupAttribute, TargetHealthDescription,
    TargetHealthReasonEnum, TargetHealthStateEnum, TargetTypeEnum,
};
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use jiff::{SignedDuration, Timestamp};
use model::observation::Unknown;
use model::{ActError, Class, Finding, Observation, ObserveError, Step, Tags};

use super::diagnosis::{self, Member};
use super::errors::classify;
use super::{Action, HealthCheck, Observed};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "elasticloadbalancing:DescribeTargetGroups";
const ATTRIBUTES: &str = "elasticloadbalancing:DescribeTargetGroupAttributes";
const HEALTH: &str = "elasticloadbalancing:DescribeTargetHealth";
const DESCRIBE_TAGS: &str = "elasticloadbalancing:DescribeTags";
const DELAY: &str = "deregistration_delay.timeout_seconds";

/// Above so many keys all groups of the region are read, 400 a page, instead of each by its name: a name that is
/// missing would fail the call for all.
const BY_NAME: usize = 2;

/// ARNs that one DescribeTags call takes. (ELB API Reference, DescribeTags.)
const TAGS_PER_CALL: usize = 20;

/// Sweeps take attributes from here when they are not older, and read at most so many anew: a call for each group
/// would use up the bucket that ECS's own registrations draw from.
const ATTRIBUTES_MAX_AGE: SignedDuration = SignedDuration::from_mins(10);
const ATTRIBUTES_PER_SWEEP: usize = 20;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
    /// By the group's ARN: when its deregistration delay was read, and what it was.
    delays: Mutex<HashMap<String, (Timestamp, Option<u32>)>>,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws, delays: Mutex::default() }
    }

    fn cached(&self, arn: &str) -> Option<(Timestamp, Option<u32>)> {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner).get(arn).copied()
    }

    async fn read_delay(
        &self,
        clients: &RegionClients,
        arn: &str,
        now: Timestamp,
    ) -> Result<Option<u32>, ObserveError> {
        let answer = clients
            .read(ATTRIBUTES, classify, || {
                clients.elbv2.describe_target_group_attributes().target_group_arn(arn).send()
            })
            .await?;
        let value = answer.attributes().iter().find(|a| a.key() == Some(DELAY)).and_then(TargetGroupAttribute::value);
        let delay = value.and_then(|value| value.parse().ok());
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        if delays.len() > 10_000 {
            delays.retain(|_, (at, _)| now.duration_since(*at) < ATTRIBUTES_MAX_AGE);
        }
        delays.insert(arn.to_owned(), (now, delay));
        Ok(delay)
    }

    /// The delays of these groups as far as they are known; the oldest few are read anew.
    async fn delays(&self, clients: &RegionClients, arns: &[String], now: Timestamp) -> BTreeMap<String, Option<u32>> {
        let mut known: BTreeMap<String, Option<u32>> = BTreeMap::new();
        let mut due: Vec<(Timestamp, &String)> = Vec::new();
        for arn in arns {
            match self.cached(arn) {
                Some((at, delay)) => {
                    known.insert(arn.clone(), delay);
                    if now.duration_since(at) >= ATTRIBUTES_MAX_AGE {
                        due.push((at, arn));
                    }
                }
                None => due.push((Timestamp::MIN, arn)),
            }
        }
        due.sort();
        for (_, arn) in due.into_iter().take(ATTRIBUTES_PER_SWEEP) {
            // A delay that could not be read stays what it was known to be, or unknown.
            if let Ok(delay) = self.read_delay(clients, arn, now).await {
                known.insert(arn.clone(), delay);
            }
        }
        known
    }
}

async fn all(clients: &RegionClients) -> Result<Vec<Live>, ObserveError> {
    let mut groups = Vec::new();
    let mut guard = TokenGuard::new(DESCRIBE);
    let mut token = None;
    loop {
        let page = clients
            .read(DESCRIBE, classify, || {
                clients.elbv2.describe_target_groups().page_size(400).set_marker(token.clone()).send()
            })
            .await?;
        groups.extend(page.target_groups().iter().cloned());
        token = guard.next(page.next_marker())?;
        if token.is_none() {
            return Ok(groups);
        }
    }
}

/// The group of a name. Only the error TargetGroupNotFound says that there is none; a success without it says nothing.
async fn named(clients: &RegionClients, name: &str, since: Timestamp) -> Result<Observation<Live>, ObserveError> {
    let answer = clients.read(DESCRIBE, classify, || clients.elbv2.describe_target_groups().names(name).send()).await;
    match answer {
        Ok(page) => {
            let found = page.target_groups().iter().find(|group| group.target_group_name() == Some(name)).cloned();
            Ok(found.map_or(Observation::Unknown { since, why: Unknown::NotListed }, Observation::Present))
        }
        Err(error) if error.class == Class::NotFound => Ok(Observation::Absent),
        Err(error) => Err(error),
    }
}

async fn read_tags(clients: &RegionClients, arns: &[String]) -> Result<BTreeMap<String, Tags>, ObserveError> {
    let mut tags = BTreeMap::new();
    for arns in arns.chunks(TAGS_PER_CALL) {
        let answer = clients
            .read(DESCRIBE_TAGS, classify, || {
                clients.elbv2.describe_tags().set_resource_arns(Some(arns.to_vec())).send()
            })
            .await?;
        for description in answer.tag_descriptions() {
            let Some(arn) = description.resource_arn() else { continue };
            let found: Tags = description
                .tags()
                .iter()
                .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
                .collect();
            clients.note_tags(arn, &found);
            tags.insert(arn.to_owned(), found);
        }
    }
    Ok(tags)
}

/// The same for a batch, in which not knowing whose one group is must not hide the others: DescribeTags fails as a whole
/// when one of the ARNs is gone.
async fn read_tags_of_each(clients: &RegionClients, arns: &[String]) -> BTreeMap<String, Tags> {
    let mut tags = BTreeMap::new();
    for arns in arns.chunks(TAGS_PER_CALL) {
        match read_tags(clients, arns).await {
            Ok(found) => tags.extend(found),
            Err(error) if arns.len() > 1 && matches!(error.class, Class::NotFound | Class::Invalid) => {
                for arn in arns {
                    tags.extend(read_tags(clients, std::slice::from_ref(arn)).await.unwrap_or_default());
                }
            }
            Err(_) => {}
        }
    }
    tags
}

fn count(number: Option<i32>) -> Option<u32> {
    number.and_then(|n| u32::try_from(n).ok())
}

fn observed(live: &Live, deregistration_delay_s: Option<u32>, tags: Option<Tags>) -> Option<Observed> {
    let mut load_balancers = live.load_balancer_arns().to_vec();
    load_balancers.sort();
    Some(Observed {
        arn: live.target_group_arn()?.to_owned(),
        name: live.target_group_name()?.to_owned(),
        protocol: live.protocol().map(|protocol| protocol.as_str().to_owned()),
        port: live.port().and_then(|port| u16::try_from(port).ok()),
        vpc: live.vpc_id().map(str::to_owned),
        target_type: live.target_type().map(|kind| kind.as_str().to_owned()),
        health_check: HealthCheck {
            path: live.health_check_path().map(str::to_owned),
            interval_s: count(live.health_check_interval_seconds()),
            timeout_s: count(live.health_check_timeout_seconds()),
            healthy_threshold: count(live.healthy_threshold_count()),
            unhealthy_threshold: count(live.unhealthy_threshold_count()),
            matcher: live.matcher().and_then(Matcher::http_code).map(str::to_owned),
        },
        load_balancers,
        deregistration_delay_s,
        tags,
    })
}

fn signed(number: Option<u32>) -> Option<i32> {
    number.map(u32::cast_signed)
}

fn matcher(check: &HealthCheck) -> Option<Matcher> {
    check.matcher.as_ref().map(|codes| Matcher::builder().http_code(codes).build())
}

fn tag_list(tags: Tags) -> Option<Vec<Tag>> {
    // An empty list is refused; none at all is not.
    (!tags.is_empty())
        .then(|| tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect())
}

#[async_trait]
impl KindProvider<Observed> for Provider {
    async fn observe(&self, scope: &Scope, keys: &[ObserveKey]) -> Result<Batch<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let mut groups = Vec::new();
        let mut failed = BTreeMap::new();
        if keys.len() <= BY_NAME {
            for key in keys {
                match named(&clients, &key.identity, scope.now).await {
                    Ok(group) => groups.extend(group.present().cloned()),
                    Err(error) => {
                        let why = Unknown::Failed { class: error.class, message: error.to_string() };
                        failed.insert(Arc::clone(&key.identity), why);
                    }
                }
            }
        } else {
            groups = all(&clients).await?;
        }
        let live: BTreeMap<&str, &Live> =
            groups.iter().filter_map(|group| Some((group.target_group_name()?, group))).collect();
        let arns: Vec<String> =
            keys.iter().filter_map(|key| live.get(&*key.identity)?.target_group_arn().map(str::to_owned)).collect();
        let mut tags = clients.swept_tags(&arns).await?;
        let missing: Vec<String> = arns.iter().filter(|arn| !tags.contains_key(*arn)).cloned().collect();
        tags.extend(read_tags_of_each(&clients, &missing).await);
        let delays = self.delays(&clients, &arns, scope.now).await;
        Ok(keys
            .iter()
            .map(|key| {
                let found = live.get(&*key.identity).and_then(|group| {
                    let arn = group.target_group_arn()?;
                    observed(group, delays.get(arn).copied().flatten(), tags.get(arn).cloned())
                });
                let observation = found.map_or_else(
                    || {
                        let why = failed.remove(&key.identity).unwrap_or(Unknown::NotListed);
                        Observation::Unknown { since: scope.now, why }
                    },
                    Observation::Present,
                );
                (Arc::clone(&key.identity), observation)
            })
            .collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let group = match named(&clients, &key.identity, scope.now).await? {
            Observation::Present(group) => group,
            Observation::Absent => return Ok(Observation::Absent),
            Observation::Unknown { since, why } => return Ok(Observation::Unknown { since, why }),
        };
        let nameless = || no_object(DESCRIBE, "a target group without ARN or name");
        let arn = group.target_group_arn().ok_or_else(nameless)?.to_owned();
        let delay = self.read_delay(&clients, &arn, scope.now).await?;
        let tags = read_tags(&clients, std::slice::from_ref(&arn)).await?.remove(&arn);
        observed(&group, delay, tags).map(Observation::Present).ok_or_else(nameless)
    }

    async fn act(&self, scope: &Scope, key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let elb = &clients.elbv2;
        let request_id = match instruction(step)? {
            Action::CreateTargetGroup { port, vpc, health_check, tags } => {
                let call = elb
                    .create_target_group()
                    .name(&*key.identity)
                    .protocol(ProtocolEnum::Http)
                    .target_type(TargetTypeEnum::Ip)
                    .port(port.into())
                    .vpc_id(vpc)
                    .set_matcher(matcher(&health_check))
                    .set_health_check_path(health_check.path)
                    .set_health_check_interval_seconds(signed(health_check.interval_s))
                    .set_health_check_timeout_seconds(signed(health_check.timeout_s))
                    .set_healthy_threshold_count(signed(health_check.healthy_threshold))
                    .set_unhealthy_threshold_count(signed(health_check.unhealthy_threshold))
                    .set_tags(tag_list(tags));
                clients.act("elasticloadbalancing:CreateTargetGroup", classify, || call.send()).await?.1
            }
            Action::ModifyTargetGroup { arn, health_check } => {
                let call = elb
                    .modify_target_group()
                    .target_group_arn(arn)
                    .set_matcher(matcher(&health_check))
                    .set_health_check_path(health_check.path)
                    .set_health_check_interval_seconds(signed(health_check.interval_s))
                    .set_health_check_timeout_seconds(signed(health_check.timeout_s))
                    .set_healthy_threshold_count(signed(health_check.healthy_threshold))
                    .set_unhealthy_threshold_count(signed(health_check.unhealthy_threshold));
                clients.act("elasticloadbalancing:ModifyTargetGroup", classify, || call.send()).await?.1
            }
            Action::ModifyTargetGroupAttributes { arn, deregistration_delay_s } => {
                // Whatever becomes of the call, what was known before is no longer.
                self.delays.lock().unwrap_or_else(PoisonError::into_inner).remove(&arn);
                let value = deregistration_delay_s.to_string();
                let attribute = TargetGroupAttribute::builder().key(DELAY).value(value).build();
                let call = elb.modify_target_group_attributes().target_group_arn(arn).attributes(attribute);
                clients.act("elasticloadbalancing:ModifyTargetGroupAttributes", classify, || call.send()).await?.1
            }
            Action::TagResource { arn, tags } => {
                let call = elb.add_tags().resource_arns(arn).set_tags(tag_list(tags));
                clients.act("elasticloadbalancing:AddTags", classify, || call.send()).await?.1
            }
            Action::DeleteTargetGroup { arn } => {
                let call = elb.delete_target_group().target_group_arn(arn);
                clients.act("elasticloadbalancing:DeleteTargetGroup", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }

    async fn diagnose(
        &self,
        scope: &Scope,
        _key: &ObserveKey,
        observed: &Observed,
    ) -> Result<Vec<Finding>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let answer = clients
            .read(HEALTH, classify, || clients.elbv2.describe_target_health().target_group_arn(&observed.arn).send())
            .await?;
        let members: Vec<Member> = answer.target_health_descriptions().iter().map(member).collect();
        Ok(diagnosis::findings(observed, &members))
    }
}

fn member(described: &TargetHealthDescription) -> Member {
    let health = described.target_health();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let target = described.target().map(|target| match target.port() {
        Some(port) => format!("{}:{port}", target.id().unwrap_or("?")),
        None => text(target.id()),
    });
    Member {
        target: target.unwrap_or_default(),
        state: text(health.and_then(|health| health.state()).map(TargetHealthStateEnum::as_str)),
        reason: text(health.and_then(|health| health.reason()).map(TargetHealthReasonEnum::as_str)),
        description: text(health.and_then(|health| health.description())),
    }
}
