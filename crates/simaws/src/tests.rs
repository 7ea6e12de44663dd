//! The core's own rules: shapes, protocols, agenda, settling, over all services' tables.
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::shape::{Origin, Problem, read};
use crate::service::Identity;
use crate::shape::{boolean, float, int, list, map, opt, req, structure, text, time};
use crate::wire::{cbor, query};
use crate::{Agenda, Clock, Doc, Refusal, doc};

fn form(body: &str) -> Doc {
    query::Form::read(body.as_bytes()).input.expect("a readable form")
}

fn at(s: &str) -> Timestamp {
    s.parse().expect("a valid time")
}

#[test]
fn every_service_has_its_own_names_and_no_operation_twice() {
    let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for service in crate::services() {
        let identity = service.identity();
        assert!(names.insert(identity.name), "{}", identity.name);
        assert!(identity.target.is_empty() || targets.insert(identity.target), "{}", identity.target);
        let rates: BTreeSet<&str> = service.rates().iter().map(|r| r.name).collect();
        let mut operations = BTreeSet::new();
        for op in service.operations() {
            assert!(operations.insert(op.name), "{} twice in {}", op.name, identity.name);
            assert!(op.rate.is_none_or(|r| rates.contains(r)), "{} takes from no bucket of {}", op.name, identity.name);
            let mut fields = BTreeSet::new();
            for field in &op.input {
                assert!(fields.insert(field.name()), "{} twice in {}", field.name(), op.name);
            }
            assert!(op.page.is_none_or(|(token, _)| fields.contains(token)), "{} does not take its token", op.name);
        }
    }
}

#[test]
fn buckets_have_names_of_their_own_over_all_services() {
    let mut names = BTreeSet::new();
    for rate in crate::services().iter().flat_map(|s| s.rates()) {
        assert!(names.insert(rate.name), "{}", rate.name);
    }
}

#[test]
fn query_lists_structures_and_maps_are_read_by_their_shape() {
    let fields = [
        opt("Filters", list(structure([req("Name", text()), opt("Values", list(text()))])).element("Filter")),
        opt("Names", list(text())),
        opt("Flat", list(int()).flat()),
        opt("Attributes", map(text())),
        opt("Threshold", float()),
        opt("Enabled", boolean()),
        opt("At", time()),
        opt("Empty", list(text())),
        opt("Unset", text().one_of(["HTTP1", "HTTP2"])),
    ];
    let raw = form(
        "Action=X&Version=1&Filters.Filter.1.Name=a&Filters.Filter.1.Values.member.2=z&Filters.Filter.1.Values.member.1=y\
         &Names.member.10=k&Names.member.9=j&Flat.1=1&Flat.2=2&Attributes.entry.1.key=p&Attributes.entry.1.value=q%20r+s\
         &Threshold=80&Enabled=false&At=2026-01-02T03%3A04%3A05Z&Empty=&Unset=",
    );
    let want = doc! {
        "Filters" => vec![doc! { "Name" => "a", "Values" => vec!["y", "z"] }],
        "Names" => vec!["j", "k"],
        "Flat" => vec![1_i64, 2],
        "Attributes" => doc! { "p" => "q r s" },
        "Threshold" => 80.0,
        "Enabled" => false,
        "At" => at("2026-01-02T03:04:05Z"),
        "Empty" => Doc::List(Vec::new()),
    };
    assert_eq!(read(&fields, raw, Origin::Query), Ok(want));
}

#[test]
fn a_list_under_another_elements_name_is_refused() {
    let fields = [opt("Filters", list(text()).element("Filter"))];
    let read = read(&fields, form("Filters.member.1=a"), Origin::Query);
    assert!(matches!(read, Err(Problem::Refused(Refusal::Constraint, _))), "{read:?}");
}

#[test]
fn what_is_not_in_the_shape_is_named_with_its_path() {
    let fields = [opt("a", list(structure([opt("b", text())])))];
    let raw = doc! { "a" => vec![doc! { "b" => "x" }, doc! { "c" => "x" }] };
    assert_eq!(read(&fields, raw, Origin::Json), Err(Problem::Unimplemented("a.2.c".to_owned())));
}

