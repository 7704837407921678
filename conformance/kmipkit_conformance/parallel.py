"""Which cases may be played at the same time: those that cannot see the objects of one another.

Cases share the account of the tester. Two cases are independent if both only use objects by the
identifiers that they have got, and give no names that both use. Every other case is played alone: one
that searches, that changes what holds for the account, that needs objects of other cases, or that has
requests of the server.
"""

from collections.abc import Iterator

from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_conformance.accounts import accounts_of
from kmipkit_conformance.cases import Case
from kmipkit_conformance.chains import requirements
from kmipkit_conformance.waiting import waiting_step

_OP = Operation

OF_ONE_OBJECT = frozenset(
    {
        *(_OP.CREATE, _OP.CREATE_KEY_PAIR, _OP.REGISTER, _OP.RE_KEY, _OP.RE_KEY_KEY_PAIR),
        *(_OP.DERIVE_KEY, _OP.CERTIFY, _OP.RE_CERTIFY, _OP.CREATE_SPLIT_KEY, _OP.JOIN_SPLIT_KEY),
        *(_OP.GET, _OP.GET_ATTRIBUTES, _OP.GET_ATTRIBUTE_LIST, _OP.EXPORT, _OP.CHECK),
        *(_OP.ADD_ATTRIBUTE, _OP.MODIFY_ATTRIBUTE, _OP.DELETE_ATTRIBUTE),
        *(_OP.SET_ATTRIBUTE, _OP.ADJUST_ATTRIBUTE, _OP.OBTAIN_LEASE, _OP.GET_USAGE_ALLOCATION),
        *(_OP.ACTIVATE, _OP.REVOKE, _OP.DESTROY, _OP.ARCHIVE, _OP.RECOVER, _OP.DEACTIVATE),
        *(_OP.VALIDATE, _OP.QUERY, _OP.DISCOVER_VERSIONS, _OP.PING),
        *(_OP.ENCRYPT, _OP.DECRYPT, _OP.SIGN, _OP.SIGNATURE_VERIFY, _OP.MAC, _OP.MAC_VERIFY),
        *(_OP.HASH, _OP.RNG_RETRIEVE),
    }
)
"""Operations that concern only the objects that they name."""


def may_share(case: Case) -> bool:
    """Whether other cases may be played beside this one."""
    return (
        case.operations() <= OF_ONE_OBJECT
        and not any(step.is_from_server for step in case.steps)
        and not accounts_of(case)
        and not requirements(case)
        and waiting_step(case) is None
    )


def chosen_names(case: Case) -> frozenset[str]:
    """The names that a case gives to objects; no two cases with a common one may meet."""
    return frozenset(name for step in case.steps for name in _names(step.request))


def _names(item: Item) -> Iterator[str]:
    if isinstance(item.value, tuple):
        for child in item.value:
            yield from _names(child)
    elif item.tag == Tag.NAME_VALUE and isinstance(item.value, str):
        yield item.value
