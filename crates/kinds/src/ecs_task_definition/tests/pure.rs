//! The overlay and the plan, without AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::kind::Owner;
use engine::{Kind, PlanContext, Reference};
use model::env::{Adoption, Policy};
use model::{ResourceKey, ResourcePlan, Risk, TAG_ENVIRONMENT, TAG_MANAGED_BY, Tags};
use serde_json::{Value, json};

use crate::ecs_task_definition::{
    Container, Content, Desired, EcsTaskDefinition, Fields, Logs, Masked, Observed, Plain, Port, Revision, apply, edits,
};
use crate::testing::{Known, key};

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:eventchain/database-url-AbCdEf";

fn service() -> ResourceKey {
    key("EcsService", "eventchain-cluster/eventchain-api-gateway")
}

fn secret() -> ResourceKey {
    key("Secret", "eventchain/database-url")
}

fn arn(revision: u32) -> String {
    format!("arn:aws:ecs:us-east-1:123456789012:task-definition/eventchain-api-gateway:{revision}")
}

fn fields() -> Fields {
    Fields { container: "api-gateway".to_owned(), ..Fields::default() }
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, Plain> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), Plain::new(*value))).collect()
}

fn awslogs(group: &str, prefix: &str) -> Logs {
    Logs {
        driver: "awslogs".to_owned(),
        group: Some(group.to_owned()),
        region: Some("us-east-1".to_owned()),
        stream_prefix: Some(prefix.to_owned()),
        rest: None,
    }
}

fn desired(fields: Fields) -> Desired {
    let environment: Vec<&String> = fields.environment.iter().flatten().map(|(name, _)| name).collect();
    let managed =
        if environment.is_empty() { Value::Null } else { json!({ "environment": environment, "secrets": [] }) };
    Desired {
        family: "eventchain-api-gateway".to_owned(),
        managed,
        fields,
        secrets: None,
        initial_image: None,
        service: service(),
        tags: ours(),
    }
}

fn ours() -> Tags {
    [(TAG_ENVIRONMENT, "prod"), (TAG_MANAGED_BY, "test")].map(|(tag, value)| (tag.to_owned(), value.to_owned())).into()
}

fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: "api:1".to_owned(),
        ports: BTreeSet::from([Port::tcp(3000)]),
        environment: [("NODE_ENV", "production"), ("LOG_LEVEL", "info")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Masked::of(value.as_bytes())))
            .collect(),
        secrets: BTreeMap::from([("DATABASE_URL".to_owned(), SECRET.to_owned())]),
        logs: Some(awslogs("/ecs/eventchain-api-gateway", "web")),
    }
}

fn content() -> Content {
    Content {
        cpu: Some("512".to_owned()),
        memory: Some("1024".to_owned()),
        task_role: None,
        execution_role: None,
        containers: vec![container("sidecar"), container("api-gateway")],
        rest: Masked::of(b"rest"),
    }
}

fn revision(number: u32, base: Option<u32>, content: Content) -> Arc<Revision> {
    Arc::new(Revision {
        arn: arn(number),
        family: "eventchain-api-gateway".to_owned(),
        revision: number,
        base: base.map(|base| format!("eventchain-api-gateway:{base}")),
        owner: if base.is_some() { ours() } else { Tags::default() },
        content,
    })
}

fn observed() -> Observed {
    Observed { current: revision(7, None, content()), active: true, successor: None }
}

/// The service runs revision 7.
fn known() -> Known {
    Known::new().with(&service(), "taskDefinition", arn(7))
}

fn plan(desired: &Desired, observed: &Observed) -> ResourcePlan {
    EcsTaskDefinition::plan_present(&known().context(), desired, observed)
}

fn remembering(memory: Value) -> PlanContext<'static> {
    PlanContext { memory: Some(Box::leak(Box::new(memory))), ..known().context() }
}

fn changed(plan: &ResourcePlan) -> Vec<&str> {
    plan.steps.iter().flat_map(|step| &step.changes).map(|change| change.field.as_str()).collect()
}

#[test]
fn what_is_not_declared_is_left_alone() {
    assert_eq!(plan(&desired(fields()), &observed()), ResourcePlan::in_sync());
}

