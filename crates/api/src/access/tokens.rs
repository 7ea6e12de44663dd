//! Static tokens: the configuration holds hashes of long random ones. A token is shown once, when it is made, and kept
//! nowhere here.
//!
//! A plain SHA-256 is enough because a token has 256 random bits: there is no dictionary to try. What people make up as a
//! password has no place here.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::identity::{How, Identity};

/// How a token begins, so that scanners of repositories and logs find one that leaked.
const PREFIX: &str = "evc_";
/// How a hash begins: the way in which it was made.
const SCHEME: &str = "sha256:";

/// The hash of a token, as the configuration holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl FromStr for TokenHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be sha256: and 64 hexadecimal digits, as `operator token` prints it";
        let digits = text.strip_prefix(SCHEME).ok_or(RULE)?;
        let bytes = hex::decode(digits).map_err(|_| RULE)?;
        bytes.try_into().map(Self).map_err(|_| RULE)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}", hex::encode(self.0))
    }
}

/// Enough to find it in the configuration.
impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}…", hex::encode(&self.0[..4]))
    }
}

/// A new token of 256 random bits, and its hash.
pub fn new_token(random: [u8; 32]) -> (String, TokenHash) {
    let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash = TokenHash::of(&token);
    (token, hash)
}

/// A token of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// Whose it is.
    pub user: String,
    /// Of which groups.
    pub groups: Vec<String>,
    /// The token's hash.
    pub hash: TokenHash,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// What a token is found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Valid(Identity),
    Expired,
    Unknown,
}

/// Looks a token up. All hashes are compared, each in constant time: how long it takes says nothing.
pub(super) fn find(tokens: &[StaticToken], token: &str, now: Timestamp) -> Found {
    let given = TokenHash::of(token);
    let mut found = None;
    for known in tokens {
        if bool::from(known.hash.0.ct_eq(&given.0)) {
            found = Some(known);
        }
    }
    match found {
        None => Found::Unknown,
        Some(known) if known.expires.is_some_and(|end| end <= now) => Found::Expired,
        Some(known) => {
            Found::Valid(Identity::known(known.user.clone(), known.groups.clone(), How::Token, known.expires))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(seed: u8, expires: Option<i64>) -> (String, StaticToken) {
        let (token, hash) = new_token([seed; 32]);
        let expires = expires.map(|second| Timestamp::from_second(second).unwrap());
        (token, StaticToken { user: format!("user-{seed}"), groups: vec!["team".to_owned()], hash, expires })
    }

    #[test]
    fn a_token_is_found_by_its_hash_until_it_ends() {
        let ((first, one), (second, two)) = (known(1, None), known(2, Some(100)));
        let tokens = [one, two];
        let at = |second| Timestamp::from_second(second).unwrap();
        let Found::Valid(identity) = find(&tokens, &first, at(0)) else { panic!("it is known") };
        assert_eq!((identity.name.as_str(), identity.how), ("user-1", How::Token));
        assert_eq!(identity.groups, ["team", "system:authenticated"]);
        assert!(matches!(find(&tokens, &second, at(99)), Found::Valid(_)));
        assert_eq!(find(&tokens, &second, at(100)), Found::Expired);
        for wrong in ["", "evc_", &first[..first.len() - 1], &tokens[0].hash.to_string()] {
            assert_eq!(find(&tokens, wrong, at(0)), Found::Unknown, "{wrong}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_printed_and_nothing_else() {
        let (token, hash) = new_token([7; 32]);
        assert!(token.len() > 40 && !format!("{hash:?}").contains(&hash.to_string()));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in ["", "sha256:", "sha256:00", "md5:00", &token] {
            assert!(bad.parse::<TokenHash>().is_err(), "{bad}");
        }
    }
}
