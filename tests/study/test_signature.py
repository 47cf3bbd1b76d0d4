"""One reader of signatures: source text and functions say the same, values are checked, and a message says what is allowed."""

from __future__ import annotations

import ast
import functools
import re
from typing import Any

import pytest

from lrbench.study import catalog, signature
from lrbench.study.signature import REQUIRED, Parameter


@pytest.mark.parametrize("kind", catalog.FOLDERS)
def test_source_and_function_say_the_same(kind: str) -> None:
    """The user's own functions are read by `inspect`, built-in ones from their source: so both are read alike."""
    for name in catalog.names(kind):
        entry = catalog.get(kind, name)
        read = signature.of_function(entry.load())
        if kind == "table":  # it has no settings; its parameters are what it is made from
            assert read.keys() <= set(entry.takes)
            continue
        assert {p.name: (p.default, p.doc) for p in read.values()} == {
            p.name: (p.default, p.doc) for p in entry.parameters.values()
        }


def test_defaults_of_a_source_belong_to_its_last_parameters() -> None:
    """As Python has it, positional ones included."""
    source = "def mine(a, b: float = 0.5, *, c: int, d=(1, 2)): ..."
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    defined: dict[str, Any] = {}
    exec(source, defined)
    found = signature.of_source(node)
    assert {name: each.default for name, each in found.items()} == {
        name: each.default for name, each in signature.of_function(defined["mine"]).items()
    }
    assert found["b"].default == 0.5


def test_what_a_study_can_set() -> None:
    def mine(learning_rate: Any = 0.1, beta: float = 0.5, *rest: Any, order, flag=True, **more: Any) -> None:  # type: ignore[no-untyped-def]
        """Step.

        Args:
            beta: how much
                stays.
        """

    beta, order, flag = (
        Parameter("beta", "float", 0.5, "how much stays."),
        Parameter("order", "Any", REQUIRED),
        Parameter("flag", "bool", True),
    )
    read = signature.of_function(mine, after_first=True)
    assert list(read.values()) == [beta, order, flag]
    bound = functools.partial(mine, beta=0.9)
    assert signature.of_function(bound, after_first=True)["beta"].default == 0.9


@pytest.mark.parametrize(
    ("annotation", "allowed", "good", "bad"),
    [
        ("float", "a number", 1, True),
        ("int", "a whole number", 3, 3.5),
        ("bool", "true or false", True, "maybe"),
        ("str", "a string", "a", 1),
        ("int | None", "a whole number or left out", None, "a"),
        ("tuple[int, ...]", "a list of whole numbers", [1, 2], 64),
        ("tuple[str, ...] | None", "a list of strings or left out", ["a"], [1]),
        ("tuple[Part, ...]", "a list of names and tables", ["a", {"name": "b"}], [1]),
        ("tuple[int, float]", "tuple[int, float]", [1, 2.5], [1]),
        ("Literal['a', 2]", 'one of "a", 2', "a", "b"),
        ("Word", "a string of the characters A-Za-z0-9_.:,=@%+-", "gpu:1", "a b"),
        ("Address", "an address or a URL, of the characters A-Za-z0-9_.:,=@%+/?&~#[]-", "s3://a", "a b"),
        ("tuple[Word, ...]", "a list of strings of the characters A-Za-z0-9_.:,=@%+-", ["a"], ["a", "b\nc"]),
        ("dict[str, int]", "dict[str, int]", {"a": 1}, 1),
    ],
)
def test_values_are_checked(annotation: str, allowed: str, good: Any, bad: Any) -> None:
    parameter = Parameter("x", annotation)
    parameter.coerce(good)
    with pytest.raises(ValueError, match=f"^must be {re.escape(allowed)}$"):
        parameter.coerce(bad)


@pytest.mark.parametrize("annotation", ["jax.Array", "__import__('os')", "a b", "Mine[int]"])
def test_what_no_study_can_express_is_not_checked(annotation: str) -> None:
    thing = object()
    assert Parameter("x", annotation).coerce(thing) is thing


def test_a_list_of_more_than_a_thousand_items() -> None:
    assert len(Parameter("x", "tuple[str, ...]").coerce(["a"] * 1001)) == 1001
    with pytest.raises(ValueError, match="has 1,001 items; at most 1,000 are allowed"):
        Parameter("x", "tuple[int, ...]").coerce([1] * 1001)
