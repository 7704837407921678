"""Constraints and defaults for new objects, which administrators set (KMIP 2.1 §6.1.52, §6.1.53).

Each tenant has its own. They are one setting in the store, which is cached until it changes, so that
only the first Create reads it. Rules that cannot be read do not apply, so that clients are served until
an administrator has set them again; the log says so. The batch stages the cache, like everything outside
the transaction: uncommitted rules do not affect other clients.
"""

import logging
import struct
from collections.abc import Iterable
from typing import Annotated

from kmipkit.errors import Cause, LocalProtocolError, OperationError, RemoteProtocolError
from kmipkit.model.attribute import Attribute, Attributes, attribute_name
from kmipkit.model.codec import decode, encode
from kmipkit.model.payloads.limits import (
    Constraints,
    DefaultsInformation,
    ObjectGroups,
    ObjectTypes,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0, Version
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.object_types import belongs_to
from kmipkit_server.store.base import Reader
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.owners import setting_of

log = logging.getLogger("kmipkit.server")

SETTING = "constraints and defaults"
_CACHE = "constraints"


@structure()
class Rules(Structure):
    """Constraints and defaults."""

    constraints: Annotated[Constraints | None, Wire(Tag.CONSTRAINTS)] = None
    defaults: Annotated[DefaultsInformation | None, Wire(Tag.DEFAULTS_INFORMATION)] = None


_VERSIONS = (V2_1, V3_0)
"""The versions in whose encoding rules are stored, in the order in which they are tried."""

_HEAD = struct.Struct(">BBI")
"""Before each of the two rules: the version of its encoding, and its size."""

_OLD_FORM = bytes([Tag.REQUEST_PAYLOAD >> 16])
"""The first byte of what earlier releases stored: the encoding of both rules in 2.1."""


def pack_rules(rules: Rules) -> bytes:
    """The stored form: each of the two rules in the encoding of the version that has its values."""
    return b"".join(
        _HEAD.pack(*version, len(data)) + data
        for version, data in (
            _encoded(Rules(constraints=rules.constraints)),
            _encoded(Rules(defaults=rules.defaults)),
        )
    )


def _encoded(rules: Rules) -> tuple[Version, bytes]:
    for version in _VERSIONS:
        try:
            return version, encode(rules, version, tag=Tag.REQUEST_PAYLOAD)
        except LocalProtocolError:
            continue
    raise OperationError(
        ResultReason.INVALID_FIELD, "the request has values of different versions of KMIP"
    )


def unpack_rules(stored: bytes) -> Rules:
    """The rules of :func:`pack_rules`, or of an earlier release. RemoteProtocolError if damaged."""
    if stored[:1] == _OLD_FORM:
        return decode(Rules, stored, V2_1, tag=Tag.REQUEST_PAYLOAD)
    rules, at = Rules(), 0
    for _ in ("constraints", "defaults"):
        if len(stored) < at + _HEAD.size:
            raise _damaged()
        major, minor, size = _HEAD.unpack_from(stored, at)
        at += _HEAD.size + size
        version = Version(major, minor)
        if version not in _VERSIONS or len(stored) < at:
            raise _damaged()
        part = decode(Rules, stored[at - size : at], version, tag=Tag.REQUEST_PAYLOAD)
        rules = rules.replace(
            constraints=part.constraints if rules.constraints is None else rules.constraints,
            defaults=part.defaults if rules.defaults is None else rules.defaults,
        )
    return rules


def _damaged() -> RemoteProtocolError:
    return RemoteProtocolError("the stored rules are damaged", cause=Cause.TRUNCATED)


def rules_in_force(call: Call) -> Rules:
    """The rules in force."""
    tenant = call.identity.tenant
    if call.batch.has_changed_state:
        return _read(
            call.store, tenant
        )  # with the changes of this batch, which others must not see
    known = call.batch.server.state.rules
    rules: Rules | None = known.get(tenant)
    if rules is None:
        rules = known[tenant] = _read(call.store, tenant)
    return rules


def _read(store: Reader, tenant: str) -> Rules:
    try:
        stored = store.setting(setting_of(tenant, SETTING))
        return Rules() if stored is None else unpack_rules(stored)
    except (Damaged, RemoteProtocolError) as error:
        log.warning(
            "the constraints and defaults cannot be read and do not apply; set them again: %s",
            error,
        )
        return Rules()


def replace_rules(call: Call, rules: Rules) -> None:
    """Store other rules, which apply from the commit on."""
    call.set_shared(setting_of(call.identity.tenant, SETTING), pack_rules(rules))


def with_defaults(call: Call, object_type: ObjectType, attributes: Attributes) -> Attributes:
    """The attributes of a new object, with defaults for those that the client omits."""
    defaults = rules_in_force(call).defaults
    for rule in defaults.object_defaults if defaults else ():
        types = rule.object_types or ObjectTypes(
            object_types=(rule.object_type,) if rule.object_type is not None else ()
        )
        if _applies_to(types, rule.object_groups, object_type, attributes):
            missing = (
                default
                for default in rule.attributes
                if default.key not in attributes
                and belongs_to(default.key, object_type, call.version)
            )
            attributes = attributes.plus(*missing)
    return attributes


def check(call: Call, object_type: ObjectType, attributes: Iterable[Attribute]) -> None:
    """Refuse a new object that violates a constraint (Constraint Violation)."""
    constraints = rules_in_force(call).constraints
    if constraints is None:
        return
    present = Attributes(tuple(attributes))
    for rule in constraints.constraints:
        if not _applies_to(rule.object_types, rule.object_groups, object_type, present):
            continue
        for required in rule.attributes or ():
            if required.value not in present.all(required.key):
                raise OperationError(
                    ResultReason.CONSTRAINT_VIOLATION,
                    f"{attribute_name(required.key)} must be {required.value!r} for new objects",
                )


def _applies_to(
    types: ObjectTypes | None,
    groups: ObjectGroups | None,
    object_type: ObjectType,
    attributes: Attributes,
) -> bool:
    """Whether a rule applies to an object. A rule without types or groups applies to all of them."""
    if types is not None and types.object_types and object_type not in types.object_types:
        return False
    if groups is None or not groups.object_groups:
        return True
    return bool(set(groups.object_groups) & set(attributes.all(Tag.OBJECT_GROUP)))
