//! What the Dockerfile's last stage says of the image.

use anyhow::{Context as _, Result, bail};

use super::json::parse_texts;

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) user: String,
    pub(super) port: String,
    pub(super) stop_signal: String,
    pub(super) env: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) healthcheck: Healthcheck,
}

/// A health check; times in nanoseconds, as the image's configuration has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Healthcheck {
    pub(super) command: Vec<String>,
    pub(super) interval_ns: u64,
    pub(super) timeout_ns: u64,
    pub(super) start_period_ns: u64,
    pub(super) retries: u64,
}

/// Reads it. An instruction that is not understood is refused: the image would silently lack what it says.
pub(super) fn read(text: &str) -> Result<Described> {
    let last = text.rfind("\nFROM ").context("the Dockerfile has no FROM")? + 1;
    let lines: Vec<&str> =
        text[last..].lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut env = Vec::new();
    for line in &lines {
        match line.split(' ').next() {
            Some("ENV") => env.push(line[4..].to_owned()),
            Some("FROM" | "COPY" | "USER" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD") => {}
            _ => bail!("`{line}` of the Dockerfile is not understood"),
        }
    }
    let said = |instruction: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
        found.with_context(|| format!("the Dockerfile has no {instruction}"))
    };
    let words = |instruction: &str| {
        parse_texts(said(instruction)?).with_context(|| format!("{instruction} of the Dockerfile is no list"))
    };
    Ok(Described {
        user: said("USER")?.to_owned(),
        port: said("EXPOSE")?.to_owned(),
        stop_signal: said("STOPSIGNAL")?.to_owned(),
        env,
        entrypoint: words("ENTRYPOINT")?,
        cmd: words("CMD")?,
        healthcheck: healthcheck(said("HEALTHCHECK")?)?,
    })
}

fn healthcheck(text: &str) -> Result<Healthcheck> {
    let (options, command) = text.split_once("CMD ").context("HEALTHCHECK has no CMD")?;
    let option = |name: &str| {
        let value = options.split(' ').find_map(|word| word.strip_prefix(&format!("--{name}=")));
        value.with_context(|| format!("HEALTHCHECK has no --{name}"))
    };
    let seconds = |name: &str| -> Result<u64> {
        let value = option(name)?;
        let seconds: u64 =
            value.strip_suffix('s').unwrap_or_default().parse().with_context(|| format!("--{name}={value}"))?;
        Ok(seconds * 1_000_000_000)
    };
    Ok(Healthcheck {
        command: parse_texts(command).context("HEALTHCHECK's CMD is no list")?,
        interval_ns: seconds("interval")?,
        timeout_ns: seconds("timeout")?,
        start_period_ns: seconds("start-period")?,
        retries: option("retries")?.parse().context("--retries")?,
    })
}
