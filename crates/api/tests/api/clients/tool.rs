//! Programs that the tests need and may lack.

use std::path::PathBuf;

/// A program, from a variable, or none after saying so. On CI, where `REQUIRE_STRANGERS` is set, its absence fails.
pub(super) fn tool(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("REQUIRE_STRANGERS").is_none(), "{variable} is not set, and REQUIRE_STRANGERS is");
        println!("skipped: {variable} names no program; `cargo xtask test` sets it");
    }
    found
}
