"""Validate: whether certificates form a valid chain (KMIP 1.4 §4.24, KMIP 2.1 §6.1.57).

The chain may come in any order. It is Valid if it ends at an authority whose clients this server
accepts, or at the server's own authority; those of other tenants are unknown. A correct chain that ends
elsewhere is Unknown. The lists of revoked client certificates apply here, too.
"""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.errors import OperationError
from kmipkit.keys import costs
from kmipkit.keys.certificates import load_certificate
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.certify import ValidateRequest, ValidateResponse
from kmipkit.spec.enums import ResultReason, State, ValidityIndicator
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import certificate_authority
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed

MAX_CHAIN_LENGTH = 32
"""The work grows with the square of the length: who issued whom is found by trying signatures."""

_VALID_STATES = frozenset({State.PRE_ACTIVE, State.ACTIVE})


def validate(call: Call, request: ValidateRequest) -> ValidateResponse:
    """Check signatures, authorities, dates, and the state of certificates stored here."""
    objects = [load(call, identifier) for identifier in request.unique_identifiers]
    values = [*request.certificates, *map(_certificate, objects)]
    if not values:
        raise OperationError(ResultReason.INVALID_MESSAGE, "the request has no certificate")
    if len(values) > MAX_CHAIN_LENGTH:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the request has {len(values)} certificates; Validate takes {MAX_CHAIN_LENGTH} at most",
        )
    chain = tuple([value.certificate_value for value in values])
    tenants = call.batch.server.state.tenants
    known = tenants.anchors_for(call.identity.tenant, call.settings.anchors)
    anchors = (*known, *_own_authority(call))
    cost = _cost(chain, anchors)  # before anything else: it refuses malformed certificates
    if any(managed.state not in _VALID_STATES for managed in objects):
        validity = ValidityIndicator.INVALID
    else:
        date = request.validity_date or call.now
        validity = call.compute(_validity, chain, anchors, date, cost=cost)
        validity = _with_revocations(call, chain, validity)
    return ValidateResponse(validity_indicator=validity)


def _with_revocations(
    call: Call, chain: Iterable[bytes], validity: ValidityIndicator
) -> ValidityIndicator:
    """The validity of a chain, if the revocation lists are taken into account.

    A revoked certificate is invalid at every date, since its key may have been stolen before.
    """
    found = {call.settings.revocation(PeerCertificate.parse(der)) for der in chain}
    if ValidityIndicator.INVALID in found:
        return ValidityIndicator.INVALID
    if ValidityIndicator.UNKNOWN in found and validity is ValidityIndicator.VALID:
        return ValidityIndicator.UNKNOWN
    return validity


def _own_authority(call: Call) -> list[bytes]:
    der = certificate_authority.certificate(call)
    return [] if der is None else [der]


def _certificate(managed: Managed) -> Certificate:
    value = managed.object
    if not isinstance(value, Certificate):
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"the object is {title_with_article(managed.object_type)}, not a Certificate",
        )
    return value


def _cost(chain: tuple[bytes, ...], anchors: tuple[bytes, ...]) -> float:
    """About how many milliseconds :func:`_validity` takes.

    Certificates that name the same subject and issuer have all their signatures tried.
    """
    each = max(costs.public_operation(_key(load_certificate(der))) for der in chain)
    anchor = max(
        (costs.public_operation(_key(load_certificate(der))) for der in anchors), default=0
    )
    return len(chain) ** 2 * each + len(anchors) * anchor


def _key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except _UNREADABLE:
        return None


def _validity(
    chain: tuple[bytes, ...], anchors: tuple[bytes, ...], date: datetime
) -> ValidityIndicator:
    """The validity of a chain in DER."""
    return validity_of(map(load_certificate, chain), map(load_certificate, anchors), date)


def validity_of(
    chain: Iterable[x509.Certificate], anchors: Iterable[x509.Certificate], date: datetime
) -> ValidityIndicator:
    """The validity of a chain at a date."""
    path = _order(list(chain))
    if path is None:
        return ValidityIndicator.INVALID
    top = path[-1]
    anchor = next((each for each in anchors if each == top or _is_issued_by(top, each)), None)
    if anchor is not None and anchor != top:
        path = [*path, anchor]
    if not all(each.not_valid_before_utc <= date <= each.not_valid_after_utc for each in path):
        return ValidityIndicator.INVALID
    return ValidityIndicator.UNKNOWN if anchor is None else ValidityIndicator.VALID


def _order(chain: list[x509.Certificate]) -> list[x509.Certificate] | None:
    """From the leaf up, each issued by the next; None if they do not form one chain."""
    leaves = [
        certificate
        for certificate in chain
        if not any(_is_issued_by(other, certificate) for other in chain if other is not certificate)
    ]
    if len(leaves) != 1:
        return None
    path, rest = leaves, [certificate for certificate in chain if certificate is not leaves[0]]
    while rest:
        issuer = next((each for each in rest if _is_issued_by(path[-1], each)), None)
        if issuer is None:
            return None
        path = [*path, issuer]
        rest.remove(issuer)
    return path


_UNREADABLE = (UnsupportedAlgorithm, ValueError)
"""What the library raises for the key of a certificate that it does not support."""

_NOT_ISSUED = (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError)
"""What the library raises if the issuer's name, key or signature is another one, or if it does not
support them: TypeError for a key that cannot sign, such as X25519."""


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether an authority signed a certificate (RFC 5280 §4.2.1.9: the issuer must be one)."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except _NOT_ISSUED:
        return False
    return constraints.ca
