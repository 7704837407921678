"""A key server inside a test: what a user's test suite relies on."""

import os
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from kmipkit_client import ConnectionFailed, OperationFailed, material, secret_data
from kmipkit_server.config import ConfigError
from kmipkit_server.net.counters import Closing
from kmipkit_server.test_mode.folders import PREFIX

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.get import GetRequest
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    Operation,
    PaddingMethod,
    ResultReason,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2
from kmipkit.testing import KeyServer, Seed, key_server

SECRET = b"a secret of this test"
CBC = CryptographicParameters(
    block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5, random_iv=True
)


def state(kms: KeyServer, identifier: str) -> State:
    value: State = kms.direct().get_attributes(identifier, "State").get(Tag.STATE)
    return value


@pytest.fixture
def own_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers have their folders: others, which may begin and end meanwhile, have another one."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def folders(parent: Path) -> set[Path]:
    return set(parent.glob(f"{PREFIX}*"))


def test_a_client_works_with_it() -> None:
    with key_server() as kms, kms.client() as client:
        key = client.create(name="backup")
        client.activate(key)
        encrypted = client.encrypt(key, b"text", parameters=CBC)
        assert client.decrypt(key, encrypted.data, iv=encrypted.iv, parameters=CBC) == b"text"
        pair = client.create_key_pair(length=2048)  # in a thread: there are no worker processes
        assert client.get(pair.public)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_an_asynchronous_client_works_with_it(backend: str) -> None:
    async def work() -> tuple[str, ...]:
        async with key_server(objects=["backup"]) as kms, kms.async_client() as client:
            kms.clock.advance(hours=1)
            return (await client.locate(name="backup")).ids, (kms.ids["backup"],)

    found, expected = anyio.run(work, backend=backend)
    assert found == expected


def test_several_servers_run_at_the_same_time() -> None:
    with key_server(objects=["first"]) as one, key_server() as other:
        assert one.port != other.port
        assert one.direct().locate(name="first").ids == (one.ids["first"],)
        with other.client() as client:  # of the same authority, but with a store of its own
            assert client.locate(name="first").ids == ()
        one.clock.advance(days=1)
        assert one.clock.now() - other.clock.now() > timedelta(hours=23)


def test_nothing_is_left_of_it(own_parent: Path) -> None:
    with key_server(objects=["backup"]) as kms:
        before = folders(own_parent)
        port = kms.port
    assert len(before - folders(own_parent)) == 1
    with pytest.raises(ConnectionFailed), kms.client(port=port) as client:
        client.version()
    with pytest.raises(RuntimeError, match="ended"):
        kms.direct().query()


