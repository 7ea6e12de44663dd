//! What somebody asks about himself: `kubectl auth can-i`, `auth can-i --list`, `auth whoami`. Answered by the same function
//! that decides about requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::problem::Reason;
use serde_json::{Value, json};

use super::asked::{self, SHARED};
use super::authorize::{Belonging, Found, belonging, find};
use super::envelope;
use super::identity::{How, Identity, UNAUTHENTICATED};
use super::policy::{Action, Object, Policy, Role};
use crate::decode::{self, Media};
use crate::discovery::resources::{self, AUTHENTICATION, AUTHORIZATION, REVIEWS};
use crate::error::{ApiError, ApiResult};
use crate::extract::read_body;
use crate::state::ApiState;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Resource(Action),
    Path { verb: String, path: String },
}

/// The body of a review: JSON, YAML, or the protobuf that newer kubectl sends.
#[derive(Debug)]
pub(crate) enum Review {
    Document(Value),
    Envelope(envelope::Access),
}

impl FromRequest<Arc<ApiState>> for Review {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> ApiResult<Self> {
        let (media, bytes) = read_body(request, state).await?;
        match media {
            Media::Other(other) if other == envelope::MEDIA_TYPE => {
                envelope::decode(&bytes).map(Self::Envelope).map_err(ApiError::bad_request)
            }
            _ if bytes.is_empty() => Ok(Self::Document(Value::Null)),
            Media::Yaml => decode::yaml(&bytes).map(Self::Document).map_err(ApiError::bad_request),
            _ => decode::json(&bytes).map(Self::Document).map_err(ApiError::bad_request),
        }
    }
}

impl Review {
    /// Refuses a document that is something else: it would be answered as if it had asked.
    fn check(&self, kind: &str, group: &str) -> ApiResult<()> {
        let Self::Document(document) = self else { return Ok(()) };
        for (field, wanted) in [("kind", kind), ("apiVersion", &format!("{group}/v1"))] {
            match document.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::String(given)) if given == wanted => {}
                Some(_) => return Err(invalid(field, format!("must be {wanted}"))),
            }
        }
        match document.get("spec") {
            None | Some(Value::Null | Value::Object(_)) => Ok(()),
            Some(_) => Err(invalid("spec", "must be an object")),
        }
    }

    /// What an access review asks.
    fn question(&self) -> ApiResult<Question> {
        let missing = || invalid("spec", "give resourceAttributes or nonResourceAttributes, and not both");
        match self {
            Self::Envelope(access) => access.question().ok_or_else(missing),
            Self::Document(document) => {
                let spec = document.get("spec").cloned().unwrap_or_default();
                let text =
                    |of: &Value, field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
                let given = |field: &str| spec.get(field).filter(|it| it.is_object()).cloned();
                match (given("resourceAttributes"), given("nonResourceAttributes")) {
                    (Some(of), None) => {
                        let action = Action::new(
                            &text(&of, "verb"),
                            &text(&of, "group"),
                            &text(&of, "resource"),
                            &text(&of, "subresource"),
                        );
                        let name = text(&of, "name");
                        Ok(Question::Resource(action.of(Some(name.as_str()).filter(|name| !name.is_empty()))))
                    }
                    (None, Some(of)) => Ok(Question::Path { verb: text(&of, "verb"), path: text(&of, "path") }),
                    _ => Err(missing()),
                }
            }
        }
    }

    /// What was sent, for the answer to repeat.
    fn spec(&self) -> Value {
        match self {
            Self::Document(document) => document.get("spec").cloned().unwrap_or_else(|| json!({})),
            Self::Envelope(access) => access.spec(),
        }
    }
}

fn invalid(field: &str, rule: impl Into<String>) -> ApiError {
    ApiError::field(field, Reason::FieldValueInvalid, rule)
}

fn answer(kind: &str, group: &str, spec: Option<Value>, status: Value) -> Response {
    let mut shown = json!({
        "kind": kind,
        "apiVersion": format!("{group}/v1"),
        "metadata": { "creationTimestamp": null },
        "status": status,
    });
    if let Some(spec) = spec {
        shown["spec"] = spec;
    }
    (StatusCode::CREATED, Json(shown)).into_response()
}

/// `POST selfsubjectaccessreviews`: may I?
pub(crate) async fn access(State(state): State<Arc<ApiState>>, who: Who, review: Review) -> ApiResult {
    review.check("SelfSubjectAccessReview", AUTHORIZATION)?;
    let question = review.question()?;
    let decided = match state.access.policy() {
        None => Ok(()),
        Some(policy) => decide(&state, policy, &who.0, &question).await?,
    };
    let status = match decided {
        Ok(()) => json!({ "allowed": true, "reason": "" }),
        Err(why) => json!({ "allowed": false, "reason": why }),
    };
    Ok(answer("SelfSubjectAccessReview", AUTHORIZATION, Some(review.spec()), status))
}