#[test]
fn declared_fields_that_hold_need_no_revision() {
    let fields = Fields {
        image: Some("api:1".to_owned()),
        port: Some(3000),
        cpu: Some("512".to_owned()),
        memory: Some("1024".to_owned()),
        environment: Some(variables(&[("NODE_ENV", "production")])),
        logs: Some(awslogs("/ecs/eventchain-api-gateway", "ecs")),
        ..fields()
    };
    let plan = plan(&desired(fields), &observed());
    assert!(plan.is_in_sync(), "{plan}");
}

#[test]
fn each_declared_field_that_differs_makes_a_revision() {
    let cases: [(&str, Fields); 8] = [
        ("image", Fields { image: Some("api:2".to_owned()), ..fields() }),
        ("port", Fields { port: Some(4000), ..fields() }),
        ("cpu", Fields { cpu: Some("1024".to_owned()), ..fields() }),
        ("memoryMib", Fields { memory: Some("2048".to_owned()), ..fields() }),
        ("executionRole", Fields { execution_role: Some("arn:aws:iam::123456789012:role/x".to_owned()), ..fields() }),
        ("taskRole", Fields { task_role: Some("arn:aws:iam::123456789012:role/x".to_owned()), ..fields() }),
        ("environment[\"NODE_ENV\"]", Fields { environment: Some(variables(&[("NODE_ENV", "test")])), ..fields() }),
        ("logs.group", Fields { logs: Some(awslogs("/ecs/other", "ecs")), ..fields() }),
    ];
    for (field, fields) in cases {
        let plan = plan(&desired(fields), &observed());
        assert_eq!(changed(&plan), [field]);
        assert_eq!((plan.risk(), plan.steps[0].operation.as_ref()), (Some(Risk::Safe), "RegisterTaskDefinition"));
        assert_eq!(plan.steps[0].body["base"], json!(arn(7)), "{field}");
    }
}

#[test]
fn the_order_of_containers_means_nothing() {
    let mut other = content();
    other.containers.reverse();
    assert!(content().means(&other));
    other.containers[0].image = "api:2".to_owned();
    assert!(!content().means(&other));
}

#[test]
fn an_only_container_is_managed_whatever_its_name() {
    let mut content = content();
    content.containers = vec![container("app")];
    let observed = Observed { current: revision(7, None, content), ..observed() };
    let fields = Fields { image: Some("api:2".to_owned()), ..fields() };
    assert_eq!(changed(&plan(&desired(fields), &observed)), ["image"]);
}

#[test]
fn without_a_container_of_that_name_nothing_is_done_and_it_says_so() {
    let mut content = content();
    content.containers[1].name = "app".to_owned();
    let observed = Observed { current: revision(7, None, content), ..observed() };
    let plan = plan(&desired(Fields { image: Some("api:2".to_owned()), ..fields() }), &observed);
    assert_eq!((plan.steps.len(), plan.waits[0].reason.as_ref()), (0, "ContainerNotFound"));
    assert!(plan.waits[0].message.contains("sidecar, app"), "{}", plan.waits[0].message);
}

#[test]
fn the_overlay_changes_what_is_declared_and_nothing_else() {
    let fields = Fields {
        image: Some("api:2".to_owned()),
        environment: Some(variables(&[("NODE_ENV", "test")])),
        logs: Some(awslogs("/ecs/other", "ecs")),
        ..fields()
    };
    let new = apply(&edits(&fields, None, &Default::default(), &content()), "api-gateway", &content());
    let mut wanted = content();
    wanted.containers[1].image = "api:2".to_owned();
    wanted.containers[1].environment.insert("NODE_ENV".to_owned(), Masked::of(b"test"));
    wanted.containers[1].logs = Some(awslogs("/ecs/other", "web"));
    assert_eq!(new, wanted);
    assert_eq!(edits(&fields, None, &Default::default(), &new), Vec::new(), "the overlay of the overlay is itself");
}

#[test]
fn a_port_takes_the_place_of_the_only_one_and_is_added_to_several() {
    let fields = Fields { port: Some(4000), ..fields() };
    let ports = |live: &[Port]| {
        let mut content = content();
        content.containers[1].ports = live.iter().cloned().collect();
        let new = apply(&edits(&fields, None, &Default::default(), &content), "api-gateway", &content);
        new.containers[1].ports.iter().map(|port| port.port).collect::<Vec<_>>()
    };
    assert_eq!(ports(&[]), [4000]);
    assert_eq!(ports(&[Port::tcp(3000)]), [4000]);
    assert_eq!(ports(&[Port::tcp(3000), Port::tcp(9090)]), [3000, 4000, 9090]);
}

