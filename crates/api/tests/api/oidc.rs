//! Tokens of an OIDC issuer, which runs here: what it signs gets in, what anybody else makes up does not, and what becomes
//! of it when the issuer changes its keys or is away.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Access, AccessConfig, Binding, OidcConfig, Policy, Role, ServeConfig, StaticToken, Tls, new_token};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use http::Method;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use telemetry::Metrics;
use tokio::net::TcpListener;

use super::support::{Answer, Api, ENVIRONMENTS};

/// A key of the issuer, by its id.
struct Key {
    id: &'static str,
    algorithm: Algorithm,
    secret: EncodingKey,
    /// As PEM, which everybody may have.
    public: String,
}

impl Key {
    fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let secret = EncodingKey::from_ec_der(pair.serialized_der());
        Self { id, algorithm: Algorithm::ES256, secret, public: pair.public_key_pem() }
    }

    fn rsa(id: &'static str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        // What PKCS #8 wraps begins after 26 bytes, for a key of this size.
        let secret = EncodingKey::from_rsa_der(&pair.serialized_der()[26..]);
        Self { id, algorithm: Algorithm::RS256, secret, public: pair.public_key_pem() }
    }

    /// As the issuer publishes it.
    fn published(&self) -> Value {
        let mut key = serde_json::to_value(Jwk::from_encoding_key(&self.secret, self.algorithm).unwrap()).unwrap();
        key["kid"] = json!(self.id);
        key["use"] = json!("sig");
        key
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.secret).unwrap()
    }
}

/// What the issuer answers.
#[derive(Default)]
struct Answers {
    keys: Vec<Value>,
    asked: usize,
    away: bool,
    issuer: String,
}

struct Issuer {
    url: String,
    answers: Arc<Mutex<Answers>>,
}

impl Issuer {
    async fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (issuer, router) = Self::at(format!("http://{}", listener.local_addr().unwrap()), keys);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    fn at(url: String, keys: &[&Key]) -> (Self, Router) {
        let answers: Arc<Mutex<Answers>> = Arc::default();
        answers.lock().unwrap().issuer.clone_from(&url);
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(published))
            .with_state((url.clone(), Arc::clone(&answers)));
        let issuer = Self { url, answers };
        issuer.publish(keys);
        (issuer, router)
    }

    fn publish(&self, keys: &[&Key]) {
        self.answers.lock().unwrap().keys = keys.iter().map(|key| key.published()).collect();
    }

    fn asked(&self) -> usize {
        self.answers.lock().unwrap().asked
    }

    fn is_away(&self, away: bool) {
        self.answers.lock().unwrap().away = away;
    }
}

type Shared = State<(String, Arc<Mutex<Answers>>)>;

async fn discovery(State((url, answers)): Shared) -> Result<Json<Value>, http::StatusCode> {
    let answers = answers.lock().unwrap();
    if answers.away {
        return Err(http::StatusCode::BAD_GATEWAY);
    }
    Ok(Json(json!({ "issuer": answers.issuer, "jwks_uri": format!("{url}/keys") })))
}

async fn published(State((_, answers)): Shared) -> Json<Value> {
    let mut answers = answers.lock().unwrap();
    answers.asked += 1;
    Json(json!({ "keys": answers.keys }))
}

fn configured(issuer: &Issuer) -> OidcConfig {
    OidcConfig {
        issuer: issuer.url.clone(),
        audiences: ["eventchain".to_owned()].into(),
        username_prefix: "oidc:".to_owned(),
        groups_prefix: "oidc:".to_owned(),
        ..OidcConfig::default()
    }
}

/// An API that takes the issuer's tokens.
struct Guarded {
    api: Api,
    metrics: Metrics,
}

impl Guarded {
    async fn new(issuer: &Issuer, floor: Duration) -> Self {
        Self::with(vec![OidcConfig { refresh_floor: floor, ..configured(issuer) }]).await
    }

