//! What `deploy/` holds does what it says, with this daemon: templates on an emulator, rules in a real Prometheus.

mod prometheus;
mod templates;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The top of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// A file or folder of `deploy/`.
fn deploy(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}
