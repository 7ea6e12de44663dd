//! Who gets in and who may do what, by tokens: through the whole router.

use api::{Access, AccessConfig, Binding, Policy, Rate, Role, StaticToken, new_token};
use http::Method;
use serde_json::{Value, json};
use store::RequestKind;
use telemetry::Metrics;

use super::support::{Answer, Api, CHANGES, ENVIRONMENTS, PROD, prod, small};

const OPERATOR: &str = "/apis/eventchain.io/v1/operators/default";

/// An API with a user for each role, and one without.
pub(crate) struct Guarded {
    pub(crate) api: Api,
    tokens: Vec<(&'static str, String)>,
}

/// Users, and the roles that they have: role, and a selector or nothing.
pub(crate) type Users = &'static [(&'static str, &'static [(Role, &'static str)])];

const USERS: Users = &[
    ("vera", &[(Role::Viewer, "")]),
    ("eddy", &[(Role::Editor, "")]),
    ("apu", &[(Role::Approver, "")]),
    ("ada", &[(Role::Admin, "")]),
    ("nobody", &[]),
];

impl Guarded {
    pub(crate) async fn new() -> Self {
        Self::with(USERS, None).await
    }

    pub(crate) async fn with(users: Users, rate: Option<Rate>) -> Self {
        let mut config = AccessConfig { rate, ..AccessConfig::default() };
        let mut tokens = Vec::new();
        for (seed, (user, roles)) in users.iter().enumerate() {
            let (token, hash) = new_token([u8::try_from(seed).unwrap() + 1; 32]);
            tokens.push((*user, token));
            config.tokens.push(StaticToken { user: (*user).to_owned(), groups: Vec::new(), hash, expires: None });
            for (role, selector) in *roles {
                let selector = (!selector.is_empty()).then(|| selector.parse().unwrap());
                let users = [(*user).to_owned()].into();
                config.policy.bindings.push(Binding { role: *role, users, groups: [].into(), selector });
            }
        }
        let metrics = Metrics::new().0.access;
        let api = Api::with(|state| state.access = Access::checked(config, Vec::new(), metrics).unwrap().into()).await;
        Self { api, tokens }
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let found = self.tokens.iter().find(|(known, _)| *known == user);
        format!("Bearer {}", found.map_or("evc_wrong", |(_, token)| token))
    }

