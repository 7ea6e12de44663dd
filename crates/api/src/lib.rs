//! The HTTP API: Kubernetes conventions on plain JSON, for curl and for tools written for Kubernetes.
//!
//! Handlers are thin: read the request, ask `model` and `engine` (pure), write through `store`. No SQL and no AWS type.
//! Any replica serves it: what needs fresh reads of AWS (a plan, a reconcile) is a request row that the account's owner
//! answers. Kinds come in through [`engine::Registry`]; nothing here knows one by name.

mod access;
mod apply;
mod approvals;
mod audit;
mod changes;
mod decode;
mod discovery;
mod document;
mod environments;
mod error;
mod events;
mod extract;
mod filter;
mod freshness;
#[cfg(test)]
mod fuzz;
mod happened;
mod json_patch;
mod lists;
mod managed_resources;
mod middleware;
mod namespaces;
mod objects;
mod openapi;
mod operators;
mod owner;
mod pages;
mod probes;
mod revisions;
mod routes;
mod selectors;
mod serve;
mod state;
mod tables;
mod tls;
mod watch;
mod wire;

pub use access::{
    AUTHENTICATED, Access, AccessConfig, Binding, ClientAddress, How, Identity, OidcConfig, OidcError, Peer, Policy,
    Rate, Role, SYSTEM, Selector, SigningAlgorithm, StaticToken, TokenHash, new_token,
};
pub use routes::router;
pub use serve::{ServeConfig, raise_descriptor_limit, serve};
pub use state::{ApiConfig, ApiState, Clock, Liveness, RequestHook, RequestSeen, TextSource};
pub use tls::{Reloaded, Tls, TlsError};
