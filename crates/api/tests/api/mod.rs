//! The tests, and what they share.

mod access;
mod actions;
mod apply;
mod approvals;
mod audit;
mod bad_input;
mod bodies;
mod changes;
mod clients;
mod concurrency;
mod deletion;
mod design;
mod discovery;
mod environments;
mod listener;
mod lists;
mod oidc;
mod others;
mod outage;
mod patches;
mod plans;
mod reviews;
mod scopes;
mod support;
mod tls;
mod watch;
