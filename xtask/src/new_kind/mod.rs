//! `cargo xtask new-kind`: the folder of a new AWS resource kind, its module line and its registry line.
//!
//! What it makes compiles, passes `tidy`, declares no object and refuses to act: safe to merge, and useless until its
//! files are written (docs/adding-a-kind.md).

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

use crate::exec::say;
use crate::places;

pub(crate) const HELP: &str = "\
Makes the folder of a new AWS resource kind, with the files that docs/adding-a-kind.md explains, and adds its lines to
crates/kinds/src/lib.rs and registry.rs.

Usage: cargo xtask new-kind NAME        NAME in CamelCase, for instance `EcsService`
";

/// File name and template. `__Kind__` and `__kind__` stand for the name in CamelCase and snake_case.
const TEMPLATES: [(&str, &str); 7] = [
    ("mod.rs", include_str!("templates/mod.txt")),
    ("desired.rs", include_str!("templates/desired.txt")),
    ("observed.rs", include_str!("templates/observed.txt")),
    ("plan.rs", include_str!("templates/plan.txt")),
    ("provider.rs", include_str!("templates/provider.txt")),
    ("errors.rs", include_str!("templates/errors.txt")),
    ("tests.rs", include_str!("templates/tests.txt")),
];

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let [name] = args else { bail!("one name in CamelCase is needed, for instance EcsService") };
    let module = snake_case(name)?;
    let kinds = places::root().join("crates/kinds/src");
    let folder = kinds.join(&module);
    ensure!(!folder.exists(), "{} is there already", folder.display());

    // Both edits are worked out before anything is written.
    let (lib, registry) = (kinds.join("lib.rs"), kinds.join("registry.rs"));
    let new_lib = with_module(&fs::read_to_string(&lib)?, &module).context("crates/kinds/src/lib.rs")?;
    let line = format!("    {module}::{name},");
    let new_registry = with_entry(&fs::read_to_string(&registry)?, &line).context("crates/kinds/src/registry.rs")?;

    fs::create_dir(&folder)?;
    for (file, template) in TEMPLATES {
        fs::write(folder.join(file), filled(template, name, &module))?;
    }
    fs::write(lib, new_lib)?;
    fs::write(registry, new_registry)?;
    say(&format!("{} is there, with its lines in lib.rs and registry.rs", folder.display()));
    say(
        "next: its section of the document in `model`, its service in `simaws`, then desired, observed, plan, provider",
    );
    Ok(ExitCode::SUCCESS)
}

fn filled(template: &str, name: &str, module: &str) -> String {
    template.replace("__Kind__", name).replace("__kind__", module)
}

/// `EcsService` → `ecs_service`.
fn snake_case(name: &str) -> Result<String> {
    let camel = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    ensure!(camel, "{name:?} is not CamelCase");
    let mut module = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !module.is_empty() {
            module.push('_');
        }
        module.push(c.to_ascii_lowercase());
    }
    Ok(module)
}

/// Adds `pub mod …;` to the last block of such lines, in order.
fn with_module(text: &str, module: &str) -> Result<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_module = |line: &String| line.starts_with("pub mod ");
    let last = lines.iter().rposition(is_module).context("has no `pub mod` line to put the new one beside")?;
    let first = lines[..=last].iter().rposition(|line| !is_module(line)).map_or(0, |at| at + 1);
    let line = format!("pub mod {module};");
    let at = lines[first..=last].iter().position(|other| *other > line).map_or(last + 1, |offset| first + offset);
    lines.insert(at, line);
    Ok(lines.join("\n") + "\n")
}

/// Adds a line at the end of the block `kinds! { … }`.
fn with_entry(text: &str, line: &str) -> Result<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let open = lines.iter().position(|line| line.starts_with("kinds! {")).context("has no `kinds! {`")?;
    let close = lines[open..].iter().position(|line| line == "}").context("`kinds! {` does not end")?;
    lines.insert(open + close, line.to_owned());
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_module() {
        assert_eq!(snake_case("RdsSnapshotCopy").unwrap(), "rds_snapshot_copy");
        assert_eq!(snake_case("Alarm").unwrap(), "alarm");
        for bad in ["alarm", "Ecs-Service", "", "../X"] {
            assert!(snake_case(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_module_goes_in_order_into_the_last_block() {
        let text = "//! Doc.\n\npub mod provider;\n\npub mod alarm;\npub mod secret;\n\npub use x;\n";
        let with = |module| with_module(text, module).unwrap();
        assert_eq!(with("listener"), text.replace("pub mod secret", "pub mod listener;\npub mod secret"));
        assert_eq!(with("vpc"), text.replace("pub mod secret;", "pub mod secret;\npub mod vpc;"));
        assert!(with_module("fn x() {}\n", "vpc").is_err());
    }

    #[test]
    fn an_entry_closes_the_registry() {
        let text = "macro_rules! kinds {\n}\n\nkinds! {\n    a::A,\n}\n";
        assert_eq!(with_entry(text, "    b::B,").unwrap(), text.replace("a::A,\n", "a::A,\n    b::B,\n"));
        assert!(with_entry("kinds! {\n", "x").is_err());
    }

    #[test]
    fn no_placeholder_is_left() {
        for (file, template) in TEMPLATES {
            let text = filled(template, "EcsService", "ecs_service");
            assert!(!text.contains("__"), "{file}");
            assert!(text.starts_with("//!"), "{file}");
        }
    }
}
