//! Words that have no place in this repository: how and where it is written, and hosts that only one network reaches.

use super::Problem;
use super::source::Source;

/// Each in two parts, since this file is read too. Compared without regard to case.
const FORBIDDEN: [(&str, &str); 20] = [
    // Package registries go by name; their hosts differ from network to network.
    (concat!("crates", ".io"), "names a package registry's host"),
    (concat!("pypi", ".org"), "names a package registry's host"),
    (concat!("pythonhosted", ".org"), "names a package registry's host"),
    (concat!("deb.debian", ".org"), "names a package registry's host"),
    (concat!("security.debian", ".org"), "names a package registry's host"),
    (concat!("archive.ubuntu", ".com"), "names a package registry's host"),
    (concat!("npmjs", ".org"), "names a package registry's host"),
    (concat!("npmjs", ".com"), "names a package registry's host"),
    // A path of one machine works on no other.
    (concat!("/work", "/main"), "is a path of one machine"),
    (concat!("/work", "/shared"), "is a path of one machine"),
    (concat!("/work", "/.library"), "is a path of one machine"),
    (concat!("/root", "/scratch"), "is a path of one machine"),
    // The repository speaks of the program, not of who wrote it.
    (concat!("cla", "ude"), "speaks of how this is written"),
    (concat!("anth", "ropic"), "speaks of how this is written"),
    (concat!("coding ", "agent"), "speaks of how this is written"),
    (concat!("ai ", "agent"), "speaks of how this is written"),
    (concat!("language ", "model"), "speaks of how this is written"),
    (concat!("helper ", "session"), "speaks of how this is written"),
    (concat!("this ", "session"), "speaks of how this is written"),
    (concat!("another ", "session"), "speaks of how this is written"),
];

pub(super) fn check(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, line) in file.text_lines() {
        let line = line.to_lowercase();
        for (word, why) in FORBIDDEN {
            if super::rules::has_word(&line, word) || (word.starts_with('/') && line.contains(word)) {
                problems.push(Problem::error(&file.path, at, format!("`{word}` {why}")));
            }
        }
        if names_an_issue(&line) {
            problems.push(Problem::error(&file.path, at, "an issue's number says nothing to a reader: say what it is"));
        }
    }
    problems
}

/// The word with a number after it; a link to some tracker is a URL and passes.
fn names_an_issue(line: &str) -> bool {
    let numbered = |after: &str| after.starts_with(|c: char| c.is_ascii_digit());
    ["issue ", "issue #", "issues ", "issues #"].iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let whole = !line[..at].ends_with(|c: char| c.is_alphanumeric());
            whole && numbered(&line[at + word.len()..])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&Source::new("docs/a.md", text.into())).len()
    }

    #[test]
    fn hosts_and_paths_of_one_machine_are_found_in_any_file() {
        assert_eq!(found(concat!("from https://index.crates", ".io/x")), 1);
        assert_eq!(found(concat!("cd /work", "/main && ls")), 1);
        assert_eq!(found("from the crate registry, cd work/main"), 0);
    }

    #[test]
    fn numbers_of_issues_are_found_and_links_are_not() {
        assert_eq!(found(concat!("left to iss", "ue 4")), 1);
        assert_eq!(found(concat!("see Iss", "ue #12")), 1);
        assert_eq!(found("see https://example.org/x/issues/4605"), 0);
        assert_eq!(found("an issue 'x' and tissue 4"), 0);
    }

    #[test]
    fn words_that_aws_uses_pass() {
        assert_eq!(found("AWS_SESSION_TOKEN, the session's name, user-agent, the ECS container agent"), 0);
    }
}
