//! What is in the image, as a CycloneDX document: every crate that is linked in, every Debian package that a file is from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Stamp;
use super::json::Json;
use crate::exec::{cargo, output};

/// The document, and how much is in it.
pub(super) struct Sbom {
    pub(super) text: String,
    pub(super) crates: usize,
    pub(super) packages: usize,
}

pub(super) fn make(files: &[PathBuf], stamp: &Stamp) -> Result<Sbom> {
    let crates = crates()?;
    let packages = packages(files)?;
    let mut components: Vec<Json> =
        crates.iter().map(|(name, version, license)| krate(name, version, license)).collect();
    components.extend(packages.iter().map(|(name, version)| {
        Json::fields([
            ("type", Json::text("library")),
            ("name", Json::text(name)),
            ("version", Json::text(version)),
            ("purl", Json::text(format!("pkg:deb/debian/{name}@{version}"))),
        ])
    }));
    let subject = Json::fields([
        ("type", Json::text("container")),
        ("name", Json::text("eventchain-operator")),
        ("version", Json::text(&*stamp.version)),
    ]);
    let document = Json::fields([
        ("bomFormat", Json::text("CycloneDX")),
        ("specVersion", Json::text("1.5")),
        ("version", Json::Number(1)),
        ("metadata", Json::fields([("timestamp", Json::text(&*stamp.text)), ("component", subject)])),
        ("components", Json::List(components)),
    ]);
    Ok(Sbom { text: document.render(), crates: crates.len(), packages: packages.len() })
}

fn krate(name: &str, version: &str, license: &str) -> Json {
    let expression = Json::fields([("expression", Json::text(license))]);
    Json::fields([
        ("type", Json::text("library")),
        ("name", Json::text(name)),
        ("version", Json::text(version)),
        ("licenses", Json::List(vec![expression])),
        ("purl", Json::text(format!("pkg:cargo/{name}@{version}"))),
    ])
}

/// Name, version and licence of what the daemon is linked from.
fn crates() -> Result<BTreeSet<(String, String, String)>> {
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--package", "operator", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--format", "{p}|{l}"]);
    Ok(output(&mut tree)?.lines().filter_map(line).collect())
}

/// `serde v1.0.1 (proc-macro)|MIT OR Apache-2.0`.
pub(super) fn line(text: &str) -> Option<(String, String, String)> {
    let (package, license) = text.split_once('|')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    // What is shown again, cargo marks.
    let license = license.trim_end_matches(" (*)").replace('/', " OR ");
    Some((name.to_owned(), version.to_owned(), license))
}

/// The Debian packages that files are from; a file of no package is left out.
fn packages(files: &[PathBuf]) -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::from([("ca-certificates".to_owned(), version("ca-certificates")?)]);
    for file in files {
        // Packages name their files as they were before /lib became a link to /usr/lib.
        let before = file.strip_prefix("/usr").map(|rest| PathBuf::from("/").join(rest));
        let names = [Some(file.clone()), before.ok()];
        let owner = names.iter().flatten().find_map(|name| owner(name));
        if let Some(name) = owner {
            let version = version(&name)?;
            found.insert((name, version));
        }
    }
    Ok(found)
}

/// The package that a file is from.
fn owner(file: &Path) -> Option<String> {
    let said = output(Command::new("dpkg-query").arg("--search").arg(file)).ok()?;
    Some(said.split(':').next()?.to_owned())
}

fn version(package: &str) -> Result<String> {
    let mut query = Command::new("dpkg-query");
    let said = output(query.args(["--show", "--showformat=${Version}\n", package]))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
