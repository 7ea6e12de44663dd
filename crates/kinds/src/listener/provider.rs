//! Elastic Load Balancing calls for listeners. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::types::{
    Action as LiveAction, ActionTypeEnum, Certificate, ForwardActionConfig, Listener as Live, ProtocolEnum,
    RedirectActionConfig, RedirectActionStatusCodeEnum, Tag, TargetGroupTuple,
};
use awskit::{Aws, RegionClients, TokenGuard, not_tried};
use model::observation::Unknown;
use model::{ActError, Class, Effect, Observation, ObserveError, Step, Tags};

use super::desired::identity;
use super::errors::classify;
use super::plan::Settings;
use super::{Action, DefaultAction, Observed, Redirect};
use crate::provider::{Acted, ObserveKey, Observed as Batch, Provider as KindProvider, Scope, instruction, no_object};

const DESCRIBE: &str = "elasticloadbalancing:DescribeListeners";
const DESCRIBE_TAGS: &str = "elasticloadbalancing:DescribeTags";

/// ARNs that one DescribeTags call takes. (ELB API Reference, DescribeTags.)
const TAGS_PER_CALL: usize = 20;

/// ARNs that one DescribeListeners call is given. The API Reference names no limit; a page has 400.
const ARNS_PER_CALL: usize = 100;

/// The provider on AWS clients.
pub struct Provider {
    aws: Aws,
    /// ARNs of listeners seen before, by identity: known ones are read by ARN, many a call.
    arns: Mutex<HashMap<Arc<str>, String>>,
}

/// What was found of some keys, and why of others nothing is known.
#[derive(Default)]
struct Found {
    live: BTreeMap<String, Live>,
    failed: BTreeMap<Arc<str>, Unknown>,
}

impl Provider {
    /// On these clients.
    pub fn new(aws: Aws) -> Self {
        Self { aws, arns: Mutex::default() }
    }

    fn known(&self, key: &ObserveKey) -> Option<String> {
        self.arns.lock().unwrap_or_else(PoisonError::into_inner).get(&key.identity).cloned()
    }

    fn note(&self, keys: &[ObserveKey], found: &Found) {
        let mut arns = self.arns.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            match found.live.get(&*key.identity).and_then(Live::listener_arn) {
                Some(arn) => {
                    arns.insert(Arc::clone(&key.identity), arn.to_owned());
                }
                None => {
                    arns.remove(&key.identity);
                }
            }
        }
    }

    /// Known listeners by ARN; the keys that this does not answer are read by load balancer.
    async fn find(&self, clients: &RegionClients, keys: &[ObserveKey]) -> Found {
        let mut found = Found::default();
        let known: Vec<(&ObserveKey, String)> = keys.iter().filter_map(|key| Some((key, self.known(key)?))).collect();
        let balancers: BTreeSet<&str> = keys.iter().filter_map(|key| balancer_of(&key.identity)).collect();
        // With one load balancer its listing is one call as well, and shows new listeners too.
        if balancers.len() > 1 {
            for chunk in known.chunks(ARNS_PER_CALL) {
                let arns: Vec<String> = chunk.iter().map(|(_, arn)| arn.clone()).collect();
                // One that is gone fails the call for all of them: then the listings tell.
                let Ok(listeners) = by_arn(clients, &arns).await else { break };
                found.add(listeners);
            }
        }
        let open: BTreeSet<&str> = keys
            .iter()
            .filter(|key| !found.live.contains_key(&*key.identity))
            .filter_map(|key| balancer_of(&key.identity))
            .collect();
        for balancer in open {
            match by_balancer(clients, balancer).await {
                Ok(listeners) => found.add(listeners),
                Err(error) if error.class == Class::NotFound => {}
                Err(error) => {
                    let why = Unknown::Failed { class: error.class, message: error.to_string() };
                    let its = keys.iter().filter(|key| balancer_of(&key.identity) == Some(balancer));
                    found.failed.extend(its.map(|key| (Arc::clone(&key.identity), why.clone())));
                }
            }
        }
        self.note(keys, &found);
        found
    }
}

impl Found {
    fn add(&mut self, listeners: Vec<Live>) {
        for listener in listeners {
            let port = listener.port().and_then(|port| u16::try_from(port).ok());
            if let (Some(balancer), Some(port)) = (listener.load_balancer_arn(), port) {
                self.live.insert(identity(balancer, port), listener);
            }
        }
    }
}

fn balancer_of(identity: &str) -> Option<&str> {
    identity.rsplit_once('/').map(|(balancer, _)| balancer)
}

