"""The Python client against the API: one function a row, all of them run, all failures told."""

import sys
import threading
import traceback

from kubernetes import client, dynamic, watch
from kubernetes.client.rest import ApiException

GROUP, VERSION, PLURAL = "eventchain.io", "v1", "environments"
PLACE = (GROUP, VERSION, PLURAL)
ROWS = []


def row(function):
    ROWS.append(function)
    return function


def api_client():
    configuration = client.Configuration()
    configuration.host = sys.argv[1]
    return client.ApiClient(configuration)


API = api_client()
CUSTOM = client.CustomObjectsApi(API)
CORE = client.CoreV1Api(API)


def document(name, **spec):
    spec = {"aws": {"accountId": "123456789012", "region": "us-east-1"}, **spec}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Environment",
        "metadata": {"name": name},
        "spec": spec,
    }


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == code, f"{error.status} instead of {code}: {error.body}"
        assert '"kind":"Status"' in error.body, error.body
        return error.body
    raise AssertionError(f"no exception where {code} was expected")


@row
def lists_and_gets():
    found = CUSTOM.list_cluster_custom_object(*PLACE)
    assert [item["metadata"]["name"] for item in found["items"]] == ["alpha"], found
    assert found["kind"] == "EnvironmentList", found
    one = CUSTOM.get_cluster_custom_object(*PLACE, "alpha")
    assert one["status"]["conditions"][0]["type"] == "Ready", one
    by_label = CUSTOM.list_cluster_custom_object(*PLACE, label_selector="team=y")
    assert by_label["items"] == [], by_label
    refused(404, CUSTOM.get_cluster_custom_object, *PLACE, "nobody")


@row
def lists_in_pages():
    for name in ("page-1", "page-2"):
        CUSTOM.create_cluster_custom_object(*PLACE, document(name))
    seen, token = [], None
    while True:
        page = CUSTOM.list_cluster_custom_object(*PLACE, limit=1, **({"_continue": token} if token else {}))
        seen += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue")
        if not token:
            break
    assert seen == ["alpha", "page-1", "page-2"], seen


@row
def creates_replaces_and_deletes():
    created = CUSTOM.create_cluster_custom_object(*PLACE, document("made"))
    assert created["metadata"]["generation"] == 1, created
    refused(409, CUSTOM.create_cluster_custom_object, *PLACE, document("made"))
    created["spec"]["tags"] = {"A": "1"}
    replaced = CUSTOM.replace_cluster_custom_object(*PLACE, "made", created)
    assert replaced["spec"]["tags"] == {"A": "1"}, replaced
    refused(409, CUSTOM.replace_cluster_custom_object, *PLACE, "made", created)
    tried = CUSTOM.delete_cluster_custom_object(*PLACE, "made", dry_run="All")
    assert tried["metadata"]["deletionTimestamp"], tried
    deleted = CUSTOM.delete_cluster_custom_object(*PLACE, "made", propagation_policy="Foreground")
    assert deleted["metadata"]["deletionTimestamp"], deleted
    refused(404, CUSTOM.delete_cluster_custom_object, *PLACE, "nobody")


@row
def patches_each_way():
    merged = CUSTOM.patch_cluster_custom_object(*PLACE, "alpha", {"spec": {"tags": {"A": "1"}}})
    assert merged["spec"]["tags"] == {"A": "1"}, merged
    operations = [{"op": "add", "path": "/spec/tags/B", "value": "2"}]
    # It calls a list a merge patch unless it is told otherwise.
    refused(400, CUSTOM.patch_cluster_custom_object, *PLACE, "alpha", operations)
    patched = CUSTOM.patch_cluster_custom_object(
        *PLACE, "alpha", operations, _content_type="application/json-patch+json"
    )
    assert patched["spec"]["tags"] == {"A": "1", "B": "2"}, patched
    applied = CUSTOM.patch_cluster_custom_object(
        *PLACE,
        "alpha",
        document("alpha", tags={"C": "3"}),
        _content_type="application/apply-patch+yaml",
        field_manager="rows",
        force=True,
    )
    assert applied["spec"]["tags"] == {"A": "1", "B": "2", "C": "3"}, applied
    managers = [entry["manager"] for entry in applied["metadata"]["managedFields"]]
    assert "rows" in managers and "OpenAPI-Generator" in managers, managers


@row
def reads_the_status_and_may_not_write_it():
    status = CUSTOM.get_cluster_custom_object_status(*PLACE, "alpha")
    assert status["status"]["resources"]["total"] == 2, status
    body = {"status": {"observedGeneration": 9}}
    refused(405, CUSTOM.patch_cluster_custom_object_status, *PLACE, "alpha", body)


@row
def is_told_all_problems():
    bad = document("bad", colour="red")
    bad["spec"]["aws"]["region"] = 7
    body = refused(422, CUSTOM.create_cluster_custom_object, *PLACE, bad)
    assert "spec.colour" in body and "spec.aws.region" in body, body


def changing(name):
    """Labels an object again and again until told to stop, so that no watch can come too late."""
    stop = threading.Event()

    def work():
        own, step = client.CustomObjectsApi(api_client()), 0
        while not stop.wait(0.05):
            step += 1
            body = {"metadata": {"labels": {"step": str(step)}}}
            own.patch_cluster_custom_object(*PLACE, name, body)

    thread = threading.Thread(target=work)
    thread.start()
    return lambda: (stop.set(), thread.join())


