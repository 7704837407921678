"""On a full disk, keys are still given out.

Otherwise a disk that one client fills would keep all others from the keys that they need to start, and
which the server has: the first Get of each key notes that it is no longer fresh.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kmipkit_client import Client, OperationFailed, material
from servers import RunningServer

from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.spec.enums import BlockCipherMode, UsageLimitsUnit
from kmipkit.spec.tags import Tag

GCM = CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM)


@contextmanager
def full_disk(server: RunningServer) -> Iterator[None]:
    """While this lasts, the write-ahead log cannot grow; the log of the server is much smaller."""
    size = (server.folder / "objects.sqlite3-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for process in server.processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    for process in server.processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def fresh(client: Client, key: str) -> bool:
    value: bool = client.get_attributes(key, "Fresh").get(Tag.FRESH)
    return value


def refused(call: Any) -> str:
    with pytest.raises(OperationFailed) as error:
        call()
    return str(error.value)


def test_a_fresh_key_is_given_out(own_server: RunningServer) -> None:
    with own_server.start().client() as client:
        key = client.create()
        with full_disk(own_server):
            assert "cannot read or write its store" in refused(client.create)
            for _ in range(2):
                assert material(client.get(key))
            assert fresh(client, key), "this is noted later"
        assert material(client.get(key))
        assert not fresh(client, key)
        assert client.create()
    assert any("answered, but not noted in the store: " in line for line in own_server.lines())


def test_usage_that_cannot_be_counted_is_refused(own_server: RunningServer) -> None:
    """Or a full disk would lift the limit of a key."""
    with own_server.start().client() as client:
        limits = UsageLimits(
            usage_limits_total=100, usage_limits_unit=UsageLimitsUnit.BYTE, usage_limits_count=100
        )
        key = client.create(
            attributes={Tag.USAGE_LIMITS: limits, Tag.CRYPTOGRAPHIC_PARAMETERS: GCM}
        )
        client.activate(key)
        with full_disk(own_server):
            assert "cannot read or write its store" in refused(
                lambda: client.encrypt(key, b"1234", iv=bytes(12))
            )
            assert client.get_attributes(key, "Usage Limits").get(Tag.USAGE_LIMITS) == limits
        assert client.encrypt(key, b"1234", iv=bytes(12))
