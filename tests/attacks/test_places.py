"""One client cannot hold the places of all others."""

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_client import calls, messages
from servers import ANSWER_TIMEOUT, RunningServer, exchange

from kmipkit.model.codec import encode
from kmipkit.places import MIN_SILENCE, Full, Places
from kmipkit.spec.versions import V1_4

QUERY = encode(messages.request(V1_4, [calls.discover_versions()]), V1_4)


@dataclass(eq=False)
class Peer:
    address: str = "192.0.2.1"
    account: str = "attacker"
    is_authenticated: bool = True
    silent_since: float | None = 0.0
    ended: str = ""


@dataclass
class Room:
    """Places, with a clock that is moved by hand."""

    total: int = 8
    per_address: int = 4
    per_account: int = 4
    now: float = 100.0
    places: Places[Peer] = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places(
            self.total, self.per_address, self.per_account, lambda: self.now, self.end
        )

    def end(self, peer: Peer, reason: str) -> None:
        peer.ended = reason

    def enter(self, peer: Peer) -> Peer:
        self.places.enter(peer)
        if peer.is_authenticated:
            self.places.authenticated(peer, peer.account)
        return peer


def test_an_address_makes_room_for_itself_only() -> None:
    """A flood from one address would shut out everybody else."""
    room = Room()
    other = room.enter(Peer("198.51.100.7", "backup", silent_since=1.0))
    flood = [room.enter(Peer(silent_since=float(n), is_authenticated=False)) for n in range(20)]
    assert not other.ended
    assert sum(not peer.ended for peer in flood) == room.per_address
    assert [peer for peer in flood if not peer.ended] == flood[-room.per_address :], "oldest first"


def test_an_account_makes_room_for_itself_only() -> None:
    """An attacker with one certificate and many addresses would hold all places idle."""
    room = Room(total=100, per_address=100)
    other = room.enter(Peer("198.51.100.7", "backup"))
    mine = [room.enter(Peer(f"192.0.2.{n}", "attacker")) for n in range(20)]
    assert not other.ended
    assert sum(not peer.ended for peer in mine) == room.per_account


def test_when_all_places_are_taken_the_largest_holder_makes_room() -> None:
    room = Room(total=6, per_address=5, per_account=5)
    small = room.enter(Peer("198.51.100.7", "backup"))
    large = [room.enter(Peer("192.0.2.1", f"account {n}")) for n in range(5)]
    new = room.enter(Peer("203.0.113.9", "database", silent_since=None))
    assert not small.ended
    assert not new.ended
    assert sum(bool(peer.ended) for peer in large) == 1


def test_who_has_not_finished_the_handshake_goes_first() -> None:
    room = Room(total=100)
    idle = [room.enter(Peer(silent_since=1.0)) for _ in range(3)]
    stranger = room.enter(Peer(silent_since=50.0, is_authenticated=False))
    room.enter(Peer())
    assert stranger.ended
    assert not any(peer.ended for peer in idle)


@pytest.mark.parametrize("since", [None, 100.0 - MIN_SILENCE / 2], ids=["busy", "just silent"])
def test_nobody_is_ended_in_the_middle_of_a_request(since: float | None) -> None:
    """A key that was created would be lost with its response."""
    room = Room()
    busy = [room.enter(Peer(silent_since=since)) for _ in range(room.per_address)]
    with pytest.raises(Full, match=r"192\.0\.2\.1"):
        room.enter(Peer())
    assert not any(peer.ended for peer in busy)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 3), st.booleans(), st.none() | st.integers(0, 99)
        ),
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_no_limit_is_ever_exceeded_and_no_place_is_lost(
    arrivals: list[tuple[int, int, bool, int | None]], random: object
) -> None:
    room = Room(total=6, per_address=4, per_account=3)
    for address, account, is_authenticated, since in arrivals:
        peer = Peer(str(address), str(account), is_authenticated, since)
        try:
            room.enter(peer)
        except Full:
            room.places.leave(peer)
        held = [each for each in room.places.occupants if not each.ended]
        assert len(held) <= room.total
        for name in "0123":
            assert sum(each.address == name for each in held) <= room.per_address
            mine = [each for each in held if each.is_authenticated and each.account == name]
            assert len(mine) <= room.per_account
        for each in [each for each in room.places.occupants if each.ended]:
            if random.random() < 0.5:  # type: ignore[attr-defined]  # a Random
                room.places.leave(each)
    for each in list(room.places.occupants):
        room.places.leave(each)
    assert not room.places._by_address
    assert not room.places._by_account


def test_silent_connections_of_one_address_keep_nobody_out(
    own_server: RunningServer, tmp_path: Path
) -> None:
    """2,000 connections that never say a word used to stop service for everybody."""
    config = tmp_path / "kms.toml"
    config.write_text("[limits]\nconnections = 12\nconnections_per_address = 8\n")
    own_server.arguments = ("--config", str(config))
    server = own_server.start()
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert answered(server)
        server.stop()
    refusals = [line for line in server.lines() if "connection refused" in line]
    assert len([line for line in refusals if "more times" not in line]) == 1, "one line a minute"
    assert "8 connections from 127.0.0.1" in refusals[0]


def answered(server: RunningServer) -> bool:
    """Whether a client is answered, which tries until the silent ones make room."""
    end = time.monotonic() + ANSWER_TIMEOUT
    while time.monotonic() < end:
        try:
            with server.raw() as stream:
                return bool(exchange(stream, QUERY))
        except OSError:  # of TLS, too: refused
            continue
    return False
