//! ECS's part of the control plane: [`super::hand`] over JSON.
use serde::Deserialize;
use serde_json::{Value, json};

use super::hand;
use super::images::ImageRule;
use super::state::State;
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
        "crash" => Some(crash(ctx, body)),
        _ => None,
    }
}

fn images(ctx: &mut Ctx<'_>, body: &Value) -> Result<Value, String> {
    if body.as_object().is_some_and(serde_json::Map::is_empty) {
        hand::forget_images(ctx);
    } else {
        let rule: ImageRule = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
        hand::decide_image(ctx, &rule.image, rule.fate);
    }
    Ok(json!({ "images": ctx.state::<State>().rules }))
}

fn crash(ctx: &mut Ctx<'_>, body: &Value) -> Result<Value, String> {
    let wanted: Crash = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
    let crashed = hand::crash(ctx, &wanted.cluster, &wanted.service, wanted.tasks);
    let ids = crashed.ok_or_else(|| format!("no service {} in cluster {}", wanted.service, wanted.cluster))?;
    Ok(json!({ "tasks": ids }))
}
