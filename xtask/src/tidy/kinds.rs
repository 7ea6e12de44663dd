//! Each kind is one folder with the same files, pure where planning is, and imports no other kind.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::rules::has_word;
use super::source::Source;

const HOME: &str = "crates/kinds/src/";

/// What docs/adding-a-kind.md explains. A name without extension is a file or a folder.
const FILES: [&str; 7] = ["mod", "desired", "observed", "plan", "provider", "errors", "tests"];

/// Planning is a function of its arguments.
const PURE: [&str; 3] = ["desired", "observed", "plan"];

/// What a pure file must not contain, as whole words of code.
const IMPURE: [(&str, &str); 8] = [
    ("async", "is not pure: no async in planning code"),
    ("await", "is not pure: no async in planning code"),
    ("tokio", "is not pure: no runtime in planning code"),
    ("awskit", "is not pure: awskit belongs in provider.rs"),
    ("SystemTime", "is not pure: `now` is an argument"),
    ("Instant", "is not pure: `now` is an argument"),
    ("Timestamp::now", "is not pure: `now` is an argument"),
    ("rand", "is not pure: jitter is an argument"),
];

pub(super) fn check(files: &[Source]) -> Vec<Problem> {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        if let Some((folder, part)) = place(&file.path) {
            folders.entry(folder).or_default().insert(part);
        }
    }
    // A folder with a plan or a provider is a kind; others (shared helpers) are free.
    folders.retain(|_, parts| parts.contains("plan") || parts.contains("provider"));

    let mut problems = Vec::new();
    for (folder, parts) in &folders {
        for part in FILES.iter().filter(|part| !parts.contains(*part)) {
            let path = format!("{HOME}{folder}/{part}.rs");
            problems.push(Problem::error(&path, 0, "is missing: each kind has it (docs/adding-a-kind.md)"));
        }
    }
    let kinds: BTreeSet<&str> = folders.keys().copied().collect();
    problems.extend(unregistered(files, &kinds));
    for file in files {
        if let Some((folder, part)) = place(&file.path)
            && kinds.contains(folder)
        {
            if PURE.contains(&part) {
                problems.extend(impure(file));
            }
            if part == "tests" && file.text.lines().count() > 0 && !has_suite(files, folder) {
                problems.push(Problem::warning(
                    &file.path,
                    0,
                    "has no `kind_suite!`: the rules for every kind go untested",
                ));
            }
            problems.extend(other_kinds(file, folder, &kinds));
        }
    }
    problems
}

/// `crates/kinds/src/alarm/plan.rs` and `…/alarm/plan/x.rs` are part `plan` of the folder `alarm`.
fn place(path: &str) -> Option<(&str, &str)> {
    let (folder, rest) = path.strip_prefix(HOME)?.split_once('/')?;
    let part = rest.split('/').next()?;
    Some((folder, part.strip_suffix(".rs").unwrap_or(part)))
}

/// Whether one of the kind's test files runs the suite for every kind.
fn has_suite(files: &[Source], folder: &str) -> bool {
    files.iter().any(|file| place(&file.path) == Some((folder, "tests")) && file.code().contains("kind_suite!"))
}

/// A folder that the registry does not name is dead code that looks alive.
fn unregistered(files: &[Source], kinds: &BTreeSet<&str>) -> Vec<Problem> {
    let path = format!("{HOME}registry.rs");
    let Some(registry) = files.iter().find(|file| file.path == path) else { return Vec::new() };
    let missing = kinds.iter().filter(|kind| !registry.code().contains(&format!(" {kind}::")));
    missing.map(|kind| Problem::error(&path, 0, format!("has no line for the kind {kind}"))).collect()
}

fn impure(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, line) in file.code_lines().filter(|(at, _)| !file.is_test_line(*at)) {
        for (word, why) in IMPURE.iter().filter(|(word, _)| has_word(line, word)) {
            problems.push(Problem::error(&file.path, at, format!("`{word}` {why}")));
        }
    }
    problems
}

fn other_kinds(file: &Source, own: &str, kinds: &BTreeSet<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A kind's tests may build the world around it.
    for (at, line) in file.code_lines().filter(|(at, _)| !file.is_test_line(*at)) {
        for kind in kinds.iter().filter(|kind| **kind != own) {
            if ["crate::", "super::super::"].iter().any(|root| has_word(line, &format!("{root}{kind}"))) {
                let text = format!("imports the kind {kind}: kinds meet only in the registry and in the graph");
                problems.push(Problem::error(&file.path, at, text));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, changed: &str, text: &str) -> Vec<Source> {
        let text_of = |part: &str| if part == changed { text.to_owned() } else { String::new() };
        FILES.iter().map(|part| Source::new(&format!("{HOME}{name}/{part}.rs"), text_of(part))).collect()
    }

    #[test]
    fn a_whole_and_pure_kind_is_fine() {
        assert_eq!(check(&kind("alarm", "plan", "// no async here\nfn plan() {}")), Vec::new());
    }

    #[test]
    fn a_kind_without_one_of_its_files_is_reported() {
        let mut files = kind("alarm", "", "");
        files.retain(|file| file.file_name() != "errors.rs");
        let problems = check(&files);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, "crates/kinds/src/alarm/errors.rs");
    }

    #[test]
    fn tests_may_be_a_folder() {
        let mut files = kind("alarm", "", "");
        files.retain(|file| file.file_name() != "tests.rs");
        files.push(Source::new("crates/kinds/src/alarm/tests/mod.rs", String::new()));
        assert_eq!(check(&files), Vec::new());
    }

    #[test]
    fn planning_code_is_pure_and_providers_need_not_be() {
        assert_eq!(check(&kind("alarm", "plan", "async fn plan() {}")).len(), 1);
        assert_eq!(check(&kind("alarm", "desired", "let now = Timestamp::now();")).len(), 1);
        assert_eq!(check(&kind("alarm", "provider", "async fn act() {}")), Vec::new());
    }

    #[test]
    fn one_kind_never_imports_another() {
        let mut files = kind("alarm", "plan", "use crate::ecs_service::Desired;");
        assert_eq!(check(&files), Vec::new(), "not a kind yet");
        files.extend(kind("ecs_service", "", ""));
        assert_eq!(check(&files).len(), 1);
    }

    #[test]
    fn a_kind_that_is_not_registered_is_reported() {
        let mut files = kind("alarm", "", "");
        files.push(Source::new(&format!("{HOME}registry.rs"), "kinds! {\n    secret::Secret,\n}\n".into()));
        assert_eq!(check(&files)[0].text, "has no line for the kind alarm");
        files.pop();
        files.push(Source::new(&format!("{HOME}registry.rs"), "kinds! {\n    alarm::Alarm,\n}\n".into()));
        assert_eq!(check(&files), Vec::new());
    }

    #[test]
    fn tests_without_the_suite_are_noticed() {
        assert_eq!(check(&kind("alarm", "tests", "fn x() {}")).len(), 1);
        assert_eq!(check(&kind("alarm", "tests", "testkit::kind_suite!(Alarm);")), Vec::new());
    }

    #[test]
    fn shared_helpers_are_no_kind() {
        assert_eq!(check(&[Source::new("crates/kinds/src/tags/mod.rs", String::new())]), Vec::new());
    }
}
