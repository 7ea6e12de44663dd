//! Paging: a token that comes back a second time ends the read with an error instead of going round for ever.

use std::collections::BTreeSet;

use model::{Class, ObserveError};

/// More pages than this is no answer that AWS gives to us: it bounds a read of an endless listing.
const MOST_PAGES: usize = 10_000;

/// Watches the tokens of one paged read.
#[derive(Debug)]
pub struct TokenGuard {
    operation: &'static str,
    seen: BTreeSet<String>,
}

impl TokenGuard {
    /// For one paged read of an operation.
    pub fn new(operation: &'static str) -> Self {
        Self { operation, seen: BTreeSet::new() }
    }

    /// Takes the token of a page that was read; `None` ends the read. An empty token counts as none.
    pub fn next(&mut self, token: Option<&str>) -> Result<Option<String>, ObserveError> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
        if self.seen.len() >= MOST_PAGES || !self.seen.insert(token.to_owned()) {
            return Err(ObserveError {
                class: Class::Bug,
                operation: self.operation.to_owned(),
                code: "RepeatedToken".to_owned(),
                message: "the same page token came back twice; the listing was not read to its end".to_owned(),
                request_id: None,
            });
        }
        Ok(Some(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_repeats_ends_the_read() {
        let mut guard = TokenGuard::new("logs:DescribeLogGroups");
        assert_eq!(guard.next(Some("a")), Ok(Some("a".to_owned())));
        assert_eq!(guard.next(Some("b")), Ok(Some("b".to_owned())));
        assert_eq!(guard.next(Some("a")).unwrap_err().code, "RepeatedToken");
        assert_eq!(guard.next(None), Ok(None));
    }
}
