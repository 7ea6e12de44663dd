//! The OCI layout: blobs by digest, a manifest, an index (OCI Image Specification 1.1). Knows nothing of what is inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::Stamp;
use super::dockerfile::Described;
use super::json::Json;
use crate::exec::{output, run};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What was written.
pub(super) struct Image {
    pub(super) manifest: String,
    pub(super) layers: Vec<String>,
    pub(super) compressed_bytes: u64,
    pub(super) unpacked_bytes: u64,
}

/// A blob: its digest and size.
struct Blob {
    digest: String,
    bytes: u64,
}

/// Writes a layout in which each of `roots` is a layer.
pub(super) fn write(
    roots: &[PathBuf],
    described: &Described,
    stamp: &Stamp,
    scratch: &Path,
    out: &Path,
) -> Result<Image> {
    let blobs = out.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let (mut layers, mut diffs, mut unpacked_bytes) = (Vec::new(), Vec::new(), 0);
    for (n, root) in roots.iter().enumerate() {
        let tar = scratch.join(format!("{n}.tar"));
        archive(root, stamp, &tar)?;
        unpacked_bytes += fs::metadata(&tar)?.len();
        diffs.push(digest(&tar)?);
        let zipped = scratch.join(format!("{n}.tar.gz"));
        let into = fs::File::create(&zipped)?;
        // `-n`: neither a name nor a time in its head.
        let status = Command::new("gzip").args(["-n", "-9", "-c"]).arg(&tar).stdout(Stdio::from(into)).status()?;
        anyhow::ensure!(status.success(), "gzip: {status}");
        layers.push(keep(&zipped, &blobs)?);
    }
    let config = keep_text(&config(described, stamp, &diffs)?, scratch, &blobs)?;
    let described_layers = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
    let manifest = Json::fields([
        ("schemaVersion", Json::Number(2)),
        ("mediaType", Json::text(MANIFEST)),
        ("config", descriptor(CONFIG, &config)),
        ("layers", Json::List(described_layers)),
        ("annotations", labels(stamp)),
    ]);
    let manifest = keep_text(&manifest.render(), scratch, &blobs)?;
    let index = Json::fields([
        ("schemaVersion", Json::Number(2)),
        ("mediaType", Json::text("application/vnd.oci.image.index.v1+json")),
        ("manifests", Json::List(vec![descriptor(MANIFEST, &manifest)])),
    ]);
    fs::write(out.join("index.json"), index.render())?;
    fs::write(out.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}")?;
    let compressed_bytes = layers.iter().map(|layer| layer.bytes).sum::<u64>() + config.bytes + manifest.bytes;
    let layers = layers.into_iter().map(|layer| layer.digest).collect();
    Ok(Image { manifest: manifest.digest, layers, compressed_bytes, unpacked_bytes })
}

/// A directory as a tar that depends on nothing but names, modes and contents.
fn archive(root: &Path, stamp: &Stamp, tar: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .args(["--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", stamp.seconds))
        .arg("-cf")
        .arg(tar)
        .arg("-C")
        .arg(root)
        .args(["--transform=s,^\\./,,", "."])
        .env("LC_ALL", "C");
    run(&mut command).context("GNU tar is needed")
}

fn config(described: &Described, stamp: &Stamp, diffs: &[String]) -> Result<String> {
    let check = &described.healthcheck;
    let mut test = vec!["CMD".to_owned()];
    test.extend(check.command.iter().cloned());
    let healthcheck = Json::fields([
        ("Test", Json::texts(&test)),
        ("Interval", Json::Number(check.interval_ns)),
        ("Timeout", Json::Number(check.timeout_ns)),
        ("StartPeriod", Json::Number(check.start_period_ns)),
        ("Retries", Json::Number(check.retries)),
    ]);
    let port = format!("{}/tcp", described.port);
    let config = Json::fields([
        ("User", Json::text(&*described.user)),
        ("ExposedPorts", Json::Fields(vec![(port, Json::Fields(Vec::new()))])),
        ("Env", Json::texts(&described.env)),
        ("Entrypoint", Json::texts(&described.entrypoint)),
        ("Cmd", Json::texts(&described.cmd)),
        ("StopSignal", Json::text(&*described.stop_signal)),
        // Docker's own field, which OCI leaves room for.
        ("Healthcheck", healthcheck),
        ("Labels", labels(stamp)),
    ]);
    let history = diffs.iter().map(|_| {
        Json::fields([("created", Json::text(&*stamp.text)), ("created_by", Json::text("cargo xtask image"))])
    });
    let whole = Json::fields([
        ("created", Json::text(&*stamp.text)),
        ("architecture", Json::text(architecture()?)),
        ("os", Json::text("linux")),
        ("config", config),
        ("rootfs", Json::fields([("type", Json::text("layers")), ("diff_ids", Json::texts(diffs))])),
        ("history", Json::List(history.collect())),
    ]);
    Ok(whole.render())
}

/// As Go names it, which OCI follows.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => anyhow::bail!("no name for the architecture {other} in OCI's terms"),
    }
}

fn labels(stamp: &Stamp) -> Json {
    Json::fields([
        ("org.opencontainers.image.created", Json::text(&*stamp.text)),
        ("org.opencontainers.image.licenses", Json::text("Apache-2.0")),
        ("org.opencontainers.image.revision", Json::text(&*stamp.revision)),
        ("org.opencontainers.image.title", Json::text("eventchain-operator")),
        ("org.opencontainers.image.version", Json::text(&*stamp.version)),
    ])
}

fn descriptor(media_type: &str, blob: &Blob) -> Json {
    Json::fields([
        ("mediaType", Json::text(media_type)),
        ("digest", Json::text(&*blob.digest)),
        ("size", Json::Number(blob.bytes)),
    ])
}

fn keep_text(text: &str, scratch: &Path, blobs: &Path) -> Result<Blob> {
    let file = scratch.join("text");
    fs::write(&file, text)?;
    keep(&file, blobs)
}

fn keep(file: &Path, blobs: &Path) -> Result<Blob> {
    let digest = digest(file)?;
    let bytes = fs::metadata(file)?.len();
    fs::copy(file, blobs.join(digest.trim_start_matches("sha256:")))?;
    Ok(Blob { digest, bytes })
}

fn digest(file: &Path) -> Result<String> {
    let said = output(Command::new("sha256sum").arg(file))?;
    let hash = said.split_whitespace().next().context("sha256sum says nothing")?;
    Ok(format!("sha256:{hash}"))
}
