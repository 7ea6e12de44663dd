//! The table of verbs and resources, role by role, and what label selectors do to it.

use super::*;
use crate::access::identity::How;

fn who(name: &str, groups: &[&str]) -> Identity {
    Identity::known(name.to_owned(), groups.iter().map(|one| (*one).to_owned()).collect(), How::Token, None)
}

fn bind(role: Role, users: &[&str], groups: &[&str], selector: Option<&str>) -> Binding {
    let set = |names: &[&str]| names.iter().map(|one| (*one).to_owned()).collect();
    let selector = selector.map(|text| text.parse().unwrap());
    Binding { role, users: set(users), groups: set(groups), selector }
}

fn labels(team: &str) -> Labels {
    Labels::from([("team".to_owned(), team.to_owned())])
}

fn action(text: &str) -> Action {
    let (verb, path) = text.split_once(' ').unwrap();
    let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
    let group = if ["events", "namespaces"].contains(&resource) { "" } else { GROUP };
    Action::new(verb, group, resource, subresource)
}

/// Who of viewer, editor, approver and admin may do what.
const TABLE: &[(&str, &str)] = &[
    ("get environments", "veaA"),
    ("list environments", "veaA"),
    ("watch environments", "veaA"),
    ("create environments", "eA"),
    ("update environments", "eA"),
    ("patch environments", "eA"),
    ("delete environments", "A"),
    ("deletecollection environments", "A"),
    ("get environments/status", "veaA"),
    ("patch environments/status", "A"),
    ("get environments/plan", "veaA"),
    ("get environments/diagnosis", "veaA"),
    ("create environments/plan", "eA"),
    ("create environments/reconcile", "eA"),
    ("create environments/pause", "eA"),
    ("create environments/resume", "eA"),
    ("create environments/rollback", "eA"),
    ("create environments/approve", "aA"),
    ("list changes", "veaA"),
    ("watch changes", "veaA"),
    ("create changes", "eA"),
    ("patch changes", "eA"),
    ("delete changes", "A"),
    ("create changes/approve", "aA"),
    ("create changes/reject", "aA"),
    ("get revisions", "veaA"),
    ("delete revisions", "A"),
    ("list managedresources", "veaA"),
    ("get operators", "veaA"),
    ("patch operators", "A"),
    ("list events", "veaA"),
    ("get namespaces", "veaA"),
    ("create events", "A"),
    ("list auditentries", "A"),
    ("get something", "A"),
    ("* *", "A"),
];

#[test]
fn each_role_may_do_what_the_table_says_and_nothing_else() {
    let policy = Policy {
        bindings: vec![
            bind(Role::Viewer, &["v"], &[], None),
            bind(Role::Editor, &["e"], &[], None),
            bind(Role::Approver, &["a"], &[], None),
            bind(Role::Admin, &["A"], &[], None),
        ],
    };
    for (text, allowed) in TABLE {
        for user in ["v", "e", "a", "A", "x"] {
            let decided = policy.decide(&who(user, &[]), &action(text), Object::Some);
            assert_eq!(decided.is_ok(), allowed.contains(user), "{user}: {text}: {decided:?}");
            if let Err(why) = decided {
                assert!(why.contains("admin"), "{why}");
            }
        }
    }
}

#[test]
fn a_role_comes_by_name_or_by_group_and_roles_add_up() {
    let policy = Policy {
        bindings: vec![
            bind(Role::Viewer, &[], &["system:authenticated"], None),
            bind(Role::Editor, &[], &["backend"], None),
            bind(Role::Approver, &["bob"], &[], None),
        ],
    };
    let may = |who: &Identity, text: &str| policy.decide(who, &action(text), Object::Some).is_ok();
    let (alice, bob, eve) = (who("alice", &["backend"]), who("bob", &["backend"]), who("eve", &[]));
    assert!(may(&eve, "get environments") && !may(&eve, "patch environments"));
    assert!(may(&alice, "patch environments") && !may(&alice, "create changes/approve"));
    assert!(may(&bob, "patch environments") && may(&bob, "create changes/approve"));
    // A user whose name is that of a group is not in it.
    assert!(!may(&who("backend", &[]), "patch environments"));
}

#[test]
fn a_selector_limits_a_role_to_environments_with_such_labels() {
    let policy = Policy {
        bindings: vec![
            bind(Role::Viewer, &["alice"], &[], None),
            bind(Role::Editor, &["alice"], &[], Some("team=a")),
            bind(Role::Editor, &["alice"], &[], Some("team in (b),tier!=prod")),
        ],
    };
    let alice = who("alice", &[]);
    let decide = |text: &str, object: Object<'_>| policy.decide(&alice, &action(text), object);
    assert_eq!(decide("get environments", Object::Of(&labels("z"))), Ok(()));
    assert_eq!(decide("get operators", Object::Installation), Ok(()));
    assert_eq!(decide("patch environments", Object::Some), Ok(()));
    assert_eq!(decide("patch environments", Object::Of(&labels("a"))), Ok(()));
    assert_eq!(decide("patch environments", Object::Of(&labels("b"))), Ok(()));
    let mut prod = labels("b");
    prod.insert("tier".to_owned(), "prod".to_owned());
    for refused in [Object::Of(&labels("z")), Object::Of(&prod), Object::Of(&Labels::new()), Object::Installation] {
        let why = decide("patch environments", refused).unwrap_err();
        assert_eq!(why, "their roles allow it only where team=a, or where team in (b),tier!=prod");
    }
}

#[test]
fn an_admin_of_some_environments_is_none_of_the_installation() {
    let policy = Policy { bindings: vec![bind(Role::Admin, &["alice"], &[], Some("team=a"))] };
    let alice = who("alice", &[]);
    assert!(policy.decide(&alice, &action("delete environments"), Object::Of(&labels("a"))).is_ok());
    for text in ["patch operators", "list auditentries"] {
        assert!(policy.decide(&alice, &action(text), Object::Installation).is_err(), "{text}");
    }
}

#[test]
fn a_refusal_is_in_the_words_of_kubernetes() {
    let refused = forbidden(&who("x", &[]), &action("patch environments").of(Some("prod")), "why");
    assert_eq!(
        refused,
        "environments.eventchain.io \"prod\" is forbidden: User \"x\" cannot patch resource \"environments\" in API group \
         \"eventchain.io\" at the cluster scope: why"
    );
    let refused = forbidden(&who("x", &[]), &action("create environments/approve").of(Some("prod")), "why");
    assert!(refused.contains("cannot create resource \"environments/approve\""), "{refused}");
}

#[test]
fn a_role_is_held_where_it_or_admin_is_bound() {
    let policy = Policy {
        bindings: vec![bind(Role::Approver, &["bob"], &[], Some("team=a")), bind(Role::Admin, &["root"], &[], None)],
    };
    let holds =
        |name: &str, team: &str| policy.scope_of_role(&who(name, &[]), Role::Approver).permits_labels(&labels(team));
    assert!(holds("bob", "a") && !holds("bob", "b") && holds("root", "b") && !holds("eve", "a"));
}