    pub(crate) async fn send(&self, user: &str, method: Method, path: &str, body: Value) -> Answer {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let headers = [("authorization", self.token(user)), ("content-type", kind.to_owned())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.api.send(method, path, &headers, body).await
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Answer {
        self.send(user, Method::GET, path, Value::Null).await
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_probes_stay_open() {
    let guarded = Guarded::new().await;
    let api = &guarded.api;
    for path in [ENVIRONMENTS, PROD, "/", "/api", "/apis", "/openapi/v3", "/api/v1/events", "/openapi.json"] {
        let answer = api.get(path).await;
        assert_eq!(answer.refusal(401).0, "Unauthorized", "{path}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
    }
    for path in ["/livez", "/readyz", "/version", "/metrics"] {
        assert_eq!(api.get(path).await.code, 200, "{path}");
    }
    guarded.get("vera", ENVIRONMENTS).await.expect(200);
    // What a proxy would say counts for nothing.
    let answer = api.send(Method::GET, ENVIRONMENTS, &[("x-remote-user", "ada")], String::new()).await;
    answer.refusal(401);
}

#[tokio::test]
async fn a_wrong_token_is_refused_without_being_repeated() {
    let guarded = Guarded::new().await;
    let token = guarded.token("vera");
    for wrong in ["Bearer hunter2hunter2", "Basic dmVyYTp4", "hunter2", &token[..token.len() - 1], "Bearer a.b.c"] {
        let answer = guarded.api.send(Method::GET, ENVIRONMENTS, &[("authorization", wrong)], String::new()).await;
        answer.refusal(401);
        assert!(!answer.text.contains("hunter2") && !answer.text.contains("vera"), "{}", answer.text);
    }
}

#[tokio::test]
async fn each_role_does_what_it_may_and_is_told_why_not() {
    let guarded = Guarded::new().await;
    let answer = guarded.send("vera", Method::POST, ENVIRONMENTS, prod()).await;
    let status = answer.expect(403);
    assert_eq!(status["reason"], "Forbidden");
    assert_eq!(
        status["message"],
        "environments.eventchain.io is forbidden: User \"vera\" cannot create resource \"environments\" in API group \
         \"eventchain.io\" at the cluster scope: it takes the role editor or admin"
    );
    guarded.get("nobody", ENVIRONMENTS).await.refusal(403);
    guarded.get("nobody", "/apis").await.expect(200);
    let index = guarded.get("nobody", "/").await;
    assert_eq!(index.code, 403);

    guarded.send("eddy", Method::POST, ENVIRONMENTS, prod()).await.expect(201);
    let message = json!({ "metadata": { "labels": { "team": "a" } } });
    let refused = guarded.send("apu", Method::PATCH, PROD, message.clone()).await.expect(403);
    assert!(refused["message"].as_str().unwrap().starts_with("environments.eventchain.io \"prod\" is forbidden"));
    guarded.send("eddy", Method::PATCH, PROD, message).await.expect(200);
    for user in ["vera", "eddy", "apu"] {
        guarded.send(user, Method::DELETE, PROD, Value::Null).await.refusal(403);
        guarded.send(user, Method::PATCH, OPERATOR, json!({ "spec": { "mode": "Observe" } })).await.refusal(403);
        guarded.get(user, PROD).await.expect(200);
    }
    for user in ["vera", "eddy"] {
        let approve = format!("{PROD}/approve");
        guarded.send(user, Method::POST, &approve, json!({ "plan": "x" })).await.refusal(403);
    }
    guarded.send("vera", Method::POST, &format!("{PROD}/reconcile"), Value::Null).await.refusal(403);
    guarded.send("ada", Method::PATCH, OPERATOR, json!({ "spec": { "mode": "Observe" } })).await.expect(200);
    guarded.send("ada", Method::DELETE, PROD, Value::Null).await.expect(200);
}

#[tokio::test]
async fn whoever_proved_who_he_is_is_the_author() {
    let guarded = Guarded::new().await;
    let owner = guarded.api.own().await;
    guarded.send("eddy", Method::POST, ENVIRONMENTS, prod()).await.expect(201);
    let change = json!({ "spec": { "environment": "prod", "patch":
        { "spec": { "services": { "event-service": { "desiredCount": 4 } } } } } });
    let (answer, _) = tokio::join!(
        guarded.send("eddy", Method::POST, CHANGES, change),
        owner.answer(RequestKind::Plan, super::support::gated_plan(2)),
    );
    assert_eq!(answer.expect(201)["status"]["author"], "eddy");
    let revision = guarded.get("vera", "/apis/eventchain.io/v1/revisions/prod-1").await.expect(200);
    assert_eq!(revision["spec"]["author"], "eddy");
}

#[tokio::test]
async fn a_token_that_has_ended_is_told_so() {
    let (token, hash) = new_token([9; 32]);
    let expires = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let tokens = vec![StaticToken { user: "alice".to_owned(), groups: Vec::new(), hash, expires }];
    let config = AccessConfig { tokens, policy: Policy::default(), ..AccessConfig::default() };
    let metrics = Metrics::new().0.access;
    let api = Api::with(|state| state.access = Access::checked(config, Vec::new(), metrics).unwrap().into()).await;
    let bearer = format!("Bearer {token}");
    let answer = api.send(Method::GET, ENVIRONMENTS, &[("authorization", &bearer)], String::new()).await;
    assert!(answer.expect(401)["message"].as_str().unwrap().contains("expired"));
}

#[tokio::test]
async fn a_watch_ends_with_the_token() {
    let (token, hash) = new_token([9; 32]);
    let metrics = Metrics::new().0.access;
    let api = Api::with(|state| {
        let expires = (state.clock)().checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
        let groups = Vec::new();
        let tokens = vec![StaticToken { user: "alice".to_owned(), groups, hash, expires: Some(expires) }];
        let users = ["alice".to_owned()].into();
        let bindings = vec![Binding { role: Role::Viewer, users, groups: [].into(), selector: None }];
        let config = AccessConfig { tokens, policy: Policy { bindings }, ..AccessConfig::default() };
        state.access = Access::checked(config, Vec::new(), metrics).unwrap().into();
    })
    .await;
    let bearer = format!("Bearer {token}");
    let path = format!("{ENVIRONMENTS}?watch=true");
    let headers = [("authorization", bearer.as_str())];
    let stream = api.send(Method::GET, &path, &headers, String::new());
    // Read to its end, which without the token's would come in an hour.
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), stream).await.expect("it ends");
    assert_eq!((answer.code.as_u16(), answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
    let guarded = Guarded::with(USERS, Rate::new(1, 3)).await;
    for _ in 0..3 {
        guarded.get("vera", ENVIRONMENTS).await.expect(200);
    }
    let refused = guarded.get("vera", ENVIRONMENTS).await;
    assert_eq!(refused.refusal(429).0, "TooManyRequests");
    assert_eq!(refused.header("retry-after"), "1");
    guarded.get("eddy", ENVIRONMENTS).await.expect(200);
}

#[tokio::test]
async fn tokens_that_are_refused_again_and_again_are_no_longer_looked_at_from_there() {
    let guarded = Guarded::new().await;
    let from = |address: &str| {
        let mut request = http::Request::builder().uri(ENVIRONMENTS).header("authorization", "Bearer wrong");
        request.extensions_mut().unwrap().insert(api::Peer(address.parse().unwrap()));
        request.body(axum::body::Body::empty()).unwrap()
    };
    let mut codes = Vec::new();
    for _ in 0..40 {
        codes.push(guarded.api.raw(from("192.0.2.1")).await.code.as_u16());
    }
    assert!(codes[..20].iter().all(|code| *code == 401), "{codes:?}");
    assert!(codes[20..].contains(&429), "{codes:?}");
    guarded.api.raw(from("192.0.2.2")).await.refusal(401);
    // Whoever has a token that is good is not held up.
    guarded.get("vera", ENVIRONMENTS).await.expect(200);
}

#[tokio::test]
async fn an_environment_is_made_by_apply_where_patching_is_allowed() {
    let guarded = Guarded::new().await;
    let path = format!("{ENVIRONMENTS}/fresh?fieldManager=me");
    let token = guarded.token("eddy");
    let headers = [("authorization", token.as_str()), ("content-type", "application/apply-patch+yaml")];
    guarded.api.send(Method::PATCH, &path, &headers, small("fresh").to_string()).await.expect(201);
}
