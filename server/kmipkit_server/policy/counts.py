"""How often an account may do what a rule is about: ``count = { times = 10, per = "day" }``.

An account has one counter for each rule, in a setting of the store, which the transaction of the
operation increases: so parallel requests share it, and a restart does not forget it. Periods are
those of the calendar in UTC; a week begins on Monday.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from urllib.parse import quote

from kmipkit_server.policy.errors import InvalidValue
from kmipkit_server.policy.values import Context
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.owners import system_owner

PREFIX = "counts/"
MAX_TIMES = 1_000_000_000

_DAY = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}

PERIODS: Mapping[str, Callable[[datetime], datetime]] = MappingProxyType(
    {
        "minute": lambda now: now.replace(second=0, microsecond=0),
        "hour": lambda now: now.replace(minute=0, second=0, microsecond=0),
        "day": lambda now: now.replace(**_DAY),  # type: ignore[arg-type]  # names of fields
        "week": lambda now: now.replace(**_DAY) - timedelta(days=now.weekday()),  # type: ignore[arg-type]
        "month": lambda now: now.replace(day=1, **_DAY),  # type: ignore[arg-type]
    }
)
"""From a time to when its period began."""


@dataclass(frozen=True, slots=True)
class Count:
    """So many times in each period."""

    times: int
    per: str
    """One of :data:`PERIODS`."""
    tenant: str = ""
    """That of the document."""


def read_count(value: object, context: Context) -> Count:
    """The value of ``count``. InvalidValue if it is not one."""
    if not isinstance(value, dict) or value.keys() != {"times", "per"}:
        raise InvalidValue('must be a table such as { times = 10, per = "day" }')
    times, per = value["times"], value["per"]
    if isinstance(times, bool) or not isinstance(times, int) or not 0 < times <= MAX_TIMES:
        raise InvalidValue(f"has times, which must be a whole number from 1 to {MAX_TIMES}")
    if per not in PERIODS:
        raise InvalidValue(f"has per, which must be one of {', '.join(PERIODS)}")
    return Count(times, per, context.tenant)


def count_up(
    transaction: Transaction, rule: str, count: Count, account: str, now: datetime
) -> bool:
    """Count one more time; whether it is not one too many."""
    name = _setting(rule, count.tenant, account)
    begin = PERIODS[count.per](now).isoformat()
    stored = transaction.setting(name)
    known, number = (begin, 0) if stored is None else json.loads(stored)
    number = number + 1 if known == begin else 1
    if number > count.times:
        return False
    transaction.set_setting(name, json.dumps([begin, number]).encode())
    return True


def _setting(rule: str, tenant: str, account: str) -> str:
    identifier = sha256(f"{tenant}\0{rule}".encode()).hexdigest()[:32]
    return f"{_of_account(account)}{identifier}"


def _of_account(account: str) -> str:
    return f"{PREFIX}{quote(account, safe='')}/"


def forget_account(transaction: Transaction, account: str) -> None:
    """Remove all counters of an account."""
    _forget(transaction, _of_account(account))


def forget_tenant(transaction: Transaction, tenant: str) -> None:
    """Remove all counters of the accounts of a tenant."""
    _forget(transaction, _of_account(system_owner(tenant)).removesuffix("/"))


def _forget(transaction: Transaction, prefix: str) -> None:
    for name in tuple(transaction.settings(prefix)):
        transaction.set_setting(name, None)
