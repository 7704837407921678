"""Operations that need the approval of other persons: the rule, the requests, and who may approve.

    [rules."two persons"]
    require = "destroy objects"
    approvals = { number = 2, by = { groups = "officers" }, hours = 24 }

What a client asks for, and may not do yet, is a request in the store with a number. It is bound to the
account, the operation, all parameters, and what its objects are. Approvers sign it, and when the client
repeats the same request it is carried out, once.

Who has approved is judged again when the request is carried out, by the rule that is in force then.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy import values
from kmipkit_server.policy.conditions import Condition
from kmipkit_server.policy.errors import InvalidValue
from kmipkit_server.policy.question import Question
from kmipkit_server.policy.values import Context
from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.concealed_numbers import SHORT_HALF, Concealment
from kmipkit_server.store.owners import system_owner, tenant_of
from kmipkit_server.toml.suggestion import suggestion

MAX_NUMBER = 10
DEFAULT_HOURS, MAX_HOURS = 24, 720
MAX_WAITING = 100
"""Requests of one account that wait."""
MAX_TEXT = 500


# --- the rule --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many others must approve, who, and how soon."""

    number: int
    by: Mapping[str, Condition]
    """Conditions on the account of an approver, all of which must be met."""
    lifetime: timedelta
    """From the request to when it is carried out."""
    tenant: str = ""
    """That of the document."""


_BY = ("accounts", "groups", "users", "linked_groups")
"""What can be judged again later, without the connection of the approver."""


def read_approvals(value: object, context: Context) -> Approvals:
    """The value of ``approvals``. InvalidValue if it is not one."""
    if not isinstance(value, dict) or "by" not in value:
        raise InvalidValue('must be a table such as { number = 1, by = "officer" }')
    for key in value:
        if key not in ("number", "by", "hours"):
            raise InvalidValue(f"has an unknown key {key!r}; the keys are number, by, hours")
    number = _whole(value.get("number", 1), "number", MAX_NUMBER)
    hours = _whole(value.get("hours", DEFAULT_HOURS), "hours", MAX_HOURS)
    return Approvals(number, _read_by(value["by"], context), timedelta(hours=hours), context.tenant)


