"""What the server finds by a fixed name is not in the clients' name space.

Otherwise one client could plant an object there, and every Create and Register of all clients would
fail, or an administrator's certificate would pass for the server's authority.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority
from kmipkit_client import calls, crypto_calls, material, opaque_object
from kmipkit_server.keys import certificate_authority
from kmipkit_server.objects import constraints
from kmipkit_server.store.sqlite import protection
from laboratory import START, Laboratory, reasons
from old_stores import FIRST, restore

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import CreateCredentialRequest, CreateUserRequest
from kmipkit.model.payloads.certify import CertifyRequest
from kmipkit.model.payloads.limits import (
    Constraint,
    Constraints,
    DefaultsInformation,
    GetConstraintsRequest,
    SetConstraintsRequest,
    SetDefaultsRequest,
)
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.spec.enums import (
    CertificateType,
    CredentialType,
    CryptographicAlgorithm,
    NameType,
    ObjectClass,
    ObjectType,
    Operation,
    RecommendedCurve,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
SIGNING = (CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)
OLD_IDENTIFIER = "kmipkit-constraints-and-defaults"
LONG = Constraint(attributes=Attributes.of((Tag.CRYPTOGRAPHIC_LENGTH, 256)))
SYSTEM_CLASS = {Tag.OBJECT_CLASS: ObjectClass.SYSTEM}


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        yield laboratory


def create(bits: int = 128) -> Any:
    return calls.create(CryptographicAlgorithm.AES, bits, BOTH, None, None)


def plant(identifier: str) -> Any:
    request = ImportRequest(
        unique_identifier=identifier,
        object_type=ObjectType.OPAQUE_OBJECT,
        attributes=Attributes(),
        object=opaque_object(b"junk"),
    )
    return calls.raw(Operation.IMPORT, request)


def set_constraints(*rules: Constraint) -> Any:
    request = SetConstraintsRequest(constraints=Constraints(constraints=rules))
    return calls.raw(Operation.SET_CONSTRAINTS, request)


def get_constraints(laboratory: Laboratory) -> tuple[Constraint, ...]:
    call = calls.raw(Operation.GET_CONSTRAINTS, GetConstraintsRequest())
    rules: tuple[Constraint, ...] = laboratory.ask(call).constraints.constraints
    return rules


def is_constrained(laboratory: Laboratory) -> bool:
    [reason] = reasons(laboratory.batch(create(128)))
    assert reason in {"", "CONSTRAINT_VIOLATION"}
    return bool(reason)


@pytest.mark.parametrize(
    "identifier", [OLD_IDENTIFIER, constraints.SETTING, certificate_authority.SETTING]
)
def test_a_planted_object_is_an_ordinary_one(tmp_path: Path, identifier: str) -> None:
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        laboratory.ask(plant(identifier), identity="mallory")
        assert laboratory.ask(create())
        laboratory.ask(set_constraints(LONG), identity="administrator")
        assert is_constrained(laboratory)
    with closing(Laboratory(tmp_path / "data")) as restarted:
        assert is_constrained(restarted)
        planted = restarted.ask(calls.get(identifier, None, None, None), identity="mallory")
        assert material(planted) == b"junk"


def test_no_client_sees_a_setting(laboratory: Laboratory) -> None:
    laboratory.ask(set_constraints(LONG), identity="administrator")
    found = laboratory.ask(
        calls.locate(None, None, SYSTEM_CLASS, None, None, None),
        version=V3_0,
        identity="administrator",
    )
    assert found.ids == ()


@pytest.mark.parametrize("value", [b"", b"junk", bytes(1000)], ids=["empty", "junk", "zeros"])
def test_rules_that_cannot_be_read_do_not_stop_service(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture, value: bytes
) -> None:
    """They are ignored, the log says so, and an administrator can replace them."""
    transaction = laboratory.store._database.begin()
    transaction.set_setting(constraints.SETTING, value)
    laboratory.store._database.commit()
    assert laboratory.ask(create())
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "the constraints and defaults cannot be read and do not apply" in warning.message
    defaults = DefaultsInformation(object_defaults=())
    request = SetDefaultsRequest(defaults_information=defaults)
    laboratory.ask(calls.raw(Operation.SET_DEFAULTS, request), identity="administrator")
    laboratory.ask(set_constraints(LONG), identity="administrator")
    assert is_constrained(laboratory)
    assert get_constraints(laboratory) == (LONG,)


# --- the certificate authority -------------------------------------------------------------------


def certify(laboratory: Laboratory) -> x509.Certificate:
    call = crypto_calls.create_key_pair(
        CryptographicAlgorithm.ECDSA, None, RecommendedCurve.P_256, SIGNING, (None, None), None
    )
    _, public = laboratory.ask(call)
    made = laboratory.ask(
        calls.raw(Operation.CERTIFY, CertifyRequest(unique_identifier=public))
    ).unique_identifier
    value = laboratory.ask(calls.get(made, None, None, None)).certificate_value
    return x509.load_der_x509_certificate(value)


def name(text: str) -> Attributes:
    value = Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    return Attributes.of((Tag.NAME, value))


def as_administrator(laboratory: Laboratory, operation: Operation, request: Any) -> Any:
    return laboratory.ask(calls.raw(operation, request), version=V3_0, identity="administrator")


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("planted", ["certificate", "user"])
def test_the_authority_is_not_found_by_its_name(
    tmp_path: Path, is_first: bool, planted: str
) -> None:
    """An administrator may not know which names the server uses, or may use them on purpose."""
    with closing(Laboratory(tmp_path / "data", unique_names=False)) as laboratory:
        issuers = set() if is_first else {certify(laboratory).issuer}
        other = Authority.create("planted", "ecdsa-p256", START)
        for text in (certificate_authority.NAME, certificate_authority.KEY_NAME):
            if planted == "user":
                request: Any = CreateUserRequest(attributes=name(text))
                as_administrator(laboratory, Operation.CREATE_USER, request)
                continue
            request = CreateCredentialRequest(
                credential_type=CredentialType.CERTIFICATE,
                attributes=name(text),
                credential=Certificate(
                    certificate_type=CertificateType.X_509,
                    certificate_value=other.certificate.public_bytes(Encoding.DER),
                ),
            )
            as_administrator(laboratory, Operation.CREATE_CREDENTIAL, request)
        issuers |= {certify(laboratory).issuer, certify(laboratory).issuer}
        assert len(issuers) == 1, "the server has one authority"
        assert other.certificate.subject not in issuers


# --- stores of the first schema ------------------------------------------------------------------


def test_the_rules_of_an_older_store_still_apply(tmp_path: Path) -> None:
    restore(FIRST, tmp_path / "data")
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        assert is_constrained(laboratory)
        assert laboratory.record(OLD_IDENTIFIER) is None
        found = laboratory.ask(
            calls.locate(OLD_IDENTIFIER, None, SYSTEM_CLASS, None, None, None),
            version=V3_0,
            identity="administrator",
        )
        assert found.ids == (), "its rows of the index are gone as well"
        laboratory.ask(plant(OLD_IDENTIFIER))


def test_the_authority_of_an_older_store_is_still_the_authority(tmp_path: Path) -> None:
    restore(FIRST, tmp_path / "data")
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        located = calls.locate("verifies", None, None, None, None, None)
        assert laboratory.ask(located).ids
        found = laboratory.ask(
            calls.locate(certificate_authority.NAME, None, SYSTEM_CLASS, None, None, None),
            version=V3_0,
            identity="administrator",
        )
        [authority] = found.ids
        certificate = laboratory.ask(
            calls.get(authority, None, None, None), identity="administrator"
        )
        own = x509.load_der_x509_certificate(certificate.certificate_value)
        certify(laboratory).verify_directly_issued_by(own)


def test_an_object_planted_in_an_older_store_stays_that_of_its_owner(tmp_path: Path) -> None:
    restore(FIRST, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "db")) as connection, connection:
        connection.execute(
            "UPDATE objects SET owner = (SELECT number FROM owners WHERE name = 'me') WHERE id = ?",
            (OLD_IDENTIFIER,),
        )
    with closing(Laboratory(tmp_path / "data")) as laboratory:
        assert not is_constrained(laboratory)
        record = laboratory.record(OLD_IDENTIFIER)
        assert record is not None
        assert record.owner == "me"


def test_the_migration_and_the_server_mean_the_same_settings() -> None:
    assert constraints.SETTING == protection.RULES
    assert certificate_authority.SETTING == protection.AUTHORITY
