//! The rules for one Rust file.

use super::source::Source;
use super::{Problem, allow};

const SOFT_LIMIT: usize = 400;
pub(super) const HARD_LIMIT: usize = 800;

pub(super) fn check(file: &Source) -> Vec<Problem> {
    let rules =
        [module_docs, size, ordered_maps, sdk_imports, ignored_tests, sleeping_tests, unfinished_work, allowed_lints];
    rules.iter().flat_map(|rule| rule(file)).collect()
}

/// Whether `word` stands in `line` as a whole word.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(is_word)
            && !line[at + word.len()..].chars().next().is_some_and(is_word)
    })
}

fn module_docs(file: &Source) -> Vec<Problem> {
    // Attributes such as `#![expect(…)]` may stand before the doc.
    let first = file.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    // A file pulled into a test binary's root (`mod common;`) is a module too: no exception.
    if first.is_some_and(|line| line.starts_with("//!")) {
        return Vec::new();
    }
    vec![Problem::error(&file.path, 1, "no module doc (`//!`): what is it for, and what must it not do?")]
}

fn size(file: &Source) -> Vec<Problem> {
    if file.is_test_file() {
        return Vec::new();
    }
    match file.size() {
        lines if lines > HARD_LIMIT && !allow::is_long_file(&file.path) => {
            vec![Problem::error(&file.path, 0, format!("{lines} lines without tests; the limit is {HARD_LIMIT}"))]
        }
        lines if lines > SOFT_LIMIT && lines <= HARD_LIMIT => {
            vec![Problem::warning(&file.path, 0, format!("{lines} lines without tests; {SOFT_LIMIT} read better"))]
        }
        _ => Vec::new(),
    }
}

fn ordered_maps(file: &Source) -> Vec<Problem> {
    if !["crates/model/", "crates/engine/"].iter().any(|dir| file.path.starts_with(dir)) {
        return Vec::new();
    }
    let unordered = |line: &str| has_word(line, "HashMap") || has_word(line, "HashSet");
    let found = file.code_lines().filter(|(_, line)| unordered(line));
    found
        .map(|(at, _)| Problem::error(&file.path, at, "an unordered map: plans must be byte-equal; BTreeMap"))
        .collect()
}

/// Who may name an SDK crate: awskit, each kind's provider, and the module that hands the clients to providers.
fn may_name_sdk(path: &str) -> bool {
    if path.starts_with("crates/awskit/") || path.starts_with("crates/kinds/src/aws") {
        return true;
    }
    let Some(rest) = path.strip_prefix("crates/kinds/src/") else { return false };
    matches!(rest.split('/').collect::<Vec<_>>()[..], [_, "provider.rs"] | [_, "provider", ..])
}

fn sdk_imports(file: &Source) -> Vec<Problem> {
    if may_name_sdk(&file.path) {
        return Vec::new();
    }
    let found = file.code_lines().filter(|(_, line)| line.contains("aws_sdk_"));
    let text = "names an SDK crate: only awskit and a kind's provider.rs may";
    found.map(|(at, _)| Problem::error(&file.path, at, text)).collect()
}

fn ignored_tests(file: &Source) -> Vec<Problem> {
    let found = file.code_lines().filter(|(_, line)| line.contains("#[ignore"));
    found.map(|(at, _)| Problem::error(&file.path, at, "an ignored test rots: mend it or delete it")).collect()
}

fn sleeping_tests(file: &Source) -> Vec<Problem> {
    let lines: Vec<&str> = file.text.lines().collect();
    let excused = |at: usize| {
        let above = lines.get(at.wrapping_sub(2)).copied().unwrap_or_default();
        [lines[at - 1], above].iter().any(|line| line.contains("// paused clock:"))
    };
    let sleeps = |line: &str| has_word(line, "sleep") && line.contains("sleep(") && !line.contains("fn sleep(");
    let found = file.code_lines().filter(|(at, line)| file.is_test_line(*at) && sleeps(line) && !excused(*at));
    let text = "a test that sleeps is slow or flaky: wait on a condition (`// paused clock: why` where time is paused)";
    found.map(|(at, _)| Problem::error(&file.path, at, text)).collect()
}

