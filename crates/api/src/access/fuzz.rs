//! Fuzz targets of what tells who asks: tokens and their claims, the addresses that proxies name, kubectl's protobuf.

use fuzzing::target;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::authenticate::LONGEST_NAME;
use super::identity::{AUTHENTICATED, SYSTEM};
use super::oidc::{OidcConfig, judged};
use super::{address, envelope};

fn config(prefix: &str) -> OidcConfig {
    OidcConfig {
        issuer: "https://id.example".to_owned(),
        audiences: ["eventchain".to_owned()].into(),
        username_prefix: prefix.to_owned(),
        groups_prefix: prefix.to_owned(),
        ..OidcConfig::default()
    }
}

#[test]
fn no_claims_make_anybody_one_of_the_daemons_own() {
    let words = ["system:", "system:authenticated", "eyJ", ".", "aud", "exp", "nbf", "groups", "1e300", "none"];
    target!("token", &words, |text: &str| {
        // Where a token can be taken apart before its signature is checked, nothing may go wrong.
        judged::unchecked(text);
        let Ok(Value::Object(claims)) = serde_json::from_str::<Value>(text) else { return };
        let now = Timestamp::from_second(1500).expect("a time");
        for prefix in ["", "oidc:", "sys"] {
            let Ok(who) = judged::claims(&config(prefix), &claims, now) else { continue };
            assert!(!who.name.starts_with(SYSTEM) && who.name.starts_with(prefix), "{}", who.name);
            assert!(who.name.len() <= LONGEST_NAME && who.name.len() > prefix.len());
            let own = who.groups.iter().filter(|group| group.starts_with(SYSTEM));
            assert!(own.eq([AUTHENTICATED]), "{:?}", who.groups);
        }
    });
}

#[test]
fn addresses_are_those_of_the_peer_or_of_a_header() {
    target!("address", &["10.0.0.1", "::1", ",", "unknown", ":80", "[::1]:9"], |text: &str| {
        let Ok(value) = text.parse() else { return };
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-for"), value)]);
        let peer = "10.1.2.3".parse().expect("an address");
        assert_eq!(address::client(peer, &headers, &[]), peer, "nobody trusts it");
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let found = address::client(peer, &headers, &trusted);
        assert!(found == peer || text.contains(&found.to_string()) || text.contains(':'), "{found} is in no header");
    });
}

#[test]
fn questions_in_protobuf_are_understood_or_refused() {
    target!(bytes "envelope", |bytes: &[u8]| {
        if let Ok(access) = envelope::decode(bytes) {
            let _ = (access.question(), access.spec());
        }
    });
}
