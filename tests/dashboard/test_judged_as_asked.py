"""What Holdfast says that it understands of a policy, an engine that evaluates it answers the same, for thousands of made-up policies."""

import random
from collections.abc import Callable
from typing import Any

from cluster.flux import PRUNE
from dashboard import cel
from dashboard.askers import CONTROLLERS, SOMEBODY
from dashboard.conditions import Deletion, holds
from dashboard.logic import Known
from sandbox.kyverno import cel as engine_cel
from sandbox.kyverno import operators
from sandbox.kyverno.query import QueryError
from tests.dashboard import making as make

ANNOTATIONS, LABELS = "oldObject.metadata.annotations", "oldObject.metadata.labels"
OPERANDS = [
    f"has({ANNOTATIONS})",
    f"has({LABELS})",
    f"'{PRUNE}' in {ANNOTATIONS}",
    f"'{PRUNE}' in {LABELS}",
    f"{ANNOTATIONS}['{PRUNE}'] == 'disabled'",
    f"'disabled' == {ANNOTATIONS}['{PRUNE}']",
    f"{ANNOTATIONS}['{PRUNE}'].lowerAscii() == 'disabled'",
    f"{LABELS}['{PRUNE}'] != 'disabled'",
    "request.operation == 'DELETE'",
    "oldObject.metadata.namespace == 'prod'",
    "request.namespace in ['media', 'x']",
    "request.userInfo.username == 'intern'",
    "request.userInfo.username.startsWith('system:')",
    "'sre' in request.userInfo.groups",
    "oldObject.spec.x == 'y'",
    "true",
    "false",
]
PAIRS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({PRUNE: "disabled"}, {}),
    ({PRUNE: "Disabled"}, {}),
    ({}, {PRUNE: "disabled"}),
    ({"a": "b"}, {PRUNE: "x"}),
]
EVERYBODY = "system:authenticated"
PEOPLE = [("bob", [EVERYBODY]), ("intern", [EVERYBODY, "sre"]), ("system:x", [EVERYBODY, "sre"])]
NAMESPACE_CONTROLLER = CONTROLLERS[0]
# Whom Holdfast asks for, and who that may be.
ASKERS = [
    (None, PEOPLE),
    (SOMEBODY, PEOPLE[:1]),
    (NAMESPACE_CONTROLLER, [(NAMESPACE_CONTROLLER.user, sorted(NAMESPACE_CONTROLLER.groups))]),
]


def expression(chance: random.Random, depth: int) -> str:
    at = chance.random()
    if depth == 0 or at < 0.25:
        return chance.choice(OPERANDS)
    if at < 0.45:
        return f"!({expression(chance, depth - 1)})"
    joined = chance.choice([" && ", " || "]).join(
        expression(chance, depth - 1) for _ in range(chance.randint(2, 3))
    )
    return f"({joined})" if chance.random() < 0.6 else joined


def conditions(chance: random.Random, depth: int) -> Any:
    if depth == 0:
        path = chance.choice(
            [
                f'request.oldObject.metadata.annotations."{PRUNE}"',
                f'request.oldObject.metadata.labels."{PRUNE}"',
                "request.operation",
                "request.namespace",
                "request.userInfo.username",
            ]
        )
        key = chance.choice([path, f"{path} || ''", f"to_lower({path} || '')"])
        one = chance.random() < 0.5
        operators_of_one = ["Equals", "NotEquals", "AnyIn"]
        operator = chance.choice(
            operators_of_one if one else ["In", "NotIn", "AnyIn", "AnyNotIn", "AllIn", "AllNotIn"]
        )
        values = ["disabled", "DELETE", "delete", "media", "intern", ""]
        value: Any = chance.choice(values) if one else chance.sample(values, 2)
        return {"key": "{{ " + key + " }}", "operator": operator, "value": value}
    inner = [conditions(chance, 0) for _ in range(chance.randint(1, 3))]
    more = [conditions(chance, 0) for _ in range(chance.randint(1, 2))]
    return chance.choice(
        [{"any": inner}, {"all": inner}, {"any": inner, "all": more}, inner, [{"any": inner}]]
    )


def compared(mine: Callable[[Deletion], Known], engine: Callable[[dict[str, Any]], Any]) -> int:
    """How often Holdfast had an answer; each is the engine's. An error of the engine (None) denies: its webhook fails closed."""
    known = 0
    for annotations, labels in PAIRS:
        for asker, people in ASKERS:
            answer = mine(Deletion(make.claim(annotations=annotations, labels=labels), "media", asker))
            if answer is None:
                continue
            known += 1
            for user, groups in people:
                metadata: dict[str, Any] = {"name": "data", "namespace": "media"}
                metadata |= {"annotations": annotations} if annotations else {}
                metadata |= {"labels": labels} if labels else {}
                for spec in ({"x": "y"}, {"x": "z"}):
                    asked = {
                        "operation": "DELETE",
                        "namespace": "media",
                        "userInfo": {"username": user, "groups": groups},
                        "oldObject": {"metadata": metadata, "spec": spec},
                    }
                    assert engine(asked) in {answer, None}, (annotations, labels, asker, user)
    return known


def test_cel_expressions_are_judged_as_an_engine_evaluates_them() -> None:
    chance = random.Random(5)
    known = 0
    for _ in range(250):
        text = expression(chance, 3)
        known += compared(
            lambda deletion, text=text: cel.true(text, deletion),  # type: ignore[misc]
            lambda asked, text=text: engine_cel.evaluate(  # type: ignore[misc]
                text, {"object": None, "oldObject": asked["oldObject"], "request": asked}
            ),
        )
    assert known > 2_000


def test_kyverno_conditions_are_judged_as_an_engine_evaluates_them() -> None:
    chance = random.Random(6)
    known = 0
    for _ in range(600):
        block = conditions(chance, 1)

        def engine(asked: dict[str, Any], block: Any = block) -> Any:
            try:
                return operators.holds(block, {"request": asked})
            except QueryError:
                return None

        known += compared(lambda deletion, block=block: holds(block, deletion), engine)  # type: ignore[misc]
    assert known > 2_000
