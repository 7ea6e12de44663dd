//! The kinds that are listed and watched, as wire objects: from the store's lists and from the object log alike.

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{
    AuditFilter, AuditRow, ChangeFilter, ChangeRow, EnvironmentFilter, EnvironmentRow, EventFilter, EventRow,
    LabelRequirement, LoggedChange, ManagedResourceRow, OperatorRow, Page, PageRequest, ResourceFilter, RevisionRow,
};
use uuid::Uuid;

use crate::error::{ApiError, ApiResult};
use crate::filter::Filter;
use crate::freshness::Freshness;
use crate::state::ApiState;
use crate::{audit, wire};

/// What can be listed and watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Environment,
    Change,
    Revision,
    ManagedResource,
    Operator,
    Event,
    Namespace,
    AuditEntry,
}

impl Kind {
    /// As the object log and `kind` name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Environment => "Environment",
            Self::Change => "Change",
            Self::Revision => "Revision",
            Self::ManagedResource => "ManagedResource",
            Self::Operator => "Operator",
            Self::Event => "Event",
            Self::Namespace => "Namespace",
            Self::AuditEntry => "AuditEntry",
        }
    }

    /// Whether it is one of Kubernetes' own.
    pub(crate) fn is_core(self) -> bool {
        matches!(self, Self::Event | Self::Namespace)
    }

    pub(crate) fn api_version(self) -> &'static str {
        if self.is_core() { wire::CORE } else { wire::API_VERSION }
    }

    /// The fields that a field selector may name.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Environment => &["metadata.name", "spec.aws.accountId", "spec.aws.region"],
            Self::Change => &["metadata.name", "spec.environment", "status.phase", "status.author"],
            Self::Revision => &["metadata.name", "spec.environment", "spec.author"],
            Self::ManagedResource => {
                &["metadata.name", "spec.environment", "spec.account", "spec.region", "spec.kind", "spec.identity"]
            }
            Self::Operator | Self::Namespace => &["metadata.name"],
            Self::AuditEntry => &[
                "metadata.name",
                "spec.actor",
                "spec.environment",
                "spec.verb",
                "spec.outcome",
                "spec.change",
                "spec.object.kind",
                "spec.object.name",
                "spec.requestId",
            ],
            Self::Event => &[
                "metadata.name",
                "metadata.namespace",
                "involvedObject.kind",
                "involvedObject.name",
                "involvedObject.namespace",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "regarding.kind",
                "regarding.name",
                "reason",
                "type",
            ],
        }
    }

    /// Those of them by which the store selects.
    fn stored_fields(self) -> &'static [&'static str] {
        match self {
            Self::Environment => &["metadata.name", "spec.aws.accountId"],
            Self::Change => &["spec.environment", "status.phase"],
            Self::Revision => &["spec.environment"],
            Self::ManagedResource => {
                &["metadata.name", "spec.environment", "spec.account", "spec.kind", "spec.identity"]
            }
            Self::Operator | Self::Namespace => &[],
            Self::AuditEntry => &["spec.actor", "spec.environment", "spec.verb", "spec.outcome", "spec.object.kind"],
            Self::Event => &[
                "metadata.name",
                "involvedObject.kind",
                "involvedObject.name",
                "regarding.kind",
                "regarding.name",
                "reason",
                "type",
            ],
        }
    }
}

/// An object as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Its place in the store's order.
    pub(crate) place: String,
    /// The environment that it belongs to, or is.
    pub(crate) environment: Option<Uuid>,
    pub(crate) shown: Value,
}

impl Object {
    /// When an event happened last, and its version.
    pub(crate) fn happened_at(&self) -> (Option<Timestamp>, i64) {
        let text = |pointer| self.shown.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        (text("/lastTimestamp").parse().ok(), text("/metadata/resourceVersion").parse().unwrap_or_default())
    }
}

/// What is joined to rows when they are shown; read once for a batch of them.
pub(crate) struct Joined {
    freshness: Freshness,
    working: wire::Working,
}

impl Joined {
    pub(crate) async fn read(state: &ApiState, kind: Kind) -> ApiResult<Self> {
        let mut joined = Self { freshness: Freshness::default(), working: wire::Working::default() };
        match kind {
            Kind::Environment => joined.freshness = Freshness::of_all(state).await?,
            Kind::Operator => joined.working = crate::operators::working(state).await?,
            Kind::Change
            | Kind::Revision
            | Kind::ManagedResource
            | Kind::Event
            | Kind::Namespace
            | Kind::AuditEntry => {}
        }
        Ok(joined)
    }
}

/// The object of an entry of the log.
pub(crate) fn of_entry(state: &ApiState, kind: Kind, joined: &Joined, entry: &LoggedChange) -> ApiResult<Object> {
    let row = entry.object.clone();
    Ok(match kind {
        Kind::Environment => environment(state, joined, &read::<EnvironmentRow>(row)?),
        Kind::Change => change(&read::<ChangeRow>(row)?),
        Kind::Revision => revision(&read::<RevisionRow>(row)?),
        Kind::ManagedResource => managed_resource(state, &read::<ManagedResourceRow>(row)?),
        Kind::Operator => operator(joined, &read::<OperatorRow>(row)?),
        Kind::Event => event(&read::<EventRow>(row)?),
        Kind::Namespace => return Err(ApiError::internal("namespaces do not change, and are not logged")),
        // Just written: what follows from it is still to come.
        Kind::AuditEntry => audit_entry(&read::<AuditRow>(row)?),
    })
}

fn read<T: DeserializeOwned>(row: Value) -> ApiResult<T> {
    serde_json::from_value(row).map_err(ApiError::internal)
}