    async fn with(oidc: Vec<OidcConfig>) -> Self {
        let metrics = Metrics::new().0;
        let viewers = Binding {
            role: Role::Viewer,
            users: [].into(),
            groups: ["oidc:readers".to_owned()].into(),
            selector: None,
        };
        let policy = Policy { bindings: vec![viewers] };
        let (_, hash) = new_token([1; 32]);
        let tokens = vec![StaticToken {
            user: "deploy".to_owned(),
            groups: vec!["oidc:readers".to_owned()],
            hash,
            expires: None,
        }];
        let config = AccessConfig { tokens, oidc, policy, ..AccessConfig::default() };
        let access = Access::checked(config, Vec::new(), metrics.access.clone()).unwrap();
        Self { api: Api::with(|state| state.access = access.into()).await, metrics }
    }

    async fn ask(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.api.send(Method::GET, ENVIRONMENTS, &[("authorization", &bearer)], String::new()).await
    }

    /// How often tokens were refused for a reason.
    fn refused(&self, reason: &str) -> u32 {
        self.counted(&format!("eventchain_oidc_tokens_refused_total{{reason=\"{reason}\"}}"))
    }

    fn counted(&self, series: &str) -> u32 {
        let told = self.metrics.render(self.api.now());
        let line = told.lines().find_map(|line| line.strip_prefix(series).map(str::trim));
        line.map_or(0, |value| value.parse().unwrap())
    }

    fn claims(&self, issuer: &Issuer) -> Value {
        let now = self.api.now().as_second();
        json!({
            "iss": issuer.url, "aud": ["eventchain"], "sub": "alice", "groups": ["readers"],
            "iat": now, "nbf": now, "exp": now + 300,
        })
    }
}

#[tokio::test]
async fn what_the_issuer_signed_gets_in_with_its_groups_and_so_does_a_static_token() {
    let (key, rsa) = (Key::new("one"), Key::rsa("two"));
    let issuer = Issuer::start(&[&key, &rsa]).await;
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    let claims = guarded.claims(&issuer);
    guarded.ask(&key.sign(&claims)).await.expect(200);
    guarded.ask(&rsa.sign(&claims)).await.expect(200);
    guarded.ask(&new_token([1; 32]).0).await.expect(200);
    guarded.ask(&new_token([2; 32]).0).await.refusal(401);
    let mut others = claims.clone();
    others["groups"] = json!(["strangers"]);
    guarded.ask(&key.sign(&others)).await.refusal(403);
    assert_eq!(issuer.asked(), 1, "its keys are held");
}

