//! Between the model's keys and the store's, and the names of managed resources.

use model::{AwsAccountId, KindName, Region, ResourceKey};
use sha2::{Digest, Sha256};

/// Kubernetes names have at most 253 characters; shorter is kinder to tables.
const LONGEST_NAME: usize = 120;

/// The store's form of a key.
pub(crate) fn to_store(key: &ResourceKey) -> store::ResourceKey {
    store::ResourceKey {
        account: key.account.to_string(),
        region: key.region.to_string(),
        kind: key.kind.to_string(),
        identity: key.identity.to_string(),
    }
}

/// The model's form of a stored key. `None` for one that no release of ours wrote.
pub(crate) fn from_store(key: &store::ResourceKey) -> Option<ResourceKey> {
    Some(ResourceKey {
        account: AwsAccountId::parse(&key.account).ok()?,
        region: Region::parse(&key.region).ok()?,
        kind: KindName::from_text(&key.kind),
        identity: key.identity.as_str().into(),
    })
}

/// The name of a managed resource in the API: readable, a DNS subdomain, and unique by the hash at its end.
pub(crate) fn resource_name(environment: &str, key: &ResourceKey) -> String {
    let mut name = String::new();
    for c in format!("{environment}.{}.{}", key.kind, key.identity).chars().flat_map(char::to_lowercase) {
        let c = if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let separator = matches!(c, '.' | '-');
        if !(separator && name.ends_with(['.', '-'])) && name.len() < LONGEST_NAME {
            name.push(c);
        }
    }
    let digest = Sha256::digest(format!("{}/{}/{}/{}", key.account, key.region, key.kind, key.identity));
    format!("{}-{}", name.trim_matches(['.', '-']), &hex::encode(digest)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(identity: &str) -> ResourceKey {
        ResourceKey {
            account: AwsAccountId::parse("123456789012").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            kind: KindName::of("LogGroup"),
            identity: identity.into(),
        }
    }

    #[test]
    fn names_are_dns_subdomains_and_differ() {
        let (one, other) = (resource_name("prod", &key("/ecs/Api_1")), resource_name("prod", &key("/ecs/api-1")));
        assert!(one.starts_with("prod.loggroup.ecs-api-1-"), "{one}");
        assert_ne!(one, other);
        assert!(one.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'), "{one}");
    }

    #[test]
    fn long_names_are_cut() {
        let name = resource_name("prod", &key(&"x".repeat(500)));
        assert!(name.len() <= LONGEST_NAME + 9, "{}", name.len());
    }

    #[test]
    fn a_key_survives_the_store() {
        assert_eq!(from_store(&to_store(&key("a/b"))), Some(key("a/b")));
    }
}