#[test]
fn the_same_port_over_udp_is_another_one() {
    let mut content = content();
    content.containers[1].ports = BTreeSet::from([Port { port: 4000, protocol: "udp".to_owned() }, Port::tcp(1)]);
    let fields = Fields { port: Some(4000), ..fields() };
    assert_eq!(edits(&fields, None, &Default::default(), &content).len(), 1);
}

#[test]
fn a_variable_that_nobody_declared_stays() {
    let desired = desired(Fields { environment: Some(variables(&[("NODE_ENV", "production")])), ..fields() });
    assert!(plan(&desired, &observed()).is_in_sync(), "LOG_LEVEL was set by hand");
}

#[test]
fn an_empty_map_of_variables_enforces_none() {
    let plan = plan(&desired(Fields { environment: Some(variables(&[])), ..fields() }), &observed());
    assert_eq!(changed(&plan), ["environment[\"LOG_LEVEL\"]", "environment[\"NODE_ENV\"]"]);
    assert!(plan.steps[0].changes.iter().all(|change| change.to.is_null()));
}

#[test]
fn a_variable_taken_out_of_the_document_is_removed_and_then_forgotten() {
    let desired = desired(Fields { environment: Some(variables(&[("NODE_ENV", "production")])), ..fields() });
    let context = remembering(json!({ "environment": ["LOG_LEVEL", "NODE_ENV"], "secrets": [] }));
    let first = EcsTaskDefinition::plan_present(&context, &desired, &observed());
    assert_eq!(changed(&first), ["environment[\"LOG_LEVEL\"]"]);
    assert_eq!(first.steps[0].body["dropEnvironment"], json!(["LOG_LEVEL"]));
    assert_eq!(first.remember, None, "it is still to be removed, so nothing is forgotten yet");

    let mut content = content();
    content.containers[1].environment.remove("LOG_LEVEL");
    let after = Observed { current: revision(8, Some(7), content), ..observed() };
    let second = EcsTaskDefinition::plan_present(&context, &desired, &after);
    assert!(second.is_in_sync(), "{second}");
    assert_eq!(second.remember, Some(json!({ "environment": ["NODE_ENV"], "secrets": [] })));
}

#[test]
fn declared_names_are_remembered_once() {
    let desired = desired(Fields { environment: Some(variables(&[("NODE_ENV", "production")])), ..fields() });
    let first = plan(&desired, &observed()).remember.expect("nothing was remembered before");
    let again = EcsTaskDefinition::plan_present(&remembering(first), &desired, &observed());
    assert_eq!(again, ResourcePlan::in_sync());
}

fn with_secret() -> Desired {
    let reference = Reference::Of { key: secret(), output: "arn".into() };
    Desired { secrets: Some(BTreeMap::from([("DATABASE_URL".to_owned(), reference)])), ..desired(fields()) }
}

fn plan_with(known: Known, desired: &Desired) -> ResourcePlan {
    let mut plan = EcsTaskDefinition::plan_present(&known.context(), desired, &observed());
    plan.remember = None;
    plan
}

#[test]
fn a_secret_is_compared_by_its_arn_with_or_without_the_suffix() {
    assert!(plan_with(known().with(&secret(), "arn", SECRET), &with_secret()).is_in_sync());
    let mut content = content();
    let short = SECRET.strip_suffix("-AbCdEf").unwrap();
    content.containers[1].secrets.insert("DATABASE_URL".to_owned(), short.to_owned());
    let observed = Observed { current: revision(7, None, content), ..observed() };
    let context = known().with(&secret(), "arn", SECRET).context();
    assert!(
        EcsTaskDefinition::plan_present(&context, &with_secret(), &observed).is_in_sync(),
        "as the guide writes it"
    );
    let other = format!("{short}-test-AbCdEf");
    let context = known().with(&secret(), "arn", other).context();
    assert_eq!(
        changed(&EcsTaskDefinition::plan_present(&context, &with_secret(), &observed)),
        ["secrets[\"DATABASE_URL\"]"]
    );
}

