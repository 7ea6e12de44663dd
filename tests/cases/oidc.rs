//! The daemon with an OIDC issuer, configured as it is in earnest: a person of a group gets in, by a token that the issuer
//! signed for this daemon, and by no other.

use std::time::Duration;

use anyhow::{Result, ensure};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use e2e::access::Guarded;
use e2e::programs;
use e2e::wait::until;
use e2e::world::World;
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::access::curl;

/// A key of an issuer.
struct Key(EncodingKey);

impl Key {
    fn new() -> Result<Self> {
        Ok(Self(EncodingKey::from_ec_der(KeyPair::generate()?.serialized_der())))
    }

    fn sign(&self, claims: &Value) -> Result<String> {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
        Ok(encode(&header, claims, &self.0)?)
    }

    fn published(&self) -> Result<Value> {
        let mut key = serde_json::to_value(Jwk::from_encoding_key(&self.0, Algorithm::ES256)?)?;
        key["kid"] = json!("one");
        key["use"] = json!("sig");
        Ok(key)
    }
}

#[expect(clippy::disallowed_methods, reason = "what an issuer signs is judged by the clock of the daemon's machine")]
fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Publishes a key until the test ends; answers the issuer's name.
async fn issuer(key: &Key) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
    let keys = json!({ "keys": [key.published()?] });
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(discovery)))
        .route("/keys", get(async move || Json(keys)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_of_an_oidc_group_gets_in_and_no_token_that_the_issuer_did_not_sign_for_us() -> Result<()> {
    if programs::on_path("curl")?.is_none() {
        return Ok(());
    }
    let (key, stranger) = (Key::new()?, Key::new()?);
    let issuer = issuer(&key).await?;
    let world = World::new().await?;
    let setup = world.setup()?;
    setup.run(&["migrate"]).await?;
    let (guarded, setup) = Guarded::new(&setup, &[]).await?;
    let oidc = json!([{
        "issuer": issuer, "audiences": ["eventchain"], "usernameClaim": "email", "usernamePrefix": "oidc:",
        "groupsClaim": "groups", "groupsPrefix": "oidc:",
    }]);
    let roles = json!([{ "role": "viewer", "groups": ["oidc:on-call"] }]);
    let setup = setup.set("EVENTCHAIN_AUTH_OIDC", &oidc.to_string()).set("EVENTCHAIN_AUTH_ROLES", &roles.to_string());
    let daemon = setup.start("operator").await?;
    let environments = format!("{}/apis/eventchain.io/v1/environments", daemon.api().url());
    let authority = guarded.authority();

    let claims = |changed: Value| {
        let now = now();
        let mut claims = json!({
            "iss": issuer, "aud": "eventchain", "sub": "1", "email": "olga@example.com", "email_verified": true,
            "groups": ["on-call"], "iat": now, "exp": now + 300,
        });
        claims.as_object_mut().into_iter().for_each(|all| all.extend(changed.as_object().cloned().unwrap_or_default()));
        claims
    };
    let good = key.sign(&claims(json!({})))?;
    until("the issuer's keys to be known", Duration::from_secs(30), async || {
        let (status, list) = curl(&authority, &good, &[&environments]).await.map_err(|error| format!("{error:#}"))?;
        if status == "200 2" && list["kind"] == "EnvironmentList" { Ok(()) } else { Err(format!("{status} {list}")) }
    })
    .await?;
    let (status, refused) = curl(&authority, &good, &["-X", "DELETE", &format!("{environments}/prod")]).await?;
    ensure!(
        status.starts_with("403")
            && refused["message"].as_str().is_some_and(|said| said.contains("oidc:olga@example.com")),
        "by the name that the issuer gave: {status} {refused}"
    );

    let nobody = |text: &str| BASE64.encode(text);
    let body = claims(json!({})).to_string();
    let bad = [
        ("signed by a stranger under the same key id", stranger.sign(&claims(json!({})))?),
        ("for somebody else", key.sign(&claims(json!({ "aud": "another" })))?),
        ("of another issuer", key.sign(&claims(json!({ "iss": "https://example.com" })))?),
        ("run out", key.sign(&claims(json!({ "exp": now() - 3600 })))?),
        ("not signed at all", format!("{}.{}.", nobody("{\"alg\":\"none\",\"typ\":\"JWT\"}"), nobody(&body))),
    ];
    for (what, token) in &bad {
        let (status, refused) = curl(&authority, token, &[&environments]).await?;
        ensure!(status.starts_with("401") && refused["reason"] == "Unauthorized", "{what}: {status} {refused}");
    }
    let outsider = key.sign(&claims(json!({ "groups": ["sales"] })))?;
    let (status, refused) = curl(&authority, &outsider, &[&environments]).await?;
    ensure!(status.starts_with("403") && refused["reason"] == "Forbidden", "{status} {refused}");

    let said = daemon.log().join("\n");
    for (what, token) in bad.iter().chain([&("good", good), &("of no role", outsider)]) {
        ensure!(!said.contains(token.as_str()), "the token {what} is in the log");
    }
    daemon.stop(&[]).await
}
