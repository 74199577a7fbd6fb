"""The adapter against a living API server and its controllers."""

from dataclasses import replace

import pytest

from cluster.base import Ref
from cluster.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, Unsupported
from cluster.transport import Call
from cluster.values import ClaimRef, Manifest, Rule
from tests.cluster import living
from tests.support.waiting import until


@pytest.fixture
def cluster(sandbox):
    return living.cluster_as(sandbox)


@pytest.fixture
def namespace(cluster):
    return living.make_namespace(cluster)


def test_a_created_claim_reads_back_bound_to_its_volume(cluster, namespace):
    ref = living.bound_claim(cluster, namespace, "data", labels={"a": "b"})
    claim = cluster.get_claim(namespace, "data")
    assert claim.ref == ref
    assert (claim.requested_bytes, claim.capacity_bytes, claim.access_modes) == (
        2**30,
        2**30,
        ("ReadWriteOnce",),
    )
    volume = cluster.get_volume(claim.volume_name)
    assert volume.claim_ref == ClaimRef(namespace, "data", ref.uid)
    assert (volume.reclaim_policy, volume.capacity_bytes, volume.phase) == ("Delete", 2**30, "Bound")
    assert volume.driver.endswith("csi.ceph.com")
    assert volume.volume_handle
    assert [c.name for c in cluster.list_claims(namespace, "a=b")] == ["data"]
    assert cluster.list_claims(namespace, "a=c") == []


def test_what_is_not_there_or_not_served_is_none_or_empty(cluster, namespace):
    assert cluster.get_claim(namespace, "nothing") is None
    assert cluster.get_claim("no-such-namespace", "nothing") is None
    assert cluster.get_workload("Rollout", namespace, "web") is None
    assert cluster.list_workloads("Rollout", namespace) == []
    assert cluster.get_object("example.org/v1", "Thing", namespace, "x") is None
    assert cluster.serves("example.org", "Thing") == ""
    with pytest.raises(Unsupported):
        cluster.create(
            Manifest.of(
                {
                    "apiVersion": "example.org/v1",
                    "kind": "Thing",
                    "metadata": {"name": "x", "namespace": namespace},
                }
            )
        )


def test_a_second_create_tells_whose_object_is_there(cluster, namespace):
    first = cluster.create(living.claim(namespace, "data", labels={"holdfast.dev/migration": "m-1"}))
    with pytest.raises(AlreadyExists) as raised:
        cluster.create(living.claim(namespace, "data"))
    assert raised.value.existing == first
    assert raised.value.labels == {"holdfast.dev/migration": "m-1"}


def test_a_patch_of_a_stale_or_another_object_is_refused_and_changes_nothing(cluster, namespace):
    ref = cluster.create(living.claim(namespace, "data"))
    old = cluster.get_claim(namespace, "data").resource_version
    until(lambda: cluster.get_claim(namespace, "data").phase == "Bound", timeout_s=20)
    new = cluster.annotate(ref, {"holdfast.dev/note": "one"})
    assert new != old
    with pytest.raises(Conflict):
        cluster.annotate(ref, {"holdfast.dev/note": "two"}, resource_version=old)
    with pytest.raises(Conflict):
        cluster.annotate(replace(ref, uid="another"), {"holdfast.dev/note": "two"})
    assert cluster.get_claim(namespace, "data").annotations["holdfast.dev/note"] == "one"
    cluster.annotate(ref, {"holdfast.dev/note": None})
    assert "holdfast.dev/note" not in cluster.get_claim(namespace, "data").annotations


def test_a_deletion_of_another_uid_or_version_leaves_the_claim(cluster, namespace):
    ref = living.bound_claim(cluster, namespace, "data")
    with pytest.raises(Conflict):
        cluster.delete(replace(ref, uid="another"))
    with pytest.raises(Conflict):
        cluster.delete(ref, resource_version="1")
    assert not cluster.get_claim(namespace, "data").deleting
    cluster.delete(ref, resource_version=cluster.get_claim(namespace, "data").resource_version)
    until(lambda: cluster.get_claim(namespace, "data") is None, timeout_s=20, what="claim gone")
    with pytest.raises(NotFound):
        cluster.delete(ref)


