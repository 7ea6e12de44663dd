//! The set-up of the log: text for people, JSON for machines, one line an event, to standard error.

use std::io;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::TryInitError;

/// Who may write at TRACE: our own crates. At that level the AWS SDK writes whole requests and answers, with the plain
/// environment values and session tokens in them, and HTTP libraries write headers.
const OURS: [&str; 10] =
    ["api", "awskit", "engine", "kinds", "model", "notify", "operator", "runtime", "store", "telemetry"];

/// Whether an event may be written, whatever the filter says.
fn may_be_told(target: &str, level: Level) -> bool {
    let is_ours = OURS.contains(&target.split("::").next().unwrap_or_default());
    level <= Level::DEBUG || is_ours
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("{filter:?} is no log filter such as info,runtime=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Something has set up logging before.
    #[error("logging was set up already")]
    Twice(#[source] TryInitError),
}

/// Sets up the log of this process, once. `filter` is in the form of `RUST_LOG`: `info,runtime=debug`.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let cap = filter_fn(|event| may_be_told(event.target(), *event.level()));
    let filter = EnvFilter::try_new(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(true);
    match format {
        Format::Text => builder.finish().with(cap).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(true).finish().with(cap).try_init(),
    }
    .map_err(LogError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_from_configuration() {
        assert_eq!("JSON".parse(), Ok(Format::Json));
        assert_eq!("text".parse(), Ok(Format::Text));
        assert!("xml".parse::<Format>().is_err());
    }

    #[test]
    fn only_our_own_crates_trace() {
        for (target, level, told) in [
            ("api::middleware", Level::TRACE, true),
            ("runtime", Level::TRACE, true),
            ("aws_smithy_runtime::client::orchestrator", Level::TRACE, false),
            ("aws_smithy_runtime::client::orchestrator", Level::DEBUG, true),
            ("hyper_util::client", Level::TRACE, false),
            ("apiary", Level::TRACE, false),
        ] {
            assert_eq!(may_be_told(target, level), told, "{target} {level}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named() {
        let error = init(Format::Text, "runtime=loud").unwrap_err();
        assert!(matches!(&error, LogError::Filter { filter, .. } if filter == "runtime=loud"), "{error:?}");
    }
}
