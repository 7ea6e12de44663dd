//! A hand inside ECS: what no AWS call brings about. Takes effect at once, in the (account, region) of `ctx`.
pub use super::images::Fate;
use super::images::ImageRule;
use super::state::{Phase, State};
use super::{lives, scheduler};
use crate::Ctx;

/// Images whose name contains `image` have this fate from now on, whatever their name says otherwise; for tasks started
/// from now on.
pub fn decide_image(ctx: &mut Ctx<'_>, image: &str, fate: Fate) {
    ctx.state::<State>().rules.push(ImageRule { image: image.to_owned(), fate });
}

/// Only the images' names tell again.
pub fn forget_images(ctx: &mut Ctx<'_>) {
    ctx.state::<State>().rules.clear();
}

/// So many running tasks of a service exit. Their ids; none: there is no such service.
pub fn crash(ctx: &mut Ctx<'_>, cluster: &str, service: &str, tasks: usize) -> Option<Vec<String>> {
    scheduler::with(ctx, cluster, service, |ctx, service| {
        let running = service.tasks.iter().filter(|t| t.phase == Phase::Running).take(tasks);
        let ids: Vec<String> = running.map(|t| t.id.clone()).collect();
        lives::crash(ctx, service, &ids);
        ids
    })
}
