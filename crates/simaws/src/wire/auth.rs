//! Account, region and service from the SigV4 `Authorization` header. Signatures are not verified.
use bytes::Bytes;
use http::Request;

use super::Protocol;
use crate::AwsError;
use crate::base::world::Place;

/// Who signed, and for what.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) access_key: String,
    /// What the user agent names as the application.
    pub(crate) app: Option<String>,
    pub(crate) place: Place,
    pub(crate) service: String,
}

/// Reads the credential scope (IAM User Guide, "Elements of an AWS API request signature").
pub(crate) fn read(request: &Request<Bytes>, default_account: &str, protocol: &Protocol) -> Result<Signed, AwsError> {
    let header = request.headers().get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or("");
    if header.is_empty() {
        let (code, message) = match protocol {
            Protocol::Query => ("MissingAuthenticationToken", "Request is missing Authentication Token"),
            _ => ("MissingAuthenticationTokenException", "Missing Authentication Token"),
        };
        return Err(AwsError::new(code, message).status(403));
    }
    let incomplete = |what: &str| {
        let code = match protocol {
            Protocol::Query => "IncompleteSignature",
            _ => "IncompleteSignatureException",
        };
        AwsError::new(code, format!("Authorization header requires {what}. Authorization={header}"))
    };
    if !header.starts_with("AWS4-") {
        return Err(incomplete("an AWS4 algorithm"));
    }
    let credential = header
        .split([' ', ','])
        .find_map(|part| part.strip_prefix("Credential="))
        .ok_or_else(|| incomplete("'Credential' parameter"))?;
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key, _date, region, service, "aws4_request"] = parts[..] else {
        return Err(incomplete("a credential scope"));
    };
    Ok(Signed {
        access_key: access_key.to_owned(),
        app: app(request),
        place: Place { account: account(access_key, default_account), region: region.to_owned() },
        service: service.to_owned(),
    })
}

/// SDKs put the whole user agent into a header of their own, and a short one into the usual header.
fn app(request: &Request<Bytes>) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    let agents = header("x-amz-user-agent").into_iter().chain(header("user-agent"));
    agents.flat_map(str::split_whitespace).find_map(|word| word.strip_prefix("app/")).map(str::to_owned)
}

fn digits(s: &str) -> bool {
    s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit())
}

/// Twelve digits are an account; so are the twelve after `ASIA` in the keys that AssumeRole hands out.
fn account(access_key: &str, default: &str) -> String {
    let assumed = access_key.strip_prefix("ASIA").and_then(|rest| rest.get(..12));
    match assumed {
        Some(account) if digits(account) => account.to_owned(),
        _ if digits(access_key) => access_key.to_owned(),
        _ => default.to_owned(),
    }
}