def test_what_a_killed_test_has_left_is_removed(own_parent: Path) -> None:
    """Or the memory of the machine fills up with the servers of runs that were interrupted."""
    program = (
        "import os, signal\n"
        "from kmipkit.testing import key_server\n"
        "with key_server(): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program])
    assert done.returncode == -signal.SIGKILL
    left = folders(own_parent)
    assert left
    with key_server():
        assert not left & folders(own_parent)


def test_only_its_user_can_read_its_files(own_parent: Path) -> None:
    with key_server():
        found = folders(own_parent)
        assert found
        assert not any(folder.stat().st_mode & 0o077 for folder in found)


def test_without_a_port_it_is_used_directly() -> None:
    with key_server(objects=["backup"], listen=False) as kms:
        assert kms.direct().locate(name="backup").ids
        with pytest.raises(RuntimeError, match="no port"):
            kms.client()


def test_a_server_that_does_not_run_says_so() -> None:
    kms = key_server()
    for use in (lambda: kms.port, kms.direct().query, lambda: kms.clock.advance(days=1)):
        with pytest.raises(RuntimeError, match="use it in a with block"):
            use()


def test_a_server_does_not_start_again() -> None:
    with key_server() as kms:
        pass
    with pytest.raises(RuntimeError, match="starts once"):
        kms.start()


FORK = """
import os
from contextlib import ExitStack
from kmipkit_server.test_mode.folders import temporary_folder

with ExitStack() as stack:
    folder = stack.enter_context(temporary_folder())
    child = os.fork()
    if child == 0:
        stack.close()
        os._exit(0)
    os.waitpid(child, 0)
    print(folder.exists())
print(folder.exists())
"""


def test_a_child_process_leaves_the_files_alone() -> None:
    """A program that forks while it has a server, such as a pool of processes."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True)
    assert done.stdout == "True\nFalse\n", done.stderr


def test_an_older_version_is_used_directly() -> None:
    with key_server() as kms:
        kms.direct(version=V1_2).query()
        assert kms.requests[0].version == V1_2


# --- settings ------------------------------------------------------------------------------------


def test_settings_are_those_of_the_configuration_file() -> None:
    with key_server(settings={"kmip": {"lease_seconds": 60}}) as kms:
        attributes = kms.direct().get_attributes(kms.seed("key")[0], "Lease Time")
        assert attributes.get(Tag.LEASE_TIME) == 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": {}}, "unknown section 'limit'; did you mean limits?"),
        (
            {"kmip": {"strickt": True}},
            "section 'kmip': unknown key 'strickt'; did you mean strict?",
        ),
    ],
)
def test_an_unknown_setting_is_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        key_server(settings=settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kmip": {"strict": "yes"}}, "kmip.strict must be true or false, not 'yes'"),
        ({"limits": {"idle_timeout": "5"}}, "limits.idle_timeout must be a number, not '5'"),
        ({"kmip": {"only_operations": "Get"}}, "kmip.only_operations must be a list of strings"),
    ],
)
def test_a_setting_of_another_type_is_refused(settings: Any, text: str) -> None:
    """Otherwise "no" would turn something on."""
    with pytest.raises(ConfigError, match=text):
        key_server(settings=settings)


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ("backup", r"objects is a list of names and Seeds: write \['backup'\]"),
        (["a", 5], "an object is a name or a Seed, not 5"),
    ],
)
def test_objects_are_a_list_of_names_and_seeds(objects: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        key_server(objects)


def test_a_server_that_cannot_start_says_why(own_parent: Path) -> None:
    with key_server() as one:
        other = key_server(settings={"listen": {"port": one.port}})
        before = folders(own_parent)
        with pytest.raises(OSError, match="cannot listen"):
            other.start()
        assert folders(own_parent) == before


# --- the clock -----------------------------------------------------------------------------------


def test_states_follow_the_clock() -> None:
    with key_server() as kms:
        now = kms.clock.now()
        dates = {"Activation Date": now, "Deactivation Date": now + timedelta(days=30)}
        with kms.client() as client:
            key = client.create(attributes=dates)
            client.encrypt(key, b"text", parameters=CBC)
            kms.clock.advance(days=31)
            assert state(kms, key) is State.DEACTIVATED
        with kms.client() as client, pytest.raises(OperationFailed) as caught:
            client.encrypt(key, b"text", parameters=CBC)
        assert caught.value.reason is ResultReason.WRONG_KEY_LIFECYCLE_STATE


def test_rotations_follow_the_clock() -> None:
    with key_server() as kms:
        rotation = {"Rotate Automatic": True, "Rotate Interval": 86400}
        key = kms.direct().create(name="rotated", attributes=rotation)
        kms.direct().activate(key)
        kms.clock.advance(days=2)
        [new] = kms.direct().locate(name="rotated").ids
        assert new != key


def test_timeouts_follow_the_clock() -> None:
    """Connections of a pool that nobody has used are closed, as in a server that has waited."""
    with key_server() as kms, kms.client() as client:
        client.query()
        kms.clock.advance(minutes=5)
        client.query()
        assert len(kms.requests.of(Operation.DISCOVER_VERSIONS)) == 1
        assert kms.control.listener is not None
        assert kms.control.listener.open_connections == 1
        kms.clock.advance(minutes=11)
        assert kms.control.listener.counters.closed[Closing.IDLE] == 1
        client.query()  # on a new connection


def test_the_clock_does_not_go_beyond_the_dates_that_there_are() -> None:
    """A server that cannot say what time it is would end."""
    with key_server(listen=False) as kms:
        with pytest.raises(ValueError, match="as far as the year 9000"):
            kms.clock.advance(days=3_000_000)
        kms.clock.advance(days=2_000_000)
        assert kms.direct().create()


def test_the_clock_does_not_go_back() -> None:
    with key_server() as kms:
        now = kms.clock.now()
        with pytest.raises(ValueError, match="the clock cannot go back"):
            kms.clock.advance(days=-1)
        assert kms.clock.now() >= now


# --- objects -------------------------------------------------------------------------------------

STATES = [each for each in State if each.name in State.__members__]


@pytest.mark.parametrize("wanted", STATES)
def test_objects_are_seeded_in_any_state(wanted: State) -> None:
    with key_server(objects=[Seed("key", state=wanted)]) as kms:
        assert state(kms, kms.ids["key"]) is wanted


def test_objects_are_seeded_for_any_account() -> None:
    objects = [
        Seed("password", secret_data(SECRET), owner="app1"),
        Seed("key", attributes={"x-Purpose": "backup"}),
    ]
    with key_server(objects) as kms:
        with kms.client("app1") as client:
            assert material(client.get(kms.ids["password"])) == SECRET
            assert client.locate(name="key").ids == ()
        attributes = kms.direct().get_attributes(kms.ids["key"])
        assert attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) is CryptographicAlgorithm.AES


def test_an_object_that_the_server_refuses_is_an_error() -> None:
    with key_server(objects=["twice"]) as kms, pytest.raises(OperationFailed, match="Name"):
        kms.seed("twice")


# --- what was asked ------------------------------------------------------------------------------


def test_requests_are_noted_with_their_results() -> None:
    with key_server(objects=["backup"]) as kms:
        assert list(kms.requests) == []
        with kms.client("app1", version=V1_2) as client, pytest.raises(OperationFailed):
            client.get(kms.ids["backup"])
        [request] = kms.requests
        assert request.operation is Operation.GET
        assert isinstance(request.payload, GetRequest)
        assert request.payload.unique_identifier == kms.ids["backup"]
        assert (request.account, request.version) == ("app1", V1_2)
        assert not request.succeeded
        assert request.reason in (ResultReason.ITEM_NOT_FOUND, ResultReason.PERMISSION_DENIED)
        kms.requests.clear()
        assert not kms.requests


def test_no_secret_is_shown_of_requests() -> None:
    with key_server() as kms:
        kms.direct().register(secret_data(SECRET), name="password")
        [request] = kms.requests
        assert request.succeeded
        for text in (repr(request), repr(kms.requests)):
            assert text.lstrip("[").startswith("<Register by admin in 2.1: RegisterRequest(")
            assert SECRET.decode() not in text
            assert SECRET.hex() not in text


def test_clients_can_tell_that_it_is_a_server_for_tests() -> None:
    with key_server() as kms:
        assert kms.direct().query().vendor_identification == "kmipkit (test mode)"


def test_the_files_of_a_client_are_for_any_program() -> None:
    with key_server() as kms:
        settings = kms.settings_of("app2")
        assert settings.host == "127.0.0.1"
        for path in (settings.ca, settings.cert, settings.key):
            assert path.read_text().startswith("-----BEGIN")
        assert os.stat(settings.key).st_mode & 0o077 == 0
