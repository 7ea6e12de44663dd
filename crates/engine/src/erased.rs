//! Kinds with their types erased, so that graph and pass handle all of them alike.

use std::collections::BTreeMap;

use model::{AnyObject, Environment, ResourceKey, ResourcePlan, Tags};
use serde_json::Value;

use crate::expand::Expansion;
use crate::graph::Node;
use crate::kind::{Backup, Health, Kind, KindTraits, Output, PlanContext};

/// A [`Kind`] with its types erased. Values given to a kind must be its own; anything else is a bug of ours and
/// yields an empty answer or a reported wait, never a step.
pub trait ErasedKind: Send + Sync {
    /// [`Kind::NAME`].
    fn name(&self) -> &'static str;
    /// [`Kind::TRAITS`].
    fn traits(&self) -> KindTraits;
    /// [`Kind::expand`].
    fn expand(&self, environment: &Environment, tags: &Tags, nodes: &mut Vec<Node>);
    /// [`Kind::plan_absent`].
    fn plan_absent(&self, context: &PlanContext<'_>, desired: &dyn AnyObject) -> ResourcePlan;
    /// [`Kind::plan_present`].
    fn plan_present(
        &self,
        context: &PlanContext<'_>,
        desired: &dyn AnyObject,
        observed: &dyn AnyObject,
    ) -> ResourcePlan;
    /// [`Kind::plan_delete`].
    fn plan_delete(&self, context: &PlanContext<'_>, observed: &dyn AnyObject) -> ResourcePlan;
    /// [`Kind::health`].
    fn health(&self, context: &PlanContext<'_>, desired: &dyn AnyObject, observed: &dyn AnyObject) -> Health;
    /// [`Kind::tags`].
    fn tags<'a>(&self, observed: &'a dyn AnyObject) -> Option<&'a Tags>;
    /// [`Kind::tag_step_body`].
    fn tag_step_body(&self, observed: &dyn AnyObject, set: &Tags) -> Value;
    /// [`Kind::parent_of`].
    fn parent_of(&self, key: &ResourceKey) -> Option<ResourceKey>;
    /// [`Kind::taggable`].
    fn taggable(&self, observed: &dyn AnyObject) -> bool;
    /// [`Kind::output`].
    fn output(&self, observed: &dyn AnyObject, name: &str) -> Option<Output>;
    /// [`Kind::backup`].
    fn backup(&self, context: &PlanContext<'_>, desired: &dyn AnyObject, observed: &dyn AnyObject) -> Option<Backup>;
}

/// Wraps a [`Kind`].
pub struct Erased<K>(std::marker::PhantomData<fn() -> K>);

impl<K> Erased<K> {
    /// The wrapper; it holds nothing.
    pub const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<K> Default for Erased<K> {
    fn default() -> Self {
        Self::new()
    }
}

fn foreign(context: &PlanContext<'_>) -> ResourcePlan {
    ResourcePlan::wait(model::Wait::new(
        model::WaitKind::Stalled,
        "InternalError",
        format!("{} was given a value of another kind; please report this", context.key),
    ))
}

impl<K: Kind> ErasedKind for Erased<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn traits(&self) -> KindTraits {
        K::TRAITS
    }

    fn expand(&self, environment: &Environment, tags: &Tags, nodes: &mut Vec<Node>) {
        K::expand(environment, &mut Expansion::new(environment, K::NAME, tags, nodes));
    }

    fn plan_absent(&self, context: &PlanContext<'_>, desired: &dyn AnyObject) -> ResourcePlan {
        match desired.as_any().downcast_ref() {
            Some(desired) => K::plan_absent(context, desired),
            None => foreign(context),
        }
    }

    fn plan_present(
        &self,
        context: &PlanContext<'_>,
        desired: &dyn AnyObject,
        observed: &dyn AnyObject,
    ) -> ResourcePlan {
        match (desired.as_any().downcast_ref(), observed.as_any().downcast_ref()) {
            (Some(desired), Some(observed)) => K::plan_present(context, desired, observed),
            _ => foreign(context),
        }
    }

    fn plan_delete(&self, context: &PlanContext<'_>, observed: &dyn AnyObject) -> ResourcePlan {
        match observed.as_any().downcast_ref() {
            Some(observed) => K::plan_delete(context, observed),
            None => foreign(context),
        }
    }

    fn health(&self, context: &PlanContext<'_>, desired: &dyn AnyObject, observed: &dyn AnyObject) -> Health {
        match (desired.as_any().downcast_ref(), observed.as_any().downcast_ref()) {
            (Some(desired), Some(observed)) => K::health(context, desired, observed),
            _ => Health::Stalled {
                reason: "InternalError",
                message: format!("{} has a value of another kind", context.key),
            },
        }
    }

    fn tags<'a>(&self, observed: &'a dyn AnyObject) -> Option<&'a Tags> {
        observed.as_any().downcast_ref().and_then(K::tags)
    }

    fn tag_step_body(&self, observed: &dyn AnyObject, set: &Tags) -> Value {
        observed.as_any().downcast_ref().map_or(Value::Null, |observed| K::tag_step_body(observed, set))
    }

    fn parent_of(&self, key: &ResourceKey) -> Option<ResourceKey> {
        K::parent_of(key)
    }

    fn taggable(&self, observed: &dyn AnyObject) -> bool {
        observed.as_any().downcast_ref().is_some_and(K::taggable)
    }

    fn output(&self, observed: &dyn AnyObject, name: &str) -> Option<Output> {
        observed.as_any().downcast_ref().and_then(|observed| K::output(observed, name))
    }

    fn backup(&self, context: &PlanContext<'_>, desired: &dyn AnyObject, observed: &dyn AnyObject) -> Option<Backup> {
        match (desired.as_any().downcast_ref(), observed.as_any().downcast_ref()) {
            (Some(desired), Some(observed)) => K::backup(context, desired, observed),
            _ => None,
        }
    }
}

/// All kinds, by name. Built from `kinds::registry`.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Box<dyn ErasedKind>>,
}

impl Registry {
    /// A registry of these kinds.
    pub fn new(kinds: Vec<Box<dyn ErasedKind>>) -> Self {
        Self { kinds: kinds.into_iter().map(|kind| (kind.name(), kind)).collect() }
    }

    /// All kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &dyn ErasedKind> {
        self.kinds.values().map(Box::as_ref)
    }

    /// The kind of a name.
    pub fn get(&self, name: &str) -> Option<&dyn ErasedKind> {
        self.kinds.get(name).map(Box::as_ref)
    }

    /// Says a resource's kind is served: `get(key.kind)`.
    pub fn of(&self, key: &ResourceKey) -> Option<&dyn ErasedKind> {
        self.get(key.kind.as_str())
    }
}
