//! `cargo xtask image`: the image that the `Dockerfile` describes, as an OCI layout, without Docker and without a registry.
//!
//! What the image says of itself (user, ports, health check, entry point) is read from the Dockerfile, so that there is one
//! place to change. Equal inputs give equal bytes: names are sorted, times are that of the commit, owners are numbers.

mod dockerfile;
mod json;
mod layout;
mod root;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::exec::{self, cargo, output};
use crate::places;

pub(crate) const HELP: &str = "\
Writes the image of the daemon as an OCI layout, and prints its size and digest. No Docker, no registry.

Usage: cargo xtask image [--binary FILE] [--out DIR]

  --binary FILE   a daemon that is built already; else it is built, release profile (minutes, the first time)
  --out DIR       where the layout goes, default target/image; what was there before is removed

Beside the layout: sbom.cdx.json (CycloneDX), every crate and every Debian package that is in it.
Run twice at the same commit, on a machine with the same toolchain and packages, it gives the same digest.

  skopeo copy oci:target/image docker://registry.example.com/operator     # to push it
";

/// Compressed. The promise is a small image; more means that something was put in that nobody needs.
const LARGEST_BYTES: u64 = 60 << 20;

struct Options {
    binary: Option<PathBuf>,
    out: PathBuf,
}

fn options(args: &[String]) -> Result<Options> {
    let mut options = Options { binary: None, out: places::root().join("target/image") };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--binary" => options.binary = Some(value.into()),
            "--out" => options.out = value.into(),
            other => bail!("image takes --binary and --out, not {other}"),
        }
    }
    Ok(options)
}

pub(crate) fn main(args: &[String]) -> Result<ExitCode> {
    let options = options(args)?;
    let described = dockerfile::read(&fs::read_to_string(places::root().join("Dockerfile"))?)?;
    let stamp = Stamp::of_the_commit()?;
    let binary = match options.binary {
        Some(binary) => binary,
        None => build(&stamp)?,
    };
    let scratch = places::scratch("image")?;
    let made = make(&binary, &described, &stamp, &scratch, &options.out);
    fs::remove_dir_all(&scratch)?;
    let made = made?;
    exec::print(&format!(
        "{}\n  manifest  {}\n  layers    {}\n  size      {:.1} MiB compressed, {:.1} MiB unpacked\n  contents  {} crates, {} Debian packages: {}\n",
        options.out.display(),
        made.image.manifest,
        made.image.layers.join(" "),
        mib(made.image.compressed_bytes),
        mib(made.image.unpacked_bytes),
        made.crates,
        made.packages,
        options.out.join("sbom.cdx.json").display(),
    ));
    if made.image.compressed_bytes > LARGEST_BYTES {
        bail!("the image is larger than {} MiB", LARGEST_BYTES >> 20);
    }
    Ok(ExitCode::SUCCESS)
}

fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people: one digit behind the point")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

/// When and of what the image is: of the commit, so that the same commit gives the same image.
struct Stamp {
    /// Seconds since 1970.
    seconds: u64,
    /// `2026-11-25T10:00:00Z`.
    text: String,
    revision: String,
    version: String,
}

impl Stamp {
    fn of_the_commit() -> Result<Self> {
        let git = |args: &[&str]| -> Result<String> {
            Ok(output(Command::new("git").args(args).current_dir(places::root()))?.trim().to_owned())
        };
        let revision = git(&["rev-parse", "HEAD"]).context("the image's time is that of the commit")?;
        let seconds: u64 = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(given) => given.parse().context("SOURCE_DATE_EPOCH")?,
            Err(_) => git(&["log", "-1", "--format=%ct"])?.parse().context("the commit's time")?,
        };
        let text = output(Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]))?;
        let manifest = fs::read_to_string(places::root().join("Cargo.toml"))?;
        let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
        let version = version.context("Cargo.toml has no version")?.to_owned();
        Ok(Self { seconds, text: text.trim().to_owned(), revision, version })
    }
}

/// Builds the daemon so that no path of this machine is in it.
fn build(stamp: &Stamp) -> Result<PathBuf> {
    let root = places::root();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))).context("HOME")?;
    let flags: Vec<String> = [(&root, "/src"), (&home, "/cargo")]
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect();
    let c_flags = format!("-ffile-prefix-map={}=/src -ffile-prefix-map={}=/cargo", root.display(), home.display());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    // Beside the developer's own: other flags would make cargo build all of that anew.
    let target = target.join("image-build");
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--package", "operator", "--bin", "operator", "--target-dir"])
        .arg(&target)
        // The separator is the one that a path cannot hold.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CFLAGS", c_flags)
        .env("SOURCE_DATE_EPOCH", stamp.seconds.to_string())
        .env("CARGO_INCREMENTAL", "0");
    exec::run_aloud(&mut build)?;
    Ok(target.join("release/operator"))
}

struct Made {
    image: layout::Image,
    crates: usize,
    packages: usize,
}

fn make(binary: &Path, described: &dockerfile::Described, stamp: &Stamp, scratch: &Path, out: &Path) -> Result<Made> {
    let (base, app) = (scratch.join("base"), scratch.join("app"));
    let program = described.entrypoint.first().context("the Dockerfile's ENTRYPOINT names no program")?;
    let libraries = root::lay_out(binary, program, &base, &app)?;
    let sbom = sbom::make(&libraries, stamp)?;
    if out.exists() {
        // Only ever a layout of ours: a wrong --out must not cost anybody a directory.
        anyhow::ensure!(out.join("oci-layout").is_file(), "{} is there and is no OCI layout", out.display());
        fs::remove_dir_all(out)?;
    }
    let image = layout::write(&[base, app], described, stamp, scratch, out)?;
    fs::write(out.join("sbom.cdx.json"), &sbom.text)?;
    Ok(Made { image, crates: sbom.crates, packages: sbom.packages })
}

#[cfg(test)]
mod tests;
