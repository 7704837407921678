"""Batches whose later items use the objects of earlier ones, and iteration over many objects."""

from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_client import AsyncClient, Client, ClientError, OperationFailed, calls, material
from kmipkit_client._batch.results import SETS_PLACEHOLDER
from kmipkit_client._sync.batch import Batch
from kmipkit_server.operations.table import STANDARD
from servers import RunningServer

from kmipkit.model.types import Identifier
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    ObjectType,
    State,
    UniqueIdentifier,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0, V2_1, V3_0, Version


@pytest.mark.parametrize("version", [V1_0, V1_4, V2_0, V2_1, V3_0], ids=str)
def test_an_object_is_made_and_used_in_one_message(server: RunningServer, version: Version) -> None:
    """One round trip for a key that is ready to use."""
    with server.client("batches", version=version) as kms:
        with kms.batch() as batch:
            key = batch.create(name=f"made in a batch {version}")
            batch.activate(key)
            state = batch.get_attributes(key, "State")
            value = batch.get(key)
        assert state.value.get(Tag.STATE) is State.ACTIVE
        assert kms.get(key.value) == value.value
        assert len(material(value.value)) == 32


def test_2_x_refers_to_any_earlier_object(server: RunningServer) -> None:
    with server.client("batches", version=V2_1) as kms:
        with kms.batch() as batch:
            first = batch.create(name="first of two")
            second = batch.create(name="second of two")
            batch.activate(first)
            batch.add_attribute(first, "x-Order", "1")
            batch.add_attribute(second, "x-Order", "2")
        for key, order, state in (
            (first, "1", State.ACTIVE),
            (second, "2", State.PRE_ACTIVE),
        ):
            found = kms.get_attributes(key.value, "State", "x-Order")
            assert [each.value for each in found] == [state, order]


def test_1_x_says_what_it_cannot_refer_to(server: RunningServer) -> None:
    """A reference to the wrong object would change the wrong object."""
    with server.client("batches", version=V1_4) as kms:
        refused = pytest.raises(
            ClientError, match=r"KMIP 1\.4 cannot refer to the object of CREATE"
        )
        with refused, kms.batch() as batch:
            first = batch.create(name="unreachable")
            batch.create(name="another")
            batch.activate(first)
        assert not kms.locate(name="another").ids, "nothing was sent"
        assert kms.query(), "the connection is still good"


def test_the_first_failure_ends_the_block(server: RunningServer) -> None:
    with server.client("batches") as kms:
        with pytest.raises(OperationFailed, match="ACTIVATE") as failed, kms.batch() as batch:  # noqa: PT012 - the block is what is tested
            key = batch.create()
            missing = batch.activate("missing")
            later = batch.query()
        assert failed.value.reason is not None
        assert key.error is None
        assert missing.error is failed.value
        with pytest.raises(OperationFailed, match="not attempted"):
            _ = later.value


def test_with_continue_the_caller_looks_at_each_result(server: RunningServer) -> None:
    with server.client("batches") as kms:
        with kms.batch(on_error=BatchErrorContinuationOption.CONTINUE) as batch:
            missing = batch.destroy("missing")
            answer = batch.query()
        assert missing.error is not None
        assert answer.value.vendor_identification


def test_a_block_that_fails_sends_nothing(server: RunningServer) -> None:
    with server.client("batches") as kms:
        with pytest.raises(KeyError), kms.batch() as batch:  # noqa: PT012 - the block is what is tested
            batch.create(name="never made")
            raise KeyError
        assert not kms.locate(name="never made").ids
        with kms.batch():
            pass  # no items, no message


def test_a_result_is_known_after_the_block_only(server: RunningServer) -> None:
    with server.client("batches") as kms, kms.batch() as batch:
        key = batch.create()
        with pytest.raises(ClientError, match="leave the with block first"):
            _ = key.value
        assert "not known yet" in repr(key)


def test_a_result_of_another_batch_is_its_identifier(server: RunningServer) -> None:
    with server.client("batches") as kms:
        with kms.batch() as one:
            key = one.create()
        with kms.batch() as two:
            state = two.get_attributes(key, "State")
        assert state.value.get(Tag.STATE) is State.PRE_ACTIVE


