"""Shares: how much of what the server keeps in memory one account may have.

A limit for all accounts together would let one of them take what the others need.
"""

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason


def require_share(what: str, own: int, share: int, total: int, maximum: int) -> None:
    """Refuse one more for an account that has its share. OperationError: Server Limit Exceeded.

    Args:
        what: What is counted, in the plural.
        own: How many the account has.
        share: How many an account may have.
        total: How many all accounts have.
        maximum: How many there may be.
    """
    if own >= share:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server keeps {share} {what} of one account at most; end some, or try again later",
            what.replace(" ", "_"),
        )
    if total >= maximum:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the server keeps {maximum} {what} at most; try again later",
            what.replace(" ", "_"),
        )