#[test]
fn a_secret_that_is_merely_changed_keeps_its_arn() {
    let known = known().with(&secret(), "arn", SECRET).changing(&secret());
    assert!(plan_with(known, &with_secret()).is_in_sync());
}

#[test]
fn a_revision_waits_for_a_secret_that_is_made_first() {
    let plan = plan_with(known().changing(&secret()), &with_secret());
    assert_eq!(plan.steps[0].awaits, Some(secret()));
    assert_eq!(changed(&plan), ["secrets[\"DATABASE_URL\"]"]);
}

#[test]
fn a_secret_that_is_not_known_is_waited_for_and_nothing_is_registered() {
    let desired = Desired { fields: Fields { image: Some("api:2".to_owned()), ..fields() }, ..with_secret() };
    let plan = plan_with(known().unknown(&secret(), "arn"), &desired);
    assert!(plan.is_in_sync(), "{plan}");
    assert_eq!(plan.waits[0].reason, "DependencyUnknown");
}

#[test]
fn no_revision_names_a_secret_without_a_value() {
    let known = |has| known().with(&secret(), "arn", SECRET).with(&secret(), "hasValue", has);
    let desired = Desired { fields: Fields { image: Some("api:2".to_owned()), ..fields() }, ..with_secret() };
    let waiting = plan_with(known(false), &desired);
    assert!(waiting.is_in_sync(), "{waiting}");
    assert_eq!(waiting.waits[0].reason, "SecretHasNoValue");
    assert_eq!(changed(&plan_with(known(true), &desired)), ["image"]);
    assert!(plan_with(known(false), &with_secret()).waits.is_empty(), "what runs already is not in question");
}

#[test]
fn a_name_cannot_be_variable_and_secret_at_once() {
    let fields = Fields { environment: Some(variables(&[("DATABASE_URL", "postgres://")])), ..fields() };
    let new = apply(&edits(&fields, None, &Default::default(), &content()), "api-gateway", &content());
    assert!(new.containers[1].environment.contains_key("DATABASE_URL"));
    assert!(!new.containers[1].secrets.contains_key("DATABASE_URL"));
    let secrets = BTreeMap::from([("LOG_LEVEL".to_owned(), SECRET.to_owned())]);
    let edits = edits(&Fields { environment: None, ..fields }, Some(&secrets), &Default::default(), &content());
    let new = apply(&edits, "api-gateway", &content());
    assert!(!new.containers[1].environment.contains_key("LOG_LEVEL"));
    assert_eq!(new.containers[1].secrets.len(), 2);
}

#[test]
fn nothing_is_registered_on_a_base_that_the_service_may_not_run() {
    let desired = desired(Fields { image: Some("api:2".to_owned()), ..fields() });
    for known in
        [Known::new().with(&service(), "taskDefinition", arn(6)), Known::new().unknown(&service(), "taskDefinition")]
    {
        let plan = EcsTaskDefinition::plan_present(&known.context(), &desired, &observed());
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(plan.waits[0].reason, "DependencyUnknown");
    }
    let without = EcsTaskDefinition::plan_present(&Known::new().context(), &desired, &observed());
    assert_eq!(changed(&without), ["image"], "without a service the newest revision is the base");
}

fn with_successor(base: u32, content: Content) -> Observed {
    let successor = revision(8, Some(base), content);
    let observed = observed();
    let successor = Some(successor).filter(|successor| successor.succeeds(&observed.current));
    Observed { successor, ..observed }
}

fn new_image() -> Content {
    let mut new = content();
    new.containers[1].image = "api:2".to_owned();
    new
}

#[test]
fn a_revision_registered_before_a_crash_is_used_and_not_made_again() {
    let desired = desired(Fields { image: Some("api:2".to_owned()), ..fields() });
    let observed = with_successor(7, new_image());
    assert_eq!(plan(&desired, &observed), ResourcePlan::in_sync());
    assert_eq!(EcsTaskDefinition::output(&observed, "arn"), Some(json!(arn(8))), "the service is to run it");
}

#[test]
fn a_successor_of_other_content_is_superseded() {
    let desired = desired(Fields { image: Some("api:3".to_owned()), ..fields() });
    let plan = plan(&desired, &with_successor(7, new_image()));
    assert_eq!(plan.steps[0].operation, "RegisterTaskDefinition");
    assert_eq!(plan.steps[0].body["base"], json!(arn(7)));
}

