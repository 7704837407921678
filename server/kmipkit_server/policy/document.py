"""Reading a policy document (TOML). All faults are collected, each with its line.

    [groups]
    payments = ["web-1", "web-2"]

    [rules."auditor reads"]
    who = "auditor"
    allow = ["find", "read attributes"]

The sections are the table :data:`SECTIONS`, and the keys of a rule the tables in :mod:`.values` and
:mod:`.obligations`.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kmipkit.toml_text import parse as parse_toml
from kmipkit_server.policy import conditions, obligations, values
from kmipkit_server.policy.actions import ALL, NAMES, Action, actions_named
from kmipkit_server.policy.algorithms.document import SECTION, read_algorithms
from kmipkit_server.policy.conditions import Condition
from kmipkit_server.policy.errors import InvalidValue, PolicyError
from kmipkit_server.policy.obligations import Obligation
from kmipkit_server.policy.rule import Clause, Conditions, Effect, Policy, Rule
from kmipkit_server.policy.values import Context
from kmipkit_server.toml.lines import Path_, lines_of
from kmipkit_server.toml.suggestion import suggestion

MAX_BYTES = 1024 * 1024
"""The size of a document at most."""


def read_policy(text: str, tenant: str = "", source: str = "policy") -> Policy:
    """The policy in a document. PolicyError with all faults; ``source`` says where it is from."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise PolicyError(f"{source}: a policy has {MAX_BYTES} bytes at most")
    try:
        document = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{source}: not valid TOML: {error}") from None
    return Reading(document, text, tenant, source).policy()


