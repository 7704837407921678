"""Which tenant a client certificate belongs to.

A tenant claims certificates in three ways: by an authority in their chain, by an organizational unit in
their subject, and by the name of the account. An authority is recognized by its key: whoever else calls
himself like it cannot make a signature of it. It counts wherever it is in the verified chain: otherwise
the authority of a tenant could make another one below itself, whose clients would be of no tenant and
have any name.

That two tenants claim the same certificate is refused where it can be seen in advance: the same key of
an authority, the same unit, two patterns that some name meets. Whether one tenant's authority issues
certificates with another one's unit shows only in a certificate; such a one is refused.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import combinations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from kmipkit_server.tenants.tenant import Tenant, TenantError

_NOT_ISSUED = (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError)
"""What the library raises if the issuer's name, key or signature is another one."""


def claims(
    tenant: Tenant,
    certificate: x509.Certificate | None,
    account: str,
    authorities: Collection[bytes] = (),
) -> bool:
    """Whether a certificate with this account belongs to a tenant; None if there is no certificate.

    ``authorities`` are the keys of those in its verified chain.
    """
    if any(_matches(pattern, account) for pattern in tenant.accounts):
        return True
    if certificate is None:
        return False
    return bool(set(tenant.units) & set(_units(certificate))) or any(
        key_of(authority) in authorities or _has_signed(authority, certificate)
        for authority in tenant.authorities
    )


def require_no_overlap(tenants: Sequence[Tenant]) -> None:
    """TenantError if two tenants claim the same."""
    for first, second in combinations(tenants, 2):
        for what in _common(first, second):
            raise TenantError(f"the tenants {first.name} and {second.name} both claim {what}")


def require_usable(tenant: Tenant) -> None:
    """TenantError if something is claimed that no client has, or that is not an authority."""
    for der in tenant.authorities:
        try:
            authority = _load(der)
            constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
            key_of(der)
        except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
            raise TenantError(f"the certificate of an authority is malformed: {error}") from None
        except x509.ExtensionNotFound:
            constraints = None
        if constraints is None or not constraints.ca:
            raise TenantError(
                f"{authority.subject.rfc4514_string()} is not the certificate of an authority"
            )


def _common(first: Tenant, second: Tenant) -> Iterator[str]:
    keys = {key_of(der) for der in first.authorities}
    for der in second.authorities:
        if key_of(der) in keys:
            yield f"the authority {_load(der).subject.rfc4514_string()}"
    for unit in set(first.units) & set(second.units):
        yield f"the organizational unit {unit!r}"
    for own in first.accounts:
        for other in second.accounts:
            if overlap(own, other):
                same = f"the account {own!r}" if own == other else f"accounts ({own!r}, {other!r})"
                yield same


def _matches(pattern: str, name: str) -> bool:
    """Whether a name meets a pattern; ``*`` stands for any characters, also for none."""
    head, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, tail = rest
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def overlap(first: str, second: str) -> bool:
    """Whether some name meets both patterns."""
    # possible[j]: whether what is left of the first pattern and second[j:] have a name in common.
    possible = [all(char == "*" for char in second[j:]) for j in range(len(second) + 1)]
    for i in range(len(first) - 1, -1, -1):
        following = possible
        possible = [False] * (len(second) + 1)
        for j in range(len(second), -1, -1):
            if first[i] == "*":
                possible[j] = following[j] or (j < len(second) and possible[j + 1])
            elif j < len(second) and second[j] == "*":
                possible[j] = possible[j + 1] or following[j]
            else:
                possible[j] = j < len(second) and first[i] == second[j] and following[j + 1]
    return possible[0]


def _units(certificate: x509.Certificate) -> list[str | bytes]:
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    except (ValueError, TypeError):  # a malformed subject, of which no name is taken either
        return []
    return [each.value for each in names]


def _has_signed(authority: bytes, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(_load(authority))
    except _NOT_ISSUED:
        return False
    return True


@lru_cache(maxsize=256)
def _load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def keys_of(chain: Iterable[bytes]) -> tuple[bytes, ...]:
    """The keys of the authorities of a chain (DER), but for keys that no tenant can claim."""
    keys = []
    for der in chain:
        with suppress(ValueError, UnsupportedAlgorithm):
            keys.append(key_of(der))
    return tuple(keys)


@lru_cache(maxsize=256)
def key_of(der: bytes) -> bytes:
    """The public key of an authority (DER), by which it is recognized."""
    return _load(der).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