#[test]
fn a_successor_that_is_no_longer_wanted_is_deregistered() {
    let desired = desired(Fields { image: Some("api:1".to_owned()), ..fields() });
    let plan = plan(&desired, &with_successor(7, new_image()));
    assert_eq!((plan.steps[0].operation.as_ref(), plan.risk()), ("DeregisterTaskDefinition", Some(Risk::Safe)));
    assert_eq!(plan.steps[0].body["arn"], json!(arn(8)));
}

#[test]
fn a_newer_revision_of_somebody_else_is_no_successor() {
    assert_eq!(with_successor(6, new_image()).successor, None);
    let foreign = revision(8, None, new_image());
    assert!(!foreign.succeeds(&observed().current));
}

#[test]
fn a_successor_of_another_installation_is_neither_used_nor_taken_away() {
    let mut observed = with_successor(7, new_image());
    let mut theirs = Revision::clone(observed.successor.as_ref().unwrap());
    theirs.owner.insert(TAG_MANAGED_BY.to_owned(), "another".to_owned());
    observed.successor = Some(Arc::new(theirs));
    for image in ["api:1", "api:2", "api:3"] {
        let desired = desired(Fields { image: Some(image.to_owned()), ..fields() });
        let plan = plan(&desired, &observed);
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(plan.waits[0].reason, "OwnedByAnother");
    }
    let mut unmarked = Revision::clone(&revision(8, Some(7), new_image()));
    unmarked.owner.clear();
    assert!(!unmarked.succeeds(&observed.current), "the tag of the base alone proves nothing");
}

#[test]
fn no_revision_is_made_for_a_service_that_is_not_ours() {
    let desired = desired(Fields { image: Some("api:2".to_owned()), ..fields() });
    let seen =
        |owner| known().with(&service(), "arn", "arn").with(&service(), "controller", "ECS").owned(&service(), owner);
    let plan_of = |known: Known| EcsTaskDefinition::plan_present(&known.context(), &desired, &observed());
    assert_eq!(changed(&plan_of(seen(Owner::Ours))), ["image"]);
    assert_eq!(changed(&plan_of(seen(Owner::Nobody))), ["image"], "it is adopted in this pass");
    let blocked = plan_of(seen(Owner::Another { who: "staging".to_owned() }));
    assert!(blocked.is_in_sync(), "{blocked}");
    assert_eq!(blocked.waits[0].reason, "OwnedByAnother");
    let policy = Policy { adoption: Adoption::CreateOnly, ..Policy::default() };
    let context = seen(Owner::Nobody).context();
    let plan = EcsTaskDefinition::plan_present(&PlanContext { policy: &policy, ..context }, &desired, &observed());
    assert_eq!((plan.steps.len(), plan.waits[0].reason.as_ref()), (0, "ExistsAlready"));
}

#[test]
fn under_another_deployment_controller_no_revision_is_made() {
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let known = || known().with(&service(), "arn", "arn").with(&service(), "controller", controller);
        let desired = desired(Fields { image: Some("api:2".to_owned()), ..fields() });
        let plan = EcsTaskDefinition::plan_present(&known().context(), &desired, &observed());
        assert!(plan.is_in_sync(), "{plan}");
        assert_eq!(
            (plan.notes[0].reason.as_ref(), plan.notes[0].changes[0].field.as_str()),
            ("DeploymentsNotOurs", "image")
        );
        let absent = EcsTaskDefinition::plan_absent(&known().context(), &desired);
        assert_eq!((absent.steps.len(), absent.notes[0].reason.as_ref()), (0, "DeploymentsNotOurs"));
    }
}

#[test]
fn options_of_a_log_driver_go_with_it() {
    let declared = awslogs("/ecs/eventchain-api-gateway", "ecs");
    let fields = Fields { logs: Some(declared.clone()), ..fields() };
    let rest = Some(Masked::of(b"mode non-blocking"));
    let after = |driver: &str| {
        let mut content = content();
        content.containers[1].logs = Some(Logs { driver: driver.to_owned(), group: None, rest, ..declared.clone() });
        apply(&edits(&fields, None, &Default::default(), &content), "api-gateway", &content).containers[1].logs.clone()
    };
    assert_eq!(after("awslogs").unwrap().rest, rest);
    assert_eq!(after("splunk").unwrap().rest, None);
}

