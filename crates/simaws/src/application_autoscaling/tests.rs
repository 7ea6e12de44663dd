//! Application Auto Scaling from inside: what no answer shows.
use super::{State, parts};
use crate::{Agenda, Ctx, Sim};

#[test]
fn a_resource_id_names_a_cluster_and_a_service() {
    assert_eq!(parts("service/main/web"), Some(("main", "web")));
    for wrong in ["service/web", "service//web", "service/main/", "service/main/web/x", "table/a/b", ""] {
        assert_eq!(parts(wrong), None, "{wrong}");
    }
}

#[test]
fn without_a_metric_nothing_is_ever_due() {
    let sim = Sim::default();
    sim.with("123456789012", "us-east-1", |ctx: &mut Ctx<'_>| {
        super::wake(ctx, "main", "web");
        assert_eq!(Agenda::next(&ctx.state::<State>().agenda), None);
    });
}
