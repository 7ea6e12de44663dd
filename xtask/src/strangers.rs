//! Other people's AWS tools: the `aws` CLI and Terraform, which the tests point at the simulated AWS, and cfn-lint, which
//! knows what a CloudFormation template may say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::exec::succeeds;
use crate::{places, python};

const AWS_CLI: [&str; 1] = ["awscli==1.45.11"];
const CFN_LINT: [&str; 1] = ["cfn-lint==1.58.0"];

/// The `aws` CLI: the machine's, else one in an environment of its own (its pin on botocore and moto's need not agree).
pub(crate) fn aws_cli() -> Result<PathBuf> {
    if let Some(found) = places::on_path("aws")
        && succeeds(Command::new(&found).arg("--version"))
    {
        return Ok(found);
    }
    python::program(&python::venv("awscli", &AWS_CLI)?, "aws")
}

/// cfn-lint, in an environment of its own (moto asks for some version of it too).
pub(crate) fn cfn_lint() -> Result<PathBuf> {
    python::program(&python::venv("cfn-lint", &CFN_LINT)?, "cfn-lint")
}

/// Terraform: the machine's, since no package that we could install has it.
pub(crate) fn terraform() -> Result<PathBuf> {
    places::on_path("terraform").context("it is not on PATH, and no package has it")
}

/// Where machines without Terraform's registry keep its providers, besides the places that it looks at by itself.
const MIRROR: &str = "/opt/tf-plugins";

/// A configuration that lets Terraform find the AWS provider in a directory of the machine
/// (`EVENTCHAIN_TERRAFORM_PLUGINS`, else [`MIRROR`]). `None` where the user has a configuration, or no such directory
/// holds the provider: then Terraform looks where it usually does.
pub(crate) fn terraform_configuration() -> Result<Option<PathBuf>> {
    let set = std::env::var_os("TF_CLI_CONFIG_FILE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".terraformrc"));
    if set.into_iter().chain(home).any(|file| file.is_file()) {
        return Ok(None);
    }
    let mirror = std::env::var_os("EVENTCHAIN_TERRAFORM_PLUGINS").map_or_else(|| PathBuf::from(MIRROR), PathBuf::from);
    if !has_aws_provider(&mirror) {
        return Ok(None);
    }
    let file = places::cache()?.join("terraform.rc");
    fs::write(&file, configuration(&mirror)).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Some(file))
}

fn configuration(mirror: &Path) -> String {
    format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = {:?}\n  }}\n}}\n",
        mirror.display().to_string()
    )
}

/// `HOST/hashicorp/aws`, whatever the host.
fn has_aws_provider(mirror: &Path) -> bool {
    let hosts = fs::read_dir(mirror).into_iter().flatten().flatten();
    hosts.into_iter().any(|host| host.path().join("hashicorp/aws").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_counts_only_if_it_holds_the_aws_provider() {
        let dir = places::scratch("strangers-test").unwrap();
        assert!(!has_aws_provider(&dir));
        fs::create_dir_all(dir.join("registry.example/hashicorp/aws/5.100.0")).unwrap();
        assert!(has_aws_provider(&dir));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_configuration_names_the_mirror() {
        assert!(configuration(Path::new("/mirror")).contains("path = \"/mirror\""));
    }
}