@row
def watches_what_there_is_and_what_changes():
    stop = changing("alpha")
    try:
        events = []
        watching = watch.Watch()
        for event in watching.stream(
            CUSTOM.list_cluster_custom_object, *PLACE, label_selector="team=x", timeout_seconds=30
        ):
            events.append((event["type"], event["object"]["metadata"]["name"]))
            if len(events) == 4:
                watching.stop()
        assert events == [("ADDED", "alpha")] + [("MODIFIED", "alpha")] * 3, events
    finally:
        stop()


@row
def watches_from_a_version():
    found = CUSTOM.list_cluster_custom_object(*PLACE)
    version = found["metadata"]["resourceVersion"]
    CUSTOM.create_cluster_custom_object(*PLACE, document("later"))
    watching = watch.Watch()
    for event in watching.stream(
        CUSTOM.list_cluster_custom_object, *PLACE, resource_version=version, timeout_seconds=30
    ):
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "later"), event
        watching.stop()


@row
def is_told_that_a_version_never_was():
    watching = watch.Watch()
    stream = watching.stream(
        CUSTOM.list_cluster_custom_object, *PLACE, resource_version="999999999", timeout_seconds=5
    )
    refused_with_410 = False
    try:
        for _ in stream:
            pass
    except ApiException as error:
        refused_with_410 = error.status == 410
    assert refused_with_410


@row
def a_watch_ends_at_its_time():
    watching = watch.Watch()
    events = list(
        watching.stream(CUSTOM.list_cluster_custom_object, *PLACE, label_selector="none=1", timeout_seconds=1)
    )
    assert events == [], events


@row
def discovers():
    resources = CUSTOM.get_api_resources(GROUP, VERSION).resources
    assert "environments" in [resource.name for resource in resources]
    groups = client.ApisApi(API).get_api_versions().groups
    assert [group.name for group in groups][0] == GROUP, groups
    assert client.VersionApi(API).get_code().minor == "35"
    assert client.CoreApi(API).get_api_versions().versions == ["v1"]


@row
def the_dynamic_client_works():
    own = dynamic.DynamicClient(api_client())
    environments = own.resources.get(api_version=f"{GROUP}/{VERSION}", kind="Environment")
    assert not environments.namespaced
    assert "alpha" in [item.metadata.name for item in environments.get().items]
    environments.create(body=document("dynamic"))
    body = {"metadata": {"name": "dynamic"}, "spec": {"tags": {"A": "1"}}}
    patched = environments.patch(body=body, content_type="application/merge-patch+json")
    assert patched.spec.tags.A == "1", patched
    applied = environments.server_side_apply(
        body=document("dynamic", tags={"B": "2"}), name="dynamic", field_manager="rows"
    )
    assert applied.spec.tags.B == "2", applied
    got = environments.get(name="dynamic")
    got.spec.tags.A = "3"
    assert environments.replace(body=got).spec.tags.A == "3"
    for event in environments.watch(name="dynamic", timeout=20):
        assert event["object"].metadata.name == "dynamic"
        break
    deleted = environments.delete(name="dynamic")
    assert deleted.metadata.deletionTimestamp, deleted


@row
def reads_events():
    everywhere = CORE.list_event_for_all_namespaces()
    about = [(event.involved_object.name, event.reason) for event in everywhere.items]
    assert ("alpha", "Painted") in about, about
    selected = CORE.list_namespaced_event("default", field_selector="reason=Painted,involvedObject.kind=Environment")
    assert len(selected.items) == 1, selected
    event = selected.items[0]
    assert event.count == 1 and event.last_timestamp is not None, event
    again = CORE.read_namespaced_event(event.metadata.name, "default")
    assert again.message == "the fence is green", again
    watching = watch.Watch()
    for seen in watching.stream(CORE.list_namespaced_event, "default", timeout_seconds=30):
        assert seen["type"] == "ADDED" and seen["object"].involved_object.kind == "Environment", seen
        watching.stop()


@row
def reads_namespaces():
    assert [item.metadata.name for item in CORE.list_namespace().items] == ["default"]
    assert CORE.read_namespace("default").status.phase == "Active"


@row
def deletes_several_by_selector():
    for name in ("several-1", "several-2"):
        body = document(name)
        body["metadata"]["labels"] = {"several": "yes"}
        CUSTOM.create_cluster_custom_object(*PLACE, body)
    refused(422, CUSTOM.delete_collection_cluster_custom_object, *PLACE)
    deleted = CUSTOM.delete_collection_cluster_custom_object(*PLACE, label_selector="several=yes")
    names = [item["metadata"]["name"] for item in deleted["items"]]
    assert names == ["several-1", "several-2"], deleted
    assert all(item["metadata"]["deletionTimestamp"] for item in deleted["items"]), deleted


@row
def clears_finalizers():
    CUSTOM.create_cluster_custom_object(*PLACE, document("stuck"))
    body = {"metadata": {"finalizers": None}}
    refused(422, CUSTOM.patch_cluster_custom_object, *PLACE, "stuck", body)
    CUSTOM.delete_cluster_custom_object(*PLACE, "stuck")
    CUSTOM.patch_cluster_custom_object(*PLACE, "stuck", body)
    refused(404, CUSTOM.get_cluster_custom_object, *PLACE, "stuck")


def main():
    failed = 0
    for function in ROWS:
        try:
            function()
            print(f"passes: {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILS: {function.__name__}\n{traceback.format_exc()}", flush=True)
    if failed:
        sys.exit(f"{failed} of {len(ROWS)} rows fail")
    print("all rows pass")


main()
