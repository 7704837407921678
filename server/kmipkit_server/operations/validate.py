"""Validate: whether certificates form a chain that holds (KMIP 1.4 §4.24, KMIP 2.1 §6.1.57).

The chain may come in any order. It ends at an authority whose clients this server accepts, or at
the server's own authority; a chain that holds but ends elsewhere is Unknown.
"""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from kmipkit.errors import OperationError
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.certify import ValidateRequest, ValidateResponse
from kmipkit.spec.enums import ResultReason, State, ValidityIndicator
from kmipkit_server.engine.call import Call
from kmipkit_server.keys import certificate_authority
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed

LONGEST = 32
"""Certificates of a chain at most."""

_GOOD = frozenset({State.PRE_ACTIVE, State.ACTIVE})


def validate(call: Call, request: ValidateRequest) -> ValidateResponse:
    """Check signatures, authorities, dates, and for objects of the server their state."""
    managed = [load(call, identifier) for identifier in request.unique_identifiers]
    values = [*request.certificates, *map(_certificate, managed)]
    if not values:
        raise OperationError(ResultReason.INVALID_FIELD, "no certificate is given")
    if len(values) > LONGEST:
        raise OperationError(ResultReason.INVALID_FIELD, f"a chain has at most {LONGEST} links")
    chain = [_parsed(value.certificate_value) for value in values]
    anchors = [_parsed(der) for der in (*call.settings.anchors, *_own(call))]
    revoked = any(one.state not in _GOOD for one in managed)
    moment = request.validity_date or call.now
    verdict = ValidityIndicator.INVALID if revoked else judged(chain, anchors, moment)
    return ValidateResponse(validity_indicator=verdict)


def _own(call: Call) -> list[bytes]:
    own = certificate_authority.certificate(call)
    return [] if own is None else [own]


def _certificate(managed: Managed) -> Certificate:
    value = managed.object
    if not isinstance(value, Certificate):
        raise OperationError(ResultReason.INVALID_OBJECT_TYPE, "the object is not a Certificate")
    return value


def _parsed(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise OperationError(
            ResultReason.INVALID_FIELD, "a certificate cannot be read as X.509"
        ) from None


def judged(
    chain: Iterable[x509.Certificate], anchors: Iterable[x509.Certificate], moment: datetime
) -> ValidityIndicator:
    """The verdict on a chain at a moment."""
    ordered = _ordered(list(chain))
    if ordered is None:
        return ValidityIndicator.INVALID
    top = ordered[-1]
    found = next((one for one in anchors if one == top or _issued(top, one)), None)
    whole = ordered if found is None or found == top else [*ordered, found]
    if not all(one.not_valid_before_utc <= moment <= one.not_valid_after_utc for one in whole):
        return ValidityIndicator.INVALID
    return ValidityIndicator.UNKNOWN if found is None else ValidityIndicator.VALID


def _ordered(chain: list[x509.Certificate]) -> list[x509.Certificate] | None:
    """From the leaf up, each issued by the next; None where they do not form one chain."""
    leaves = [one for one in chain if not any(_issued(o, one) for o in chain if o is not one)]
    if len(leaves) != 1:
        return None
    ordered, rest = leaves, [one for one in chain if one is not leaves[0]]
    while rest:
        issuer = next((one for one in rest if _issued(ordered[-1], one)), None)
        if issuer is None:
            return None
        ordered = [*ordered, issuer]
        rest.remove(issuer)
    return ordered


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether an authority has signed a certificate (RFC 5280 §4.2.1.9: it must be one)."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return constraints.ca
