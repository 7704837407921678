"""The requests of the benchmark, in KMIP 1.2, which all servers support."""

import itertools
from collections.abc import Iterator
from typing import Any

from kmipkit_client import calls, messages
from kmipkit_client.values import ENCRYPT_AND_DECRYPT

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import CryptographicAlgorithm, ResultStatus
from kmipkit.spec.versions import V1_2


def of(call: calls.Call[Any]) -> bytes:
    """The message of a call."""
    return encode(messages.request(V1_2, [call]), V1_2)


def create(name: str | None = None) -> bytes:
    """Create an AES-256 key."""
    call = calls.create(CryptographicAlgorithm.AES, 256, ENCRYPT_AND_DECRYPT, name, None)
    return of(call)


def creates(prefix: str) -> Iterator[bytes]:
    """Create requests with different names."""
    return (create(f"{prefix}-{number}") for number in itertools.count())


def get(identifier: str) -> bytes:
    """Get a key."""
    return of(calls.get(identifier, None, None, None))


def locate(name: str) -> bytes:
    """Locate by name."""
    return of(calls.locate(name, None, None, None, None, None))


def check_success(answer: bytes) -> str:
    """The identifier in a successful response; empty if it has none."""
    message, _ = decode_response(answer)
    [item] = message.batch_items
    if item.result_status is not ResultStatus.SUCCESS:
        raise AssertionError(f"the server reported: {item.result_message}")
    return str(getattr(item.response_payload, "unique_identifier", "") or "")
