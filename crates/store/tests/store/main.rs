//! The store on a real Postgres: every method, and the promises of the crate's README.

// testkit depends on most of the workspace; compiling just its launcher keeps these tests quick to build.
#[path = "../../../testkit/src/postgres/mod.rs"]
#[expect(unreachable_pub, dead_code, unused_imports, reason = "public in testkit; the tests use a part of it")]
mod postgres;
// `cfg(test)` tells clippy that helpers may panic like the tests that call them.
#[cfg(test)]
mod support;

#[cfg(test)]
mod at_once;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod coordination;
#[cfg(test)]
mod earlier;
#[cfg(test)]
mod environments;
#[cfg(test)]
mod events;
#[cfg(test)]
mod every_operation;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod login;
#[cfg(test)]
mod notifications;
#[cfg(test)]
mod object_log;
#[cfg(test)]
mod pass;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod status;
