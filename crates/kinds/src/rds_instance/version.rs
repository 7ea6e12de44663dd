//! Comparing engine versions: what is declared is `major` or `major.minor`, what is live is whole. Pure.

use std::cmp::Ordering;

/// How a live version stands to the declared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is what is declared.
    Fits,
    /// Same major, and a newer minor than the one declared.
    NewerMinor,
    /// The declared one is newer: an upgrade, to another major or within it.
    Older {
        /// Whether the upgrade leaves the major.
        major: bool,
    },
    /// The live major is newer than the declared one.
    NewerMajor,
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Compares.
pub(super) fn standing(declared: &str, live: &str) -> Standing {
    let (declared, live) = (numbers(declared), numbers(live));
    let first = |version: &[u64]| version.first().copied().unwrap_or(0);
    match first(&live).cmp(&first(&declared)) {
        Ordering::Less => return Standing::Older { major: true },
        Ordering::Greater => return Standing::NewerMajor,
        Ordering::Equal => {}
    }
    // A part that is not declared fits any.
    let shared = declared.len().min(live.len());
    match live[..shared].cmp(&declared[..shared]) {
        Ordering::Less => Standing::Older { major: false },
        Ordering::Equal => Standing::Fits,
        Ordering::Greater => Standing::NewerMinor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_fits_all_its_minors() {
        assert_eq!(standing("13", "13.7"), Standing::Fits);
        assert_eq!(standing("13", "13"), Standing::Fits);
        assert_eq!(standing("14", "13.7"), Standing::Older { major: true });
        assert_eq!(standing("13", "14.1"), Standing::NewerMajor);
    }

    #[test]
    fn minors_are_compared_as_numbers() {
        assert_eq!(standing("13.7", "13.7"), Standing::Fits);
        assert_eq!(standing("13.7", "13.11"), Standing::NewerMinor);
        assert_eq!(standing("13.11", "13.7"), Standing::Older { major: false });
    }
}