#[test]
fn a_revision_with_another_health_check_is_not_the_overlay() {
    let mut other = new_image();
    other.rest = Masked::of(b"another health check");
    let desired = desired(Fields { image: Some("api:2".to_owned()), ..fields() });
    assert_eq!(changed(&plan(&desired, &with_successor(7, other))), ["image"]);
}

#[test]
fn the_image_of_whoever_deploys_is_carried() {
    let desired = Desired { initial_image: Some("api:0".to_owned()), ..desired(fields()) };
    assert_eq!(plan(&desired, &observed()), ResourcePlan::in_sync(), "api:1 is theirs");
    let more = Desired { fields: Fields { cpu: Some("1024".to_owned()), ..fields() }, ..desired };
    let plan = plan(&more, &observed());
    assert_eq!((changed(&plan), &plan.steps[0].body["image"]), (vec!["cpu"], &Value::Null));
}

#[test]
fn the_first_revision_has_the_initial_image() {
    let fields = Fields { cpu: Some("512".to_owned()), memory: Some("1024".to_owned()), ..fields() };
    let desired = Desired { initial_image: Some("api:0".to_owned()), ..desired(fields.clone()) };
    let plan = EcsTaskDefinition::plan_absent(&Known::new().context(), &desired);
    assert_eq!(plan.steps[0].body["image"], "api:0");
    let enforced = Desired { fields: Fields { image: Some("api:1".to_owned()), ..fields }, ..desired };
    let plan = EcsTaskDefinition::plan_absent(&Known::new().context(), &enforced);
    assert_eq!(plan.steps[0].body["image"], "api:1");
}

#[test]
fn a_family_that_lacks_what_fargate_needs_is_not_created_and_says_what() {
    let plan = EcsTaskDefinition::plan_absent(&Known::new().context(), &desired(fields()));
    assert!(plan.is_in_sync());
    let wait = &plan.waits[0];
    assert_eq!(wait.reason, "SpecIncomplete");
    for field in ["image or initialImage", "cpu", "memoryMib"] {
        assert!(wait.message.contains(field), "{}", wait.message);
    }
}

#[test]
fn a_revision_that_was_deregistered_is_reported() {
    let plan = plan(&desired(fields()), &Observed { active: false, ..observed() });
    assert!(plan.is_in_sync());
    assert_eq!(plan.notes[0].reason, "TaskDefinitionInactive");
}

#[test]
fn values_of_variables_are_shown_as_hashes_only() {
    const PRIVATE: &str = "hunter2-very-private";
    let mut content = content();
    content.containers[1].environment.insert("PASSWORD".to_owned(), Masked::of(PRIVATE.as_bytes()));
    let observed = Observed { current: revision(7, None, content), ..observed() };
    let desired = desired(Fields { environment: Some(variables(&[("NODE_ENV", PRIVATE)])), ..fields() });
    let plan = plan(&desired, &observed);
    let shown = [
        format!("{plan}"),
        format!("{observed:?}"),
        serde_json::to_string(&observed).unwrap(),
        format!("{desired:?}"),
        serde_json::to_string(&desired).unwrap(),
        format!("{:?}", crate::changes::created(&desired)),
    ];
    for text in shown {
        assert!(!text.contains(PRIVATE), "{text}");
    }
    assert!(plan.steps[0].changes[0].to.as_str().unwrap().starts_with("sha256:"));
    let body = plan.steps[0].body.to_string();
    assert!(!body.contains("PASSWORD"), "an undeclared variable stays out of the instruction: {body}");
    let step = &plan.steps[0];
    let written = serde_json::to_string(step).unwrap();
    assert!(!written.contains(PRIVATE) && !format!("{step:?}").contains(PRIVATE), "{written}");
    assert_eq!(step.private.reveal("NODE_ENV"), Some(PRIVATE), "the provider gets it all the same");
}

#[test]
fn error_codes_have_class_and_effect() {
    use crate::ecs_task_definition::errors::classify;
    use model::{Class, Effect};
    assert_eq!(classify("ClientException"), Some((Class::Invalid, Effect::NotApplied)));
    assert_eq!(classify("LimitExceededException"), Some((Class::Quota, Effect::NotApplied)));
    assert_eq!(classify("ServerException"), None, "all services share it");
}
