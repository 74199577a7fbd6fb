"""What is in deploy/ says what the product needs, and no more."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from gunicorn.config import Config

_READ_ONLY = {"get", "list", "watch"}


def _manifests(repository_root: Path) -> list[dict[str, Any]]:
    files = sorted((repository_root / "deploy" / "kubernetes").glob("*.yaml"))
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text())]


def _roles(repository_root: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        m["metadata"]["name"]: m["rules"] for m in _manifests(repository_root) if m["kind"] == "ClusterRole"
    }


def test_compose_runs_every_process_and_none_of_them_as_the_schemas_owner(repository_root: Path) -> None:
    compose = yaml.safe_load((repository_root / "docker-compose.yml").read_text())
    services = compose["services"]
    assert set(services) == {"postgres", "redis", "schema", "web", "worker", "beat", "watcher"}
    for name in ("web", "worker", "beat", "watcher"):
        environment = services[name].get("environment") or compose["x-app"]["environment"]
        assert "holdfast_owner" not in str(environment)
    for name in ("web", "beat"):
        assert "KUBECONFIG" not in str(services[name]), f"{name} needs no way into the cluster"


def test_compose_passes_every_setting_on(repository_root: Path) -> None:
    page = (repository_root / "docs" / "reference" / "settings.md").read_text()
    documented = set(re.findall(r"^\| `(HOLDFAST_[A-Z_]+)`", page.split("## The demo")[0], re.MULTILINE))
    compose = yaml.safe_load((repository_root / "docker-compose.yml").read_text())
    passed = set(compose["x-app"]["environment"]) | set(compose["x-cluster"])
    # Where compose and the image decide, and what is not for a real installation.
    fixed = {
        "DATA",
        "STATIC_ROOT",
        "BUILD",
        "DEBUG",
        "REDIS_PREFIX",
        "DATABASE_OWNER_URL",
        "DATABASE_APP_ROLE",
    }
    assert documented - passed == {f"HOLDFAST_{name}" for name in fixed}


def test_the_example_says_which_settings_have_no_effect_there(repository_root: Path) -> None:
    page = (repository_root / "docs" / "reference" / "settings.md").read_text()
    documented = set(re.findall(r"^\| `(HOLDFAST_[A-Z_]+)`", page.split("## The demo")[0], re.MULTILINE))
    text = (repository_root / "docker-compose.yml").read_text()
    from_env = set(re.findall(r"\$\{(HOLDFAST_[A-Z_]+)", text))
    from_env |= set(re.findall(r"^ +(HOLDFAST_[A-Z_]+):$", text, re.MULTILINE))
    example = (repository_root / "deploy" / "compose.env.example").read_text()
    assert set(re.findall(r"HOLDFAST_[A-Z_]+", example.split("have no effect")[1])) == documented - from_env


def test_the_example_names_what_nobody_can_do_without(repository_root: Path) -> None:
    example = (repository_root / "deploy" / "compose.env.example").read_text()
    given = dict(re.findall(r"^(HOLDFAST_[A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert given["HOLDFAST_TLS"] == "1"
    # With TLS and no trusted proxy every page redirects to itself; the mover's default image is in no registry.
    assert {"HOLDFAST_TRUSTED_PROXIES", "HOLDFAST_MOVER_IMAGE"} <= set(given)


def test_the_database_of_every_image_lies_in_the_volume_that_is_kept(repository_root: Path) -> None:
    """Images before 18 declare a volume of their own at /var/lib/postgresql/data, which would take the database along."""
    compose = yaml.safe_load((repository_root / "docker-compose.yml").read_text())
    postgres = compose["services"]["postgres"]
    (kept,) = (each for each in postgres["volumes"] if each.split(":")[0] in compose["volumes"])
    place = kept.split(":")[1]
    files = postgres["environment"]["PGDATA"]
    assert files.startswith(f"{place}/") and not files.startswith("/var/lib/postgresql/data")


def test_compose_is_accepted_by_docker_compose(repository_root: Path, tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    example = (repository_root / "deploy" / "compose.env.example").read_text()
    filled = tmp_path / "env"
    filled.write_text(re.sub(r"=$", "=filled", example, flags=re.MULTILINE))
    checked = subprocess.run(
        [program, "--env-file", filled, "config", "-q"],
        cwd=repository_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_no_volume_of_a_pod_can_fill_the_node(repository_root: Path) -> None:
    pods = [
        m["spec"]["template"]["spec"]
        for m in _manifests(repository_root)
        if m["kind"] in {"Deployment", "Job"}
    ]
    scratch = [volume["emptyDir"] for pod in pods for volume in pod["volumes"] if "emptyDir" in volume]
    assert len(scratch) == 6 and all(each.get("sizeLimit") for each in scratch)
    compose = yaml.safe_load((repository_root / "docker-compose.yml").read_text())
    assert all(":size=" in each for each in compose["x-app"]["tmpfs"])


def test_the_image_copies_every_package_of_the_product(repository_root: Path) -> None:
    dockerfile = (repository_root / "deploy" / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \w+$", dockerfile, re.MULTILINE))
    apps = {path.parent.name for path in repository_root.glob("*/__init__.py")}
    assert apps - {"tests", "benches", "sandbox", "embedded"} <= copied
    assert not copied & {"tests", "sandbox", "embedded"}, "the product does without them"


def test_the_mover_is_locked_to_the_same_versions(repository_root: Path) -> None:
    def pins(name: str) -> set[str]:
        return set(
            re.findall(
                r"^[\w.-]+==[\w.]+", (repository_root / "requirements" / name).read_text(), re.MULTILINE
            )
        )

    assert pins("mover.txt")
    assert pins("mover.txt") <= pins("app.txt") | {
        p for p in pins("dev.txt") if p.startswith("typing-extensions==")
    }


def test_no_role_reaches_for_what_holdfast_must_never_have(repository_root: Path) -> None:
    for name, rules in _roles(repository_root).items():
        for rule in rules:
            assert not {"*", "escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"]), name
            assert not {"secrets", "pods/exec", "pods/attach", "serviceaccounts"} & set(rule["resources"]), (
                name
            )
            assert not ("namespaces" in rule["resources"] and set(rule["verbs"]) - _READ_ONLY), name
            assert not (
                "persistentvolumes" in rule["resources"] and {"create", "delete"} & set(rule["verbs"])
            ), name


def test_the_viewer_changes_nothing(repository_root: Path) -> None:
    for rule in _roles(repository_root)["holdfast-viewer"]:
        only_asks = rule["resources"] == ["selfsubjectaccessreviews"]
        assert only_asks or set(rule["verbs"]) <= _READ_ONLY


def test_every_binding_names_a_role_and_an_account_that_exist(repository_root: Path) -> None:
    manifests = _manifests(repository_root)
    roles = set(_roles(repository_root))
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    bindings = [m for m in manifests if m["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    assert bindings
    for binding in bindings:
        assert binding["roleRef"]["name"] in roles
        assert {subject["name"] for subject in binding["subjects"]} <= accounts


def test_what_deletes_claims_is_bound_namespace_by_namespace(repository_root: Path) -> None:
    everywhere = {
        m["roleRef"]["name"] for m in _manifests(repository_root) if m["kind"] == "ClusterRoleBinding"
    }
    assert everywhere == {"holdfast-viewer", "holdfast-prober", "holdfast-volumes"}


def test_the_prober_is_fenced(repository_root: Path) -> None:
    policies = {
        m["metadata"]["name"]: m
        for m in _manifests(repository_root)
        if m["kind"] == "ValidatingAdmissionPolicy"
    }
    bound = {
        m["spec"]["policyName"]: m["spec"]["validationActions"]
        for m in _manifests(repository_root)
        if m["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert set(policies) == set(bound)
    assert all(actions == ["Deny"] for actions in bound.values())
    fence = policies["holdfast-prober-only-asks"]["spec"]
    assert fence["failurePolicy"] == "Fail"
    assert "holdfast:holdfast-prober" in fence["matchConditions"][0]["expression"]
    assert fence["validations"][0]["expression"] == "has(request.dryRun) && request.dryRun"


def test_pods_run_with_nothing_to_spare(repository_root: Path) -> None:
    workloads = [m for m in _manifests(repository_root) if m["kind"] in {"Deployment", "Job"}]
    assert len(workloads) == 5
    for workload in workloads:
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            owner = "database-owner-url" in str(container["env"])
            assert owner == (workload["kind"] == "Job"), "only the schema's Job is the owner of the schema"


def test_the_web_server_understands_its_options_and_needs_no_root_file_system(repository_root: Path) -> None:
    dockerfile = (repository_root / "deploy" / "Dockerfile").read_text()
    _program, application, *options = json.loads(dockerfile.rpartition("\nCMD ")[2].replace("\\\n", " "))
    found = Config()
    for name, value in vars(found.parser().parse_args([application, *options])).items():
        if value is not None and name in found.settings:
            found.set(name, value)
    assert found.control_socket_disable, "it would be made in the home directory, which is read-only"
    assert found.worker_tmp_dir == "/dev/shm"
