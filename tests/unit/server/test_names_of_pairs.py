"""A Name in the common attributes of a key pair names both keys (KMIP 1.4 §4.2)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls
from kmipkit_client.calls import Call
from laboratory import Laboratory, reasons

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.create import CreateKeyPairRequest
from kmipkit.model.payloads.rekey import ReKeyKeyPairRequest
from kmipkit.spec.enums import CryptographicAlgorithm, NameType, Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def named(*names: str) -> tuple[tuple[Tag, Name], ...]:
    kind = NameType.UNINTERPRETED_TEXT_STRING
    return tuple((Tag.NAME, Name(name_value=name, name_type=kind)) for name in names)


def pair(common: str, private: tuple[str, ...] = (), public: tuple[str, ...] = ()) -> Call[Any]:
    request = CreateKeyPairRequest(
        common_attributes=Attributes.of(
            (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.ECDSA),
            (Tag.CRYPTOGRAPHIC_LENGTH, 256),
            *named(common),
        ),
        private_key_attributes=Attributes.of(*named(*private)),
        public_key_attributes=Attributes.of(*named(*public)),
    )
    return calls.raw(Operation.CREATE_KEY_PAIR, request)


def names(laboratory: Laboratory, identifier: str, version: Version) -> list[str]:
    shown = laboratory.ask(calls.get_attributes(identifier, ()), version)
    return sorted(name.name_value for name in shown.all(Tag.NAME))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_both_keys_have_the_common_name(laboratory: Laboratory, version: Version) -> None:
    made = laboratory.ask(pair("both", ("one",), ("other",)), version)
    private, public = made.private_key_unique_identifier, made.public_key_unique_identifier
    assert names(laboratory, private, version) == ["both", "one"]
    assert names(laboratory, public, version) == ["both", "other"]
    found = laboratory.ask(calls.locate("both", None, None, None, None, None), version)
    assert set(found.ids) == {private, public}
    for call in (pair("both"), pair("new", ("both",)), pair("new", ("same",), ("same",))):
        assert reasons(laboratory.batch(call, version=version)) != [""]
    found = laboratory.ask(calls.locate(None, None, None, None, None, None), version)
    assert set(found.ids) == {private, public}


def test_a_replaced_pair_passes_its_common_name_on(laboratory: Laboratory) -> None:
    version = VERSIONS[-2]
    old = laboratory.ask(pair("both"), version)
    request = ReKeyKeyPairRequest(private_key_unique_identifier=old.private_key_unique_identifier)
    new = laboratory.ask(calls.raw(Operation.RE_KEY_KEY_PAIR, request), version)
    for identifier in (new.private_key_unique_identifier, new.public_key_unique_identifier):
        assert names(laboratory, identifier, version) == ["both"]
    assert names(laboratory, old.private_key_unique_identifier, version) == []