def test_probing_an_unprotected_claim_says_so_and_leaves_it_untouched(cluster, sandbox, namespace):
    living.bound_claim(cluster, namespace, "data")
    before = cluster.get_claim(namespace, "data")
    prober = living.cluster_as(sandbox, "holdfast-prober")
    assert prober.probe_delete(namespace, "data").verdict == "unprotected"
    assert (
        living.cluster_as(sandbox, "holdfast-watcher").probe_delete(namespace, "data").verdict == "forbidden"
    )
    assert prober.probe_delete(namespace, "nothing").verdict == "gone"
    assert cluster.get_claim(namespace, "data") == before


def test_a_volume_is_handed_over_to_another_namespace(cluster, namespace):
    source = living.bound_claim(cluster, namespace, "data")
    other = living.make_namespace(cluster)
    volume = cluster.get_volume(cluster.get_claim(namespace, "data").volume_name)
    with pytest.raises(Conflict):  # not on Retain: the controller could destroy the data
        cluster.reserve_volume(volume, expected_claim_uid=source.uid, namespace=other, name="data")
    assert cluster.get_volume(volume.name).claim_ref.uid == source.uid

    kept = cluster.set_reclaim_policy(volume, "Retain", annotations={"holdfast.dev/reclaim-policy": "Delete"})
    assert kept.annotations["holdfast.dev/reclaim-policy"] == "Delete"
    with pytest.raises(Conflict):  # `volume` is as it was before the change
        cluster.set_reclaim_policy(volume, "Delete")
    cluster.delete(source)
    until(lambda: cluster.get_volume(volume.name).phase == "Released", timeout_s=20, what="volume released")

    with pytest.raises(Conflict):
        cluster.reserve_volume(
            cluster.get_volume(volume.name), expected_claim_uid="another", namespace=other, name="data"
        )
    reserved = cluster.reserve_volume(
        cluster.get_volume(volume.name), expected_claim_uid=source.uid, namespace=other, name="data"
    )
    assert reserved.claim_ref == ClaimRef(other, "data", "")
    data = living.claim(other, "data").data
    data["spec"]["volumeName"] = volume.name
    made = cluster.create(Manifest.of(data))
    until(lambda: cluster.get_claim(other, "data").phase == "Bound", timeout_s=20, what="bound again")
    assert cluster.get_volume(volume.name).claim_ref == ClaimRef(other, "data", made.uid)


def test_a_claim_ref_is_restored_only_from_what_was_expected(cluster, namespace):
    source = living.bound_claim(cluster, namespace, "data")
    volume = cluster.get_volume(cluster.get_claim(namespace, "data").volume_name)
    volume = cluster.set_reclaim_policy(volume, "Retain")
    cluster.delete(source)
    until(lambda: cluster.get_volume(volume.name).phase == "Released", timeout_s=20)
    volume = cluster.get_volume(volume.name)
    with pytest.raises(Conflict):
        cluster.restore_claim_ref(volume, expected=ClaimRef("x", "y"), wanted=ClaimRef(namespace, "data"))
    again = cluster.restore_claim_ref(
        volume, expected=ClaimRef(namespace, "data", source.uid), wanted=ClaimRef(namespace, "data")
    )
    assert again.claim_ref == ClaimRef(namespace, "data", "")


