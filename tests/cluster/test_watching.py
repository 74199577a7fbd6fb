"""A watch that breaks, ages or hangs; lists of several pages."""

import json
import threading

import pytest

from cluster.errors import Forbidden, Unavailable
from tests.cluster.recording import status
from tests.support.waiting import until


def claims(version, *names, token=""):
    metadata = {"resourceVersion": version} | ({"continue": token} if token else {})
    return 200, {"metadata": metadata, "items": [claim(name) for name in names]}


def claim(name, version="1"):
    return {"metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "resourceVersion": version}}


def events(*pairs):
    return 200, b"".join(json.dumps({"type": kind, "object": obj}).encode() + b"\n" for kind, obj in pairs)


TOO_OLD = status(410, "Expired", "too old resource version: 5 (9)")


def follow(cluster, count, **options):
    found = []
    for change in cluster.watch_claims(**options):
        found.append((change.kind, change.claim.name if change.claim else "", change.resource_version))
        if len(found) == count:
            return found
    return found


@pytest.mark.parametrize(
    "aged", [TOO_OLD, events(("ERROR", TOO_OLD[1]))], ids=["as an answer", "as an event"]
)
def test_a_watch_that_is_too_old_lists_again_and_says_synced_again(recorder, tmp_path, aged):
    server = recorder(claims("5", "a", "b"), aged, claims("9", "a"), events(("ADDED", claim("c", "10"))))
    assert follow(server.cluster(tmp_path), 6) == [
        ("added", "a", "1"),
        ("added", "b", "1"),
        ("synced", "", "5"),
        ("added", "a", "1"),
        ("synced", "", "9"),
        ("added", "c", "10"),
    ]


def test_a_watch_goes_on_from_the_last_bookmark(recorder, tmp_path):
    server = recorder(
        claims("5"),
        events(("MODIFIED", claim("a", "6")), ("BOOKMARK", claim("", "8"))),
        events(("DELETED", claim("a", "9"))),
    )
    found = follow(server.cluster(tmp_path), 5)
    assert [kind for kind, *_ in found] == ["synced", "modified", "bookmark", "idle", "deleted"]
    assert "resourceVersion=5" in server.requests[1].line
    assert "resourceVersion=8" in server.requests[2].line
    assert "allowWatchBookmarks=true" in server.requests[2].line


def test_a_half_open_connection_ends_in_time(recorder, tmp_path, monkeypatch):
    monkeypatch.setattr("cluster.watching.GRACE_S", 0.3)
    hang = threading.Event()
    server = recorder(claims("5"))
    cluster = server.cluster(tmp_path)

    watch = cluster.watch_claims(window_s=1)
    assert next(watch).kind == "synced"
    monkeypatch.setattr(server, "_serve", lambda peer: hang.wait(20))
    cluster._connection.pool.clear()
    with pytest.raises(Unavailable, match="did not answer"):
        next(watch)
    hang.set()


def test_other_errors_of_a_watch_are_raised(recorder, tmp_path):
    message = 'claims is forbidden: User "u" cannot watch resource "persistentvolumeclaims" in API group "" at the cluster scope'
    server = recorder(claims("5"), status(403, "Forbidden", message))
    with pytest.raises(Forbidden) as raised:
        follow(server.cluster(tmp_path), 9)
    assert raised.value.rule == "watch persistentvolumeclaims"


def test_a_list_is_read_page_by_page(recorder, tmp_path):
    server = recorder(claims("5", "a", token="t1"), claims("5", "b", token="t2"), claims("5", "c"))
    assert [c.name for c in server.cluster(tmp_path).list_claims()] == ["a", "b", "c"]
    assert [line.count("continue=") for line in (r.line for r in server.requests)] == [0, 1, 1]
    assert "limit=500" in server.requests[0].line
    assert "resourceVersion=0" not in server.requests[0].line


def test_a_page_that_is_too_old_starts_the_list_from_zero_and_never_mixes(recorder, tmp_path):
    server = recorder(claims("5", "a", token="t1"), TOO_OLD, claims("9", "b", token="t2"), claims("9", "c"))
    assert [c.name for c in server.cluster(tmp_path).list_claims()] == ["b", "c"]


def test_only_a_list_that_need_not_be_fresh_may_come_from_the_cache(recorder, tmp_path):
    server = recorder(claims("5", "a"))
    server.cluster(tmp_path).list_claims(fresh=False)
    assert "resourceVersion=0" in server.requests[0].line


def test_a_read_over_a_connection_that_was_closed_meanwhile_is_asked_once_more(recorder, tmp_path):
    server = recorder(None, (200, claim("a")))
    assert server.cluster(tmp_path).get_claim("n", "a").name == "a"
    assert len(server.requests) == 2


def test_a_forked_process_opens_its_own_connection(recorder, tmp_path):
    import os

    server = recorder((200, claim("a")))
    cluster = server.cluster(tmp_path)
    cluster.get_claim("n", "a")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if cluster.get_claim("n", "a").name == "a" else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert cluster.get_claim("n", "a").name == "a"
    until(lambda: len(server.requests) == 3, what="three requests")


def test_importing_the_adapter_is_cheap(repository_root):
    import subprocess
    import sys

    code = (
        "import sys; import cluster.client; sys.exit('kubernetes' in sys.modules or 'urllib3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=repository_root).returncode == 0
