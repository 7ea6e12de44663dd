//! Notifications on a real Postgres, to receivers on loopback that take them, refuse them, hang, or are not there.

// testkit depends on most of the workspace; compiling just its launcher keeps these tests quick to build.
#[path = "../../../testkit/src/postgres/mod.rs"]
#[expect(unreachable_pub, dead_code, unused_imports, reason = "public in testkit; the tests use a part of it")]
mod postgres;

#[cfg(test)]
mod delivering;
#[cfg(test)]
mod support;
#[cfg(test)]
mod telling;
