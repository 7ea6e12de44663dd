//! Postgres for tests and for `operator dev`: a private server of one's own, and a fresh, migrated database per test.
//!
//! Which server a test uses: `EVENTCHAIN_TEST_DATABASE_URL` (one server for many test processes, started by the test
//! runner), else `DATABASE_URL`, else one private server per process, started at first use.
//!
//! It depends on nothing of testkit, so that `crates/store` can compile it by path for its own tests.

mod binaries;
mod database;
mod server;

pub use database::{TestDb, test_database};
pub use server::{Lifetime, PrivateServer};