#[tokio::test]
async fn what_is_expired_forged_or_for_somebody_else_does_not() {
    let (key, stranger) = (Key::new("one"), Key::new("one"));
    let issuer = Issuer::start(&[&key]).await;
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    let good = guarded.claims(&issuer);
    let now = guarded.api.now().as_second();
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        key.sign(&claims)
    };
    let expired = guarded.ask(&with("exp", json!(now - 61))).await.expect(401);
    assert!(expired["message"].as_str().unwrap().contains("expired"));
    let token = key.sign(&good);
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut changed = good.clone();
    changed["groups"] = json!(["admins"]);
    parts[1] = BASE64.encode(changed.to_string());
    for (what, why, token) in [
        ("another audience", "audience", with("aud", json!("other"))),
        ("another issuer", "unknown_issuer", with("iss", json!("https://id.example"))),
        ("not yet", "not_yet", with("nbf", json!(now + 61))),
        ("made later", "not_yet", with("iat", json!(now + 61))),
        ("no end", "claims", with("exp", Value::Null)),
        ("nobody", "claims", with("sub", json!(""))),
        ("another key of the same id", "signature", stranger.sign(&good)),
        ("another content", "signature", parts.join(".")),
        ("no signature", "signature", format!("{}.{}.", parts[0], parts[1])),
        ("no claims", "malformed", format!("{}.x.y", parts[0])),
    ] {
        let before = guarded.refused(why);
        let answer = guarded.ask(&token).await;
        assert_eq!(answer.refusal(401).0, "Unauthorized", "{what}");
        let message = answer.json()["message"].clone();
        assert_eq!(message, "Unauthorized: the token is not accepted", "{what}: why is not told");
        assert!(!answer.text.contains(&parts[0]), "{what}");
        assert_eq!(guarded.refused(why), before + 1, "{what}");
    }
    assert_eq!(guarded.refused("expired"), 1);
    guarded.ask(&format!("{}.{}", parts[0], parts[1])).await.refusal(401);
    guarded.ask(&token).await.expect(200);
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_checked() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    let claims = guarded.claims(&issuer);
    let header = |header: Value| BASE64.encode(header.to_string());
    let body = BASE64.encode(claims.to_string());
    for alg in ["none", "None", "NONE", ""] {
        let token = format!("{}.{body}.", header(json!({ "alg": alg, "kid": "one" })));
        guarded.ask(&token).await.refusal(401);
    }
    // The public key, which everybody has, as a shared secret.
    for secret in [key.public.clone().into_bytes(), key.public.trim().as_bytes().to_vec()] {
        let hs256 = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        let token = encode(&hs256, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        guarded.ask(&token).await.refusal(401);
    }
    // An allowed algorithm that the key is not for.
    let signature = key.sign(&claims).rsplit('.').next().unwrap().to_owned();
    let token = format!("{}.{body}.{signature}", header(json!({ "alg": "RS256", "kid": "one" })));
    guarded.ask(&token).await.refusal(401);
    // A key that the token brings along.
    let own = Key::new("own");
    let brought = Header { jwk: serde_json::from_value(own.published()).ok(), ..Header::new(Algorithm::ES256) };
    let token = encode(&brought, &claims, &own.secret).unwrap();
    guarded.ask(&token).await.refusal(401);
    // What it must be understood with.
    let crit = Some(vec!["x".to_owned()]);
    let critical = Header { kid: Some("one".to_owned()), crit, ..Header::new(Algorithm::ES256) };
    let token = encode(&critical, &claims, &key.secret).unwrap();
    guarded.ask(&token).await.refusal(401);
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it_and_one_that_is_gone_counts_no_longer() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(&[&old]).await;
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    let claims = guarded.claims(&issuer);
    guarded.ask(&old.sign(&claims)).await.expect(200);
    guarded.ask(&new.sign(&claims)).await.refusal(401);
    issuer.publish(&[&new]);
    guarded.ask(&new.sign(&claims)).await.expect(200);
    guarded.ask(&old.sign(&claims)).await.refusal(401);
}

