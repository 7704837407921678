"""Certificates and requests that the library cannot read: refused, while our own defects are not."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.errors import CertificateError
from kmipkit_client import calls
from kmipkit_server.identity import certificate as identity_certificate
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.operations import certify, validate
from laboratory import START, Laboratory, reasons
from malformed_certificates import (
    MALFORMED,
    Change,
    certificate,
    replacement,
    signed_request,
    x_509,
)

from kmipkit.model.attribute import Attributes
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import CreateCredentialRequest
from kmipkit.model.payloads.certify import CertifyRequest, ReCertifyRequest, ValidateRequest
from kmipkit.spec.enums import (
    CertificateRequestType,
    CertificateType,
    CredentialType,
    Operation,
    ResultReason,
)
from kmipkit.spec.reasons import reason_for
from kmipkit.spec.versions import V1_4, V3_0


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def result_reason(
    laboratory: Laboratory, operation: Operation, payload: Any, **options: Any
) -> str:
    """The Result Reason; "" for a success."""
    [reason] = reasons(laboratory.batch(calls.raw(operation, payload), **options))
    return reason


def certify_request(der: bytes) -> CertifyRequest:
    return CertifyRequest(
        certificate_request_type=CertificateRequestType.PKCS_10, certificate_request=der
    )


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_certify_refuses_a_malformed_request(laboratory: Laboratory, change: Change) -> None:
    assert (
        result_reason(laboratory, Operation.CERTIFY, certify_request(signed_request(bytes))) == ""
    )
    request = certify_request(signed_request(change))
    assert result_reason(laboratory, Operation.CERTIFY, request) == "INVALID_CSR"


def test_certify_refuses_a_request_of_an_unknown_version(laboratory: Laboratory) -> None:
    request = certify_request(
        signed_request(lambda tbs: tbs.replace(b"\x02\x01\x00", b"\x02\x01\x09", 1))
    )
    assert result_reason(laboratory, Operation.CERTIFY, request) == "INVALID_CSR"
    assert result_reason(laboratory, Operation.CERTIFY, request, version=V1_4) == "INVALID_FIELD"


@pytest.mark.parametrize(
    "change",
    [
        *(MALFORMED[name] for name in MALFORMED if name != "unknown curve"),
        replacement("a003020102", "a003020109"),
    ],
    ids=[*(name for name in MALFORMED if name != "unknown curve"), "unknown version"],
)
def test_a_malformed_certificate_is_an_invalid_field(
    laboratory: Laboratory, change: Change
) -> None:
    value = x_509(certificate(change))
    validation = ValidateRequest(certificates=(value,))
    assert result_reason(laboratory, Operation.VALIDATE, validation) == "INVALID_FIELD"
    # What is valid, but of a kind that the library lacks, is stored; it cannot be used here.
    is_storable = change is MALFORMED["unsupported alternative name"]
    assert reasons(laboratory.batch(calls.register(value, None, None, None))) == [
        "" if is_storable else "INVALID_FIELD"
    ]
    credential = CreateCredentialRequest(
        credential_type=CredentialType.CERTIFICATE, credential=value, attributes=Attributes()
    )
    administrator: dict[str, Any] = {"version": V3_0, "identity": "administrator"}
    reason = result_reason(laboratory, Operation.CREATE_CREDENTIAL, credential, **administrator)
    assert reason == "INVALID_FIELD"


def test_an_issuer_whose_key_is_not_supported_has_issued_nothing(laboratory: Laboratory) -> None:
    issuer = x_509(certificate(MALFORMED["unknown curve"]))
    leaf = x_509(certificate(bytes))
    validation = calls.raw(Operation.VALIDATE, ValidateRequest(certificates=(leaf, issuer)))
    assert laboratory.ask(validation).validity_indicator.name == "INVALID"


def test_re_certify_refuses_a_certificate_that_is_not_x_509(laboratory: Laboratory) -> None:
    pgp = Certificate(certificate_type=CertificateType.PGP, certificate_value=b"\x99\x01\x0d")
    old = laboratory.ask(calls.register(pgp, None, None, None), version=V1_4)
    renewal = ReCertifyRequest(unique_identifier=old)
    assert result_reason(laboratory, Operation.RE_CERTIFY, renewal) == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("cn", MALFORMED["no DER"]),
        ("cn", MALFORMED["text that is bits"]),
        ("subject", MALFORMED["text that is bits"]),
        ("san", MALFORMED["repeated extension"]),
        ("san", MALFORMED["unsupported alternative name"]),
        ("fingerprint", replacement("a003020102", "a003020109")),
    ],
)
def test_a_malformed_client_certificate_names_nobody(source: str, change: Change) -> None:
    with pytest.raises(NoIdentity, match="malformed"):
        IdentityRule(source).identify(certificate(change))


@pytest.mark.parametrize(
    "name", ["repeated extension", "unsupported alternative name", "text that is bits"]
)
def test_the_development_authority_refuses_a_malformed_request(name: str) -> None:
    request = x509.load_der_x509_csr(signed_request(MALFORMED[name]))
    with pytest.raises(CertificateError, match="malformed"):
        Authority.create("authority", "ecdsa-p256", START).sign(request, Purpose.SERVER, START)


def test_a_defect_in_reading_a_client_certificate_surfaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity_certificate, "sha256", fail)
    with pytest.raises(AttributeError):
        IdentityRule("cn").identify(certificate(bytes))


def fail(*_arguments: object) -> Any:
    raise AttributeError("a defect of ours")


@pytest.mark.parametrize(
    ("module", "name", "operation"),
    [
        (certify, "_is_proved_by_sha_1", Operation.CERTIFY),
        (certify, "requested_names", Operation.CERTIFY),
        (validate, "_is_issued_by", Operation.VALIDATE),
    ],
)
def test_a_defect_of_ours_is_not_taken_for_a_malformed_certificate(
    laboratory: Laboratory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: Any,
    name: str,
    operation: Operation,
) -> None:
    monkeypatch.setattr(module, name, fail)
    tampered = signed_request(bytes)
    if name == "_is_proved_by_sha_1":  # asked only where the library rejects the signature
        tampered = tampered[:-1] + bytes([tampered[-1] ^ 1])
    chain = (x_509(certificate(bytes)), x_509(other_certificate()))
    payload: Any = (
        certify_request(tampered)
        if operation is Operation.CERTIFY
        else ValidateRequest(certificates=chain)
    )
    with caplog.at_level(logging.ERROR, logger="kmipkit.server"):
        assert result_reason(laboratory, operation, payload) == "INTERNAL_SERVER_ERROR"
    [record] = caplog.records
    assert record.getMessage() == f"me: internal error in {operation.name.title()}"
    assert record.exc_info is not None


def other_certificate() -> bytes:
    return Authority.create("other", "ecdsa-p256", START).certificate.public_bytes(Encoding.DER)


def test_older_versions_get_the_reason_that_their_tables_have() -> None:
    assert reason_for(ResultReason.INVALID_CSR, V1_4) is ResultReason.INVALID_FIELD
    correlation = ResultReason.INVALID_CORRELATION_VALUE
    assert reason_for(correlation, V1_4) is ResultReason.ITEM_NOT_FOUND
