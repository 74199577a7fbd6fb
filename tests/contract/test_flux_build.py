"""What a kustomization builds to, and that the sandbox's own builder agrees with the program: facts A5."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.flux import kustomize
from sandbox.flux.build import Builder, BuildFailed, PathNotFound, run_program

PRUNE = "kustomize.toolkit.fluxcd.io/prune"
PROGRAM = next((name for name in ("kustomize", "kubectl") if shutil.which(name)), None)
needs_program = pytest.mark.skipif(PROGRAM is None, reason="needs kubectl or kustomize")
ROOT = Path(__file__).parents[2]
# What the own builder leaves to the program, and says so.
REFUSED = {"refuse-needed-by-replacement"}

CLAIM = """apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""
DATABASE = """apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: postgres}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce]}
"""
TRANSFORMER = f"""apiVersion: builtin
kind: AnnotationsTransformer
metadata: {{name: protect}}
annotations: {{{PRUNE}: disabled}}
fieldSpecs:
  - {{kind: PersistentVolumeClaim, path: metadata/annotations, create: true}}
"""


def tree(directory: Path, kustomization: str, **files: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    contents = {"claim": CLAIM, "db": DATABASE, **files}
    for name, text in contents.items():
        (directory / f"{name}.yaml").write_text(text)
    (directory / "kustomization.yaml").write_text("resources: [claim.yaml, db.yaml]\n" + kustomization)
    return directory


def built(directory: Path) -> dict[str, Any]:
    """By kind and name, as both builders have it."""
    own = by_identity(kustomize.build(directory))
    if PROGRAM:
        assert own == by_identity(run_program(PROGRAM, directory))
    return {f"{kind}/{name}": item for (_, kind, _, name), item in own.items()}


def by_identity(items: list[Any]) -> dict[tuple[str, str, str, str], Any]:
    return {
        (
            one["apiVersion"],
            one["kind"],
            one["metadata"].get("namespace", ""),
            one["metadata"]["name"],
        ): one
        for one in items
    }


def prune_of(item: Any) -> str | None:
    return (item["metadata"].get("annotations") or {}).get(PRUNE)


@pytest.mark.parametrize(
    "kustomization",
    [
        "transformers: [transformer.yaml]\n",
        "patches:\n- target: {kind: PersistentVolumeClaim}\n  patch: |-\n    apiVersion: v1\n"
        "    kind: PersistentVolumeClaim\n    metadata:\n      name: any\n      annotations:\n"
        f"        {PRUNE}: disabled\n",
    ],
)
def test_claims_are_reached_and_claim_templates_are_not(tmp_path: Path, kustomization: str) -> None:
    found = built(tree(tmp_path, kustomization, transformer=TRANSFORMER))
    assert prune_of(found["PersistentVolumeClaim/data"]) == "disabled"
    database = found["StatefulSet/db"]
    assert prune_of(database) is None
    assert "annotations" not in database["spec"]["volumeClaimTemplates"][0]["metadata"]


def test_common_annotations_reach_every_object_and_no_claim_template(tmp_path: Path) -> None:
    found = built(tree(tmp_path, f"commonAnnotations: {{{PRUNE}: disabled}}\n"))
    assert prune_of(found["PersistentVolumeClaim/data"]) == "disabled"
    assert prune_of(found["StatefulSet/db"]) == "disabled"
    assert "annotations" not in found["StatefulSet/db"]["spec"]["volumeClaimTemplates"][0]["metadata"]


def json_patch(path: str, operation: str = "add") -> str:
    return (
        "patches:\n- target: {kind: PersistentVolumeClaim}\n  patch: |-\n"
        f"    - {{op: {operation}, path: {path}, value: disabled}}\n"
    )


def test_a_json_patch_finds_annotations_where_there_are_none(tmp_path: Path) -> None:
    """Unlike labels: kustomize 5.5 keeps notes of its own in the annotations while it builds."""
    directory = tree(tmp_path, json_patch(f"/metadata/annotations/{PRUNE.replace('/', '~1')}"))
    assert prune_of(built(directory)["PersistentVolumeClaim/data"]) == "disabled"


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/metadata/labels/x", "add"), ("/spec/absent", "remove"), ("/metadata/annotations/x", "remove")],
)
def test_a_json_patch_fails_where_there_is_nothing(tmp_path: Path, path: str, operation: str) -> None:
    directory = tree(tmp_path, json_patch(path, operation))
    with pytest.raises(kustomize.KustomizeError):
        kustomize.build(directory)
    if PROGRAM:
        with pytest.raises(kustomize.KustomizeError):
            run_program(PROGRAM, directory)


def test_a_transformer_has_the_last_word_over_a_patch_in_the_same_kustomization(tmp_path: Path) -> None:
    patch = (
        "transformers: [transformer.yaml]\npatches:\n- target: {kind: PersistentVolumeClaim, name: data}\n"
        f"  patch: '{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: x, annotations: {{{PRUNE}: enabled}}}}}}'\n"
    )
    found = built(tree(tmp_path / "base", patch, transformer=TRANSFORMER))
    assert prune_of(found["PersistentVolumeClaim/data"]) == "disabled"


def test_a_patch_in_an_overlay_exempts_one_claim(tmp_path: Path) -> None:
    tree(tmp_path / "base", "transformers: [transformer.yaml]\n", transformer=TRANSFORMER)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "resources: [../base]\npatches:\n- target: {kind: PersistentVolumeClaim, name: data}\n"
        f"  patch: '{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: x, annotations: {{{PRUNE}: enabled}}}}}}'\n"
    )
    assert prune_of(built(overlay)["PersistentVolumeClaim/data"]) == "enabled"


