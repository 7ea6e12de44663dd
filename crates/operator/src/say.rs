//! Lines for people on standard output. The daemon's log goes to standard error.

use std::io::Write as _;

/// Writes one line. A closed pipe ends nothing: the daemon is no filter.
pub fn say(line: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.as_ref());
    let _ = out.flush();
}
