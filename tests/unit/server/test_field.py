"""What users of other servers ran into; docs/field.md has the list."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls, material, messages, symmetric_key
from laboratory import START, Laboratory

from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version

CREATE = calls.create(CryptographicAlgorithm.AES, 256, Mask.ENCRYPT, None, None)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def named(name: str | None, **attributes: Any) -> Any:
    return calls.register(symmetric_key(bytes(32)), Mask.ENCRYPT, name, attributes)


def located(laboratory: Laboratory, version: Version, **criteria: Any) -> tuple[str, ...]:
    call = calls.locate(criteria.pop("name", None), None, criteria or None, None, None, None)
    ids: tuple[str, ...] = laboratory.ask(call, version).ids
    return ids


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_storage_array_registers_a_key_with_sixteen_attributes_of_its_own(
    laboratory: Laboratory, version: Version
) -> None:
    """PyKMIP#489: each of them comes back, and finds the key."""
    own = {f"x-NETAPP-{number}": f"value {number}" for number in range(16)}
    key = laboratory.ask(named("nse", **own), version)
    laboratory.ask(named("other"), version)
    found = laboratory.ask(calls.get_attributes(key, tuple(own)), version)
    assert sorted(attribute.value for attribute in found) == sorted(own.values())
    assert located(laboratory, version, **{"x-NETAPP-7": "value 7"}) == (key,)
    assert located(laboratory, version, **{"x-NETAPP-7": "value 8"}) == ()
    assert located(laboratory, version, **{"x-NETAPP-16": "value 8"}) == ()


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_name_finds_its_own_object_and_an_unknown_one_none(
    laboratory: Laboratory, version: Version
) -> None:
    """Cosmian#824: always the same key. Cosmian#935: an unknown name found the key-encryption key."""
    keys = {name: laboratory.ask(named(name), version) for name in ("disk 1", "disk 2", "KEK")}
    for name, key in keys.items():
        assert located(laboratory, version, name=name) == (key,)
    assert located(laboratory, version, name="disk 3") == ()


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_key_without_a_usage_mask_is_registered(laboratory: Laboratory, version: Version) -> None:
    """libmongocrypt PR #603: MongoDB's drivers send none."""
    key = laboratory.ask(calls.register(symmetric_key(bytes(32)), None, None, None), version)
    assert material(laboratory.ask(calls.get(key, None, None, None), version)) == bytes(32)
    attributes = laboratory.ask(calls.get_attributes(key, ("Cryptographic Usage Mask",)), version)
    assert attributes.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) == 0


@pytest.mark.parametrize(
    "algorithm",
    [CryptographicAlgorithm.TWOFISH, CryptographicAlgorithm.ARIA, CryptographicAlgorithm.MARS],
    ids=lambda algorithm: algorithm.name,
)
def test_a_key_that_the_server_cannot_compute_with_is_stored(
    laboratory: Laboratory, algorithm: CryptographicAlgorithm
) -> None:
    """PyKMIP#561: a key server keeps keys for those who can."""
    key = laboratory.ask(calls.register(symmetric_key(bytes(32), algorithm), None, None, None))
    assert material(laboratory.ask(calls.get(key, None, None, None))) == bytes(32)


@pytest.mark.parametrize("difference", [timedelta(days=-4000), timedelta(0), timedelta(days=4000)])
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_the_clock_of_a_client_may_be_wrong(
    laboratory: Laboratory, version: Version, difference: timedelta
) -> None:
    """PyKMIP refuses a Time Stamp that is a moment in the future."""
    request = messages.request(version, [CREATE])
    header = request.request_header.replace(time_stamp=START + difference)
    response = laboratory.send(request.replace(request_header=header), version)
    [result] = messages.results([CREATE], response)
    assert isinstance(result, str)