def test_names_namespaces_generators_images_and_patches_agree_with_the_program(tmp_path: Path) -> None:
    base = tree(
        tmp_path / "base",
        """
configMapGenerator:
- name: settings
  literals: [A=1, "B=<x>&y"]
  files: [text.txt]
- name: empty
secretGenerator:
- name: password
  literals: [p=hello]
labels:
- pairs: {team: a}
  includeSelectors: true
images: [{name: postgres, newName: example.com/pg, newTag: "17"}]
replicas: [{name: db, count: 2}]
""",
    )
    (base / "text.txt").write_text("hello\n")
    (base / "web.yaml").write_text(WEB)
    (base / "kustomization.yaml").write_text(
        (base / "kustomization.yaml").read_text().replace("db.yaml]", "db.yaml, web.yaml]", 1)
    )
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(OVERLAY)
    found = built(overlay)
    pod = found["Deployment/pre-web-suf"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "pre-data-suf"
    web = next(one for one in pod["containers"] if one["name"] == "web")
    settings = web["envFrom"][0]["configMapRef"]["name"]
    assert settings.startswith("pre-settings-suf-")
    assert f"ConfigMap/{settings}" in found
    assert (
        found["StatefulSet/pre-db-suf"]["spec"]["template"]["spec"]["containers"][1]["image"]
        == "example.com/pg:17"
    )


WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx
        envFrom: [{configMapRef: {name: settings}}]
        env: [{name: P, valueFrom: {secretKeyRef: {name: password, key: p}}}, {name: T, value: "1"}]
        ports: [{containerPort: 80}, {containerPort: 81, protocol: UDP}]
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - {name: empty, configMap: {name: empty, defaultMode: 0644}}
---
apiVersion: v1
kind: Namespace
metadata: {name: anything}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: robot}]
"""
OVERLAY = """resources: [../base]
namespace: media
namePrefix: pre-
nameSuffix: -suf
commonLabels: {env: prod}
configMapGenerator:
- name: settings
  behavior: merge
  literals: [A=2]
patches:
- target: {kind: Deployment}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/image
      value: nginx:2
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      template:
        spec:
          containers:
          - {name: side, image: side}
          - {name: web, env: [{name: T, value: "2"}, {name: U, value: "3"}], ports: [{containerPort: 82}]}
- target: {kind: StatefulSet, labelSelector: "team in (a,b),!absent"}
  patch: |-
    apiVersion: apps/v1
    kind: StatefulSet
    metadata: {name: x}
    spec: {template: {spec: {containers: [{name: extra, image: extra}]}}}
"""


def kustomizations(root: Path) -> list[Path]:
    return sorted(
        path.parent
        for path in root.rglob("kustomization.yaml")
        if (yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}).get("kind") != "Component"
    )


@needs_program
@pytest.mark.parametrize(
    "directory", kustomizations(ROOT / "sandbox/scenario/fleet"), ids=lambda path: path.name
)
def test_both_builders_agree_on_the_fleet(directory: Path) -> None:
    assert by_identity(kustomize.build(directory)) == by_identity(run_program(str(PROGRAM), directory))


@needs_program
def test_both_builders_agree_on_the_corpus() -> None:
    compared = 0
    for case in sorted((ROOT / "tests/gitops/corpus").iterdir()):
        for path in sorted(case.rglob("kustomization.yaml")) if case.name not in REFUSED else ():
            outcome = compare(path.parent)
            assert outcome != "different", path
            compared += 1
    assert compared > 20


def compare(directory: Path) -> str:
    """Both fail, or both give the same."""
    try:
        expected = by_identity(run_program(str(PROGRAM), directory))
    except kustomize.KustomizeError:
        expected = None
    try:
        own = by_identity(kustomize.build(directory))
    except (kustomize.KustomizeError, yaml.YAMLError):
        own = None
    return "same" if own == expected else "different"


def test_a_directory_without_a_kustomization_gets_one(tmp_path: Path) -> None:
    (tmp_path / "apps/more").mkdir(parents=True)
    (tmp_path / "apps/claim.yaml").write_text(CLAIM)
    (tmp_path / "apps/more/db.yaml").write_text(DATABASE)
    (tmp_path / "apps/notes.txt").write_text("not a manifest")
    found = Builder().build(tmp_path, {"path": "./apps", "targetNamespace": "media"})
    assert {(one["kind"], one["metadata"]["namespace"]) for one in found} == {
        ("PersistentVolumeClaim", "media"),
        ("StatefulSet", "media"),
    }


def test_what_the_kustomization_object_itself_says_is_built_in(tmp_path: Path) -> None:
    (tmp_path / "claim.yaml").write_text(CLAIM.replace("name: data", "name: ${name:=fallback}"))
    spec = {
        "path": "./",
        "commonMetadata": {"annotations": {PRUNE: "disabled"}, "labels": {"team": "a"}},
        "patches": [
            {
                "patch": "- {op: add, path: /metadata/annotations, value: {patched: 'yes'}}",
                "target": {"kind": "PersistentVolumeClaim"},
            }
        ],
    }
    (claim,) = Builder().build(tmp_path, spec, {"name": "given"})
    assert claim["metadata"] == {
        "name": "given",
        "annotations": {"patched": "yes", PRUNE: "disabled"},
        "labels": {"team": "a"},
    }


def test_a_path_outside_of_the_repository_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for path in ("../", "./absent", "/../../etc"):
        with pytest.raises(PathNotFound):
            Builder().build(tmp_path / "tree", {"path": path})


def test_a_broken_tree_is_a_build_failure(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(BuildFailed):
        Builder().build(tmp_path, {"path": "./"})
