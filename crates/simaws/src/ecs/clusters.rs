//! Clusters. Must not touch services or tasks: it only asks whether there are any.
use super::state::{Cluster, State};
use super::{bad_token, cluster_not_found, invalid, names, page_size};
use crate::{AwsError, Ctx, Doc, Outcome, Pager, doc, tags_in, tags_out};

fn arn(ctx: &Ctx<'_>, name: &str) -> String {
    ctx.arn("ecs", &format!("cluster/{name}"))
}

fn status(cluster: &Cluster) -> &'static str {
    if cluster.deleted.is_some() { "INACTIVE" } else { "ACTIVE" }
}

fn settings(cluster: &Cluster) -> Doc {
    Doc::List(vec![doc! { "name" => "containerInsights", "value" => &cluster.insights }])
}

/// One cluster with the parts asked for; without them settings, tags and statistics are empty (API Reference,
/// DescribeClusters, `include`).
fn show(ctx: &mut Ctx<'_>, name: &str, parts: &[String]) -> Option<Doc> {
    let arn = arn(ctx, name);
    let wants = |part: &str| parts.iter().any(|p| p == part);
    let tags = if wants("TAGS") { tags_out(&ctx.tags().of(&arn), "key", "value") } else { Doc::List(Vec::new()) };
    let cluster = ctx.state::<State>().clusters.get(name)?;
    let count = |name: &str, n: i64| doc! { "name" => name, "value" => n.to_string() };
    let statistics = vec![
        count("runningFargateTasksCount", cluster.running),
        count("pendingFargateTasksCount", cluster.pending),
        count("activeServiceCount", cluster.active),
    ];
    let mut shown = doc! {
        "clusterArn" => arn,
        "clusterName" => name,
        "status" => status(cluster),
        "registeredContainerInstancesCount" => 0,
        "runningTasksCount" => cluster.running,
        "pendingTasksCount" => cluster.pending,
        "activeServicesCount" => cluster.active,
        "statistics" => if wants("STATISTICS") { statistics } else { Vec::new() },
        "tags" => tags,
        "settings" => if wants("SETTINGS") { settings(cluster) } else { Doc::List(Vec::new()) },
        "capacityProviders" => &cluster.providers,
        "defaultCapacityProviderStrategy" => cluster.strategy.clone(),
        "serviceConnectDefaults" => &cluster.connect,
    };
    if wants("CONFIGURATIONS") {
        shown.set("configuration", &cluster.configuration);
    }
    if wants("ATTACHMENTS") {
        shown.set("attachments", Vec::<Doc>::new());
    }
    Some(shown)
}

fn all_parts() -> Vec<String> {
    ["CONFIGURATIONS", "SETTINGS", "TAGS"].map(str::to_owned).to_vec()
}

fn shown(ctx: &mut Ctx<'_>, name: &str) -> Outcome {
    let cluster = show(ctx, name, &all_parts()).ok_or_else(cluster_not_found)?;
    Ok(doc! { "cluster" => cluster })
}

fn check_providers(providers: &[String], strategy: &[Doc]) -> Result<(), AwsError> {
    let known = |name: &str| name == "FARGATE" || name == "FARGATE_SPOT";
    if let Some(name) = providers.iter().find(|p| !known(p)) {
        return Err(invalid(&format!("The specified capacity provider '{name}' was not found.")));
    }
    if let Some(item) = strategy.iter().find(|s| !providers.iter().any(|p| p == s.need("capacityProvider"))) {
        let name = item.need("capacityProvider");
        let message = format!(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with \
             the cluster: {name}."
        );
        return Err(invalid(&message));
    }
    if strategy.iter().filter(|s| s.int("base").unwrap_or(0) > 0).count() > 1 {
        return Err(invalid("Only one capacity provider in a capacity provider strategy can have a base defined."));
    }
    Ok(())
}

fn strategy_in(input: &Doc, name: &str) -> Vec<Doc> {
    let fill =
        |s: &Doc| s.clone().with("base", s.int("base").unwrap_or(0)).with("weight", s.int("weight").unwrap_or(0));
    input.list(name).iter().map(fill).collect()
}

