//! The paths, and what stands in front of all of them. The one list of what is served.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::access::reviews;
use crate::environments::{actions, approve, delete, diagnosis, plan, read, write};
use crate::state::ApiState;
use crate::{
    access, audit, changes, discovery, events, managed_resources, middleware, namespaces, openapi, operators, pages,
    probes, revisions,
};

/// The whole API. Probes and metrics stand beside authentication and the limit on requests.
pub fn router(state: ApiState) -> Router {
    let state = Arc::new(state);
    let limits = middleware::Limits::new(state.config.max_requests);
    api_routes()
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), access::authorize))
        .layer(axum::middleware::from_fn(middleware::no_pages))
        .layer(axum::middleware::from_fn_with_state(limits, middleware::limit))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), audit::forbidden))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), access::authenticate))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), audit::anonymous))
        .merge(probe_routes())
        // Before the layers, so that these answers are counted too.
        .fallback(middleware::not_found)
        .method_not_allowed_fallback(middleware::method_not_allowed)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(middleware::panicked))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), middleware::observe))
        .with_state(state)
}

fn api_routes() -> Router<Arc<ApiState>> {
    let group = Router::new()
        .route("/environments", get(read::list).post(write::create).delete(delete::delete_collection))
        .route("/environments/{name}", get(read::get).put(write::replace).patch(write::patch).delete(delete::delete))
        .route(
            "/environments/{name}/status",
            get(read::status).put(read::status_is_not_written).patch(read::status_is_not_written),
        )
        .route("/environments/{name}/plan", get(plan::get).post(plan::create))
        .route("/environments/{name}/diagnosis", get(diagnosis::get))
        .route("/environments/{name}/reconcile", post(actions::reconcile))
        .route("/environments/{name}/pause", post(actions::pause))
        .route("/environments/{name}/resume", post(actions::resume))
        .route("/environments/{name}/approve", post(approve::create))
        .route("/environments/{name}/rollback", post(actions::rollback))
        .route("/changes", get(changes::list).post(changes::create))
        .route("/changes/{name}", get(changes::get).delete(changes::delete))
        .route("/changes/{name}/approve", post(changes::decide::approve))
        .route("/changes/{name}/reject", post(changes::decide::reject))
        .route("/revisions", get(revisions::list))
        .route("/revisions/{name}", get(revisions::get))
        .route("/managedresources", get(managed_resources::list))
        .route("/managedresources/{name}", get(managed_resources::get))
        .route("/auditentries", get(audit::list))
        .route("/auditentries/{name}", get(audit::get))
        .route("/operators", get(operators::list))
        .route("/operators/{name}", get(operators::get).patch(operators::patch));
    Router::new()
        .nest("/apis/eventchain.io/v1", group)
        .route("/api/v1/namespaces", get(namespaces::list))
        .route("/api/v1/namespaces/{namespace}", get(namespaces::get))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/namespaces/{namespace}/events", get(events::list_namespaced))
        .route("/api/v1/namespaces/{namespace}/events/{name}", get(events::get))
        .route("/", get(pages::index))
        .route("/api", get(discovery::core))
        .route("/api/", get(discovery::core))
        .route("/api/v1", get(discovery::core_resources))
        .route("/api/v1/", get(discovery::core_resources))
        .route("/apis", get(discovery::groups))
        .route("/apis/", get(discovery::groups))
        .route("/apis/{group}", get(discovery::group))
        .route("/apis/{group}/", get(discovery::group))
        .route("/apis/eventchain.io/v1", get(discovery::group_resources))
        // Some clients end these paths with a slash.
        .route("/apis/eventchain.io/v1/", get(discovery::group_resources))
        .route("/docs", get(openapi::docs))
        .route("/apis/authentication.k8s.io/v1", get(discovery::authentication_resources))
        .route("/apis/authorization.k8s.io/v1", get(discovery::authorization_resources))
        .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", post(reviews::myself))
        .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(reviews::access))
        .route("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", post(reviews::rules))
        .route("/openapi.json", get(openapi::whole))
        .route("/openapi/v2", get(openapi::version_2))
        .route("/openapi/v3", get(openapi::index))
        .route("/openapi/v3/{*path}", get(openapi::version_3))
}

fn probe_routes() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/metrics", get(probes::metrics))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/version", get(probes::version))
        .route("/version/", get(probes::version))
}