class Reading:
    """A document while it is read."""

    def __init__(self, document: Mapping[str, Any], text: str, tenant: str, source: str) -> None:
        self.document = document
        self.tenant = tenant
        self.groups: Mapping[str, frozenset[str]] = {}
        """The accounts of each group."""
        self._text = text
        self._source = source
        self._lines: Mapping[Path_, int] | None = None
        self._faults: list[tuple[int, str]] = []

    def policy(self) -> Policy:
        """The policy; PolicyError if it has faults."""
        for name in self.document:
            if name not in SECTIONS:
                self.unknown((), name, SECTIONS, "section")
        found = {
            name: read(self, self.table((name,), self.document.get(name, {})))
            for name, read in SECTIONS.items()
        }
        if self._faults:
            raise PolicyError(*(fault for _, fault in sorted(self._faults)))
        others = {name: value for name, value in found.items() if name not in (_GROUPS, _RULES)}
        return Policy(self.tenant, tuple(sorted(found[_RULES], key=lambda rule: rule.name)), others)

    # --- for the functions that read sections ------------------------------------------------------

    def line(self, path: Path_) -> int:
        """The line of a key, or of the table that has it; 0 if it is unknown."""
        if self._lines is None:
            self._lines = lines_of(self._text)
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)

    def fault(self, path: Path_, message: str) -> None:
        """Note what is wrong with the value of a key."""
        line = self.line(path)
        place = f"{self._source}:{line}" if line else self._source
        self._faults.append((line, f"{place}: {_shown(path)}{message}"))

    def unknown(self, path: Path_, name: str, known: Iterable[str], noun: str = "key") -> None:
        """Note a key that nobody knows."""
        names = tuple(known)
        self.fault(
            (*path, name),
            f"is an unknown {noun}; the {noun}s are {', '.join(names)}{suggestion(name, names)}",
        )

    def table(self, path: Path_, value: object) -> Mapping[str, Any]:
        """A value that must be a table; an empty one after a fault."""
        if isinstance(value, dict):
            return value
        self.fault(path, "must be a table")
        return {}

    def value(self, path: Path_, read: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a function that reads a value; None after a fault."""
        try:
            return read(*arguments)
        except InvalidValue as error:
            self.fault(path, str(error))
            return None


def _shown(path: Path_) -> str:
    """A path as TOML writes it, before what is wrong with it."""
    keys = [str(key) if str(key).isidentifier() else f'"{key}"' for key in path]
    return f"{'.'.join(keys)} " if keys else ""


# --- sections --------------------------------------------------------------------------------------


def _read_groups(reading: Reading, table: Mapping[str, Any]) -> None:
    reading.groups = {
        name: reading.value((_GROUPS, name), values.exact_texts, value) or frozenset()
        for name, value in table.items()
    }


def _read_rules(reading: Reading, table: Mapping[str, Any]) -> list[Rule]:
    found = []
    for name, value in table.items():
        path = (_RULES, name)
        rule = _read_rule(reading, path, reading.table(path, value))
        if rule is not None:
            found.append(rule)
    return found


_GROUPS, _RULES = "groups", "rules"

SectionReader = Callable[[Reading, Mapping[str, Any]], Any]
"""Reads the table of a section, which is empty if the document does not have it."""

SECTIONS: dict[str, SectionReader] = {
    _GROUPS: _read_groups,
    _RULES: _read_rules,
    SECTION: read_algorithms,
}
"""The sections in the order in which they are read: rules need groups."""


# --- a rule ----------------------------------------------------------------------------------------

_EFFECTS: Mapping[str, Effect] = MappingProxyType({each.value: each for each in Effect})
_CLAUSE = ("who", "objects", "when")
_SHORT: Mapping[str, str] = MappingProxyType({"who": "accounts", "objects": "names"})
"""The key that is meant by a text in place of the table."""


def _rule_keys() -> tuple[str, ...]:
    return (*_EFFECTS, "except", *_CLAUSE, "unless", *obligations.READERS)


def _read_rule(reading: Reading, path: Path_, table: Mapping[str, Any]) -> Rule | None:
    for key in table:
        if key not in _rule_keys():
            reading.unknown(path, key, _rule_keys())
    effects = [key for key in _EFFECTS if key in table]
    if len(effects) != 1:
        reading.fault(path, f"needs one of the keys {', '.join(_EFFECTS)}")
        return None
    effect = _EFFECTS[effects[0]]
    actions = _read_actions(reading, (*path, effect.value), table[effect.value])
    if "except" in table:
        actions -= _read_actions(reading, (*path, "except"), table["except"])
    required = tuple(_read_obligations(reading, path, table))
    _check_effect(reading, path, effect, table, required)
    # What makes a rule deny more is compared broadly, and what makes it deny less exactly.
    is_broad = effect is not Effect.ALLOW
    clause = _read_clause(reading, path, table, is_broad=is_broad)
    unless = _read_unless(reading, (*path, "unless"), table, is_broad=not is_broad)
    return Rule(str(path[-1]), effect, actions, clause, unless, required)


def _check_effect(
    reading: Reading,
    path: Path_,
    effect: Effect,
    table: Mapping[str, Any],
    required: tuple[Obligation, ...],
) -> None:
    """Note what does not belong together."""
    if effect is Effect.ALLOW and "who" not in table:
        reading.fault(path, 'needs the key who, since it allows; who = "*" means all accounts')
    if effect is Effect.REQUIRE and not required:
        reading.fault(path, f"needs one of the keys {', '.join(obligations.READERS)}")
    if effect is Effect.DENY and required:
        reading.fault(path, f"denies, and so cannot have {required[0].kind}")


def _read_actions(reading: Reading, path: Path_, value: object) -> frozenset[Action]:
    found: frozenset[Action] = frozenset()
    for name in reading.value(path, values.texts, value) or ():
        actions = actions_named(name)
        if actions is None:
            reading.fault(
                path, f"has {name!r}, which is no operation and no class of them"
                f"{suggestion(name, NAMES)}; {ALL!r} means all",
            )  # fmt: skip
        else:
            found |= actions
    return found


def _read_obligations(
    reading: Reading, path: Path_, table: Mapping[str, Any]
) -> Iterable[Obligation]:
    for kind, read in obligations.READERS.items():
        if kind in table:
            context = Context(reading.tenant, reading.groups, is_broad=False)
            value = reading.value((*path, kind), read, table[kind], context)
            yield Obligation(kind, str(path[-1]), value)


def _read_unless(
    reading: Reading, path: Path_, table: Mapping[str, Any], *, is_broad: bool
) -> Clause | None:
    """The conditions under which a rule does not apply."""
    if "unless" not in table:
        return None
    exceptions = reading.table(path, table["unless"])
    for key in exceptions:
        if key not in _CLAUSE:
            reading.unknown(path, key, _CLAUSE)
    if not exceptions:
        reading.fault(path, "must have conditions")
    return _read_clause(reading, path, exceptions, is_broad=is_broad)


# --- conditions ------------------------------------------------------------------------------------


def _read_clause(
    reading: Reading, path: Path_, table: Mapping[str, Any], *, is_broad: bool
) -> Clause:
    context = Context(reading.tenant, reading.groups, is_broad)
    parts = {}
    for part in _CLAUSE:
        if part not in table:
            continue
        value, inner = table[part], (*path, part)
        if part in _SHORT and isinstance(value, str | list):
            value = {_SHORT[part]: value}
        if value == {}:
            reading.fault(inner, "must have conditions")
        parts[part] = _PARTS[part](reading, inner, reading.table(inner, value), context)
    return Clause(**parts)


def _read_table(
    reading: Reading,
    path: Path_,
    table: Mapping[str, Any],
    context: Context,
    known: Mapping[str, values.Read],
    others: tuple[str, ...] = (),
) -> dict[str, Condition]:
    """The conditions of a table of keys."""
    found = {}
    for key, value in table.items():
        inner = (*path, key)
        read = known.get(key)
        if read is not None:
            condition = reading.value(inner, read, value, context)
            if condition is not None:
                found[key] = condition
        elif key not in others:
            reading.unknown(path, key, (*known, *others))
    return found


def _read_who(
    reading: Reading, path: Path_, table: Mapping[str, Any], context: Context
) -> Conditions:
    return _read_table(reading, path, table, context, values.WHO)


def _read_objects(
    reading: Reading, path: Path_, table: Mapping[str, Any], context: Context
) -> Conditions:
    found = _read_table(reading, path, table, context, values.OBJECTS, ("attributes",))
    inner = (*path, "attributes")
    for name, value in reading.table(inner, table.get("attributes", {})).items():
        condition = reading.value((*inner, name), values.attribute, name, value, context)
        if condition is not None:
            found[f"attributes.{name}"] = condition
    return found


_WHEN: Mapping[str, values.Read] = MappingProxyType({"days": values.days, "hours": values.hours})


def _read_when(
    reading: Reading, path: Path_, table: Mapping[str, Any], context: Context
) -> Conditions:
    zone = reading.value((*path, "zone"), values.zone, table.get("zone", "UTC"))
    if zone is not None:
        context = replace(context, zone=zone)
    found = _read_table(reading, path, table, context, _WHEN, ("from", "until", "zone"))
    begin, end = (
        reading.value((*path, key), values.moment, table[key]) if key in table else None
        for key in ("from", "until")
    )
    if begin is not None:
        found["from"] = conditions.Period(conditions.begin_of(begin, context.zone), None)
    if end is not None:
        found["until"] = conditions.Period(None, conditions.end_of(end, context.zone))
    return found


_PARTS: Mapping[str, Callable[[Reading, Path_, Mapping[str, Any], Context], Conditions]] = (
    MappingProxyType({"who": _read_who, "objects": _read_objects, "when": _read_when})
)
