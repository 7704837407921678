"""Requests that come again after the configuration was read again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls, messages
from kmipkit_client.values import ENCRYPT_AND_DECRYPT
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V2_1

Requests = Callable[[int], bytes]


def creates(_laboratory: Laboratory) -> Requests:
    def create(number: int) -> bytes:
        name = f"name {number}"
        call = calls.create(CryptographicAlgorithm.AES, 256, ENCRYPT_AND_DECRYPT, name, None)
        return encode(messages.request(V1_2, [call]), V1_2)

    return create


def gets(laboratory: Laboratory) -> Requests:
    created, _ = decode_response(laboratory.exchange(creates(laboratory)(0)))
    payload: Any = created.batch_items[0].response_payload
    return lambda _: encode(messages.request(V1_2, [calls.get(payload.unique_identifier)]), V1_2)


@pytest.mark.parametrize("make", [gets, creates])
def test_a_version_that_is_no_longer_offered_is_refused(
    make: Callable[[Laboratory], Requests], tmp_path: Path
) -> None:
    """What was decoded before the configuration was read again was still served."""
    laboratory = Laboratory(tmp_path / "data")
    try:
        request = make(laboratory)
        for number in range(4):
            response, _ = decode_response(laboratory.exchange(request(number)))
            assert response.batch_items[0].result_reason is None
        dispatcher = laboratory.dispatcher
        settings = replace(dispatcher.server.settings, versions=(V2_1,))
        dispatcher.server = replace(dispatcher.server, settings=settings)
        response, _ = decode_response(laboratory.exchange(request(4)))
        assert response.batch_items[0].result_reason is ResultReason.UNSUPPORTED_PROTOCOL_VERSION
    finally:
        laboratory.close()


def lease_of(laboratory: Laboratory, created: bytes) -> int:
    payload: Any = decode_response(created)[0].batch_items[0].response_payload
    call = calls.get_attributes(payload.unique_identifier, ["Lease Time"])
    answer = laboratory.exchange(encode(messages.request(V1_2, [call]), V1_2))
    found: Any = decode_response(answer)[0].batch_items[0].response_payload
    [lease] = found.attributes.all(Tag.LEASE_TIME)
    return int(lease)


def test_new_objects_have_the_lease_of_now(tmp_path: Path) -> None:
    """Objects like the last ones had the Lease Time that was configured before."""
    laboratory = Laboratory(tmp_path / "data")
    try:
        request = creates(laboratory)
        before = [laboratory.exchange(request(number)) for number in range(4)]
        dispatcher = laboratory.dispatcher
        settings = replace(dispatcher.server.settings, lease_seconds=77)
        dispatcher.server = replace(dispatcher.server, settings=settings)
        after = [laboratory.exchange(request(number)) for number in range(4, 8)]
        leases = [lease_of(laboratory, each) for each in (*before, *after)]
        assert leases == [3600] * 4 + [77] * 4
    finally:
        laboratory.close()
