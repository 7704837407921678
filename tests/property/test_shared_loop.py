"""Long work, whatever there is: one slice at a time, the same for each account, rests for the others."""

from collections import Counter

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_server.fairness.shared_loop import RESOLUTION, SLICE
from lengths import examples
from virtual_loop import VirtualLoop

LONGEST = 0.005

costs = st.lists(st.floats(SLICE, LONGEST), min_size=1, max_size=6)
works = st.lists(st.tuples(st.sampled_from("ABC"), costs), min_size=1, max_size=8)


class History:
    """What each account has used, and how much of its work waits."""

    def __init__(self, loop: VirtualLoop, works: list[tuple[str, list[float]]]) -> None:
        self.loop = loop
        self.connections = Counter(account for account, _ in works)
        self.used = dict.fromkeys("ABC", 0.0)
        self.waiting: Counter[str] = Counter()
        self.passes: list[int] = []

    async def carry_out(self, account: str, costs: list[float]) -> None:
        """A piece of work."""
        for cost in costs:
            self.loop.work(cost)
            self.used[account] += cost
            self.waiting[account] += 1
            await self.loop.shared.give_way(account, cost)
            self.waiting[account] -= 1
            self.passes.append(self.loop.passes)
            # The first slice of each connection has run before anybody knew that it takes long.
            head_start = (self.connections[account] + 1) * LONGEST
            for other, number in self.waiting.items():
                if number:
                    assert self.used[account] <= self.used[other] + head_start


@settings(max_examples=examples(100), deadline=None)
@given(works, st.booleans())
def test_long_work_takes_turns_and_rests(works: list[tuple[str, list[float]]], asked: bool) -> None:
    """One client could otherwise keep others waiting by more connections, or by larger requests."""
    loop = VirtualLoop()
    loop.asking = "asking" if asked else ""
    history = History(loop, works)

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            for account, costs in works:
                nursery.start_soon(history.carry_out, account, costs)

    loop.run(test)
    assert len(history.passes) == len(set(history.passes)) == sum(len(c) for _, c in works)
    total = sum(sum(costs) for _, costs in works)
    if asked:
        assert total - RESOLUTION - 1e-9 <= sum(loop.rests) <= total + 1e-9
    else:
        assert loop.rests == []
