//! Who owns the number of tasks, and what it shall be. Pure.

use engine::PlanContext;
use model::{FieldChange, Note, Observation, ResourcePlan, Wait, WaitKind};
use serde_json::Value;

use super::desired::Range;
use super::update::Part;
use super::{Desired, Observed};

/// What governs the number of tasks.
enum Bounds {
    /// Nobody but the document.
    None,
    /// Autoscaling, between these, with what someone suspended of it.
    Range { range: Range, suspended: Suspended },
    /// Not known now.
    Unknown(Wait),
}

/// The directions in which someone suspended scaling.
#[derive(Default)]
struct Suspended {
    scale_in: bool,
    scale_out: bool,
}

/// The bounds of autoscaling: the declared ones, else those of a live scalable target.
fn bounds(context: &PlanContext<'_>, desired: &Desired) -> Bounds {
    match context.output(&desired.scalable_target, "bounds") {
        Observation::Present(live) => {
            let number = |n: usize| live.get(n).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
            let flag = |n: usize| live.get(n).and_then(Value::as_bool) == Some(true);
            match desired.range.or_else(|| Some(Range { min: number(0)?, max: number(1)? })) {
                Some(range) => Bounds::Range { range, suspended: Suspended { scale_in: flag(2), scale_out: flag(3) } },
                None => Bounds::None,
            }
        }
        Observation::Absent => {
            desired.range.map_or(Bounds::None, |range| Bounds::Range { range, suspended: Suspended::default() })
        }
        Observation::Unknown { .. } => Bounds::Unknown(Wait::new(
            WaitKind::Unknown,
            "DependencyUnknown",
            format!("{} is not known now, so the count is left as it is", desired.scalable_target),
        )),
    }
}

/// The count to set, if any, into `part`; what is left alone into `plan`.
pub(super) fn plan_count(
    context: &PlanContext<'_>,
    desired: &Desired,
    observed: &Observed,
    part: &mut Part,
    plan: &mut ResourcePlan,
) {
    let live = observed.desired_count;
    let in_declared_range = desired.range.is_none_or(|range| (range.min..=range.max).contains(&live));
    if in_declared_range && desired.desired_count.is_none_or(|count| count == live) {
        return;
    }
    let (to, reason) = match bounds(context, desired) {
        Bounds::None => match desired.desired_count {
            Some(count) if count != live => (count, "the count is not as declared"),
            Some(_) | None => return,
        },
        Bounds::Range { range, suspended } => {
            let clamped = live.clamp(range.min, range.max.max(range.min));
            if clamped == live {
                if let Some(count) = desired.desired_count.filter(|count| *count != live) {
                    plan.notes.push(
                        Note::new(
                            "AutoscalingOwnsCount",
                            format!(
                                "autoscaling owns the count: {live} tasks, within {} to {}, are left alone; \
                                 desiredCount {count} is used at creation only",
                                range.min, range.max
                            ),
                        )
                        .with(FieldChange::new("desiredCount", live, count)),
                    );
                }
                return;
            }
            if if clamped < live { suspended.scale_in } else { suspended.scale_out } {
                plan.notes.push(Note::new(
                    "AutoscalingSuspended",
                    format!(
                        "someone suspended scaling {}: the count of {live} is left alone",
                        if clamped < live { "in" } else { "out" }
                    ),
                ));
                return;
            }
            (clamped, "the count is outside the range of autoscaling")
        }
        Bounds::Unknown(wait) => {
            plan.waits.push(wait);
            return;
        }
    };
    part.update.desired_count = Some(to);
    part.note(reason, FieldChange::new("desiredCount", live, to));
}
