"""A server in memory with tenants, for tests: each has an authority, and accounts of the same names."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose, distinguished_name
from kmipkit_certs.keypairs import generate
from kmipkit_certs.revocation_status import PeerCertificate
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import Transaction
from kmipkit_server.tenants.book import Book, write_book
from kmipkit_server.tenants.tenant import Tenant, TenantLimits
from laboratory import Laboratory

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ADMINISTRATOR = "administrator"


@cache
def authority(tenant: str) -> Authority:
    """The authority of a tenant; that of the accounts without one has the empty name."""
    return Authority.create(f"{tenant or 'server'} CA", "ecdsa-p256", NOW)


@cache
def member(tenant: str, account: str = "db01") -> Identity:
    """An account of a tenant, as its certificate names it."""
    subject = distinguished_name(account)
    key = generate().public_key()
    certificate = authority(tenant).certify(subject, key, Purpose.CLIENT, NOW, 365)
    return Identity(
        account,
        certificate=PeerCertificate.of(certificate),
        certificate_expires=certificate.not_valid_after_utc,
        presented=certificate.public_bytes(Encoding.DER),
        address="192.0.2.1",
        port=40000,
    )


def tenant(name: str, limits: TenantLimits = TenantLimits(), **claims: Any) -> Tenant:  # noqa: B008 - immutable
    """A tenant with an authority of its own."""
    der = authority(name).certificate.public_bytes(Encoding.DER)
    default = {"authorities": (der,), "administrators": (ADMINISTRATOR,), "limits": limits}
    return Tenant(name, **(default | claims))


def set_tenants(laboratory: Laboratory, *tenants: Tenant) -> None:
    """Replace the tenants of a server."""

    async def work() -> Book:
        async with laboratory.serving():

            def write(store: Transaction) -> Book:
                return write_book(store, tenants, now=NOW, by="admin", change="for a test")

            return await laboratory.store.run(write, writes=True)

    laboratory.state.tenants = trio.run(work)


def laboratory_of(folder: Path, *names: str, **options: Any) -> Laboratory:
    """A server with these tenants."""
    laboratory = Laboratory(folder, **options)
    set_tenants(laboratory, *map(tenant, names))
    return laboratory