async fn decide(
    state: &ApiState,
    policy: &Policy,
    who: &Identity,
    question: &Question,
) -> ApiResult<Result<(), String>> {
    let action = match question {
        Question::Path { verb, path } if asked::shared(verb, path) => return Ok(Ok(())),
        Question::Path { verb, path } => Action::new(verb, "", path, ""),
        Question::Resource(action) if is_review(action) => return Ok(Ok(())),
        Question::Resource(action) => action.clone(),
    };
    let of_something = match (belonging(&action), &action.name) {
        (Belonging::Environment(kind), Some(name)) => find(state, kind, name).await?,
        (Belonging::Installation, _) => Found::OfNone,
        (Belonging::Environment(_) | Belonging::Everybody, _) => Found::Nothing,
    };
    Ok(match &of_something {
        Found::Nothing => policy.decide(who, &action, Object::Some),
        Found::Of(labels) => policy.decide(who, &action, Object::Of(labels)),
        Found::OfNone => policy.decide(who, &action, Object::Installation),
    })
}

/// Whether it is one of these questions.
fn is_review(action: &Action) -> bool {
    let asked = || resources::reviews(&action.group).any(|review| review.plural == action.resource);
    action.verb == "create" && action.subresource.is_empty() && asked()
}

/// `POST selfsubjectrulesreviews`: what may I?
pub(crate) async fn rules(State(state): State<Arc<ApiState>>, who: Who, review: Review) -> ApiResult {
    review.check("SelfSubjectRulesReview", AUTHORIZATION)?;
    let rule = |verbs: &[&str], group: &str, resources: &[&str]| json!({ "verbs": verbs, "apiGroups": [group], "resources": resources });
    let mut listed: Vec<Value> =
        REVIEWS.iter().map(|review| rule(&["create"], review.group, &[review.plural])).collect();
    let mut paths = vec![json!({ "verbs": ["get"], "nonResourceURLs": SHARED })];
    // One who may do everything everywhere needs no other rule.
    let (mut limits, mut roles) = (Vec::new(), BTreeSet::new());
    match state.access.policy() {
        None => drop(roles.insert((Role::Admin, true))),
        Some(policy) => {
            for binding in policy.of(&who.0) {
                roles.insert((binding.role, binding.selector.is_none()));
                limits.extend(binding.selector.as_ref().map(|selector| format!("{} where {selector}", binding.role)));
            }
        }
    }
    let admin = roles.contains(&(Role::Admin, true));
    if admin {
        (limits, roles) = (Vec::new(), BTreeSet::from([(Role::Admin, true)]));
        paths.push(json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }));
    }
    for role in roles.into_iter().map(|(role, _)| role).collect::<BTreeSet<_>>() {
        match role.rules() {
            None => listed.push(rule(&["*"], "*", &["*"])),
            Some(rules) => {
                for found in rules.into_iter().flatten().map(|it| rule(it.verbs, it.group, it.resources)) {
                    if !listed.contains(&found) {
                        listed.push(found);
                    }
                }
            }
        }
    }
    let mut status = json!({ "resourceRules": listed, "nonResourceRules": paths, "incomplete": !limits.is_empty() });
    if !limits.is_empty() {
        let limits = limits.join(", ");
        status["evaluationError"] = json!(format!("some of this holds for some environments only: {limits}"));
    }
    Ok(answer("SelfSubjectRulesReview", AUTHORIZATION, Some(review.spec()), status))
}

/// `POST selfsubjectreviews`: who am I?
pub(crate) async fn myself(Who(who): Who, review: Review) -> ApiResult {
    review.check("SelfSubjectReview", AUTHENTICATION)?;
    let groups = if who.how == How::Unchecked { vec![UNAUTHENTICATED.to_owned()] } else { who.groups };
    let status = json!({ "userInfo": { "username": who.name, "groups": groups } });
    Ok(answer("SelfSubjectReview", AUTHENTICATION, None, status))
}

/// Who asks.
pub(crate) struct Who(Identity);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut http::request::Parts, _state: &S) -> ApiResult<Self> {
        let who = parts.extensions.get::<Identity>().cloned();
        who.map(Self).ok_or_else(|| ApiError::internal("a request came to a review without an identity"))
    }
}
