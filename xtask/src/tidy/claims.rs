//! docs/security.md names what proves each claim: the tests and files that it names are there.

use super::Problem;
use super::source::Source;

const SECURITY: &str = "docs/security.md";

pub(super) fn check(files: &[Source]) -> Vec<Problem> {
    let Some(docs) = files.iter().find(|file| file.path == SECURITY) else { return Vec::new() };
    let mut problems = Vec::new();
    for (at, line) in docs.text_lines() {
        for name in line.split('`').skip(1).step_by(2) {
            if is_test(name) && !files.iter().any(|file| declares(file, name)) {
                problems.push(Problem::error(SECURITY, at, format!("there is no test `{name}`")));
            }
            if is_file(name) && !files.iter().any(|file| file.path.ends_with(name)) {
                problems.push(Problem::error(SECURITY, at, format!("there is no file `{name}`")));
            }
        }
    }
    problems
}

/// A rule in words: `no_claim_without_its_test`.
fn is_test(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') && name.matches('_').count() > 2
}

fn is_file(name: &str) -> bool {
    [".rs", ".toml", ".yaml"].iter().any(|ending| name.ends_with(ending)) && !name.contains(' ')
}

fn declares(file: &Source, name: &str) -> bool {
    file.is_rust() && file.text.contains(&format!("fn {name}("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_and_a_file_that_are_named_must_be_there() {
        let files = |claims: &str| {
            vec![
                Source::new(SECURITY, claims.to_owned()),
                Source::new("crates/a/src/b.rs", "//! Doc.\nfn what_it_says_is_true() {}\n".to_owned()),
            ]
        };
        assert_eq!(check(&files("proven by `what_it_says_is_true` in `src/b.rs`, `a::b`, `secret_key`\n")), Vec::new());
        let found = check(&files("by `what_it_says_is_false`\nin `src/c.rs`\n"));
        assert_eq!(found.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 2]);
    }
}
