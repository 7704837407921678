"""Advice on operations that a server refuses, where the advice of the step is about another one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kmipkit.spec.enums import Operation

OPERATION_ADVICE: Final[Mapping[Operation, str]] = MappingProxyType(
    {
        Operation.DISCOVER_VERSIONS: "Answer Discover Versions on each connection, and list KMIP 1.1.",
        Operation.QUERY: "Answer Query Server Information.",
        Operation.CREATE: "Support Create of AES keys of 256 bits without a name or a template.",
        Operation.GET: "Answer Get with the plain key: format Raw, AES, 32 bytes.",
        Operation.GET_ATTRIBUTES: "Answer Get Attributes with the State of a key, and for an attribute"
        " that is not set with success and no attribute.",
        Operation.ADD_ATTRIBUTE: "Support Add Attribute for custom attributes with names that begin"
        " with x-.",
        Operation.MODIFY_ATTRIBUTE: "Support Modify Attribute for custom attributes.",
        Operation.ACTIVATE: "Support Activate; the State is Active from then on.",
    }
)
"""By the operations that vCenter asks for."""
