"""Settings of the server that a case replaces: they are read before the case, and put back after it.

Set Constraints and Set Defaults replace what holds for the whole account, or for the whole server (KMIP
2.1 §6.1.52, §6.1.53). An administrator's constraints must survive a run of the tester.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import Operation, QueryFunction, ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.cases import Case, children
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.target import Target
from kmipkit_conformance.wording import operation_title, outcome


@dataclass(frozen=True, slots=True)
class Setting:
    """How to read and replace a setting."""

    name: str
    reads: Operation
    asks: tuple[Item, ...]
    """The payload of the request that reads it."""
    tag: Tag
    """The item that has the setting: in the response that tells it, and in the request that sets it."""


_DEFAULTS = Item(Tag.QUERY_FUNCTION, ItemType.ENUMERATION, QueryFunction.QUERY_DEFAULTS_INFORMATION)

SETTINGS: Mapping[Operation, Setting] = MappingProxyType(
    {
        Operation.SET_CONSTRAINTS: Setting(
            "constraints", Operation.GET_CONSTRAINTS, (), Tag.CONSTRAINTS
        ),
        Operation.SET_DEFAULTS: Setting(
            "defaults", Operation.QUERY, (_DEFAULTS,), Tag.DEFAULTS_INFORMATION
        ),
    }
)
"""What each operation replaces."""


_NOT_OFFERED = frozenset(
    {
        ResultReason.PERMISSION_DENIED,
        ResultReason.OPERATION_NOT_SUPPORTED,
        ResultReason.FEATURE_NOT_SUPPORTED,
    }
)
"""Reasons for which a server may keep a setting to itself."""


class CannotKeep(ConformanceError):
    """The case would replace a setting that the server does not tell, so that it would be lost."""

    def __init__(self, message: str, *, is_failure: bool) -> None:
        super().__init__(message)
        self.is_failure = is_failure
        """Whether the server fails to tell it, rather than not permitting it."""


@contextmanager
def kept(target: Target, case: Case) -> Iterator[None]:
    """The settings of the server are the same afterwards, whatever the case does.

    Raises:
        CannotKeep: the server does not tell a setting.
        ConformanceError: a setting could not be put back.
    """
    found = {each: _read(target, case.version, SETTINGS[each]) for each in replacing(case)}
    try:
        yield
    finally:
        for operation, items in found.items():
            if _read(target, case.version, SETTINGS[operation]) != items:
                _put_back(target, case, operation, items)


def replacing(case: Case) -> set[Operation]:
    """The operations of a case that are expected to replace a setting."""
    return {
        operation for step in case.steps if not step.fails for operation in step.operations
    } & set(SETTINGS)


def _read(target: Target, version: Version, setting: Setting) -> Sequence[Item]:
    """What a request has that sets the same; CannotKeep if the server does not tell it."""
    response = _exchange(target, version, setting.reads, setting.asks)
    results = children(response, Tag.BATCH_ITEM)
    if not results or not all(map(_has_succeeded, results)):
        reasons = {c.value for item in results for c in children(item, Tag.RESULT_REASON)}
        raise CannotKeep(
            f"{operation_title(setting.reads)}: the case replaces the {setting.name} of the server,"
            f" which does not tell those that hold now: {'; '.join(map(outcome, results))}",
            is_failure=not reasons & _NOT_OFFERED,
        )
    return [
        found
        for item in results
        for payload in children(item, Tag.RESPONSE_PAYLOAD)
        for found in children(payload, setting.tag)
    ]


def _put_back(target: Target, case: Case, operation: Operation, items: Sequence[Item]) -> None:
    setting = SETTINGS[operation]
    if (
        setting.tag == Tag.CONSTRAINTS and not items
    ):  # required there; without content, there are none
        items = [Item(setting.tag, ItemType.STRUCTURE, ())]
    response = _exchange(target, case.version, operation, items)
    results = children(response, Tag.BATCH_ITEM)
    if not any(map(_has_succeeded, results)):
        raise ConformanceError(
            f"{case.name} has replaced the {setting.name} of the server, which refuses to have the"
            f" former ones back ({'; '.join(map(outcome, results))}): set them again"
        )


def _has_succeeded(batch_item: Item) -> bool:
    return any(
        child.value == ResultStatus.SUCCESS for child in children(batch_item, Tag.RESULT_STATUS)
    )


def _exchange(
    target: Target, version: Version, operation: Operation, payload: Sequence[Item]
) -> Item:
    """The response to a request on a connection of its own. ConformanceError if there is none."""
    numbers = (
        Item(tag, ItemType.INTEGER, number)
        for tag, number in (
            (Tag.PROTOCOL_VERSION_MAJOR, version.major),
            (Tag.PROTOCOL_VERSION_MINOR, version.minor),
        )
    )
    count = (Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1),) if version < V3_0 else ()
    header = (Item(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE, tuple(numbers)), *count)
    item = (
        Item(Tag.OPERATION, ItemType.ENUMERATION, operation),
        Item(Tag.REQUEST_PAYLOAD, ItemType.STRUCTURE, tuple(payload)),
    )
    message = (
        Item(Tag.REQUEST_HEADER, ItemType.STRUCTURE, header),
        Item(Tag.BATCH_ITEM, ItemType.STRUCTURE, item),
    )
    request = Item(Tag.REQUEST_MESSAGE, ItemType.STRUCTURE, message)
    try:
        with target.connect() as connection:
            return binary.decode(connection.exchange(binary.encode(request)))
    except ProtocolError as error:
        raise ConformanceError(f"the response to {operation_title(operation)}: {error}") from None
