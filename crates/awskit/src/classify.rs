//! Error classes: SDK errors → class and effect. What all services share is here; a kind's `errors.rs` comes first.
//!
//! The class is decided by the error's code, never by its text. The SDK's own list of throttles is not used: it holds
//! `LimitExceededException`, which several services document as a quota.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use model::{Class, Effect};

/// A kind's own table: class and effect of a code, or `None` for the shared ones.
pub type Classify = fn(&str) -> Option<(Class, Effect)>;

/// A kind without codes of its own.
pub fn shared_only(_code: &str) -> Option<(Class, Effect)> {
    None
}

/// A failed call, classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Class.
    pub class: Class,
    /// Whether a mutation may have been carried out.
    pub effect: Effect,
    /// AWS's code, or ours.
    pub code: String,
    /// AWS's message, or ours.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
}

/// The codes that all services share. (AWS General Reference, common errors; each service's API Reference.)
pub fn shared(code: &str) -> Option<(Class, Effect)> {
    Some(match code {
        // Asked to slow down before anything was done.
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "APICallRateForCustomerExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "BandwidthLimitExceeded"
        | "LimitExceededException.Throttled" => (Class::Throttled, Effect::NotApplied),
        // Not allowed, or not recognised.
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "OptInRequired"
        | "NotAuthorized" => (Class::Denied, Effect::NotApplied),
        // The request itself is refused.
        "ValidationError"
        | "ValidationException"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "InvalidParameterException"
        | "InvalidRequest"
        | "InvalidRequestException"
        | "InvalidAction"
        | "MalformedQueryString"
        | "MissingParameter"
        | "MissingAction"
        | "UnknownOperationException"
        | "UnsupportedOperation"
        | "SerializationException" => (Class::Invalid, Effect::NotApplied),
        // The service failed; it may have done its work before.
        "InternalFailure"
        | "InternalError"
        | "InternalServerError"
        | "InternalServiceError"
        | "InternalServiceFault"
        | "InternalServerException"
        | "ServerException"
        | "ServiceException" => (Class::Transient, Effect::Unknown),
        "ServiceUnavailable" | "ServiceUnavailableException" | "Unavailable" => (Class::Transient, Effect::Unknown),
        "RequestTimeout" | "RequestTimeoutException" => (Class::Transient, Effect::Unknown),
        "RequestExpired" => (Class::Transient, Effect::NotApplied),
        "ResourceNotFoundException" | "ResourceNotFound" => (Class::NotFound, Effect::NotApplied),
        "ConflictException" | "ConcurrentModification" | "ConcurrentModificationException" => {
            (Class::Conflict, Effect::NotApplied)
        }
        _ => return None,
    })
}

/// Classifies a failed SDK call.
pub fn classify<E>(error: &SdkError<E, HttpResponse>, own: Classify) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let ours = |class, effect, code: &str| Failure {
        class,
        effect,
        code: code.to_owned(),
        message: chain(error),
        request_id: None,
    };
    match error {
        SdkError::ServiceError(service) => {
            let metadata = service.err().meta();
            let status = service.raw().status().as_u16();
            // An answer that says that it was done, and cannot be read, is here too, without a code.
            let none = if status < 300 { "UnreadableResponse" } else { "Unknown" };
            let code = metadata.code().filter(|code| !code.is_empty()).unwrap_or(none).to_owned();
            let (class, effect) = own(&code).or_else(|| shared(&code)).unwrap_or(match status {
                // A mutation has most likely happened.
                ..300 => (Class::Bug, Effect::Unknown),
                429 => (Class::Throttled, Effect::NotApplied),
                403 | 401 => (Class::Denied, Effect::NotApplied),
                500.. => (Class::Transient, Effect::Unknown),
                // A code that no table knows: AWS refused, so nothing was done, and somebody should learn of it.
                _ => (Class::Invalid, Effect::NotApplied),
            });
            let message = metadata.message().unwrap_or("no message").to_owned();
            let request_id =
                metadata.request_id().or_else(|| service.raw().headers().get("x-amzn-requestid")).map(str::to_owned);
            Failure { class, effect, code, message, request_id }
        }
        // Nothing was sent.
        SdkError::ConstructionFailure(_) => {
            let text = chain(error);
            if text.to_ascii_lowercase().contains("credential") {
                ours(Class::Denied, Effect::NotApplied, "CredentialsNotLoaded")
            } else {
                ours(Class::Bug, Effect::NotApplied, "ConstructionFailure")
            }
        }
        SdkError::TimeoutError(_) => ours(Class::Transient, Effect::Unknown, "Timeout"),
        // The connection broke, before or after the request went out.
        SdkError::DispatchFailure(failure) => {
            if failure
                .as_connector_error()
                .is_some_and(|e| !e.is_timeout() && !e.is_io() && !e.is_other() && e.is_user())
            {
                ours(Class::Bug, Effect::NotApplied, "DispatchFailure")
            } else {
                let text = chain(error).to_ascii_lowercase();
                if text.contains("credential") {
                    ours(Class::Denied, Effect::NotApplied, "CredentialsNotLoaded")
                } else {
                    ours(Class::Transient, Effect::Unknown, "ConnectionLost")
                }
            }
        }
        // An answer came that could not be read: a mutation has most likely happened.
        SdkError::ResponseError(response) => {
            if response.raw().status().as_u16() >= 500 {
                ours(Class::Transient, Effect::Unknown, "UnreadableResponse")
            } else {
                ours(Class::Bug, Effect::Unknown, "UnreadableResponse")
            }
        }
        _ => ours(Class::Bug, Effect::Unknown, "UnknownSdkError"),
    }
}

/// The error with its sources, joined; each layer's text only once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let line = inner.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_is_never_a_quota() {
        assert_eq!(shared("ThrottlingException"), Some((Class::Throttled, Effect::NotApplied)));
        assert_eq!(shared("LimitExceededException"), None, "each service says what this code means");
    }

    #[test]
    fn a_server_error_leaves_the_effect_unknown() {
        for code in ["InternalFailure", "ServiceUnavailable", "ServerException"] {
            assert_eq!(shared(code), Some((Class::Transient, Effect::Unknown)), "{code}");
        }
    }
}