#[test]
fn constraints_are_refused_as_aws_words_them() {
    let fields = [
        opt("name", text().len(2, 3).pattern("[a-z]+")),
        opt("mode", text().one_of(["on", "off"])),
        opt("limit", int().range(1, 50)),
        opt("items", list(text()).max(1)),
    ];
    for (raw, what) in [
        (doc! { "name" => "a" }, "length greater than or equal to 2"),
        (doc! { "name" => "abcd" }, "length less than or equal to 3"),
        (doc! { "name" => "A1" }, "regular expression pattern: [a-z]+"),
        (doc! { "mode" => "up" }, "enum value set: [on, off]"),
        (doc! { "limit" => 51 }, "value less than or equal to 50"),
        (doc! { "items" => vec!["a", "b"] }, "length less than or equal to 1"),
        (doc! { "limit" => "1" }, "not an integer"),
    ] {
        match read(&fields, raw, Origin::Json) {
            Err(Problem::Refused(Refusal::Constraint, message)) => assert!(message.contains(what), "{message}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    let missing = read(&[req("name", text())], Doc::empty(), Origin::Json);
    assert!(matches!(missing, Err(Problem::Refused(Refusal::Missing, _))), "{missing:?}");
}

#[test]
fn cbor_keeps_the_types_that_its_clients_insist_on() {
    let doc = doc! {
        "at" => at("2026-01-02T03:04:05.5Z"),
        "double" => 80.0,
        "int" => 3,
        "list" => vec![true, false],
        "blob" => Doc::Blob(vec![1, 2]),
    };
    assert_eq!(cbor::read(&cbor::write(&doc)), Ok(doc));
}

#[test]
fn xml_names_elements_escapes_text_and_leaves_nulls_out() {
    let identity = Identity {
        name: "x",
        target: "",
        version: "1",
        namespace: "urn:x",
        elements: &[("DBInstances", "DBInstance")],
        cbor: false,
    };
    let doc = doc! {
        "DBInstances" => vec![doc! { "Id" => "a<b&c", "Gone" => None::<i64>, "At" => at("2026-01-02T03:04:05Z") }],
        "Names" => vec!["n"],
    };
    assert_eq!(
        query::success(&identity, "List", &doc, "id"),
        "<ListResponse xmlns=\"urn:x\"><ListResult><DBInstances><DBInstance><At>2026-01-02T03:04:05.000Z</At>\
         <Id>a&lt;b&amp;c</Id></DBInstance></DBInstances><Names><member>n</member></Names></ListResult>\
         <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListResponse>"
    );
}

#[test]
fn an_agenda_gives_what_is_due_in_order_and_one_time_per_key() {
    let (t1, t2, t3) = (at("2026-01-01T00:00:01Z"), at("2026-01-01T00:00:02Z"), at("2026-01-01T00:00:03Z"));
    let mut agenda = Agenda::default();
    agenda.set("late", t3);
    agenda.set("a", t3);
    agenda.set("a", t1);
    agenda.set_earlier("b", t2);
    agenda.set_earlier("b", t3);
    agenda.set("cancelled", t1);
    agenda.cancel(&"cancelled");
    assert_eq!(agenda.next(), Some(t1));
    assert_eq!(agenda.pop(t2), Some((t1, "a")));
    assert_eq!(agenda.pop(t2), Some((t2, "b")));
    assert_eq!(agenda.pop(t2), None);
    assert_eq!(agenda.when(&"late"), Some(t3));
}

#[test]
fn a_manual_clock_moves_only_by_hand_and_a_real_one_goes_on() {
    let start = at("2026-01-01T00:00:00Z");
    let clock = Clock::manual(start);
    clock.advance(Duration::from_secs(5));
    assert_eq!(clock.now(), start + Duration::from_secs(5));
    let real = Clock::scaled(0.0);
    real.set(start);
    real.set_speed(0.0);
    real.advance(Duration::from_secs(1));
    assert_eq!(real.now(), start + Duration::from_secs(1));
}
