"""Certificates: Certify, Re-certify, Validate, Re-Provision."""

from datetime import datetime
from typing import Annotated

from kmipkit.model.objects import Certificate, CertificateRequest
from kmipkit.model.payloads.common import (
    NewObjectResponse,
    OptionalAttributeList,
    StorageMasks,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import Identifier, Interval
from kmipkit.spec.enums import CertificateRequestType, ValidityIndicator
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_4, V2_0


@structure()
class CertifyRequest(Structure):
    """Issue a certificate for a public key (1.4 §4.7, 2.1 §6.1.6).

    1.0 requires the certificate request; in later versions it is optional. From 2.0 on, its tag is
    Certificate Request Value, because Certificate Request is a managed object.
    """

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    certificate_request_type: Annotated[
        CertificateRequestType | None,
        Wire(Tag.CERTIFICATE_REQUEST_TYPE, until=V1_0, required=True),
        Wire(Tag.CERTIFICATE_REQUEST_TYPE, since=V1_1),
    ] = None
    certificate_request: Annotated[
        bytes | None,
        Wire(Tag.CERTIFICATE_REQUEST, until=V1_0, required=True),
        Wire(Tag.CERTIFICATE_REQUEST, since=V1_1, until=V1_4),
        Wire(Tag.CERTIFICATE_REQUEST_VALUE, since=V2_0),
    ] = None
    attributes: OptionalAttributeList = None
    protection_storage_masks: StorageMasks = None


@structure()
class CertifyResponse(NewObjectResponse):
    """The new certificate (1.4 §4.7, 2.1 §6.1.6)."""


@structure()
class ReCertifyRequest(Structure):
    """Renew a certificate; ``offset`` in seconds (1.4 §4.8, 2.1 §6.1.45)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
    certificate_request_unique_identifier: Annotated[
        Identifier | None, Wire(Tag.CERTIFICATE_REQUEST_UNIQUE_IDENTIFIER, since=V2_0)
    ] = None
    certificate_request_type: Annotated[
        CertificateRequestType | None,
        Wire(Tag.CERTIFICATE_REQUEST_TYPE, until=V1_0, required=True),
        Wire(Tag.CERTIFICATE_REQUEST_TYPE, since=V1_1),
    ] = None
    certificate_request: Annotated[
        bytes | None,
        Wire(Tag.CERTIFICATE_REQUEST, until=V1_0, required=True),
        Wire(Tag.CERTIFICATE_REQUEST, since=V1_1, until=V1_4),
        Wire(Tag.CERTIFICATE_REQUEST_VALUE, since=V2_0),
    ] = None
    offset: Annotated[Interval | None, Wire(Tag.OFFSET)] = None
    attributes: OptionalAttributeList = None
    protection_storage_masks: StorageMasks = None


@structure()
class ReCertifyResponse(NewObjectResponse):
    """The renewed certificate (1.4 §4.8, 2.1 §6.1.45)."""


@structure()
class ValidateRequest(Structure):
    """Check a certificate chain (1.4 §4.24, 2.1 §6.1.57)."""

    certificates: Annotated[tuple[Certificate, ...], Wire()] = ()
    unique_identifiers: Annotated[tuple[Identifier, ...], Wire(Tag.UNIQUE_IDENTIFIER)] = ()
    validity_date: Annotated[datetime | None, Wire(Tag.VALIDITY_DATE)] = None


@structure()
class ValidateResponse(Structure):
    """The validity of the chain (1.4 §4.24, 2.1 §6.1.57)."""

    validity_indicator: Annotated[ValidityIndicator, Wire(Tag.VALIDITY_INDICATOR)]


@structure()
class ReProvisionRequest(Structure):
    """Replace the client's own credential (2.1 §6.1.48).

    Without both fields, the server creates the key pair.
    """

    certificate_request: Annotated[CertificateRequest | None, Wire(since=V2_0)] = None
    certificate: Annotated[Certificate | None, Wire(since=V2_0)] = None


@structure()
class ReProvisionResponse(Structure):
    """The new certificate, or the private key that the server generated (2.1 §6.1.48)."""

    unique_identifier: Annotated[Identifier | None, Wire(Tag.UNIQUE_IDENTIFIER)] = None
