//! The store on a real Postgres: every method, and the promises of the crate's README.

// testkit depends on most of the workspace; compiling just its launcher keeps these tests quick to build.
#[path = "../../../testkit/src/postgres/mod.rs"]
#[expect(unreachable_pub, dead_code, unused_imports, reason = "public in testkit; the tests use a part of it")]
mod postgres;
mod support;

mod changes;
mod claims;
mod coordination;
mod environments;
mod every_operation;
mod events;
mod journal;
mod listening;
mod object_log;
mod pass;
mod resources;
mod schema;
mod status;