def _whole(value: object, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidValue(f"has {name}, which must be a whole number from 1 to {most}")
    return value


def _read_by(value: object, context: Context) -> Mapping[str, Condition]:
    table = {"accounts": value} if isinstance(value, str | list) else value
    if not isinstance(table, dict) or not table:
        raise InvalidValue("has by, which must be accounts or a table of conditions")
    for key in table:
        if key not in _BY:
            raise InvalidValue(
                f"has by.{key}, but approvers are named by {', '.join(_BY)}{suggestion(key, _BY)}"
            )
    return {key: values.WHO[key](each, context) for key, each in table.items()}


# --- requests --------------------------------------------------------------------------------------


class Approver(msgspec.Struct, frozen=True, kw_only=True):
    """Who has approved or rejected a request, and when."""

    account: str
    """The whole name."""
    user: str | None
    time: datetime
    subject: str
    """Of the client certificate, with what revocation lists need to know."""
    issuer: tuple[tuple[tuple[str, str], ...], ...]
    serial: str
    fingerprint: str
    encoded_issuer: bytes
    encoded_serial: bytes

    @classmethod
    def of(cls, identity: Identity, certificate: PeerCertificate, now: datetime) -> "Approver":
        """An approver who is connected with a certificate."""
        return cls(
            account=identity.name,
            user=identity.user,
            time=now,
            subject=certificate.subject,
            issuer=certificate.issuer,
            serial=f"{certificate.serial:x}",
            fingerprint=certificate.signed_hash.hex(),
            encoded_issuer=certificate.encoded_issuer,
            encoded_serial=certificate.encoded_serial,
        )

    @property
    def certificate(self) -> PeerCertificate:
        """The certificate, as far as revocation lists look at it."""
        return PeerCertificate(
            self.subject, self.issuer, int(self.serial, 16), bytes.fromhex(self.fingerprint),
            self.encoded_issuer, self.encoded_serial,
        )  # fmt: skip


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that waits for approvals."""

    number: int = 0
    """From 1 on; given when it is stored."""
    account: str
    """Who wants to do it; the whole name."""
    certificate: str
    """The fingerprint of the client's certificate; empty without one."""
    operation: str
    objects: tuple[str, ...]
    """The Unique Identifiers of existing objects."""
    about: str
    """These objects in words."""
    rule: str
    tenant: str
    """That of the document that has the rule."""
    digest: str
    """What the request is: the operation with all of its parameters."""
    state: str
    """What the objects are: an approval is for these, and not for what becomes of them."""
    created: datetime
    expires: datetime
    approvals: tuple[Approver, ...] = ()
    rejection: Approver | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.expires <= now


# --- who may approve -------------------------------------------------------------------------------

Groups = Callable[[Identity], frozenset[str]]
"""The Groups to which the user of an account is linked."""


def why_not(
    request: ApprovalRequest,
    requirement: Approvals,
    approver: Identity,
    groups: Groups,
    now: datetime,
) -> str:
    """Why somebody cannot approve or reject a request; empty if they can."""
    if approver.rights is not None or approver.certificate is None:
        return "approvals need a connection with the approver's own certificate"
    if approver.name == request.account:
        return "nobody approves a request of their own account"
    if approver.certificate_hash.hex() == request.certificate:
        return "the certificate is the one with which the request was made"
    if not _is_named(request, requirement, approver, groups, now):
        return f"the rule {request.rule!r} does not name the account as an approver"
    known = {(each.account, each.fingerprint) for each in request.approvals}
    if any(
        approver.name == account or approver.certificate_hash.hex() == fingerprint
        for account, fingerprint in known
    ):
        return "the account, or its certificate, has approved the request already"
    return ""


def valid_approvals(
    request: ApprovalRequest,
    requirement: Approvals,
    certificate: str,
    is_valid: Callable[[Approver], bool],
    groups: Groups,
    now: datetime,
) -> tuple[Approver, ...]:
    """The approvals that count now.

    ``certificate`` is that with which the request is repeated; it may not be that of an approver.
    ``is_valid`` says whether certificate and user of an approver are still valid.
    """
    return tuple(
        each
        for each in request.approvals
        if each.fingerprint != certificate
        and is_valid(each)
        and _is_named(request, requirement, Identity(each.account, user=each.user), groups, now)
    )


def _is_named(
    request: ApprovalRequest,
    requirement: Approvals,
    approver: Identity,
    groups: Groups,
    now: datetime,
) -> bool:
    # Accounts of another tenant do not even learn that there is a request. Those of no tenant may
    # approve for one if the document of the server says so; but not users, who are looked up there.
    if approver.tenant != tenant_of(request.account) and (
        requirement.tenant or approver.tenant or approver.user is not None
    ):
        return False
    question = Question(approver, _ANY, now, groups=lambda: groups(approver))
    return all(condition.is_met(question) for condition in requirement.by.values())


_ANY: Any = None
"""Conditions on accounts do not look at the operation."""


# --- in the store ----------------------------------------------------------------------------------

PREFIX = "approvals/"
_NUMBER = f"{PREFIX}number"
_NUMBER_OF_TENANTS = f"{PREFIX}number of tenants"
FIRST_OF_TENANTS = 100_000_000
"""From here on, requests of the accounts of tenants have their numbers."""
_decode = msgspec.json.Decoder(ApprovalRequest).decode


def _of_account(account: str) -> str:
    return f"{PREFIX}request/{quote(account, safe='')}/"


def _setting(request: ApprovalRequest) -> str:
    return f"{_of_account(request.account)}{request.digest}"


def find(reader: Reader, account: str, digest: str) -> ApprovalRequest | None:
    """The request of an account for this operation."""
    stored = reader.setting(f"{_of_account(account)}{digest}")
    return None if stored is None else _decode(stored)


def waiting(reader: Reader, account: str, now: datetime) -> int:
    """How many requests of an account wait."""
    return sum(not each.is_over(now) for each in _all(reader, _of_account(account)))


def every(reader: Reader, now: datetime) -> list[ApprovalRequest]:
    """All requests that have not expired, by their numbers."""
    found = (each for each in _all(reader, f"{PREFIX}request/") if not each.is_over(now))
    return sorted(found, key=lambda request: request.number)


def _all(reader: Reader, prefix: str) -> Iterator[ApprovalRequest]:
    return map(_decode, reader.settings(prefix).values())


def add(transaction: Transaction, request: ApprovalRequest, key: bytes) -> None:
    """Store a new request in place of an older one of the same operation, unless too many wait.

    ``key`` is for the numbers that tenants get. If another message has stored the same one meanwhile,
    there is nothing to do.
    """
    known = find(transaction, request.account, request.digest)
    if known is not None and known.state == request.state and not known.is_over(request.created):
        return
    own = list(_all(transaction, _of_account(request.account)))
    others = [each for each in own if each.digest != request.digest]
    over = [each for each in others if each.is_over(request.created)]
    for each in over:
        remove(transaction, each)
    if len(others) - len(over) >= MAX_WAITING:
        return
    number = _next_number(transaction, tenant_of(request.account), key)
    store(transaction, msgspec.structs.replace(request, number=number))


def _next_number(transaction: Transaction, tenant: str, key: bytes) -> int:
    """A number that no other request has, and that says nothing to a tenant of those of others."""
    setting = _NUMBER_OF_TENANTS if tenant else _NUMBER
    number = int(transaction.setting(setting) or b"0") + 1
    transaction.set_setting(setting, str(number).encode())
    # One permutation for all tenants: the numbers must differ.
    hidden = Concealment(key, "", "approval", SHORT_HALF)
    return FIRST_OF_TENANTS + hidden.conceal(number) if tenant else number


def store(transaction: Transaction, request: ApprovalRequest) -> None:
    """Store a request that has changed."""
    transaction.set_setting(_setting(request), msgspec.json.encode(request))


def remove(transaction: Transaction, request: ApprovalRequest) -> None:
    """Remove a request that was carried out, or has expired."""
    transaction.set_setting(_setting(request), None)


def described(names: Iterable[str]) -> str:
    """Objects in words, shortened."""
    text = ", ".join(names)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def forget_account(transaction: Transaction, account: str) -> None:
    """Remove all requests of an account."""
    _forget(transaction, _of_account(account))


def forget_tenant(transaction: Transaction, tenant: str) -> None:
    """Remove all requests of the accounts of a tenant."""
    _forget(transaction, _of_account(system_owner(tenant)).removesuffix("/"))


def _forget(transaction: Transaction, prefix: str) -> None:
    for name in tuple(transaction.settings(prefix)):
        transaction.set_setting(name, None)