async fn by_arn(clients: &RegionClients, arns: &[String]) -> Result<Vec<Live>, ObserveError> {
    let answer = clients
        .read(DESCRIBE, classify, || clients.elbv2.describe_listeners().set_listener_arns(Some(arns.to_vec())).send())
        .await?;
    Ok(answer.listeners().to_vec())
}

async fn by_balancer(clients: &RegionClients, balancer: &str) -> Result<Vec<Live>, ObserveError> {
    let mut listeners = Vec::new();
    let mut guard = TokenGuard::new(DESCRIBE);
    let mut token = None;
    loop {
        let page = clients
            .read(DESCRIBE, classify, || {
                clients.elbv2.describe_listeners().load_balancer_arn(balancer).set_marker(token.clone()).send()
            })
            .await?;
        listeners.extend(page.listeners().iter().cloned());
        token = guard.next(page.next_marker())?;
        if token.is_none() {
            return Ok(listeners);
        }
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

/// The same for a batch, in which not knowing whose one listener is must not hide the others: DescribeTags fails as a whole
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

/// AWS's placeholders say what leaving out says.
fn unless(text: Option<&str>, placeholder: &str) -> Option<String> {
    text.filter(|text| *text != placeholder).map(str::to_owned)
}

fn default_action(actions: &[LiveAction]) -> DefaultAction {
    let names = || actions.iter().filter_map(|a| a.r#type().map(|t| t.as_str().to_owned())).collect();
    let [action] = actions else { return DefaultAction::Several(names()) };
    match action.r#type() {
        Some(ActionTypeEnum::Redirect) => {
            let config = action.redirect_config();
            DefaultAction::Redirect(Redirect {
                protocol: unless(config.and_then(RedirectActionConfig::protocol), "#{protocol}"),
                port: unless(config.and_then(RedirectActionConfig::port), "#{port}"),
                host: unless(config.and_then(RedirectActionConfig::host), "#{host}"),
                path: unless(config.and_then(RedirectActionConfig::path), "/#{path}"),
                query: unless(config.and_then(RedirectActionConfig::query), "#{query}"),
                status: config.and_then(|c| c.status_code()).map(|code| code.as_str().to_owned()),
            })
        }
        Some(ActionTypeEnum::Forward) => {
            let weighted = action.forward_config().map(ForwardActionConfig::target_groups).unwrap_or_default();
            let mut groups: BTreeMap<String, i32> = weighted
                .iter()
                .filter_map(|group| Some((group.target_group_arn()?.to_owned(), group.weight().unwrap_or(1))))
                .collect();
            if let Some(arn) = action.target_group_arn() {
                groups.entry(arn.to_owned()).or_insert(1);
            }
            DefaultAction::Forward(groups)
        }
        other => DefaultAction::Other(other.map_or("none", ActionTypeEnum::as_str).to_owned()),
    }
}

fn observed(live: &Live, tags: Option<Tags>) -> Option<Observed> {
    Some(Observed {
        arn: live.listener_arn()?.to_owned(),
        protocol: live.protocol().map(|protocol| protocol.as_str().to_owned()),
        certificate: live.certificates().first().and_then(Certificate::certificate_arn).map(str::to_owned),
        ssl_policy: live.ssl_policy().map(str::to_owned),
        action: default_action(live.default_actions()),
        tags,
    })
}

fn live_action(action: DefaultAction) -> Option<LiveAction> {
    Some(match action {
        DefaultAction::Redirect(redirect) => {
            let config = RedirectActionConfig::builder()
                .set_protocol(redirect.protocol)
                .set_port(redirect.port)
                .set_host(redirect.host)
                .set_path(redirect.path)
                .set_query(redirect.query)
                .set_status_code(redirect.status.as_deref().map(RedirectActionStatusCodeEnum::from))
                .build();
            LiveAction::builder().r#type(ActionTypeEnum::Redirect).redirect_config(config).build()
        }
        DefaultAction::Forward(groups) => {
            let tuples = groups
                .into_iter()
                .map(|(arn, weight)| TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build());
            let config = ForwardActionConfig::builder().set_target_groups(Some(tuples.collect())).build();
            LiveAction::builder().r#type(ActionTypeEnum::Forward).forward_config(config).build()
        }
        DefaultAction::Other(_) | DefaultAction::Several(_) => return None,
    })
}

/// The default action of a step, as AWS takes it. A plan never asks for one that only AWS can make.
fn step_action(settings: &Settings, operation: &str) -> Result<Option<Vec<LiveAction>>, ActError> {
    let Some(action) = settings.default_action.clone() else { return Ok(None) };
    match live_action(action) {
        Some(action) => Ok(Some(vec![action])),
        None => Err(ActError {
            class: Class::Bug,
            effect: Effect::NotApplied,
            operation: operation.to_owned(),
            code: "UnknownInstruction".to_owned(),
            message: "a default action that is neither a redirect nor a forward".to_owned(),
            request_id: None,
        }),
    }
}

fn certificates(settings: &Settings) -> Option<Vec<Certificate>> {
    settings.certificate.as_ref().map(|arn| vec![Certificate::builder().certificate_arn(arn).build()])
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
        let mut found = self.find(&clients, keys).await;
        let arns: Vec<String> =
            keys.iter().filter_map(|key| found.live.get(&*key.identity)?.listener_arn().map(str::to_owned)).collect();
        let mut tags = clients.swept_tags(&arns).await?;
        let missing: Vec<String> = arns.iter().filter(|arn| !tags.contains_key(*arn)).cloned().collect();
        tags.extend(read_tags_of_each(&clients, &missing).await);
        Ok(keys
            .iter()
            .map(|key| {
                let seen = found.live.get(&*key.identity).and_then(|listener| {
                    observed(listener, listener.listener_arn().and_then(|arn| tags.get(arn).cloned()))
                });
                let observation = match seen {
                    Some(observed) => Observation::Present(observed),
                    None => {
                        let why = found.failed.remove(&key.identity).unwrap_or(Unknown::NotListed);
                        Observation::Unknown { since: scope.now, why }
                    }
                };
                (Arc::clone(&key.identity), observation)
            })
            .collect())
    }

    async fn read(&self, scope: &Scope, key: &ObserveKey) -> Result<Observation<Observed>, ObserveError> {
        let clients = self.aws.region(&scope.account, &scope.region).await?;
        let Some(balancer) = balancer_of(&key.identity) else { return Ok(Observation::Absent) };
        // A port has no name to read it by: the listeners of its load balancer are few, and the listing is theirs.
        let mut found = Found::default();
        match by_balancer(&clients, balancer).await {
            Ok(listeners) => found.add(listeners),
            Err(error) if error.class == Class::NotFound => {}
            Err(error) => return Err(error),
        }
        self.note(std::slice::from_ref(key), &found);
        let Some(listener) = found.live.get(&*key.identity) else { return Ok(Observation::Absent) };
        let nameless = || no_object(DESCRIBE, "a listener without ARN");
        let arn = listener.listener_arn().ok_or_else(nameless)?.to_owned();
        let tags = read_tags(&clients, std::slice::from_ref(&arn)).await?.remove(&arn);
        observed(listener, tags).map(Observation::Present).ok_or_else(nameless)
    }

    async fn act(&self, scope: &Scope, _key: &ObserveKey, step: &Step, _token: &str) -> Result<Acted, ActError> {
        let clients = self.aws.region(&scope.account, &scope.region).await.map_err(not_tried)?;
        let elb = &clients.elbv2;
        let request_id = match instruction(step)? {
            Action::CreateListener { load_balancer, port, settings, tags } => {
                let call = elb
                    .create_listener()
                    .load_balancer_arn(load_balancer)
                    .port(port.into())
                    .set_default_actions(step_action(&settings, "elasticloadbalancing:CreateListener")?)
                    .set_certificates(certificates(&settings))
                    .set_protocol(settings.protocol.as_deref().map(ProtocolEnum::from))
                    .set_ssl_policy(settings.ssl_policy)
                    .set_tags(tag_list(tags));
                clients.act("elasticloadbalancing:CreateListener", classify, || call.send()).await?.1
            }
            Action::ModifyListener { arn, settings } => {
                let call = elb
                    .modify_listener()
                    .listener_arn(arn)
                    .set_default_actions(step_action(&settings, "elasticloadbalancing:ModifyListener")?)
                    .set_certificates(certificates(&settings))
                    .set_protocol(settings.protocol.as_deref().map(ProtocolEnum::from))
                    .set_ssl_policy(settings.ssl_policy);
                clients.act("elasticloadbalancing:ModifyListener", classify, || call.send()).await?.1
            }
            Action::TagResource { arn, tags } => {
                let call = elb.add_tags().resource_arns(arn).set_tags(tag_list(tags));
                clients.act("elasticloadbalancing:AddTags", classify, || call.send()).await?.1
            }
            Action::DeleteListener { arn } => {
                let call = elb.delete_listener().listener_arn(arn);
                clients.act("elasticloadbalancing:DeleteListener", classify, || call.send()).await?.1
            }
        };
        Ok(Acted { request_id, at: None })
    }
}
