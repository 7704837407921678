"""What rules are about: the operations of KMIP, two uses of keys inside others, and classes of them.

A key that wraps another one in a Get is not the object of the Get. Who may only use it must not need the
right to get it, and so this use has a name of its own.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from kmipkit.spec.enums import Operation
from kmipkit.spec.titles import title

O = Operation  # noqa: E741 - a table is read by its columns


class KeyUse(Enum):
    """What an operation does with a key that is not its object."""

    WRAP_KEY = "Wrap Key"
    """It wraps an object that leaves the server, or authenticates it."""
    UNWRAP_KEY = "Unwrap Key"
    """It unwraps an object that comes to the server, or verifies it."""


Action = Operation | KeyUse


def action_title(action: Action) -> str:
    """The name of an action, as rules and messages have it."""
    return action.value if isinstance(action, KeyUse) else title(action)


READ_ATTRIBUTES = frozenset({O.GET_ATTRIBUTES, O.GET_ATTRIBUTE_LIST, O.CHECK, O.NOTIFY})
GET_MATERIAL = frozenset({O.GET, O.EXPORT, O.PUT, O.CREATE_SPLIT_KEY})
USE = frozenset(
    {
        O.ENCRYPT, O.DECRYPT, O.SIGN, O.SIGNATURE_VERIFY, O.MAC, O.MAC_VERIFY, O.DERIVE_KEY,
        O.OBTAIN_LEASE, O.GET_USAGE_ALLOCATION, O.CHECK, O.VALIDATE, *KeyUse,
    }
)  # fmt: skip
CHANGE_ATTRIBUTES = frozenset(
    {O.ADD_ATTRIBUTE, O.MODIFY_ATTRIBUTE, O.DELETE_ATTRIBUTE, O.SET_ATTRIBUTE, O.ADJUST_ATTRIBUTE}
)
CHANGE_STATE = frozenset({O.ACTIVATE, O.REVOKE, O.DEACTIVATE, O.ARCHIVE, O.RECOVER})
REPLACE = frozenset({O.RE_KEY, O.RE_KEY_KEY_PAIR, O.RE_CERTIFY})
CREATE = frozenset(
    {
        O.CREATE, O.CREATE_KEY_PAIR, O.REGISTER, O.IMPORT, O.DERIVE_KEY, O.CERTIFY, O.CREATE_SPLIT_KEY,
        O.JOIN_SPLIT_KEY, O.RE_PROVISION,
    }
)  # fmt: skip
DESTROY = frozenset({O.DESTROY, O.OBLITERATE})
COMPUTE = frozenset({O.HASH, O.RNG_RETRIEVE, O.RNG_SEED, O.PKCS_11})
ADMINISTER = frozenset(
    {O.CREATE_USER, O.CREATE_GROUP, O.CREATE_CREDENTIAL, O.SET_CONSTRAINTS, O.SET_DEFAULTS}
)
SESSION = frozenset(
    {
        O.QUERY, O.DISCOVER_VERSIONS, O.PING, O.LOG, O.INTEROP, O.SET_ENDPOINT_ROLE, O.LOGIN,
        O.DELEGATED_LOGIN, O.LOGOUT, O.GET_CONSTRAINTS, O.POLL, O.CANCEL, O.PROCESS,
        O.QUERY_ASYNCHRONOUS_REQUESTS,
    }
)  # fmt: skip

ALL = "all"

CLASSES: Mapping[str, frozenset[Action]] = MappingProxyType(
    {
        ALL: frozenset({*Operation, *KeyUse}),
        "find": frozenset({O.LOCATE}),
        "read attributes": READ_ATTRIBUTES,
        "get material": GET_MATERIAL,
        "use": USE,
        "create objects": CREATE,
        "change": CHANGE_ATTRIBUTES | CHANGE_STATE | REPLACE,
        "change attributes": CHANGE_ATTRIBUTES,
        "change state": CHANGE_STATE,
        "replace": REPLACE,
        "destroy objects": DESTROY,
        "compute": COMPUTE,
        "administer": ADMINISTER,
        "session": SESSION,
    }
)
"""Classes of operations, by the names that rules have for them. An operation may be in several."""


def _plain(name: str) -> str:
    """A name without regard to case, spaces and hyphens."""
    return "".join(char for char in name.lower() if char.isalnum())


_BY_NAME: Mapping[str, frozenset[Action]] = MappingProxyType(
    {_plain(name): actions for name, actions in CLASSES.items()}
    | {_plain(action_title(each)): frozenset({each}) for each in (*Operation, *KeyUse)}
)

NAMES: tuple[str, ...] = (*CLASSES, *(action_title(each) for each in (*Operation, *KeyUse)))
"""All names, for suggestions."""


def actions_named(name: str) -> frozenset[Action] | None:
    """The actions of a name, in any spelling; None for an unknown one."""
    return _BY_NAME.get(_plain(name))


ALWAYS_LOADING: frozenset[Operation] = frozenset(
    {
        *READ_ATTRIBUTES, *CHANGE_ATTRIBUTES, *CHANGE_STATE, *DESTROY, *REPLACE, O.GET, O.EXPORT,
        O.ENCRYPT, O.DECRYPT, O.SIGN, O.SIGNATURE_VERIFY, O.MAC, O.MAC_VERIFY, O.OBTAIN_LEASE,
        O.GET_USAGE_ALLOCATION,
    }
)  # fmt: skip
"""The operations that load their object before they do anything else: they are decided with it."""
