//! Words for the person who runs the tests. Test runners keep them with the test that said them.

use std::io::Write as _;

/// One line on standard error. Lost output is no reason to fail.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// One line on standard output, for what was measured.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
