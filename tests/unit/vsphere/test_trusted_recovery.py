"""A trusted host goes on asking for its keys: at the boot, later, and with another token (§2.8)."""

from pathlib import Path

import pytest
import trio
import trio.testing
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import KeyServerUnreachable, NotAttested, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.providers.native import NativeSpec
from kmipkit_vsphere.roles.host import RESTORE_INTERVAL, background
from software_tpm import NOW, Maker
from trusted_scene import Whole, whole


class Service:
    """A source of keys that may not answer, as the services of a trust authority."""

    def __init__(self) -> None:
        self.spec = NativeSpec.new("TKP", tpm_required=False)
        self.failure: VSphereError | None = None
        self.refused: set[CryptoKeyId] = set()
        self.requests = 0

    def new_key(self) -> CryptoKeyPlain:
        return self.spec.new_key()

    def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        self.requests += 1
        if self.failure is not None:
            raise self.failure
        if key_id in self.refused:
            raise KeyServerUnreachable("not this one")
        return self.spec.key(key_id)


def booted(folder: Path, service: Service) -> Host:
    host = Host.start("esx01", folder)
    host.keys.sources.add("TKP", service)
    return host


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def folder(tmp_path: Path, service: Service) -> Path:
    """The data of a host with two machines, each with a key of its own."""
    host = booted(tmp_path / "esx01", service)
    host.keys.enable_from_source(CryptoKeyId("TKP", ""))
    for name in ("db1", "db2"):
        host.machines.create(name, 8192)
        host.machines.reconfigure(name, CryptoSpecKind.ENCRYPT, CryptoKeyId("TKP", ""))
    host.close()
    return tmp_path / "esx01"


def states(host: Host) -> list[str]:
    return [str(info.crypto_state) for info in host.machines.list_all()]


@pytest.mark.parametrize(
    "failure", [KeyServerUnreachable("down"), NotAttested("no token"), VSphereError("?")]
)
def test_a_trusted_host_goes_on_asking_until_it_has_its_keys(
    folder: Path, service: Service, failure: VSphereError
) -> None:
    host = booted(folder, service)
    service.failure = failure
    clock = trio.testing.MockClock()

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            for task in background(host):
                nursery.start_soon(task)
            for _ in range(4):
                await until_idle()
                assert states(host) == ["locked", "locked"]
                clock.jump(RESTORE_INTERVAL)
            service.failure = None
            clock.jump(RESTORE_INTERVAL)
            while states(host) != ["unlocked", "unlocked"]:
                await until_idle()
                clock.jump(RESTORE_INTERVAL)
            nursery.cancel_scope.cancel()

    async def until_idle() -> None:
        # Worker threads are not tasks: give them the time that they need.
        await trio.to_thread.run_sync(lambda: None)
        await trio.testing.wait_all_tasks_blocked(0.05)

    trio.run(run, clock=clock)
    assert service.requests >= 4
    host.close()


def test_one_key_that_is_refused_keeps_no_other_machine_locked(
    folder: Path, service: Service
) -> None:
    host = booted(folder, service)
    service.refused = set(host.datastore.machine("db1").key_ids())
    host.restore()
    assert states(host)[0] == "locked"
    service.refused = set()
    host.restore()
    assert states(host) == ["unlocked", "unlocked"]
    host.close()


def test_a_provider_that_does_not_answer_is_asked_once_in_a_round(
    folder: Path, service: Service
) -> None:
    host = booted(folder, service)
    host.restore()
    for name in ("db1", "db2"):
        for key in host.datastore.machine(name).key_ids():
            host.keys.remove(key, force=True)
        host.machines._machines.close(name)
    service.failure, service.requests = KeyServerUnreachable("down"), 0
    host.restore()
    assert service.requests == 1
    host.close()


def test_a_machine_that_was_unregistered_is_not_opened_again(
    folder: Path, service: Service
) -> None:
    host = booted(folder, service)
    host.restore()
    host.machines.lock("db2")
    host.restore()
    assert states(host) == ["unlocked", "locked"]
    host.machines.unlock("db2")
    assert states(host) == ["unlocked", "unlocked"]
    host.close()


def test_a_token_that_is_refused_is_replaced(tmp_path: Path) -> None:
    """The services were set up anew: their tokens of before are worth nothing."""

    async def test(w: Whole) -> None:
        host = await w.trusted_host()
        agent = w.use(host)
        key = (await agent.new_key("TKP")).key_id
        old = agent._session
        assert old is not None
        service = w.services["ta1"]
        assert service is not None
        agent._session = type(old)("a.b.c", old.key, old.service, old.since, old.until)
        assert await agent.key(key)
        assert agent._session is not None
        assert agent._session.token not in ("a.b.c", old.token)

    whole(tmp_path, Maker("maker", NOW), test)