fn unfinished_work(file: &Source) -> Vec<Problem> {
    // Built from parts: this line is read by the rule too.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let found = file.text_lines().filter(|(_, line)| words.iter().any(|word| has_word(line, word)));
    found.map(|(at, _)| Problem::error(&file.path, at, "unfinished work: do it, or leave it out")).collect()
}

fn allowed_lints(file: &Source) -> Vec<Problem> {
    let found = file.code_lines().filter(|(_, line)| line.contains("#[allow(") || line.contains("#![allow("));
    let text = "use `#[expect(lint, reason = \"…\")]`: it complains once it is no longer needed";
    found.map(|(at, _)| Problem::error(&file.path, at, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let text = format!("//! Doc.\n{text}");
        check(&Source::new(path, text))
            .into_iter()
            .map(|problem| format!("{}: {}", problem.line, problem.text))
            .collect()
    }

    fn complains(path: &str, text: &str, about: &str) {
        let found = problems(path, text);
        assert!(found.len() == 1 && found[0].contains(about), "{found:?}");
    }

    fn is_silent(path: &str, text: &str) {
        assert_eq!(problems(path, text), Vec::<String>::new());
    }

    #[test]
    fn every_file_says_what_it_is_for() {
        let missing = check(&Source::new("crates/a/src/b.rs", "fn b() {}\n".into()));
        assert_eq!(missing.len(), 1);
        let late = check(&Source::new("crates/a/src/b.rs", "#![no_std]\n\n//! Doc.\n".into()));
        assert_eq!(late, Vec::new());
    }

    #[test]
    fn a_long_file_is_a_warning_and_a_very_long_one_an_error() {
        let lines = |count: usize| "fn a() {}\n".repeat(count);
        is_silent("crates/a/src/b.rs", &lines(399));
        complains("crates/a/src/b.rs", &lines(400), "400 read better");
        complains("crates/a/src/b.rs", &lines(800), "the limit is 800");
        is_silent("crates/a/src/tests.rs", &lines(2000));
    }

    #[test]
    fn planning_code_uses_ordered_maps() {
        complains("crates/model/src/a.rs", "use std::collections::HashMap;", "BTreeMap");
        is_silent("crates/model/src/a.rs", "// no HashMap here\ntype MyHashMapLike = ();");
        is_silent("crates/runtime/src/a.rs", "use std::collections::HashMap;");
    }

    #[test]
    fn only_providers_name_the_sdk() {
        complains("crates/kinds/src/alarm/plan.rs", "use aws_sdk_ecs::Client;", "provider.rs may");
        complains("crates/kinds/src/alarm/errors.rs", "use aws_sdk_ecs::Error;", "provider.rs may");
        is_silent("crates/kinds/src/alarm/provider.rs", "use aws_sdk_ecs::Client;");
        is_silent("crates/kinds/src/alarm/provider/act.rs", "use aws_sdk_ecs::Client;");
        is_silent("crates/awskit/src/clients.rs", "use aws_sdk_ecs::Client;");
        is_silent("crates/api/src/a.rs", "// aws_sdk_ecs is elsewhere");
    }

    #[test]
    fn no_test_is_ignored() {
        complains("crates/a/src/b.rs", "#[ignore]\nfn x() {}", "rots");
    }

    #[test]
    fn a_test_sleeps_only_on_a_paused_clock() {
        let sleeping = "#[cfg(test)]\nmod tests {\n    fn x() { sleep(d); }\n}\n";
        complains("crates/a/src/b.rs", sleeping, "sleeps");
        complains("crates/a/src/tests.rs", "fn x() { tokio::time::sleep(d).await; }", "sleeps");
        is_silent("crates/a/src/b.rs", "fn x() { sleep(d); }");
        is_silent("crates/a/src/tests.rs", "// paused clock: lets the queue run\nsleep(d).await;");
    }

    #[test]
    fn unfinished_work_and_blanket_allowances_are_found() {
        complains("crates/a/src/b.rs", concat!("// TO", "DO later"), "unfinished");
        complains("crates/a/src/b.rs", "#[allow(dead_code)]\nfn x() {}", "expect");
        is_silent("crates/a/src/b.rs", "fn mastodon() {} // todos");
    }
}
