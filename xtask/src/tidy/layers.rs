//! Which crate may depend on which: arrows point inward only, and the inner crates never see an AWS SDK.

use super::Problem;
use super::source::Source;

/// A crate and those of ours that it may use outside tests (ARCHITECTURE.md).
const ALLOWED: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("telemetry", &[]),
    ("simaws", &[]),
    ("fuzzing", &[]),
    ("engine", &["model"]),
    ("awskit", &["model", "telemetry"]),
    ("kinds", &["model", "engine", "awskit"]),
    ("store", &["model", "telemetry"]),
    ("runtime", &["model", "engine", "kinds", "store", "telemetry"]),
    ("api", &["model", "engine", "store", "telemetry"]),
    ("notify", &["model", "store", "runtime", "telemetry"]),
    ("operator", &["model", "engine", "kinds", "awskit", "store", "runtime", "api", "notify", "telemetry", "simaws"]),
    ("testkit", &["model", "engine", "kinds", "awskit", "store", "runtime", "api", "telemetry", "simaws"]),
];

/// Crates whose own manifest may name an SDK.
const SDK_USERS: [&str; 2] = ["awskit", "kinds"];

pub(super) fn check(files: &[Source]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = files.iter().flat_map(check_manifest).collect();
    problems.extend(test_binaries(files));
    problems
}

/// cargo makes a binary of each file in `tests/`; linking more than one is most of what they cost.
fn test_binaries(files: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for manifest in files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let dir = format!("{}/tests/", manifest.path.trim_end_matches("/Cargo.toml"));
        let direct =
            |file: &&Source| file.is_rust() && file.path.strip_prefix(&dir).is_some_and(|name| !name.contains('/'));
        let discovered = !manifest.text.lines().any(|line| line.trim() == "autotests = false");
        if discovered && files.iter().filter(direct).count() > 1 {
            let text =
                "has several files in tests/: one binary, `autotests = false` and a [[test]], or tests/it/main.rs";
            problems.push(Problem::error(&manifest.path, 0, text));
        }
    }
    problems
}

fn check_manifest(file: &Source) -> Vec<Problem> {
    let Some(name) = file.path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
        return Vec::new();
    };
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        return vec![Problem::error(&file.path, 0, "a new crate: say in xtask/src/tidy/layers.rs what it may use")];
    };
    let mut problems = Vec::new();
    for (at, section, dependency) in dependencies(file) {
        let ours = ALLOWED.iter().any(|(known, _)| *known == dependency);
        if section == "dependencies" && ours && !allowed.contains(&dependency) {
            problems.push(Problem::error(&file.path, at, format!("{name} must not depend on {dependency}")));
        }
        if dependency.starts_with("aws-sdk-") && !SDK_USERS.contains(&name) && section == "dependencies" {
            problems.push(Problem::error(&file.path, at, format!("{name} must not see an AWS SDK")));
        }
    }
    // Feature unification would bring the SDKs in through the back door.
    if ["runtime", "api", "store", "engine", "notify"].contains(&name) {
        let asks = |(_, line): &(usize, &str)| line.starts_with("kinds") && line.contains("\"aws\"");
        for (at, _) in file.text_lines().filter(asks) {
            problems.push(Problem::error(&file.path, at, format!("{name} must build kinds without the feature `aws`")));
        }
    }
    problems
}

/// Line, section (`dependencies`, `dev-dependencies`, …) and name of each dependency.
fn dependencies(file: &Source) -> Vec<(usize, &str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for (at, line) in file.text_lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default();
        } else if section.ends_with("dependencies") && !line.starts_with(['#', ' ']) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !name.is_empty() {
                found.push((at, section, name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, text: &str) -> Vec<String> {
        let file = Source::new(&format!("crates/{name}/Cargo.toml"), text.into());
        check_manifest(&file).into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn arrows_point_inward_only() {
        assert_eq!(problems("engine", "[dependencies]\nmodel.workspace = true\nserde = \"1\"\n"), Vec::<String>::new());
        assert_eq!(problems("engine", "[dependencies]\nstore.workspace = true\n"), ["engine must not depend on store"]);
    }

    #[test]
    fn tests_may_look_outward() {
        assert_eq!(problems("store", "[dev-dependencies]\ntestkit.workspace = true\n"), Vec::<String>::new());
    }

    #[test]
    fn the_inner_crates_see_no_sdk() {
        assert_eq!(problems("api", "[dependencies]\naws-sdk-ecs.workspace = true\n"), ["api must not see an AWS SDK"]);
        assert_eq!(problems("awskit", "[dependencies]\naws-sdk-ecs.workspace = true\n"), Vec::<String>::new());
        let feature = "[dependencies]\nkinds = { workspace = true, features = [\"aws\"] }\n";
        assert_eq!(problems("runtime", feature), ["runtime must build kinds without the feature `aws`"]);
    }

    #[test]
    fn a_crate_has_one_integration_test_binary() {
        let files = |manifest: &str| {
            let paths = ["crates/a/tests/main.rs", "crates/a/tests/b.rs", "crates/a/tests/terraform/x.rs"];
            let mut files: Vec<Source> = paths.iter().map(|path| Source::new(path, String::new())).collect();
            files.push(Source::new("crates/a/Cargo.toml", manifest.to_owned()));
            files
        };
        assert_eq!(test_binaries(&files("[package]\n")).len(), 1);
        assert_eq!(test_binaries(&files("[package]\nautotests = false\n")), Vec::new());
        assert_eq!(test_binaries(&files("[package]\n")[1..]), Vec::new(), "one file is one binary");
    }

    #[test]
    fn a_crate_that_is_not_listed_is_noticed() {
        assert_eq!(problems("extra", "").len(), 1);
    }
}