def test_batches_of_the_asynchronous_client(server: RunningServer) -> None:
    files = server.credentials("batches")

    async def work() -> None:
        async with AsyncClient(port=server.port, **files) as kms:
            async with kms.batch() as batch:
                key = batch.create()
                batch.activate(key)
            assert (await kms.get_attributes(key.value, "State")).get(Tag.STATE) is State.ACTIVE
            [response] = await kms.batch(calls.query())
            assert response.vendor_identification

    anyio.run(work)


def test_the_placeholder_is_set_by_what_sets_it_in_the_server() -> None:
    """Client and server read the same clauses."""
    assert {row.operation for row in STANDARD if row.sets_placeholder} == SETS_PLACEHOLDER


# --- references, without a server ----------------------------------------------------------------

MAKERS = {
    "create": lambda batch: batch.create(),
    "pair": lambda batch: batch.create_key_pair(),
    "locate": lambda batch: batch.locate(name="n"),
    "query": lambda batch: batch.query(),
    "get": lambda batch: batch.get("k"),
    "ping": lambda batch: batch.ping(),
}
COUNTS = {"create": 1, "pair": 2, "query": 0, "get": 1, "ping": 0}
SETTERS = {"create", "pair", "locate"}


@given(
    st.lists(st.sampled_from(sorted(MAKERS)), min_size=1, max_size=6),
    st.data(),
    st.sampled_from([V1_4, V2_1]),
)
def test_a_reference_means_the_object_of_its_item(
    names: list[str], data: st.DataObject, version: Version
) -> None:
    """As the standard counts: the same as if the client had waited for the identifier."""
    batch = Batch(lambda *_: [], None)
    results = [MAKERS[name](batch) for name in names]
    chosen = data.draw(st.integers(0, len(names) - 1))
    batch.activate(results[chosen])
    payload: Any
    try:
        payload = batch._calls[-1].build(version)
    except ClientError:
        payload = None
    setters = [index for index, name in enumerate(names) if name in SETTERS]
    if setters and setters[-1] == chosen:
        expected = None if version < V2_0 else UniqueIdentifier.ID_PLACEHOLDER
        assert payload is not None
        assert payload.unique_identifier is expected
    elif version >= V2_0 and "locate" not in names[chosen:] and COUNTS[names[chosen]]:
        returned: list[Identifier] = [
            f"{index}" for index, name in enumerate(names) for _ in range(COUNTS.get(name, 0))
        ]
        assert returned[payload.unique_identifier] == f"{chosen}"
    else:
        assert payload is None


# --- pages ---------------------------------------------------------------------------------------


def test_all_objects_come_page_by_page(server: RunningServer) -> None:
    """A list of a million identifiers does not fit into one response."""
    with server.client("pages") as kms:
        made = {kms.create(attributes={"Object Group": "pages"}) for _ in range(7)}
        for page in (1, 3, 7, 100):
            found = list(kms.locate_all(attributes={"Object Group": "pages"}, page=page))
            assert (len(found), set(found)) == (7, made)
        assert not list(kms.locate_all(name="nothing has this name"))
    with server.client("pages", version=V1_2) as kms:
        assert set(kms.locate_all(object_type=ObjectType.SYMMETRIC_KEY, page=2)) == made


def test_an_object_comes_once_even_if_others_are_made_meanwhile(server: RunningServer) -> None:
    """New objects come first, so that all others move to later places."""
    with server.client("growing") as kms:
        made = {kms.create() for _ in range(6)}
        found: list[str] = []
        for identifier in kms.locate_all(page=2):
            found.append(identifier)
            if len(found) % 2 == 0 and len(found) < 8:
                kms.create()
        assert len(set(found)) == len(found)
        assert made <= set(found)


def test_a_server_that_ignores_the_offset_ends_the_iteration(
    monkeypatch: pytest.MonkeyPatch, server: RunningServer
) -> None:
    with server.client("ignores") as kms:
        made = [kms.create() for _ in range(2)]
        locate = Client.locate
        monkeypatch.setattr(
            Client, "locate", lambda self, **options: locate(self, **(options | {"offset": None}))
        )
        assert set(kms.locate_all(page=2)) == set(made)


def test_the_asynchronous_client_iterates_with_async_for(server: RunningServer) -> None:
    files = server.credentials("pages async")

    async def work() -> None:
        async with AsyncClient(port=server.port, **files) as kms:
            made = [await kms.create() for _ in range(5)]
            found = [identifier async for identifier in kms.locate_all(page=2)]
            assert sorted(found) == sorted(made)

    anyio.run(work, backend="trio")
