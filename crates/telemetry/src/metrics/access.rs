//! Who gets in: authentication, refusals, the certificate that is served.

use jiff::Timestamp;
use prometheus::{IntCounterVec, IntGauge};

use super::register::Register;

/// How an authentication ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthOutcome {
    /// It is known who asks.
    Known,
    /// There were no credentials.
    Missing,
    /// They were refused.
    Refused,
    /// They had expired.
    Expired,
    /// Too many were refused before.
    TooMany,
    /// They could not be checked.
    Unavailable,
}

impl AuthOutcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Missing => "missing",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Who gets in.
#[derive(Clone, Debug)]
pub struct AccessMetrics {
    authentications: IntCounterVec,
    forbidden: IntCounterVec,
    certificate_expiry: IntGauge,
    certificate_reloads: IntCounterVec,
    key_refreshes: IntCounterVec,
    oidc_refusals: IntCounterVec,
}

impl AccessMetrics {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            authentications: register.counters(
                "eventchain_authentications_total",
                "Requests by how it was found out who asks, and the outcome. Alert on a rate of outcome=refused (somebody tries tokens) and on any unavailable (the issuer's keys cannot be read).",
                &["how", "outcome"],
            ),
            forbidden: register.counters(
                "eventchain_requests_forbidden_total",
                "Requests of known users that their roles do not allow. Alert on a sudden rate.",
                &[],
            ),
            certificate_expiry: register.gauge(
                "eventchain_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that is served ends, as a Unix time; 0 without TLS. Alert when it is less than a week ahead.",
            ),
            certificate_reloads: register.counters(
                "eventchain_tls_certificate_reloads_total",
                "New certificate files, by outcome. Alert on outcome=refused: the old certificate is still served, until it ends.",
                &["outcome"],
            ),
            key_refreshes: register.counters(
                "eventchain_oidc_key_refreshes_total",
                "Readings of an OIDC issuer's keys, by outcome. Alert when outcome=failed rises: keys that are held go on counting, new ones are not known.",
                &["outcome"],
            ),
            oidc_refusals: register.counters(
                "eventchain_oidc_tokens_refused_total",
                "Tokens of OIDC issuers that were refused, by reason: audience and claims are a client's or our configuration, unknown_key and signature a forgery or an issuer that changed its keys.",
                &["reason"],
            ),
        }
    }

    /// An authentication ended. Both labels come from closed sets.
    pub fn authenticated(&self, how: &'static str, outcome: AuthOutcome) {
        self.authentications.with_label_values(&[how, outcome.label()]).inc();
    }

    /// A known user was refused.
    pub fn forbidden(&self) {
        self.forbidden.with_label_values::<&str>(&[]).inc();
    }

    /// An issuer's keys were read, or could not be.
    pub fn keys_refreshed(&self, succeeded: bool) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.key_refreshes.with_label_values(&[outcome]).inc();
    }

    /// A token of an issuer was refused. The reason comes from a closed set.
    pub fn oidc_refused(&self, reason: &'static str) {
        self.oidc_refusals.with_label_values(&[reason]).inc();
    }

    /// A certificate is served from now on.
    pub fn certificate_served(&self, expires_at: Timestamp) {
        self.certificate_expiry.set(expires_at.as_second());
    }

    /// New certificate files were read.
    pub fn certificate_reloaded(&self, accepted: bool) {
        let outcome = if accepted { "accepted" } else { "refused" };
        self.certificate_reloads.with_label_values(&[outcome]).inc();
    }
}
