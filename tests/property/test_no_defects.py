"""Whatever a well-formed request says, the answer is an answer: never "internal error".

A defect is answered with Internal Server Error and logged. Payloads are drawn from the declarations,
with identifiers of objects that exist among the values.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kmipkit_client import calls, symmetric_key
from kmipkit_server.operations.table import STANDARD
from laboratory import Laboratory
from lengths import examples, spread
from model_strategies import structures

from kmipkit.errors import LocalProtocolError
from kmipkit.model import operations
from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.enums import CryptographicAlgorithm, Operation
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_2, V1_4, V2_1, Version

SLOW = frozenset({Operation.CREATE_KEY_PAIR, Operation.RE_KEY_KEY_PAIR})
"""Where a drawn request would mostly make keys, for seconds."""

EVERYTHING = CryptographicUsageMask(0xFFFFF)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory") / "data")
    yield laboratory
    laboratory.close()


@pytest.fixture(scope="module")
def known(laboratory: Laboratory) -> list[str]:
    """Objects of several types, active and not."""
    keys = [
        laboratory.ask(calls.create(CryptographicAlgorithm.AES, 128, EVERYTHING, None, None)),
        laboratory.ask(
            calls.register(
                symmetric_key(bytes(32), CryptographicAlgorithm.HMAC_SHA256), EVERYTHING, None, None
            )
        ),
        laboratory.ask(calls.register(symmetric_key(bytes(16)), EVERYTHING, None, None)),
    ]
    for key in keys[1:]:
        laboratory.ask(calls.activate(key))
    return keys


def aimed(value: Structure, identifiers: list[str], draw: Any) -> Structure:
    """The payload about an object that exists, most of the time."""
    names = set(field_names(type(value)))
    if "unique_identifier" in names:
        return value.replace(unique_identifier=draw(st.sampled_from(identifiers)))
    if "unique_identifiers" in names and getattr(value, "unique_identifiers", ()):
        return value.replace(unique_identifiers=(draw(st.sampled_from(identifiers)),))
    return value


OPERATIONS = sorted({row.operation for row in STANDARD} - SLOW)


@pytest.mark.parametrize(
    ("operation", "version"),
    spread(OPERATIONS, (V1_2, V1_4, V2_1), Operation.known_in, lambda operation: operation.name),
)
@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_is_a_defect(
    laboratory: Laboratory,
    known: list[str],
    caplog: pytest.LogCaptureFixture,
    version: Version,
    operation: Operation,
    data: st.DataObject,
) -> None:
    caplog.set_level(logging.ERROR, "kmipkit.server")
    caplog.clear()
    cls = operations.request_payload(operation, version)
    payload = aimed(data.draw(structures(cls, version)), known, data.draw)
    request = RequestMessage(
        request_header=RequestHeader(protocol_version=ProtocolVersion.of(version), batch_count=1),
        batch_items=(RequestBatchItem(operation=operation, request_payload=payload),),
    )
    try:
        encoded = encode(request, version)
    except LocalProtocolError:  # a choice that the version lacks
        return
    laboratory.exchange(encoded)
    assert not caplog.records, caplog.text
