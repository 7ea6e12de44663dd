//! A hand inside Application Auto Scaling: the metrics that its policies go by, since no task really works.
pub use super::tracking::Metric;
use super::{State, parts, tracking};
use crate::{Ctx, ecs};

/// Sets, or with `None` forgets, a service's metric (`ECSServiceAverageCPUUtilization`, …). False: there is no such
/// service; `resource` is `service/<cluster>/<service>`.
pub fn set_metric(ctx: &mut Ctx<'_>, resource: &str, name: &str, metric: Option<Metric>) -> bool {
    let Some((cluster, service)) = parts(resource) else { return false };
    if ecs::counts(ctx, cluster, service).is_none() {
        return false;
    }
    let key = (resource.to_owned(), name.to_owned());
    let metrics = &mut ctx.state::<State>().metrics;
    match metric {
        Some(metric) => drop(metrics.insert(key, metric)),
        None => drop(metrics.remove(&key)),
    }
    tracking::wake(ctx, cluster, service);
    true
}
