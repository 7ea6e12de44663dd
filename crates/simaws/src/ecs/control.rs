//! ECS's part of the control plane: what becomes of images, what load a service has, and crashes.
use serde::Deserialize;
use serde_json::{Value, json};

use super::images::ImageRule;
use super::scheduler;
use super::state::{Phase, State};
use crate::Ctx;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Crash {
    cluster: String,
    service: String,
    #[serde(default = "one")]
    tasks: usize,
}

fn one() -> usize {
    1
}

/// `images` adds an [`ImageRule`] (an empty object forgets them all); `crash` lets running tasks of a service exit.
pub(super) fn handle(ctx: &mut Ctx<'_>, path: &str, body: &Value) -> Option<Result<Value, String>> {
    match path {
        "images" => Some(images(ctx, body)),
        "crash" => Some(serde_json::from_value(body.clone()).map_err(|e| e.to_string()).and_then(|c| crash(ctx, &c))),
        _ => None,
    }
}

fn images(ctx: &mut Ctx<'_>, body: &Value) -> Result<Value, String> {
    let rules = &mut ctx.state::<State>().rules;
    if body.as_object().is_some_and(serde_json::Map::is_empty) {
        rules.clear();
    } else {
        rules.push(serde_json::from_value::<ImageRule>(body.clone()).map_err(|e| e.to_string())?);
    }
    Ok(json!({ "images": rules }))
}

fn crash(ctx: &mut Ctx<'_>, wanted: &Crash) -> Result<Value, String> {
    let crashed = scheduler::with(ctx, &wanted.cluster, &wanted.service, |ctx, service| {
        let now = ctx.now();
        let mut ids = Vec::new();
        for task in service.tasks.iter_mut().filter(|t| t.phase == Phase::Running).take(wanted.tasks) {
            (task.fate, task.due) = (super::images::Fate::Exits, Some(now));
            ids.push(task.id.clone());
        }
        ids
    });
    match crashed {
        Some(ids) => Ok(json!({ "tasks": ids })),
        None => Err(format!("no service {} in cluster {}", wanted.service, wanted.cluster)),
    }
}
