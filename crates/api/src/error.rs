//! Errors as Kubernetes' `Status` objects: a code, a reason for machines, a message for people, and a cause for each
//! problem. What happened inside is logged once, here, and never shown.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};
use model::env::KIND;
use model::problem::{Problem, Problems, Reason};
use telemetry::ErrorChain;

use crate::apply::Conflict;
use crate::discovery::resources::{self, Resource};
use crate::wire::GROUP;

/// A client that finds the database or the owner away is asked to come back after so many seconds: a lease that ran out
/// is taken again within 15 s, a database fails over in about as long.
const RETRY_SECONDS: i32 = 5;

/// Why a request was not answered as asked.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: StatusCode,
    reason: &'static str,
    message: String,
    about: Option<(&'static str, String)>,
    causes: Vec<Problem>,
    retry_after: Option<i32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What handlers answer.
pub(crate) type ApiResult<T = Response> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), about: None, causes: Vec::new(), retry_after: None, source: None }
    }

    /// The body cannot be decoded.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The content is refused: all problems at once.
    pub(crate) fn invalid(kind: &'static str, name: &str, problems: Problems) -> Self {
        let mut causes = problems.list().to_vec();
        causes.sort();
        let shown: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.path, cause.message)).collect();
        let message = match shown.as_slice() {
            [one] => format!("{kind} {name:?} is invalid: {one}"),
            several => format!("{kind} {name:?} is invalid: [{}]", several.join(", ")),
        };
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(kind, name);
        error.causes = causes;
        error
    }

    /// One problem with one field or parameter.
    pub(crate) fn field(path: &str, reason: Reason, message: impl Into<String>) -> Self {
        let cause = Problem { path: path.to_owned(), reason, message: message.into() };
        let text = format!("{path}: {}", cause.message);
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", text);
        error.causes = vec![cause];
        error
    }

    pub(crate) fn not_found(kind: &'static str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource_of(kind));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(kind, name)
    }

    pub(crate) fn conflict(kind: &'static str, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource_of(kind));
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(kind, name)
    }

    /// What was approved is no longer the plan. It has a cause, so that nobody here tries it again by itself.
    pub(crate) fn changed_plan(kind: &'static str, name: &str, why: String) -> Self {
        let mut error = Self::conflict(kind, name, &why);
        error.causes =
            vec![Problem { path: "status.planHash".to_owned(), reason: Reason::FieldValueInvalid, message: why }];
        error
    }

    /// Server-side apply met fields that others own.
    pub(crate) fn fields_taken(name: &str, conflicts: &[Conflict]) -> Self {
        let mut error = Self::new(StatusCode::CONFLICT, "Conflict", Conflict::message(conflicts)).about(KIND, name);
        let causes = conflicts.iter().map(Conflict::cause);
        error.causes =
            causes.map(|(path, message)| Problem { path, reason: Reason::FieldManagerConflict, message }).collect();
        error
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
        error.retry_after = Some(RETRY_SECONDS);
        error
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = "something went wrong here; the log says what";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message);
        error.source = Some(source.into());
        error
    }

    pub(crate) fn about(mut self, kind: &'static str, name: &str) -> Self {
        self.about = Some((kind, name.to_owned()));
        self
    }

    pub(crate) fn retry_after(mut self, seconds: i32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.code
    }

    /// Whether somebody else's write came in between.
    pub(crate) fn is_conflict(&self) -> bool {
        // Fields that others own stay theirs, however often it is tried.
        self.reason == "Conflict" && self.causes.is_empty()
    }

    /// Whether the object does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// What it says, for a note beside a result that stands all the same.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// As Kubernetes writes it.
    pub(crate) fn status(&self) -> Status {
        let causes = self
            .causes
            .iter()
            .map(|cause| StatusCause {
                field: Some(cause.path.clone()),
                message: Some(cause.message.clone()),
                reason: Some(cause.reason.to_string()),
            })
            .collect::<Vec<_>>();
        let details = StatusDetails {
            causes: (!causes.is_empty()).then_some(causes),
            group: self.about.as_ref().map(|(kind, _)| group_of(kind).to_owned()).filter(|group| !group.is_empty()),
            // As in Kubernetes: the kind where the content is refused, the resource everywhere else.
            kind: self.about.as_ref().map(|(kind, _)| match self.code {
                StatusCode::UNPROCESSABLE_ENTITY => (*kind).to_owned(),
                _ => plural_of(kind).to_owned(),
            }),
            name: self.about.as_ref().map(|(_, name)| name.clone()),
            retry_after_seconds: self.retry_after,
            uid: None,
        };
        Status {
            code: Some(i32::from(self.code.as_u16())),
            details: (details != StatusDetails::default()).then_some(details),
            message: Some(self.message.clone()),
            reason: Some(self.reason.to_owned()),
            status: Some("Failure".to_owned()),
            ..Status::default()
        }
    }
}

