"""Compiles conditions: what is asked of a record, of its links, and of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.errors import MappingError
from services.transformer.recurrence import is_after_window
from services.transformer.rules.references import locator
from services.transformer.rules.skipping import snapshot_moves
from services.transformer.rules.value_tests import value_test
from services.transformer.texts import plain_text
from services.transformer.transforms.dates import moment
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.transformer.context import Context
    from services.transformer.mapping.rules import Condition, ConditionRef
    from services.transformer.rules.compiled import Test
    from services.transformer.rules.compiler import RuleCompiler


def compile_condition(compiler: RuleCompiler, condition: Condition) -> Test:
    """Compile a condition into a function that says whether it holds of a record."""
    if condition.all_ is not None:
        tests = _tests(compiler, condition.all_)
        return lambda context: all(test(context) for test in tests)
    if condition.any_ is not None:
        tests = _tests(compiler, condition.any_)
        return lambda context: any(test(context) for test in tests)
    if condition.not_ is not None:
        (inner,) = _tests(compiler, [condition.not_])
        return lambda context: not inner(context)
    if condition.policy is not None:
        holds = bool(value_test(condition)(compiler.decided(condition.policy)))
        return lambda _context: holds
    if condition.field is not None:
        name, holds_for = condition.field, value_test(condition)
        return lambda context: holds_for(context.payload.get(name))
    if condition.of is None:
        raise MappingError("a condition needs one of: of, field, policy, all, any, not")
    if condition.is_ == "moved":
        return _is_moved(compiler, condition.of)
    if condition.is_ == "native_outcome":
        return _is_outcome(compiler, condition.of)
    if condition.is_ == "missing":
        return _is_missing(compiler, condition.of)
    if condition.is_ == "loop":
        return _is_loop(compiler, condition.of)
    if condition.is_ == "after_window":
        return _is_after_window(compiler, condition.of)
    if condition.later_than is not None:
        return _is_later(compiler, condition.of, condition.later_than)
    getter, test = compiler.getter(condition.of), value_test(condition)
    return lambda context: test(getter(context))


def _tests(compiler: RuleCompiler, refs: Iterable[ConditionRef]) -> list[Test]:
    return [test for ref in refs if (test := compiler.test(ref)) is not None]


def _is_moved(compiler: RuleCompiler, path: str) -> Test:
    locate = locator(compiler, path)

    def test(context: Context) -> bool:
        place = locate(context)
        return place is not None and snapshot_moves(compiler.mapping, place, context)

    return test


def _is_after_window(compiler: RuleCompiler, path: str) -> Test:
    getter, policies = compiler.getter(path), compiler.mapping.policies

    def test(context: Context) -> bool:
        # Without a first day there is no window yet; the linter asks for it.
        if policies.recurrence_from is None:
            return False
        try:
            return is_after_window(getter(context), window_from=policies.recurrence_from, months=policies.recurrence_window_months)
        except ValueProblem:
            return False

    return test


def _is_later(compiler: RuleCompiler, path: str, than: str) -> Test:
    one, other = compiler.getter(path), compiler.getter(than)

    def test(context: Context) -> bool:
        try:
            return moment(one(context)) > moment(other(context))
        except ValueProblem:
            return False

    return test


def _is_outcome(compiler: RuleCompiler, path: str) -> Test:
    """Say whether the account has an activity outcome of that name; without a manifest it is not known, and taken for no."""
    getter, manifest = compiler.getter(path), compiler.manifest
    return lambda context: manifest is not None and manifest.outcome(plain_text(getter(context)) or "") is not None


def _is_missing(compiler: RuleCompiler, path: str) -> Test:
    """Test whether a link names a record that the snapshot does not have, or that was deleted."""
    locate = locator(compiler, path)

    def test(context: Context) -> bool:
        place = locate(context)
        found = None if place is None else context.lookup.get(place.entity, place.source_id)
        return place is not None and (found is None or found.is_deleted)

    return test


def _is_loop(compiler: RuleCompiler, link: str) -> Test:
    rule = compiler.links.rules.get(link)
    if rule is None or rule.chain != "up":
        raise MappingError(f"`{link}` is no chain of ancestors, so it cannot go round in a circle")
    return lambda context: compiler.links.ancestors(link, context.envelope, context.lookup)[1]
