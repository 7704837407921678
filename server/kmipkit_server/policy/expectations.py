"""Files of expectations: what a policy must decide, for ``kmipkit admin policy test``.

    [[expect]]
    account = "auditor"
    operation = "Get"
    object = { owner = "db01", names = "prod-1" }
    is = "denied"
    by = "auditors never get keys"

A file is read into requests, so that a running server can be asked as well.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from kmipkit.toml_text import parse as parse_toml
from kmipkit_server.policy.description import Answer, Client, DescribedObject, Description
from kmipkit_server.policy.errors import InvalidValue, PolicyError
from kmipkit_server.policy.values import flag, texts
from kmipkit_server.toml.lines import lines_of
from kmipkit_server.toml.suggestion import suggestion

ALLOWED, DENIED = "allowed", "denied"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A question and the answer that is expected."""

    line: int
    description: Description
    is_allowed: bool
    by: str
    """The rule that decides, or what is built in; empty for any."""

    def __str__(self) -> str:
        asked = self.description
        value = asked.object
        if isinstance(value, DescribedObject):
            whose = value.owner or asked.client.account
            about = f" of {', '.join(value.names) or 'an object'} of {whose}"
        else:
            about = "" if value is None else f" of {value}"
        return f"line {self.line}: {asked.client.account}: {asked.operation}{about}"

    def failure(self, answer: Answer) -> str:
        """In what the answer is another one; empty if it is as expected."""
        found = f"{ALLOWED if answer.allowed else DENIED} by {answer.by!r}"
        wanted = ALLOWED if self.is_allowed else DENIED
        if answer.allowed is not self.is_allowed:
            return f"must be {wanted}, but is {found}"
        if self.by and answer.by != self.by:
            return f"must be {wanted} by {self.by!r}, but is {found}"
        return ""


def read_expectations(text: str, source: str, now: datetime) -> list[Expectation]:
    """The expectations in a file. PolicyError with all faults."""
    try:
        document = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{source}: not valid TOML: {error}") from None
    lines = lines_of(text)
    found = []
    faults = [
        f"{source}: {key!r} is unknown; the file has tables [[expect]]"
        for key in document
        if key != "expect"
    ]
    tables = document.get("expect", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise PolicyError(f"{source}: expect must be tables [[expect]]")
    for number, table in enumerate(tables):
        line = lines.get(("expect", number), 0)
        try:
            found.append(_expectation(table, line, now))
        except InvalidValue as error:
            faults.append(f"{source}:{line}: {error}")
    if not (tables or faults):
        faults.append(f"{source}: there is no [[expect]]")
    if faults:
        raise PolicyError(*faults)
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValue("must be a string")
    return value


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidValue("must be a date with a time, without quotes")
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _attributes(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue("must be a table of values by the names of attributes")
    return value


_Reader = Callable[[Any], Any]
_OBJECT: Mapping[str, _Reader] = MappingProxyType(
    {
        "owner": _text, "type": _text, "state": _text, "names": texts, "groups": texts,
        "attributes": _attributes,
    }
)  # fmt: skip
_CLIENT: Mapping[str, _Reader] = MappingProxyType(
    {
        "account": _text, "tenant": _text, "administrator": flag, "linked_groups": texts,
        "address": _text, "subject": _text, "issuer": _text, "san": texts, "fingerprint": _text,
    }
)  # fmt: skip
assert set(_CLIENT) == {each.name for each in fields(Client)}


def _object(value: object) -> str | DescribedObject:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise InvalidValue("must be an identifier or a table that describes an object")
    return DescribedObject(**_values(value, _OBJECT))


_OTHERS: Mapping[str, _Reader] = MappingProxyType(
    {"operation": _text, "object": _object, "is_new": flag, "time": _time, "is": _text, "by": _text}
)


def _values(table: Mapping[str, Any], readers: Mapping[str, _Reader]) -> dict[str, Any]:
    """The values of a table. InvalidValue for an unknown key or a wrong value."""
    found = {}
    for key, value in table.items():
        read = readers.get(key)
        if read is None:
            raise InvalidValue(
                f"unknown key {key!r}; the keys are {', '.join(readers)}{suggestion(key, readers)}"
            )
        try:
            found[key] = read(value)
        except InvalidValue as error:
            raise InvalidValue(f"{key} {error}") from None
    return found


def _expectation(table: Mapping[str, Any], line: int, now: datetime) -> Expectation:
    values = _values(table, {**_CLIENT, **_OTHERS})
    for key in ("account", "operation", "is"):
        if key not in values:
            raise InvalidValue(f"the key {key} is missing")
    if values["is"] not in (ALLOWED, DENIED):
        raise InvalidValue(f"is must be {ALLOWED} or {DENIED}, not {values['is']!r}")
    client = Client(**{key: value for key, value in values.items() if key in _CLIENT})
    description = Description(
        client=client,
        operation=values["operation"],
        time=values.get("time", now),
        object=values.get("object"),
        is_new=values.get("is_new", False),
    )
    return Expectation(line, description, values["is"] == ALLOWED, values.get("by", ""))