fn resource_named(kind: &str) -> Option<&'static Resource> {
    resources::ALL.iter().find(|resource| resource.kind.name() == kind)
}

/// The resource of a kind; a kind that has none stands for itself.
fn plural_of(kind: &'static str) -> &'static str {
    resource_named(kind).map_or(kind, |resource| resource.plural)
}

/// The group of a kind; empty for Kubernetes' own.
fn group_of(kind: &str) -> &'static str {
    if resource_named(kind).is_some_and(|resource| resource.kind.is_core()) { "" } else { GROUP }
}

/// `environments.eventchain.io`, as kubectl's users know it.
fn resource_of(kind: &'static str) -> String {
    match resource_named(kind) {
        Some(resource) if !resource.kind.is_core() => format!("{}.{GROUP}", resource.plural),
        _ => plural_of(kind).to_owned(),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(source) = &self.source {
            let error = ErrorChain(&**source);
            if self.code == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(%error, "a request failed");
            } else {
                tracing::warn!(%error, code = self.code.as_u16(), "a request could not be served");
            }
        }
        let mut response = (self.code, Json(self.status())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::NotFound { kind, name } => Self::not_found(kind, name),
            store::Error::Conflict { current } => Self::new(
                StatusCode::CONFLICT,
                "Conflict",
                format!("the object has been changed: its resourceVersion is {current}; read it again and retry"),
            ),
            store::Error::AlreadyExists { kind, name } => {
                let message = format!("{} {name:?} already exists", resource_of(kind));
                Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(kind, name)
            }
            store::Error::ClaimedBy(conflicts) => {
                let mut problems = Problems::default();
                for conflict in conflicts {
                    problems.add("spec", Reason::FieldValueDuplicate, claimed(conflict));
                }
                Self::invalid("Environment", "", problems)
            }
            store::Error::Gone { pruned_through } => Self::new(
                StatusCode::GONE,
                "Expired",
                format!("changes up to resourceVersion {pruned_through} are no longer held"),
            ),
            store::Error::Rejected { .. } => {
                let mut refused = Self::field(
                    ".",
                    Reason::FieldValueInvalid,
                    "a value cannot be stored: a NUL character, or a number out of range",
                );
                refused.source = Some(error.into());
                refused
            }
            store::Error::Unavailable { .. } => {
                let mut away = Self::unavailable(
                    "the database is not available now; a write may or may not have happened: read before repeating it",
                );
                away.source = Some(error.into());
                away
            }
            store::Error::StaleEpoch { .. }
            | store::Error::Violates { .. }
            | store::Error::Migrate(_)
            | store::Error::Corrupt { .. }
            | store::Error::Other(_) => Self::internal(error),
        }
    }
}

/// For people: which AWS object, and who holds it.
pub(crate) fn claimed(conflict: &store::ClaimConflict) -> String {
    let claim = &conflict.claim;
    format!(
        "{} {:?} in {}/{} is managed by Environment {:?} already: one AWS object belongs to one Environment",
        claim.kind, claim.identity, claim.account, claim.region, conflict.holder
    )
}
