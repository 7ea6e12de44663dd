//! Who may do what: the roles, to whom they are bound, and the one function that decides. Pure: it reads no request, no
//! store and no clock, and everything that is refused has its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use store::LabelRequirement;

use super::identity::Identity;
use crate::selectors;
use crate::wire::GROUP;

/// Labels of an environment.
pub(crate) type Labels = BTreeMap<String, String>;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumString, strum::EnumIter)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and changes desired state.
    Editor,
    /// Reads and approves.
    Approver,
    /// Everything.
    Admin,
}

/// What a role allows.
pub(super) struct Rule {
    pub(super) group: &'static str,
    /// Resources, and subresources as `environments/plan`.
    pub(super) resources: &'static [&'static str],
    pub(super) verbs: &'static [&'static str],
}

const fn rule(group: &'static str, resources: &'static [&'static str], verbs: &'static [&'static str]) -> Rule {
    Rule { group, resources, verbs }
}

const READ: &[&str] = &["get", "list", "watch"];
const CREATE: &[&str] = &["create"];

/// What every role reads.
const VIEWER: &[Rule] = &[
    rule(GROUP, &["environments", "changes", "revisions", "managedresources", "operators"], READ),
    rule(GROUP, &["environments/status", "environments/plan", "environments/diagnosis"], &["get"]),
    rule("", &["events", "namespaces"], READ),
];
const EDITOR: &[Rule] = &[
    rule(GROUP, &["environments", "changes"], &["create", "update", "patch"]),
    rule(
        GROUP,
        &[
            "environments/plan",
            "environments/reconcile",
            "environments/pause",
            "environments/resume",
            "environments/rollback",
        ],
        CREATE,
    ),
];
const APPROVER: &[Rule] = &[rule(GROUP, &["environments/approve", "changes/approve", "changes/reject"], CREATE)];

impl Role {
    /// What the role allows; `None` is everything.
    pub(super) fn rules(self) -> Option<[&'static [Rule]; 2]> {
        match self {
            Self::Viewer => Some([VIEWER, &[]]),
            Self::Editor => Some([VIEWER, EDITOR]),
            Self::Approver => Some([VIEWER, APPROVER]),
            Self::Admin => None,
        }
    }

    fn allows(self, action: &Action) -> bool {
        let Some(rules) = self.rules() else { return true };
        let resource = action.resource_path();
        rules.into_iter().flatten().any(|rule| {
            rule.group == action.group
                && rule.resources.contains(&resource.as_str())
                && rule.verbs.contains(&action.verb.as_str())
        })
    }
}

/// A label selector over environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    requirements: Vec<LabelRequirement>,
}

impl Selector {
    fn matches(&self, labels: &Labels) -> bool {
        selectors::matches(&self.requirements, labels)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), requirements: selectors::parse_labels(text)? })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// To whom a role is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The role.
    pub role: Role,
    /// To these users.
    pub users: BTreeSet<String>,
    /// To everybody of these groups.
    pub groups: BTreeSet<String>,
    /// Only for environments with such labels, and what belongs to them; `None` is the whole installation.
    pub selector: Option<Selector>,
}

impl Binding {
    fn is_of(&self, who: &Identity) -> bool {
        self.users.contains(&who.name) || who.groups.iter().any(|group| self.groups.contains(group))
    }
}

/// What somebody wants to do, in Kubernetes' words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    /// To which object; `None` for a collection.
    pub(crate) name: Option<String>,
}

impl Action {
    pub(crate) fn new(verb: &str, group: &str, resource: &str, subresource: &str) -> Self {
        let [verb, group, resource, subresource] = [verb, group, resource, subresource].map(str::to_owned);
        Self { verb, group, resource, subresource, name: None }
    }

    pub(crate) fn of(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }

    /// `environments`, `environments/plan`.
    pub(crate) fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// What a decision is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Object<'a> {
    /// A collection, or an object of which nothing more is said: whether there can be one that it may be done to.
    Some,
    /// An environment, or what belongs to one, with these labels.
    Of(&'a Labels),
    /// The installation, and what belongs to no environment that there is.
    Installation,
}

/// For which environments something may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All, and what belongs to none.
    Everything,
    /// Those that match one of these, and what belongs to them.
    Where(Arc<[Selector]>),
    /// None.
    Nothing,
}

impl Scope {
    pub(crate) fn permits(&self, object: Object<'_>) -> bool {
        match (self, object) {
            (Self::Everything, _) | (Self::Where(_), Object::Some) => true,
            (Self::Where(selectors), Object::Of(labels)) => selectors.iter().any(|one| one.matches(labels)),
            (Self::Where(_), Object::Installation) | (Self::Nothing, _) => false,
        }
    }

    pub(crate) fn permits_labels(&self, labels: &Labels) -> bool {
        self.permits(Object::Of(labels))
    }

    /// Whether nothing has to be looked at.
    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::Everything
    }

    /// For people: where.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Everything => "everything".to_owned(),
            Self::Nothing => "nothing".to_owned(),
            Self::Where(selectors) => selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or where "),
        }
    }
}

/// Roles and their bindings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// To whom which role is given; what one binding allows no other takes away.
    pub bindings: Vec<Binding>,
}

impl Policy {
    /// The bindings that somebody has.
    pub(super) fn of<'a>(&'a self, who: &'a Identity) -> impl Iterator<Item = &'a Binding> {
        self.bindings.iter().filter(|binding| binding.is_of(who))
    }

    fn scope_of<'a>(bindings: impl Iterator<Item = &'a Binding>) -> Scope {
        let mut selectors = Vec::new();
        for binding in bindings {
            match &binding.selector {
                None => return Scope::Everything,
                Some(selector) => selectors.push(selector.clone()),
            }
        }
        if selectors.is_empty() { Scope::Nothing } else { Scope::Where(selectors.into()) }
    }

    /// For which environments somebody may do something.
    pub(crate) fn scope(&self, who: &Identity, action: &Action) -> Scope {
        Self::scope_of(self.of(who).filter(|binding| binding.role.allows(action)))
    }

    /// For which environments somebody has a role, by a binding to that very role or to `admin`.
    pub(crate) fn scope_of_role(&self, who: &Identity, role: Role) -> Scope {
        Self::scope_of(self.of(who).filter(|binding| binding.role == role || binding.role == Role::Admin))
    }

    /// Whether somebody may do something, and if not, why. The one place where this is decided.
    pub(crate) fn decide(&self, who: &Identity, action: &Action, object: Object<'_>) -> Result<(), String> {
        let scope = self.scope(who, action);
        if scope.permits(object) {
            return Ok(());
        }
        Err(match scope {
            Scope::Everything | Scope::Nothing => {
                let roles: Vec<String> = <Role as strum::IntoEnumIterator>::iter()
                    .filter(|role| role.allows(action))
                    .map(|role| role.to_string())
                    .collect();
                format!("it takes the role {}", roles.join(" or "))
            }
            Scope::Where(_) => format!("their roles allow it only where {}", scope.said()),
        })
    }
}

/// In Kubernetes' words.
pub(crate) fn forbidden(who: &Identity, action: &Action, why: &str) -> String {
    let qualified =
        if action.group.is_empty() { action.resource.clone() } else { format!("{}.{}", action.resource, action.group) };
    let named = action.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
    format!(
        "{qualified}{named} is forbidden: User {:?} cannot {} resource {:?} in API group {:?} at the cluster scope: {why}",
        who.name,
        action.verb,
        action.resource_path(),
        action.group,
    )
}

#[cfg(test)]
mod tests;
