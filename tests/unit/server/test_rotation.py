"""Automatic rotation: the server replaces what is due, by its own clock (KMIP 2.1 §4.48 to §4.54)."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
import trio
from kmipkit_client import calls
from kmipkit_client.calls import Call
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.engine.seam import Seam
from kmipkit_server.operations.rotation import Rotation
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.transaction import SQLiteTransaction
from kmipkit_server.vault.file import FileVault
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name, RotateName
from kmipkit.model.payloads.certify import CertifyRequest
from kmipkit.model.payloads.create import CreateKeyPairRequest, CreateRequest
from kmipkit.model.payloads.lifecycle import ArchiveRequest
from kmipkit.model.payloads.rekey import ReKeyRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    RevocationReasonCode,
    RotateNameType,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1

HOUR = 3600
AUTOMATIC = ((Tag.ROTATE_AUTOMATIC, True), (Tag.ROTATE_INTERVAL, HOUR))
SET = RotateName(
    rotate_name_value="backup", rotate_name_type=RotateNameType.UNINTERPRETED_TEXT_STRING
)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def rotate(laboratory: Laboratory, rotation: Rotation | None = None) -> None:
    """One check of the server."""

    async def work() -> None:
        async with laboratory.serving():
            await (rotation or Rotation(laboratory.dispatcher)).rotate()

    trio.run(work)


def name(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def create(laboratory: Laboratory, *more: tuple[Tag, Any], identity: str = "me") -> str:
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        (Tag.CRYPTOGRAPHIC_LENGTH, 256),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
        *more,
    )
    request = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
    call = calls.raw(Operation.CREATE, request)
    return str(laboratory.ask(call, identity=identity).unique_identifier)


def get(laboratory: Laboratory, identifier: str) -> Attributes:
    attributes: Attributes = laboratory.ask(calls.get_attributes(identifier, ()))
    return attributes


def linked(laboratory: Laboratory, identifier: str, link_type: LinkType) -> str | None:
    record = laboratory.record(identifier)
    assert record is not None
    return next(
        (
            link.linked_object_identifier
            for link in record.attributes.all(Tag.LINK)
            if link.link_type is link_type
        ),
        None,
    )


def replacement(laboratory: Laboratory, identifier: str) -> str | None:
    return linked(laboratory, identifier, LinkType.REPLACEMENT_OBJECT_LINK)


def test_a_key_is_rotated_when_its_interval_has_passed(laboratory: Laboratory) -> None:
    """Not before, and the attributes of the set follow (§4.49 to §4.53)."""
    key = create(laboratory, *AUTOMATIC, (Tag.ROTATE_NAME, SET), (Tag.NAME, name("disk")))
    laboratory.pass_time(seconds=HOUR - 1)
    rotate(laboratory)
    assert replacement(laboratory, key) is None
    laboratory.pass_time(seconds=1)
    rotate(laboratory)
    new = replacement(laboratory, key)
    assert new is not None
    attributes, old = get(laboratory, new), get(laboratory, key)
    assert attributes.get(Tag.ROTATE_GENERATION) == 1
    assert attributes.get(Tag.ROTATE_DATE) == START + timedelta(seconds=HOUR)
    assert attributes.get(Tag.ROTATE_LATEST) is True
    assert old.get(Tag.ROTATE_LATEST) is False
    assert attributes.get(Tag.ROTATE_NAME) == old.get(Tag.ROTATE_NAME) == SET
    assert attributes.get(Tag.ROTATE_AUTOMATIC) is True
    assert attributes.get(Tag.ROTATE_INTERVAL) == HOUR
    assert old.get(Tag.ROTATE_AUTOMATIC) is False
    assert attributes.get(Tag.NAME) == name("disk")
    assert old.get(Tag.NAME) is None
    keys = [laboratory.ask(calls.get(each, None, None, None)) for each in (key, new)]
    assert keys[0] != keys[1]
    assert linked(laboratory, new, LinkType.REPLACED_OBJECT_LINK) == key


def test_rotation_goes_on_with_the_replacement(laboratory: Laboratory) -> None:
    """One after the other; an old one is not rotated a second time."""
    key = create(laboratory, *AUTOMATIC)
    for generation in range(1, 4):
        laboratory.pass_time(seconds=HOUR)
        rotate(laboratory)
        rotate(laboratory)
        key = replacement(laboratory, key) or ""
        assert get(laboratory, key).get(Tag.ROTATE_GENERATION) == generation
    everything = laboratory.ask(calls.locate(None, None, None, None, None, None))
    assert len(everything.ids) == 4


def test_missed_intervals_are_one_rotation(laboratory: Laboratory) -> None:
    """A server that was stopped for a day does not make 24 keys."""
    key = create(laboratory, *AUTOMATIC)
    laboratory.pass_time(days=1)
    rotate(laboratory)
    new = replacement(laboratory, key)
    assert new is not None
    rotate(laboratory)
    assert replacement(laboratory, new) is None


def test_what_is_due_is_found_after_a_restart(tmp_path: Path) -> None:
    with closing(Laboratory(tmp_path)) as laboratory:
        key = create(laboratory, *AUTOMATIC)
        now = laboratory.now
    with closing(Laboratory(tmp_path, now=now + timedelta(hours=1))) as laboratory:
        rotate(laboratory)
        assert replacement(laboratory, key) is not None


@pytest.mark.sqlite
def test_what_is_due_is_found_in_an_older_store(tmp_path: Path) -> None:
    """An earlier version has stored the attributes, and no list of what is due."""
    with closing(Laboratory(tmp_path)) as laboratory:
        key = create(laboratory, *AUTOMATIC)
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        connection.execute("DELETE FROM rotations")
        connection.commit()
    with closing(Laboratory(tmp_path, now=START + timedelta(hours=1))) as laboratory:
        rotate(laboratory)
        assert replacement(laboratory, key) is None
    vault = FileVault.open(tmp_path / "root.key")
    with closing(SQLiteDatabase.open(tmp_path / "db", vault)) as database:
        # What a migration does from the schemas that had no list.
        transaction = database.begin()
        assert isinstance(transaction, SQLiteTransaction)
        transaction.fill_rotations()
        database.commit()
    with closing(Laboratory(tmp_path, now=START + timedelta(hours=1))) as laboratory:
        rotate(laboratory)
        assert replacement(laboratory, key) is not None


def test_an_offset_is_that_of_the_re_key(laboratory: Laboratory) -> None:
    """§4.54: "the Offset value to use in the equivalent of the ReKey" operation."""
    key = create(laboratory, *AUTOMATIC, (Tag.ROTATE_OFFSET, 600), (Tag.ACTIVATION_DATE, START))
    laboratory.pass_time(seconds=HOUR)
    rotate(laboratory)
    attributes = get(laboratory, replacement(laboratory, key) or "")
    assert attributes.get(Tag.ACTIVATION_DATE) == laboratory.now + timedelta(seconds=600)
    assert attributes.get(Tag.STATE) is State.PRE_ACTIVE


def test_pairs_and_certificates_are_rotated(laboratory: Laboratory) -> None:
    """§4.48: "via the equivalent of the ReKey, ReKeyKeyPair or ReCertify operation"."""
    attributes = Attributes.of(*AUTOMATIC)
    request = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.EC),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.SIGN),
        ),
        private_key_attributes=attributes,
    )
    pair = laboratory.ask(calls.raw(Operation.CREATE_KEY_PAIR, request))
    certify = CertifyRequest(
        unique_identifier=pair.public_key_unique_identifier, attributes=attributes
    )
    certificate = laboratory.ask(calls.raw(Operation.CERTIFY, certify)).unique_identifier
    laboratory.pass_time(seconds=HOUR)
    rotate(laboratory)
    for identifier in (
        pair.private_key_unique_identifier,
        pair.public_key_unique_identifier,
        certificate,
    ):
        new = replacement(laboratory, identifier)
        assert new is not None
        assert get(laboratory, new).get(Tag.ROTATE_GENERATION) == 1


Prepare = Callable[[Laboratory, str], Any]


def _revoke(laboratory: Laboratory, key: str) -> None:
    laboratory.ask(calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, None, None))


def _archive(laboratory: Laboratory, key: str) -> None:
    laboratory.ask(calls.raw(Operation.ARCHIVE, ArchiveRequest(unique_identifier=key)))


NOT_ROTATED: dict[str, tuple[tuple[tuple[Tag, Any], ...], Prepare]] = {
    "not automatic": (((Tag.ROTATE_INTERVAL, HOUR),), lambda *_: None),
    "switched off": (
        ((Tag.ROTATE_AUTOMATIC, False), (Tag.ROTATE_INTERVAL, HOUR)),
        lambda *_: None,
    ),
    "without interval": (((Tag.ROTATE_AUTOMATIC, True),), lambda *_: None),
    "interval of zero": (
        ((Tag.ROTATE_AUTOMATIC, True), (Tag.ROTATE_INTERVAL, 0)),
        lambda *_: None,
    ),
    "destroyed": (AUTOMATIC, lambda laboratory, key: laboratory.ask(calls.destroy(key))),
    "compromised": (AUTOMATIC, _revoke),
    "archived": (AUTOMATIC, _archive),
    "deactivated before": (
        (*AUTOMATIC, (Tag.DEACTIVATION_DATE, START + timedelta(minutes=30))),
        lambda *_: None,
    ),
    "replaced by its client": (
        AUTOMATIC,
        lambda laboratory, key: laboratory.ask(
            calls.raw(Operation.RE_KEY, ReKeyRequest(unique_identifier=key))
        ),
    ),
}


@pytest.mark.parametrize("case", NOT_ROTATED)
def test_what_is_not_rotated(laboratory: Laboratory, case: str) -> None:
    attributes, prepare = NOT_ROTATED[case]
    key = create(laboratory, *attributes)
    prepare(laboratory, key)
    before = replacement(laboratory, key)
    laboratory.pass_time(seconds=HOUR)
    rotate(laboratory)
    assert replacement(laboratory, key) == before


@pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)
def test_a_re_key_by_the_client_counts(laboratory: Laboratory, version: Any) -> None:
    """§4.50: "automatic rotates or ReKey, ReKeyKeyPair, or ReCertify operations"."""
    key = create(laboratory, *AUTOMATIC)
    laboratory.pass_time(seconds=60)
    call = calls.raw(Operation.RE_KEY, ReKeyRequest(unique_identifier=key))
    new = laboratory.ask(call, version).unique_identifier
    assert get(laboratory, new).get(Tag.ROTATE_GENERATION) == 1
    laboratory.pass_time(seconds=HOUR)
    rotate(laboratory)
    newest = replacement(laboratory, new)
    assert newest is not None
    assert get(laboratory, newest).get(Tag.ROTATE_GENERATION) == 2


def test_each_account_keeps_its_keys(laboratory: Laboratory) -> None:
    """The replacement belongs to the account of the key, whoever it is."""
    keys = {owner: create(laboratory, *AUTOMATIC, identity=owner) for owner in ("a", "user:b")}
    laboratory.pass_time(seconds=HOUR)
    rotate(laboratory)
    for owner, key in keys.items():
        record = laboratory.record(replacement(laboratory, key) or "")
        assert record is not None
        assert record.owner == owner


def test_a_failure_is_logged_once_and_does_not_stop_the_others(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    """A quota that is used up, for example; the rotation is made up for when there is room."""
    full = [create(laboratory, *AUTOMATIC) for _ in range(2)]
    other = create(laboratory, *AUTOMATIC, identity="other")
    laboratory.dispatcher.seam = Seam((Permissions(), Quotas(objects=2)))
    laboratory.pass_time(seconds=HOUR)
    rotation = Rotation(laboratory.dispatcher)
    with caplog.at_level(logging.WARNING, logger="kmipkit.server"):
        for _ in range(3):
            rotate(laboratory, rotation)
    lines = [each for each in caplog.messages if "cannot be rotated" in each]
    assert len(lines) == 2
    assert replacement(laboratory, other) is not None
    assert [replacement(laboratory, key) for key in full] == [None, None]
    laboratory.dispatcher.seam = Seam((Permissions(),))
    rotate(laboratory, rotation)
    assert None not in [replacement(laboratory, key) for key in full]


def test_the_index_alone_rotates_nothing(tmp_path: Path) -> None:
    """Who can write the database, but has not the root key, replaces no keys."""
    with closing(Laboratory(tmp_path)) as laboratory:
        key = create(laboratory)
    stores.sql(tmp_path, "INSERT INTO rotations (object, due) SELECT seq, 1 FROM objects")
    with closing(Laboratory(tmp_path, now=START + timedelta(hours=1))) as laboratory:
        rotate(laboratory)
        assert replacement(laboratory, key) is None


def test_clients_do_not_set_what_the_server_sets(laboratory: Laboratory) -> None:
    """Tables 128, 130 and 134: initially set by the server."""
    values: dict[Tag, Any] = {
        Tag.ROTATE_GENERATION: 7,
        Tag.ROTATE_DATE: START,
        Tag.ROTATE_LATEST: True,
    }
    for tag, value in values.items():
        attributes = Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
            (tag, value),
        )
        request = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
        call: Call[Any] = calls.raw(Operation.CREATE, request)
        [result] = laboratory.batch(call)
        assert isinstance(result, Exception)
