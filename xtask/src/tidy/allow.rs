//! The exceptions, each with its reason. One that is no longer needed is an error, so that the list only shrinks.

use super::source::Source;
use super::{Problem, rules};

/// Files that may be longer than the limit, and why splitting them would make them worse.
pub(super) const LONG_FILES: [(&str, &str); 0] = [];

pub(super) fn is_long_file(path: &str) -> bool {
    LONG_FILES.iter().any(|(allowed, _)| *allowed == path)
}

pub(super) fn unused(files: &[Source]) -> Vec<Problem> {
    let needed = |path: &str| files.iter().any(|file| file.path == path && file.size() > rules::HARD_LIMIT);
    let stale = LONG_FILES.iter().filter(|(path, _)| !needed(path));
    stale.map(|(path, _)| Problem::error(path, 0, "is on the list of long files without need: take it off")).collect()
}