def test_a_failed_job_tells_its_exit_code_result_and_log(cluster, namespace):
    living.bound_claim(cluster, namespace, "data")
    script = 'echo hello; echo >&2 trouble; printf \'{"verdict":"no"}\' > /dev/termination-log; exit 3'
    cluster.create(living.job(namespace, "copy", "data", script))
    until(lambda: cluster.get_job(namespace, "copy").result == "Failed", timeout_s=30, what="job failed")
    until(lambda: cluster.get_job(namespace, "copy").active == 0, what="its pods counted")
    status = cluster.get_job(namespace, "copy")
    assert (status.reason, status.failed) == ("BackoffLimitExceeded", 1)
    (pod,) = cluster.pods_of_job(status)
    (container,) = pod.containers
    assert (container.state, container.exit_code, container.message) == ("terminated", 3, '{"verdict":"no"}')
    assert pod.claims == ("data",)
    lines = cluster.pod_logs(namespace, pod.name, "main")
    assert {text for _, text in lines} == {"hello", "trouble"}
    assert lines[0][0].tzinfo is not None
    assert cluster.pod_logs(namespace, pod.name, "main", since=lines[-1][0]) != []
    assert cluster.pod_logs(namespace, "nothing", "main") == []
    claim = cluster.get_claim(namespace, "data")
    consumers = cluster.consumers_of(claim)
    assert [(w.kind, w.name) for w in consumers.workloads] == [("Job", "copy")]
    assert [p.name for p in consumers.holding] == [pod.name]  # finished, and still holding the claim
    assert consumers.writing == ()
    cluster.delete(status.ref)
    until(lambda: not cluster.list_pods(namespace), timeout_s=20, what="pods of the job gone")


def test_consumers_are_found_by_pods_and_by_templates_up_to_the_top(cluster, namespace):
    living.bound_claim(cluster, namespace, "data")
    cluster.create(living.deployment(namespace, "web", "data"))
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"namespace": namespace, "name": "nightly"},
        "spec": {
            "schedule": "0 3 1 1 *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": living.pod_template("data", "true")}},
        },
    }
    cluster.create(Manifest.of(cron))
    claim = cluster.get_claim(namespace, "data")
    until(lambda: cluster.consumers_of(claim).holding, timeout_s=30, what="a pod of the Deployment")
    consumers = cluster.consumers_of(claim)
    assert {(ref.kind, ref.name) for ref in consumers.owner_chain} == {
        ("Deployment", "web"),
        ("CronJob", "nightly"),
    }

    cluster.scale("Deployment", namespace, "web", 0)
    until(lambda: not cluster.consumers_of(claim).pods, timeout_s=30, what="no pods")
    consumers = cluster.consumers_of(claim)  # no pods is not unused
    top = {(w.kind, w.name): w for w in consumers.workloads if not w.controller}
    assert top["Deployment", "web"].replicas == 0
    assert top["CronJob", "nightly"].suspended


def test_a_stale_scale_is_refused(cluster, namespace):
    living.bound_claim(cluster, namespace, "data")
    cluster.create(living.deployment(namespace, "web", "data", replicas=0))
    stale = cluster.get_workload("Deployment", namespace, "web").resource_version
    cluster.annotate(cluster.get_workload("Deployment", namespace, "web").ref, {"x": "y"})
    with pytest.raises(Conflict):
        cluster.scale("Deployment", namespace, "web", 2, resource_version=stale)
    assert cluster.get_workload("Deployment", namespace, "web").replicas == 0


def test_a_cron_job_is_suspended_and_resumed(cluster, namespace):
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"namespace": namespace, "name": "nightly"},
        "spec": {
            "schedule": "0 3 1 1 *",
            "jobTemplate": {"spec": {"template": living.pod_template("data", "true")}},
        },
    }
    cluster.create(Manifest.of(cron))
    version = cluster.suspend("CronJob", namespace, "nightly", True)
    assert cluster.get_workload("CronJob", namespace, "nightly").suspended
    cluster.suspend("CronJob", namespace, "nightly", False, resource_version=version)
    assert not cluster.get_workload("CronJob", namespace, "nightly").suspended


def test_a_dry_run_finds_what_a_create_would_meet(cluster, namespace):
    assert cluster.dry_run_create(living.claim(namespace, "data")) == []
    assert cluster.get_claim(namespace, "data") is None
    with pytest.raises(NotFound):
        cluster.dry_run_create(living.claim("no-such-namespace", "data"))
    broken = living.claim(namespace, "data").data
    broken["spec"]["accessModes"] = []
    with pytest.raises(Invalid) as raised:
        cluster.dry_run_create(Manifest.of(broken))
    assert any("accessModes" in cause for cause in raised.value.causes)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"namespace": namespace, "name": "small"},
        "spec": {"hard": {"requests.storage": "500Mi"}},
    }
    cluster.create(Manifest.of(quota))
    until(lambda: cluster.list_quotas(namespace)[0].hard, timeout_s=20, what="quota counted")
    assert cluster.list_quotas(namespace)[0].hard == {"requests.storage": 500 * 2**20}
    with pytest.raises(QuotaExceeded):
        cluster.dry_run_create(living.claim(namespace, "data"))


