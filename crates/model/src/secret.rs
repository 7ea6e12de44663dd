//! Text that is told nowhere: a password, a token, the value of a secret. It goes through the program and is used where it
//! belongs; nothing can print, log or serialise it by accident.

use std::fmt;

use serde::Deserialize;

/// Text that is told nowhere. No `Display`, no `Serialize`; `Debug` says only that there is one.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Holds a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_only_that_there_is_one() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{:?}", Some(&secret)), "Some((secret))");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