#[tokio::test]
async fn a_key_that_the_issuer_took_back_is_taken_back_without_anybody_waiting_for_it() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(&[&old]).await;
    let times = OidcConfig { refresh_floor: Duration::ZERO, refresh_after: Duration::ZERO, ..configured(&issuer) };
    let guarded = Guarded::with(vec![times]).await;
    let token = old.sign(&guarded.claims(&issuer));
    guarded.ask(&token).await.expect(200);
    issuer.publish(&[&new]);
    let mut code = http::StatusCode::OK;
    for _ in 0..1000 {
        code = guarded.ask(&token).await.code;
        if code != http::StatusCode::OK {
            break;
        }
    }
    assert_eq!(code, http::StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn keys_that_nobody_has_do_not_make_us_a_nuisance() {
    let (key, unknown) = (Key::new("one"), Key::new("unknown"));
    let issuer = Issuer::start(&[&key]).await;
    let guarded = Guarded::new(&issuer, Duration::from_secs(3600)).await;
    let claims = guarded.claims(&issuer);
    let (good, bad) = (key.sign(&claims), unknown.sign(&claims));
    // At once, before any key is held: one asks, the others wait for what it gets.
    let storm = futures::future::join_all((0..20).map(|n| guarded.ask(if n % 2 == 0 { &good } else { &bad })));
    let codes: Vec<u16> = storm.await.iter().map(|answer| answer.code.as_u16()).collect();
    assert_eq!(codes, [200, 401].repeat(10));
    for _ in 0..10 {
        guarded.ask(&bad).await.refusal(401);
    }
    assert_eq!(issuer.asked(), 1);
    assert_eq!(guarded.refused("unknown_key"), 20);
    guarded.ask(&good).await.expect(200);
}

#[tokio::test]
async fn each_issuer_vouches_for_its_own() {
    let (first, second) = (Key::new("one"), Key::new("one"));
    let (one, two) = (Issuer::start(&[&first]).await, Issuer::start(&[&second]).await);
    let other = OidcConfig { groups_prefix: "two:".to_owned(), ..configured(&two) };
    let guarded = Guarded::with(vec![configured(&one), other]).await;
    guarded.ask(&first.sign(&guarded.claims(&one))).await.expect(200);
    guarded.ask(&second.sign(&guarded.claims(&one))).await.refusal(401);
    guarded.ask(&first.sign(&guarded.claims(&two))).await.refusal(401);
    // Known, and of a group that has no role.
    guarded.ask(&second.sign(&guarded.claims(&two))).await.refusal(403);
    two.is_away(true);
    guarded.ask(&first.sign(&guarded.claims(&one))).await.expect(200);
}

#[tokio::test]
async fn an_issuer_is_asked_before_the_first_token_comes() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let config = AccessConfig { oidc: vec![configured(&issuer)], ..AccessConfig::default() };
    let access = Access::checked(config, Vec::new(), Metrics::new().0.access).unwrap();
    access.warm_up();
    for _ in 0..100_000 {
        if issuer.asked() > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_over_tls_is_believed_by_its_certificate() {
    let key = Key::new("one");
    let secret = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&secret).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let authority = file("tls.crt", certificate.pem());
    let tls = Tls::load(&authority, &file("tls.key", secret.serialize_pem())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (issuer, router) = Issuer::at(url, &[&key]);
    let serving = ServeConfig { tls: Some(tls), ..ServeConfig::default() };
    tokio::spawn(api::serve(listener, router, serving, std::future::pending()));

    let stranger = KeyPair::generate().unwrap();
    let other = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&stranger).unwrap();
    let other = file("other.crt", other.pem());
    let trusting = |authorities: PathBuf| OidcConfig { authorities: Some(authorities), ..configured(&issuer) };
    let guarded = Guarded::with(vec![trusting(other)]).await;
    guarded.ask(&key.sign(&guarded.claims(&issuer))).await.refusal(503);
    let guarded = Guarded::with(vec![trusting(authority)]).await;
    guarded.ask(&key.sign(&guarded.claims(&issuer))).await.expect(200);
}

#[tokio::test]
async fn an_issuer_that_answers_without_end_is_not_listened_to() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    issuer.answers.lock().unwrap().keys = vec![json!("x".repeat(2 << 20))];
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    guarded.ask(&key.sign(&guarded.claims(&issuer))).await.refusal(503);
}

#[tokio::test]
async fn an_issuer_that_is_away_keeps_nobody_out_whose_key_is_held() {
    let (key, new) = (Key::new("one"), Key::new("new"));
    let issuer = Issuer::start(&[&key]).await;
    issuer.is_away(true);
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    let claims = guarded.claims(&issuer);
    // Never asked with success: nobody's fault but the issuer's.
    let answer = guarded.ask(&key.sign(&claims)).await;
    assert_eq!(answer.refusal(503).0, "ServiceUnavailable");
    assert!(!answer.header("retry-after").is_empty());
    issuer.is_away(false);
    guarded.ask(&key.sign(&claims)).await.expect(200);
    issuer.is_away(true);
    guarded.ask(&key.sign(&claims)).await.expect(200);
    guarded.ask(&new.sign(&claims)).await.refusal(401);
    assert!(guarded.counted("eventchain_oidc_key_refreshes_total{outcome=\"failed\"}") > 0);
}

#[tokio::test]
async fn an_issuer_that_says_it_is_another_is_not_believed() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    issuer.answers.lock().unwrap().issuer = "https://id.example".to_owned();
    let guarded = Guarded::new(&issuer, Duration::ZERO).await;
    guarded.ask(&key.sign(&guarded.claims(&issuer))).await.refusal(503);
}
