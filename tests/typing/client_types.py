"""What the type checker must know of the clients; nothing here runs, only mypy reads it.

A wrong type is an error of ``make check``: the editor of a user shows what is expected here.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, assert_type

from kmipkit_client import AsyncClient, Client, Encrypted, KeyPair, Located, calls, payload_calls
from kmipkit_client._async.batch import AsyncBatch
from kmipkit_client._batch.results import Result
from kmipkit_client._sync.batch import Batch
from kmipkit_client.calls import Call

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name, UsageLimits
from kmipkit.model.credentials import Ticket
from kmipkit.model.objects import ManagedObject
from kmipkit.model.payloads.limits import Constraints
from kmipkit.model.payloads.query import QueryResponse
from kmipkit.spec.enums import CryptographicAlgorithm, State, ValidityIndicator
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version


def attributes(found: Attributes) -> None:
    assert_type(found["State"], State)
    assert_type(found[Tag.STATE], State)
    assert_type(found["Cryptographic Length"], int)
    assert_type(found["Cryptographic Algorithm"], CryptographicAlgorithm)
    assert_type(found["Cryptographic Usage Mask"], CryptographicUsageMask)
    assert_type(found["Initial Date"], datetime)
    assert_type(found["Usage Limits"], UsageLimits)
    assert_type(found["Name"], Name)
    assert_type(found["x-Owner"], Any)
    assert_type(found.get("State"), State | None)
    assert_type(found.all("Object Group"), list[str])
    assert_type("State" in found, bool)


def blocking(kms: Client) -> None:
    assert_type(kms.create(), str)
    assert_type(kms.get("1"), ManagedObject)
    assert_type(kms.get_attributes("1", "State"), Attributes)
    assert_type(kms.get_attributes("1", "State")["State"], State)
    assert_type(kms.locate(), Located)
    assert_type(kms.locate_all(), Iterator[str])
    assert_type(kms.encrypt("1", b""), Encrypted)
    assert_type(kms.create_key_pair(), KeyPair)
    assert_type(kms.query(), QueryResponse)
    assert_type(kms.login(), Ticket)
    assert_type(kms.get_constraints(), Constraints)
    assert_type(kms.validate(), ValidityIndicator)
    assert_type(kms.ping(), None)
    assert_type(kms.version(), Version)
    assert_type(kms.within(1), Client)
    assert_type(kms.perform(calls.create()), str)
    assert_type(calls.create(), Call[str])
    assert_type(payload_calls.login(), Call[Ticket])


def batches(kms: Client, some: list[Call[Any]]) -> None:
    assert_type(kms.batch(calls.create(), calls.query()), list[Any])
    assert_type(kms.batch(*some), list[Any])
    assert_type(kms.batch(), Batch)
    with kms.batch() as batch:
        key = batch.create()
        assert_type(key, Result[str])
        assert_type(batch.activate(key), Result[None])
        assert_type(batch.get_attributes(key), Result[Attributes])
        assert_type(batch.login(), Result[Ticket])
        assert_type(batch.archive(key), Result[str])
    assert_type(key.value, str)


async def asynchronous(kms: AsyncClient) -> None:
    assert_type(await kms.create(), str)
    assert_type(await kms.get_attributes("1"), Attributes)
    assert_type(kms.locate_all(), AsyncIterator[str])
    assert_type(await kms.batch(calls.create()), list[Any])
    assert_type(kms.batch(), AsyncBatch)
    assert_type(await kms.login(), Ticket)
    assert_type(kms.within(1), AsyncClient)
    async with kms.batch() as batch:
        key = batch.create()
    assert_type(key.value, str)
