"""No account fills the store: objects and bytes are counted whatever operation makes them.

The operations come from the server's own table, so that a new one without a row here fails a test.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import old_stores
import pytest
import trio
from creating_operations import (
    CREATE,
    CREATING,
    EVERYTHING,
    NOTE,
    import_,
    re_provision,
)
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_client.calls import Call
from kmipkit_server.config import ConfigError, load
from kmipkit_server.engine.hooks import Permissions, Quotas
from kmipkit_server.engine.seam import Seam
from kmipkit_server.identity.identity import Identity
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.store.base import Transaction, Usage
from kmipkit_server.store.sqlite import usages
from laboratory import Laboratory, reasons

from kmipkit.model.attribute import Attributes
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage
from kmipkit.model.payloads.accounts import CreateGroupRequest
from kmipkit.model.payloads.lifecycle import ObliterateRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BatchErrorContinuationOption,
    Operation,
    ResultReason,
    RevocationReasonCode,
)
from kmipkit.spec.versions import V1_0, V1_4, V2_1, V3_0


def limit(laboratory: Laboratory, objects: int | None = None, size: int | None = None) -> None:
    """Give every account this quota."""
    laboratory.dispatcher.seam = Seam((Permissions(), Quotas(objects, size)))


def usage(laboratory: Laboratory, owner: str = "me") -> Usage:
    def read(transaction: Transaction) -> Usage:
        return transaction.usage(owner)

    async def work() -> Usage:
        async with laboratory.serving():
            return await laboratory.store.run(read, writes=True)

    return trio.run(work)


def recounted(laboratory: Laboratory, owner: str = "me") -> Usage:
    """What the rows of the database say."""
    reader = laboratory.store._database.open_reader()
    try:
        return usages.count(reader.connection).get(reader.owner_number(owner), Usage())
    finally:
        reader.connection.close()


def refused(laboratory: Laboratory, call: Call[Any], **options: Any) -> str:
    with pytest.raises(OperationFailed) as caught:
        laboratory.ask(call, **options)
    return caught.value.reason.name if caught.value.reason else ""


def test_every_creating_operation_is_here() -> None:
    """An operation that is forgotten is a way around the quota."""
    standard = {row.operation for row in STANDARD if row.creates}
    assert standard | {Operation.LOCATE} == {*CREATING, Operation.RE_PROVISION}


def test_re_provision_has_a_quota_as_well(laboratory: Laboratory) -> None:
    """It needs a client with a certificate, and makes a key pair with its certificate."""
    limit(laboratory, objects=2)
    assert re_provision(laboratory).result_reason is ResultReason.SERVER_LIMIT_EXCEEDED
    assert usage(laboratory) == Usage()
    limit(laboratory, objects=3)
    item = re_provision(laboratory)
    assert item.result_reason is None, item.result_message
    assert usage(laboratory).objects == 3


@pytest.mark.parametrize("operation", CREATING, ids=lambda operation: operation.name)
@pytest.mark.parametrize("kind", ["objects", "size"])
def test_an_account_has_a_quota(laboratory: Laboratory, operation: Operation, kind: str) -> None:
    """An object too many is refused, and nothing of it remains; others are served."""
    call = CREATING[operation](laboratory)
    before = usage(laboratory)
    limit(laboratory, **{kind: getattr(before, kind)})
    assert refused(laboratory, call) == "SERVER_LIMIT_EXCEEDED"
    assert usage(laboratory) == before == recounted(laboratory)
    limit(laboratory, objects=before.objects + 4, size=before.size + 10_000)
    assert laboratory.ask(call)
    assert usage(laboratory).objects > before.objects
    assert usage(laboratory) == recounted(laboratory)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (V1_0, "GENERAL_FAILURE"),
        (V1_4, "GENERAL_FAILURE"),
        (V2_1, "SERVER_LIMIT_EXCEEDED"),
    ],
)
def test_the_reason_is_one_of_the_version(
    laboratory: Laboratory, version: Any, reason: str
) -> None:
    """Server Limit Exceeded is one of 2.0; the text says what to do in every version."""
    limit(laboratory, objects=1)
    laboratory.ask(CREATE, version)
    with pytest.raises(OperationFailed, match="1 objects of one account") as caught:
        laboratory.ask(CREATE, version)
    assert caught.value.reason is ResultReason[reason]


def test_each_account_has_its_own(laboratory: Laboratory) -> None:
    """The quota of one account is not what others have used."""
    limit(laboratory, objects=1)
    for identity in ("first", "second"):
        laboratory.ask(CREATE, identity=identity)
        assert refused(laboratory, CREATE, identity=identity) == "SERVER_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("on_error", "created"),
    [(None, 2), (BatchErrorContinuationOption.CONTINUE, 2), (BatchErrorContinuationOption.UNDO, 0)],
)
def test_a_batch_counts_item_by_item(
    laboratory: Laboratory, on_error: BatchErrorContinuationOption | None, created: int
) -> None:
    """Neither the items of one message nor what Undo takes back are counted wrongly."""
    limit(laboratory, objects=2)
    results = laboratory.batch(*[CREATE] * 4, on_error=on_error)
    assert "SERVER_LIMIT_EXCEEDED" in reasons(results)
    assert usage(laboratory) == recounted(laboratory)
    assert usage(laboratory).objects == len(laboratory.ask(EVERYTHING).ids) == created


def test_racing_messages_share_the_quota(laboratory: Laboratory) -> None:
    """Messages of one group commit see what those before them have created."""
    limit(laboratory, objects=5)
    results: list[Any] = []

    async def race() -> None:
        async with laboratory.serving(), trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(ask)

    async def ask() -> None:
        message = encode(messages.request(V2_1, [CREATE]), V2_1)
        response = await laboratory.dispatcher.respond(message, Identity("me"))
        results.extend(messages.results([CREATE], decode_response(response.data)[0]))

    trio.run(race)
    assert reasons(results).count("") == 5


def test_destroy_gives_the_object_back(laboratory: Laboratory) -> None:
    """An account that destroys what it needs no longer goes on; its attributes still count as bytes."""
    limit(laboratory, objects=1)
    key = laboratory.ask(CREATE)
    before = usage(laboratory)
    laboratory.ask(calls.destroy(key))
    after = usage(laboratory)
    assert (after.objects, before.objects) == (0, 1)
    assert 0 < after.size < before.size + 100, "the Destroy Date is new, the material is gone"
    assert laboratory.ask(CREATE)
    assert usage(laboratory) == recounted(laboratory)


def test_what_is_destroyed_in_a_loop_does_not_fill_the_disk(laboratory: Laboratory) -> None:
    """A destroyed object keeps its attributes, so that its bytes are counted as well."""
    limit(laboratory, size=20_000)
    for _ in range(100):
        [result] = laboratory.batch(CREATE)
        if isinstance(result, OperationFailed):
            break
        laboratory.ask(calls.destroy(result))
    assert isinstance(result, OperationFailed)
    assert usage(laboratory).objects == 0


def test_obliterate_gives_everything_back(laboratory: Laboratory) -> None:
    """Nothing of an obliterated object is left (KMIP 3.0)."""
    empty = usage(laboratory)
    key = laboratory.ask(CREATE)
    laboratory.ask(calls.destroy(key))
    payload = ObliterateRequest(unique_identifier=key)
    laboratory.ask(calls.raw(Operation.OBLITERATE, payload), V3_0)
    assert usage(laboratory) == empty == recounted(laboratory)


def test_an_import_that_replaces_needs_no_room(laboratory: Laboratory) -> None:
    """The old object is gone with the same transaction."""
    laboratory.ask(import_())
    limit(laboratory, objects=1)
    assert laboratory.ask(import_(replaces=True))
    assert usage(laboratory) == recounted(laboratory)


GROWING: dict[str, Callable[[str], Call[Any]]] = {
    "Add Attribute": lambda key: calls.add_attribute(key, NOTE, "x" * 5000),
    "Modify Attribute": lambda key: calls.modify_attribute(
        key, "Contact Information", "x" * 5000, None, "short"
    ),
    "Set Attribute": lambda key: calls.set_attribute(key, "Contact Information", "x" * 5000),
}


@pytest.mark.parametrize("name", GROWING)
def test_attributes_count(laboratory: Laboratory, name: str) -> None:
    """Kilobytes in attributes fill a disk like kilobytes of material."""
    key = laboratory.ask(CREATE)
    laboratory.ask(calls.set_attribute(key, "Contact Information", "short"))
    before = usage(laboratory)
    limit(laboratory, size=before.size + 1000)
    assert refused(laboratory, GROWING[name](key)) == "SERVER_LIMIT_EXCEEDED"
    assert usage(laboratory) == before
    limit(laboratory, size=before.size + 6000)
    laboratory.ask(GROWING[name](key))
    assert usage(laboratory).size > before.size + 4900
    assert usage(laboratory) == recounted(laboratory)


def test_an_account_over_its_quota_can_use_revoke_and_destroy(laboratory: Laboratory) -> None:
    """A quota that an administrator lowers locks nobody out: a stolen key can be revoked."""
    keys = [laboratory.ask(CREATE) for _ in range(3)]
    limit(laboratory, objects=1, size=1)
    for key in keys[:2]:
        laboratory.ask(calls.activate(key))
        laboratory.ask(calls.get(key, None, None, None))
        laboratory.ask(calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, "stolen", None))
        laboratory.ask(calls.destroy(key))
    assert refused(laboratory, CREATE) == "SERVER_LIMIT_EXCEEDED"
    assert usage(laboratory) == recounted(laboratory)
    assert usage(laboratory).objects == 1


def test_the_life_cycle_is_no_way_around(laboratory: Laboratory) -> None:
    """The message of a revocation may be as long as a request."""
    key = laboratory.ask(CREATE)
    limit(laboratory, size=1)
    call = calls.revoke(key, RevocationReasonCode.KEY_COMPROMISE, "x" * 5000, None)
    assert refused(laboratory, call) == "SERVER_LIMIT_EXCEEDED"


def test_an_asynchronous_request_counts(laboratory: Laboratory) -> None:
    """A request that is carried out later is counted then."""
    limit(laboratory, objects=1)
    for _ in range(2):
        made = messages.request(V2_1, [CREATE])
        header = made.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
        laboratory.send(RequestMessage(request_header=header, batch_items=made.batch_items))
    laboratory.pass_time(seconds=5)
    laboratory.ask(calls.discover_versions())
    assert usage(laboratory).objects == 1


def test_the_server_has_no_quota(laboratory: Laboratory) -> None:
    """What belongs to the server, such as groups, is no administrator's."""
    limit(laboratory, objects=1)
    group = CreateGroupRequest(attributes=Attributes())
    for _ in range(3):
        call = calls.raw(Operation.CREATE_GROUP, group)
        laboratory.ask(call, V3_0, identity="administrator")
    assert usage(laboratory, "administrator").objects == 0
    assert laboratory.ask(CREATE, identity="administrator")