/// API Reference, CreateCluster: an ACTIVE cluster of that name is returned as it is.
pub(super) fn create(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = input.text("clusterName").unwrap_or("default").to_owned();
    names::check("Cluster", &name)?;
    let (now, arn) = (ctx.now(), arn(ctx, &name));
    let providers = input.texts("capacityProviders");
    let strategy = strategy_in(input, "defaultCapacityProviderStrategy");
    check_providers(&providers, &strategy)?;
    let state = ctx.state::<State>();
    if state.clusters.get(&name).is_some_and(|c| c.deleted.is_none()) {
        return shown(ctx, &name);
    }
    let insights = input.list("settings").last().map_or("disabled", |s| s.need("value")).to_owned();
    let cluster = Cluster {
        insights,
        configuration: input.at("configuration").clone(),
        connect: input.at("serviceConnectDefaults").clone(),
        providers,
        strategy,
        ..Cluster::default()
    };
    state.clusters.insert(name.clone(), cluster);
    ctx.tags().register(&arn, tags_in(input.list("tags"), "key", "value"), now);
    shown(ctx, &name)
}

/// API Reference, DescribeClusters: up to 100; what is not there is a failure MISSING. INACTIVE clusters show for a
/// while (API Reference, DeleteCluster).
pub(super) fn describe(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let mut asked = input.texts("clusters");
    if asked.len() > 100 {
        return Err(invalid("Clusters cannot have more than 100 elements."));
    }
    if asked.is_empty() {
        asked.push("default".to_owned());
    }
    let parts = input.texts("include");
    let now = ctx.now();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for given in asked {
        let name = names::cluster(ctx, Some(&given)).ok();
        let there = |ctx: &mut Ctx<'_>, n: &str| ctx.state::<State>().clusters.get(n).is_some_and(|c| !c.purged(now));
        match name.filter(|n| there(ctx, n)).and_then(|n| show(ctx, &n, &parts)) {
            Some(cluster) => found.push(cluster),
            None => {
                let named = if given.starts_with("arn:") { given } else { arn(ctx, &given) };
                failures.push(doc! { "arn" => named, "reason" => "MISSING" });
            }
        }
    }
    Ok(doc! { "clusters" => found, "failures" => failures })
}

fn active<'a>(ctx: &'a mut Ctx<'_>, name: &str) -> Result<&'a mut Cluster, AwsError> {
    ctx.state::<State>().clusters.get_mut(name).filter(|c| c.deleted.is_none()).ok_or_else(cluster_not_found)
}

/// API Reference, UpdateCluster.
pub(super) fn update(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = names::cluster(ctx, input.text("cluster"))?;
    let cluster = active(ctx, &name)?;
    if let Some(setting) = input.list("settings").last() {
        cluster.insights = setting.need("value").to_owned();
    }
    if input.has("configuration") {
        cluster.configuration = input.at("configuration").clone();
    }
    if input.has("serviceConnectDefaults") {
        cluster.connect = input.at("serviceConnectDefaults").clone();
    }
    shown(ctx, &name)
}

/// API Reference, UpdateClusterSettings.
pub(super) fn update_settings(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    if input.list("settings").is_empty() {
        return Err(invalid("Settings cannot be empty."));
    }
    update(ctx, input)
}

/// API Reference, PutClusterCapacityProviders.
pub(super) fn put_providers(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = names::cluster(ctx, input.text("cluster"))?;
    let providers = input.texts("capacityProviders");
    let strategy = strategy_in(input, "defaultCapacityProviderStrategy");
    let cluster = active(ctx, &name)?;
    check_providers(&providers, &strategy)?;
    (cluster.providers, cluster.strategy) = (providers, strategy);
    shown(ctx, &name)
}

/// API Reference, DeleteCluster: not while there are services or tasks; the cluster turns INACTIVE.
pub(super) fn delete(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let name = names::cluster(ctx, input.text("cluster"))?;
    let (now, arn) = (ctx.now(), arn(ctx, &name));
    let cluster = active(ctx, &name)?;
    if cluster.active > 0 {
        let message = "The Cluster cannot be deleted while Services are active.";
        return Err(AwsError::new("ClusterContainsServicesException", message));
    }
    if cluster.running + cluster.pending > 0 {
        return Err(AwsError::new(
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        ));
    }
    cluster.deleted = Some(now);
    let shown = shown(ctx, &name);
    ctx.tags().forget(&arn, now);
    shown
}

/// API Reference, ListClusters: ACTIVE ones, 100 a page.
pub(super) fn list(ctx: &mut Ctx<'_>, input: &Doc) -> Outcome {
    let size = page_size(input, 100)?;
    let pager = Pager::new(ctx, "ListClusters", input.text("nextToken"), size).map_err(|_| bad_token())?;
    let prefix = arn(ctx, "");
    let clusters = ctx.state::<State>().clusters.range::<str, _>(pager.range()).filter(|(_, c)| c.deleted.is_none());
    let (arns, token) = pager.take(clusters.map(|(name, _)| (name, Doc::Str(format!("{prefix}{name}")))));
    Ok(doc! { "clusterArns" => arns, "nextToken" => token })
}
