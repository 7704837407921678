"""A client against a cluster whose servers fail in every way, on a virtual clock.

Whatever the servers do: a call ends in time, a change is carried out at most once, its error tells
whether it may have been, and a server that works is found.
"""

import random
import ssl
from collections.abc import Callable

import pytest
from fake_network import FakeNetwork, Mode
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kmipkit_client import Client, ConnectionFailed
from kmipkit_client.cluster import Order
from kmipkit_client.endpoints import endpoints
from kmipkit_client.settings import Settings
from kmipkit_client.tls import FixedTLS
from lengths import examples

from kmipkit.spec.versions import V1_4

NAMES = ["kms1", "kms2", "kms3"]
modes = st.sampled_from(Mode)
names = st.sampled_from(NAMES)
seconds = st.sampled_from([0.5, 5.0, 60.0])


class ClusterMachine(RuleBasedStateMachine):
    """The client of one program, and what happens to its servers meanwhile."""

    @initialize(count=st.integers(1, 3), order=st.sampled_from(Order), seed=st.integers(0, 9))
    def start(self, count: int, order: Order, seed: int) -> None:
        self.patches = pytest.MonkeyPatch()
        self.network = FakeNetwork(NAMES[:count])
        self.network.install(self.patches)
        self.number = 0
        self.client = Client.of(
            Settings(
                endpoints=endpoints(NAMES[:count]),
                tls=FixedTLS(ssl.create_default_context()),
                order=order,
                version=V1_4,
                clock=self.network.clock,
                random=random.Random(seed).random,
            )
        )

    def teardown(self) -> None:
        if hasattr(self, "patches"):
            self.client.close()
            assert not self.network.open_streams(), "connections outlive the client"
            self.patches.undo()

    @rule(name=names, mode=modes)
    def change(self, name: str, mode: Mode) -> None:
        if name in self.network.servers:
            self.network.servers[name].mode = mode

    @rule(name=names, upcoming=st.lists(modes, min_size=1, max_size=3))
    def upset(self, name: str, upcoming: list[Mode]) -> None:
        if name in self.network.servers:
            self.network.servers[name].upcoming.extend(upcoming)

    @rule()
    def recover_and_close_idle_connections(self) -> None:
        for server in self.network.servers.values():
            server.mode = Mode.WORKS
            server.upcoming.clear()
            server.close_idle()

    @rule(duration=st.sampled_from([0.1, 10.0, 100.0]))
    def wait(self, duration: float) -> None:
        self.network.now += duration

    @rule(deadline=seconds)
    def read(self, deadline: float) -> None:
        works = any(self.that_work())
        result = self.outcome(deadline, lambda client: client.query().vendor_identification)
        if isinstance(result, ConnectionFailed):
            assert not result.outcome_unknown
            assert not works, f"a server works, but: {result}"
        else:
            assert result == "fake"

    @rule(deadline=seconds)
    def write(self, deadline: float) -> None:
        self.number += 1
        name = f"key {self.number}"
        works, all_work = any(self.that_work()), all(self.that_work())
        result = self.outcome(deadline, lambda client: client.create(name=name))
        times = sum(server.done[name] for server in self.network.servers.values())
        if isinstance(result, ConnectionFailed):
            assert times <= (1 if result.outcome_unknown else 0)
            assert not all_work, f"only idle connections were closed, but: {result}"
            assert result.outcome_unknown or not works, f"a server works, but: {result}"
        else:
            assert (result, times) == (name, 1)

    def outcome(
        self, deadline: float, call: Callable[[Client], str | None]
    ) -> str | ConnectionFailed | None:
        """The result of a call or its error, either of them in time."""
        start = self.network.now
        try:
            return call(self.client.within(deadline))
        except ConnectionFailed as error:
            return error
        finally:
            assert self.network.now - start <= deadline + 1e-6

    @invariant()
    def idle_connections_are_all_that_is_open(self) -> None:
        if hasattr(self, "network"):
            assert len(self.network.open_streams()) <= len(self.network.servers)

    def that_work(self) -> list[bool]:
        """For each server, whether it will answer whatever comes next."""
        return [
            server.mode is Mode.WORKS and not server.upcoming
            for server in self.network.servers.values()
        ]


TestCluster = ClusterMachine.TestCase
TestCluster.settings = hypothesis_settings(max_examples=examples(40), stateful_step_count=25)


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("mode", [Mode.SWALLOWS, Mode.IS_SILENT])
def test_a_silent_server_delays_few_calls(order: Order, mode: Mode) -> None:
    """While one of three machines is gone, the others do the work: most calls do not even try it."""
    network = FakeNetwork(NAMES)
    with pytest.MonkeyPatch.context() as patches:
        network.install(patches)
        client = Client.of(
            Settings(
                endpoints=endpoints(NAMES),
                tls=FixedTLS(ssl.create_default_context()),
                order=order,
                version=V1_4,
                connect_timeout=3.0,
                timeout=3.0,
                clock=network.clock,
                random=random.Random(1).random,
            )
        )
        client.query()
        network.servers["kms1"].mode = mode
        begun, delayed = network.now, 0
        while network.now < begun + 60:
            before = network.now
            client.query()
            delayed += network.now - before > 1
            network.now += 0.1
        client.close()
    assert 1 <= delayed <= 5, "each further one is at least twice as rare"
