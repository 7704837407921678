"""A route for the ends of certificates: of the server, and of clients that have connected."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import MAX_PAGE
from kmipkit_server.administration.routes import Request, Route, Who

_DAY = 24 * 3600
MAX_DAYS = 36_500


class ListCertificates(Request, frozen=True):
    """Which certificates to list."""

    days: Annotated[int, msgspec.Meta(ge=0, le=MAX_DAYS)] | None = None
    """Only those that end within so many days, or have ended."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 100
    """How many to return, at most."""


class CertificateValidity(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a certificate, or of a revocation list."""

    role: str
    """server, issuer (of the server's certificate), client-authority, crl or client."""
    name: str
    """What it is; for client, the account."""
    serial: str | None
    """The serial number of a client's certificate, in hexadecimal digits."""
    expires: datetime
    days_left: int
    """Whole days until the end; negative after it."""
    last_seen: datetime | None
    """When the client connected last with this certificate."""
    replaced: bool
    """Whether the account has come since with a certificate that ends later."""


class CertificateList(msgspec.Struct, frozen=True):
    """Certificates and revocation lists, that which ends first first."""

    certificates: tuple[CertificateValidity, ...]
    more: bool
    """Whether there are more than the limit."""


async def list_certificates(context: Context, request: ListCertificates) -> CertificateList:
    """The ends in the scope. Administrators of a tenant see those of its clients only."""
    await context.live.sightings.refresh()
    own = _of_server(context) if context.scope.is_server else ()
    found = sorted((*own, *_of_clients(context)), key=lambda each: each.expires)
    if request.days is not None:
        found = [each for each in found if each.days_left <= request.days]
    return CertificateList(tuple(found[: request.limit]), len(found) > request.limit)


def _of_server(context: Context) -> Iterator[CertificateValidity]:
    for each in context.live.validities():
        yield CertificateValidity(
            role=each.role,
            name=each.name,
            serial=None,
            expires=each.end,
            days_left=_days(context, each.end),
            last_seen=None,
            replaced=False,
        )


def _of_clients(context: Context) -> Iterator[CertificateValidity]:
    sightings = context.live.dispatcher.server.state.sightings
    for owner, certificate, is_replaced in sightings.certificates():
        if certificate.expires is not None and context.scope.has(owner):
            yield CertificateValidity(
                role="client",
                name=context.scope.account(owner),
                serial=certificate.serial,
                expires=certificate.expires,
                days_left=_days(context, certificate.expires),
                last_seen=certificate.last,
                replaced=is_replaced,
            )


def _days(context: Context, end: datetime) -> int:
    return int((end - context.now).total_seconds() // _DAY)


ROUTES = (
    Route(
        method="GET",
        path="/certificates",
        name="certificates list",
        summary="List when certificates of the server, of authorities and of clients end.",
        who=Who.TENANT,
        request=ListCertificates,
        answer=CertificateList,
        handler=list_certificates,
    ),
)