def test_permissions_are_asked_and_a_refusal_names_the_rule(cluster, sandbox, namespace):
    watcher = living.cluster_as(sandbox, "holdfast-watcher")
    rules = [
        Rule("list", "", "persistentvolumeclaims"),
        Rule("delete", "", "persistentvolumeclaims", namespace),
        Rule("patch", "apps", "deployments", namespace, "scale"),
    ]
    assert watcher.can_i(rules) == rules[1:]
    assert cluster.can_i(rules) == []
    assert watcher.whoami() == "holdfast-watcher"
    with pytest.raises(Forbidden) as raised:
        watcher.create(living.claim(namespace, "data"))
    assert raised.value.rule == f"create persistentvolumeclaims in namespace {namespace}"


def test_each_mutating_call_is_told_before_and_after_and_a_dry_run_is_not(cluster, namespace):
    calls: list[Call] = []
    recorded = cluster.recording(calls.append)
    recorded.dry_run_create(living.claim(namespace, "data"))
    assert calls == []
    ref = recorded.create(living.claim(namespace, "data"))
    with pytest.raises(AlreadyExists):
        recorded.create(living.claim(namespace, "data"))
    recorded.annotate(ref, {"a": "b"})
    assert [(call.stage, call.verb) for call in calls] == [
        ("intent", "create"),
        ("done", "create"),
        ("intent", "create"),
        ("refused", "create"),
        ("intent", "patch"),
        ("done", "patch"),
    ]
    assert calls[4].change == '{"metadata":{"annotations":{"a":"b"},"uid":"' + ref.uid + '"}}'


def test_our_writes_carry_our_name(cluster, namespace):
    cluster.create(living.claim(namespace, "data"))
    resource = cluster.resource("PersistentVolumeClaim")
    answer = cluster._connection.send("GET", resource.path(namespace, "data"), {}, None, "", 5)
    assert b'"manager":"holdfast"' in answer.body.replace(b'": "', b'":"')


def test_an_object_is_kept_as_it_is_for_the_record(cluster, namespace):
    ref = living.bound_claim(cluster, namespace, "data")
    manifest = cluster.get_object("v1", "PersistentVolumeClaim", namespace, "data")
    assert manifest.data["metadata"]["uid"] == ref.uid
    assert "managedFields" not in manifest.data["metadata"]
    assert manifest.yaml().startswith("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n")


def test_a_watch_tells_what_was_there_and_then_each_change(cluster, namespace):
    cluster.create(living.claim(namespace, "first"))
    seen: list[tuple[str, str]] = []
    for change in cluster.watch_claims(window_s=20):
        if change.kind == "synced" and not seen.count(("synced", "")):
            seen.append(("synced", ""))
            cluster.create(living.claim(namespace, "second"))
        elif change.claim and change.claim.namespace == namespace:
            seen.append((change.kind, change.claim.name))
            if change.claim.name == "second" and change.kind == "added":
                cluster.delete(change.claim.ref)
            if (change.kind, change.claim.name) == ("deleted", "second"):
                break
    assert ("added", "first") in seen[: seen.index(("synced", ""))]
    assert ("added", "second") in seen[seen.index(("synced", "")) :]


def test_events_about_an_object_are_found_by_its_uid(cluster, namespace):
    data = living.claim(namespace, "data").data
    data["spec"]["storageClassName"] = "no-such-class"
    ref = cluster.create(Manifest.of(data))
    until(lambda: cluster.events_of(ref.uid, namespace), timeout_s=20, what="an event about the claim")
    event = cluster.events_of(ref.uid, namespace)[-1]
    assert event.involved == Ref("v1", "PersistentVolumeClaim", namespace, "data", ref.uid)
    assert "no-such-class" in event.message
