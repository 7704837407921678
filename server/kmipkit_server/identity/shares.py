"""Shares: how much of what the server keeps between requests one account may have, and one tenant.

A limit for all accounts together would let one of them take what the others need.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason
from kmipkit_server.store.owners import system_owner, tenant_of


def require_share(
    what: str, account: str, holders: Iterable[str], share: int, maximum: int, number: int = 1
) -> None:
    """Refuse more for an account that has its share. OperationError: Server Limit Exceeded.

    A tenant may have half of all, so that it cannot leave others without any.

    Args:
        what: What is counted, in the plural.
        account: Who wants more, by its whole name.
        holders: Who has each of those that there are; or how many each has, as a mapping.
        share: How many an account may have.
        maximum: How many there may be.
        number: How many more.
    """
    tenant, room, counts = tenant_of(account), maximum // 2, Counter(holders)
    used = {
        "account": (counts[account], share),
        **({"tenant": (_of_tenant(tenant, counts), room)} if tenant else {}),
    }
    for who, (own, most) in used.items():
        if own + number > most:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"the server keeps {most} {what} of one {who} at most; end some, or try again later",
                what.replace(" ", "_"),
            )
    if counts.total() + number > maximum:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server keeps {maximum} {what} at most; try again later",
            what.replace(" ", "_"),
        )


def _of_tenant(tenant: str, holders: Mapping[str, int]) -> int:
    prefix = system_owner(tenant)
    return sum(number for holder, number in holders.items() if holder.startswith(prefix))
