//! The machine: who we are, whom we can be, and installing Debian packages.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::exec::{output, say, shown, succeeds};

/// A user of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Whether this program runs as root.
pub(crate) fn is_root() -> bool {
    // The owner of our own /proc entry is our effective user; std has no `geteuid`.
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// The user that runs Postgres when root cannot: `postgres` where its package made one, else `nobody`.
pub(crate) fn server_user() -> Result<Option<User>> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let user = ["postgres", "nobody"].iter().find_map(|name| find_user(&passwd, name));
    Ok(Some(user.context("Postgres refuses to run as root, and there is no user `postgres` or `nobody`")?))
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { name: name.to_owned(), uid, gid })
    })
}

/// A command run as root, directly or through a `sudo` that asks nothing. An error where neither is possible.
pub(crate) fn as_root(words: &[&str]) -> Result<Command> {
    let mut command = if is_root() {
        Command::new("env")
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        let mut command = Command::new("sudo");
        command.args(["-n", "env"]);
        command
    } else {
        bail!("packages need root, or sudo without a password");
    };
    command.args(words);
    Ok(command)
}

/// `apt-get install`. An error where packages cannot be installed.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    if crate::places::on_path("apt-get").is_none() {
        bail!("no apt-get on this machine");
    }
    let apt = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"];
    let mut update = as_root(&apt)?;
    update.arg("update");
    let mut install = as_root(&apt)?;
    install.args(["install", "-y", "--no-install-recommends"]).args(packages);
    say(&format!("installing {}: $ {}", packages.join(", "), shown(&install)));
    // Their chatter is shown only when they fail.
    output(&mut update)?;
    output(&mut install)?;
    Ok(())
}

/// Downloads a Debian package and unpacks it into a directory. Nothing is installed; root is needed only where the lists of
/// packages are old.
pub(crate) fn apt_unpack(package: &str, dir: &Path) -> Result<()> {
    if crate::places::on_path("apt-get").is_none() {
        bail!("no apt-get on this machine");
    }
    let download = || output(Command::new("apt-get").args(["download", "-qq", package]).current_dir(dir));
    if let Err(error) = download() {
        // The lists of packages may be old, or not there at all.
        let mut update = as_root(&["apt-get", "-qq", "update"])
            .with_context(|| format!("{error:#}; the lists of packages cannot be fetched"))?;
        output(&mut update)?;
        download()?;
    }
    let files = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let archive = files.next().context("no package was downloaded")?;
    output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(dir))?;
    fs::remove_file(archive)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:7::/:/bin/sh\npostgres:x:101:104:db:/var:/bin/bash\n";
        assert_eq!(find_user(passwd, "postgres"), Some(User { name: "postgres".into(), uid: 101, gid: 104 }));
        assert_eq!(find_user(passwd, "nobody"), None);
    }
}