@contextmanager
def opened(folder: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(folder)
    try:
        yield laboratory
    finally:
        laboratory.close()


def test_a_start_counts_what_there_is(tmp_path: Path) -> None:
    """A restart, or a crash, is no way to a new quota."""
    with opened(tmp_path / "data") as laboratory:
        keys = [laboratory.ask(CREATE) for _ in range(3)]
        laboratory.ask(calls.destroy(keys[0]))
        before = usage(laboratory)
    with opened(tmp_path / "data") as laboratory:
        assert usage(laboratory) == before
        assert before.objects == 2


def test_the_objects_of_an_older_store_count(tmp_path: Path) -> None:
    """An update of the server is no way to a new quota either."""
    old_stores.restore(old_stores.FIRST, tmp_path / "data")
    with opened(tmp_path / "data") as laboratory:
        located = laboratory.ask(EVERYTHING)
        assert usage(laboratory) == recounted(laboratory)
        assert usage(laboratory).objects >= len(located.ids) > 0


@pytest.mark.parametrize("key", ["objects_per_account", "bytes_per_account"])
def test_the_configuration(tmp_path: Path, key: str) -> None:
    """Without a value there is no quota; zero would be an account that can do nothing."""
    file = tmp_path / "kmipkit.toml"
    file.write_text(f"[limits]\n{key} = 1000\n")
    config = load(file)
    assert getattr(config.limits, key) == 1000
    file.write_text(f"[limits]\n{key} = 0\n")
    with pytest.raises(ConfigError, match=key):
        load(file)
