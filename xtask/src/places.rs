//! Where things are: the checkout, the cache that outlives it, a directory for one run.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The top of the checkout that this command was called in.
pub(crate) fn root() -> PathBuf {
    // cargo sets it when it runs us; the compiled-in path serves a bare `target/debug/xtask`.
    let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let path = PathBuf::from(manifest);
    path.parent().map_or_else(|| path.clone(), Path::to_path_buf)
}

/// What outlives a run: Python environments, downloaded binaries. `~/.cache/eventchain-operator`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    let dir = base.join("eventchain-operator");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// A new directory, for this user only, that `keep` removes at the end of the run.
///
/// Not under the cache: when root starts Postgres as another user, that user cannot enter root's home.
pub(crate) fn scratch(what: &str) -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("eventchain-{what}-{}-{}", std::process::id(), random_hex(6)?));
    fs::DirBuilder::new().mode(0o700).create(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// `bytes` random bytes, in hex.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    use std::io::Read as _;
    let mut buffer = vec![0_u8; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .context("cannot read /dev/urandom")?;
    Ok(buffer.iter().fold(String::new(), |mut hex, byte| {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// The first program of this name on PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = scratch("places-test").unwrap();
        let mode = fs::metadata(&dir).unwrap().permissions().mode();
        fs::remove_dir(&dir).unwrap();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn the_root_is_where_the_workspace_manifest_is() {
        assert!(fs::read_to_string(root().join("Cargo.toml")).unwrap().contains("[workspace]"));
    }

    #[test]
    fn random_hex_has_two_digits_a_byte() {
        assert_eq!(random_hex(16).unwrap().len(), 32);
    }
}
