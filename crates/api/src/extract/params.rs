//! Query parameters, with Kubernetes' names.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use model::Span;
use model::problem::Reason;

use crate::error::{ApiError, ApiResult};

/// What happens to fields that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Refused.
    Strict,
    /// Dropped, and named in a `Warning` header.
    Warn,
    /// Dropped.
    Ignore,
}

/// The query parameters of a request; of several with one name the last counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let unreadable = |_| ApiError::bad_request("the query string cannot be decoded");
        let Query(params) = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri).map_err(unreadable)?;
        if params.values().any(|value| value.contains('\0')) {
            return Err(ApiError::bad_request("the query string holds a NUL character"));
        }
        Ok(Self(params))
    }
}

impl Params {
    /// A parameter's text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a parameter is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A boolean, in the words of Go's ParseBool.
    pub(crate) fn flag(&self, name: &str) -> ApiResult<bool> {
        match self.0.get(name).map(String::as_str) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("" | "1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(_) => Err(ApiError::field(name, Reason::FieldValueInvalid, "must be true or false")),
        }
    }

    /// `dryRun=All`.
    pub(crate) fn dry_run(&self) -> ApiResult<bool> {
        match self.text("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(_) => Err(ApiError::field("dryRun", Reason::FieldValueNotSupported, "must be All, or left out")),
        }
    }

    /// `fieldValidation`.
    pub(crate) fn field_validation(&self) -> ApiResult<FieldValidation> {
        match self.text("fieldValidation") {
            None | Some("Strict") => Ok(FieldValidation::Strict),
            Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some(_) => Err(ApiError::field(
                "fieldValidation",
                Reason::FieldValueNotSupported,
                "must be Strict (the default), Warn or Ignore",
            )),
        }
    }

    /// A duration such as `30s`.
    pub(crate) fn duration(&self, name: &str) -> ApiResult<Option<Duration>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let span = Span::parse(text).map_err(|rule| ApiError::field(name, Reason::FieldValueInvalid, rule))?;
        Ok(Some(span.as_duration()))
    }

    /// A number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> ApiResult<Option<T>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().map_err(|_| ApiError::field(name, Reason::FieldValueInvalid, "must be a number"))?;
        Ok(Some(number))
    }
}