fn environment(state: &ApiState, joined: &Joined, row: &EnvironmentRow) -> Object {
    let shown = wire::environment(state, row, &joined.freshness, state.now());
    Object { place: row.name.clone(), environment: Some(row.uid), shown }
}

fn change(row: &ChangeRow) -> Object {
    Object { place: row.name.clone(), environment: row.environment_uid, shown: wire::change(row) }
}

fn revision(row: &RevisionRow) -> Object {
    let place = format!("{}/{}", row.environment, row.revision);
    Object { place, environment: Some(row.environment_uid), shown: wire::revision(row) }
}

fn managed_resource(state: &ApiState, row: &ManagedResourceRow) -> Object {
    let shown = wire::managed_resource(row, state.now());
    Object { place: row.name.clone(), environment: Some(row.environment_uid), shown }
}

fn operator(joined: &Joined, row: &OperatorRow) -> Object {
    Object { place: String::new(), environment: None, shown: wire::operator(row, &joined.working) }
}

fn namespace(row: &OperatorRow) -> Object {
    Object { place: String::new(), environment: None, shown: wire::namespace(row) }
}

fn audit_entry(row: &AuditRow) -> Object {
    Object { place: row.name(), environment: row.environment_uid, shown: wire::audit_entry(row, None, 0) }
}

fn event(row: &EventRow) -> Object {
    Object { place: row.name.clone(), environment: row.environment_uid, shown: wire::event(row) }
}

/// Whether the store selects by all that the filter says, so that a page of the store's is a page of the list.
pub(crate) fn selects(kind: Kind, filter: &Filter) -> bool {
    let labels = filter.labels.is_empty() || kind == Kind::Environment;
    labels && filter.fields.keys().all(|field| kind.stored_fields().contains(&field.as_str()))
}

/// A page of a kind. The store selects by what it can; `Filter::matches` decides about the rest.
pub(crate) async fn page(
    state: &Arc<ApiState>,
    kind: Kind,
    filter: &Filter,
    request: &PageRequest,
) -> ApiResult<Page<Object>> {
    let field = |name: &str| filter.fields.get(name).cloned();
    let joined = Joined::read(state, kind).await?;
    let store = &state.store;
    Ok(match kind {
        Kind::Environment => {
            let accounts = field("spec.aws.accountId").into_iter().collect();
            let filter = EnvironmentFilter { labels: filter.labels.clone(), accounts, name: field("metadata.name") };
            of(store.list_environments(&filter, request).await?, |row| environment(state, &joined, &row))
        }
        Kind::Change => {
            let phases = field("status.phase").into_iter().collect();
            let environment = field("spec.environment").or_else(|| labelled(filter, wire::ENVIRONMENT_LABEL));
            let filter = ChangeFilter { environment, phases, open_only: false };
            of(store.list_changes(&filter, request).await?, |row| change(&row))
        }
        Kind::Revision => {
            let environment = field("spec.environment").or_else(|| labelled(filter, wire::ENVIRONMENT_LABEL));
            of(store.list_revisions(environment.as_deref(), request).await?, |row| revision(&row))
        }
        Kind::ManagedResource => {
            let filter = ResourceFilter {
                environment: field("spec.environment").or_else(|| labelled(filter, wire::ENVIRONMENT_LABEL)),
                environment_uid: None,
                account: field("spec.account"),
                kind: field("spec.kind").or_else(|| labelled(filter, wire::KIND_LABEL)),
                identity: field("spec.identity"),
                name: field("metadata.name"),
            };
            of(store.list_resources(&filter, request).await?, |row| managed_resource(state, &row))
        }
        Kind::Operator => {
            // Read in this order, what changes in between comes as an event besides.
            let resource_version = store.resource_version().await?;
            let items = vec![operator(&joined, &store.get_operator().await?)];
            Page { items, resource_version, next: None }
        }
        Kind::Namespace => {
            let resource_version = store.resource_version().await?;
            Page { items: vec![namespace(&store.get_operator().await?)], resource_version, next: None }
        }
        Kind::AuditEntry => {
            let filter = AuditFilter {
                environment: field("spec.environment").or_else(|| labelled(filter, wire::ENVIRONMENT_LABEL)),
                actor: field("spec.actor"),
                verb: field("spec.verb"),
                kind: field("spec.object.kind"),
                outcome: field("spec.outcome"),
            };
            let page = store.list_audit(&filter, request).await?;
            let shown = audit::shown(state, &page.items).await?;
            let object = |(row, shown): (&AuditRow, Value)| Object {
                place: row.name(),
                environment: row.environment_uid,
                shown,
            };
            let items = page.items.iter().zip(shown).map(object).collect();
            Page { items, resource_version: page.resource_version, next: page.next }
        }
        Kind::Event => {
            let filter = EventFilter {
                environment: labelled(filter, wire::ENVIRONMENT_LABEL),
                regarding_kind: field("involvedObject.kind").or_else(|| field("regarding.kind")),
                regarding_identity: field("involvedObject.name").or_else(|| field("regarding.name")),
                event_type: field("type"),
                reason: field("reason"),
                name: field("metadata.name"),
            };
            of(store.list_events(&filter, request).await?, |row| event(&row))
        }
    })
}

/// The one value that a label must have, if the selector says so.
fn labelled(filter: &Filter, label: &str) -> Option<String> {
    filter.labels.iter().find_map(|requirement| match requirement {
        LabelRequirement::In { key, values } if key == label && values.len() == 1 => values.first().cloned(),
        _ => None,
    })
}

fn of<T>(page: Page<T>, object: impl Fn(T) -> Object) -> Page<Object> {
    let items = page.items.into_iter().map(object).collect();
    Page { items, resource_version: page.resource_version, next: page.next }
}
