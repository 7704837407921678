"""The driver in virtual time: what it sends when, and what it counts."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_load.driver import NOT_SENT, OVERDUE, TIMED_OUT, Driver, Reuse, Work
from kmipkit_load.encoding import Failure
from kmipkit_load.histogram import Histogram
from kmipkit_load.measures import MAX_INTERVALS, MAX_REASONS, OTHER_REASON, Measures, Tally
from kmipkit_load.pace import Closed, Open, Pace, schedule
from virtual_network import MILLISECOND, SECOND, Counting, VirtualNetwork


def closed(seconds: float | None = 10, number: int | None = None, warm_up: int = 0) -> Closed:
    return Closed(
        0, warm_up, None if seconds is None else warm_up + round(seconds * SECOND), number
    )


def open_loop(rate: float, seconds: float, number: int | None = None) -> Open:
    times = schedule("even", rate, 0, Random(0))
    return Open(0, round(seconds * SECOND), number, times)


def drive(
    network: VirtualNetwork,
    pace: Pace,
    requests: Counting | None = None,
    *,
    connections: int = 4,
    reuse: Reuse = Reuse.KEEP,
    end: float | None = 10,
    begin: int = 0,
    tick: Callable[[int], bool] = lambda now: False,
) -> Measures:
    measures = Measures(begin, None if end is None else begin + round(end * SECOND), SECOND)
    driver = Driver(network, connections=connections, timeout=2 * SECOND, reuse=reuse)
    driver.connect()
    driver.run(Work(requests or Counting(), pace, measures, 5 * SECOND), tick)
    return measures


def milliseconds(measures: Measures, percent: float) -> float:
    return measures.latency.percentile(percent) / MILLISECOND


def test_closed_loop_sends_when_a_response_has_come() -> None:
    network = VirtualNetwork(lambda now: 10 * MILLISECOND)
    measures = drive(network, closed())
    assert measures.succeeded == 4 * 10 * 100
    assert measures.rate == pytest.approx(400, rel=0.01)
    assert milliseconds(measures, 99) == pytest.approx(10, rel=0.01)


def stalling(now: int) -> int:
    """A server that takes 1 ms, but stands still from the fifth to the sixth second."""
    ready = 6 * SECOND if 5 * SECOND <= now < 6 * SECOND else now
    return ready - now + MILLISECOND


def test_open_loop_sees_a_stall_that_the_closed_loop_hides() -> None:
    """A tenth of the clients wait up to a second; only the open loop may say so."""
    hidden = drive(VirtualNetwork(stalling), closed())
    seen = drive(VirtualNetwork(stalling), open_loop(1000, 10))
    assert milliseconds(hidden, 99) < 2
    assert milliseconds(seen, 95) > 400
    assert milliseconds(seen, 99.9) > 990


def test_open_loop_keeps_its_times_whatever_the_server_does() -> None:
    network = VirtualNetwork(lambda now: 3 * MILLISECOND)
    measures = drive(network, open_loop(500, 4), end=4)
    assert network.arrivals == [2 * MILLISECOND * number for number in range(2000)]
    assert measures.succeeded == 2000
    assert measures.lag.maximum == 0


def test_what_was_due_and_never_sent_is_counted_with_its_wait() -> None:
    """A server that takes half of the rate must not look as if all were well."""
    network = VirtualNetwork(lambda now: 100 * MILLISECOND)  # 40 requests/s on four connections
    measures = drive(network, open_loop(100, 10))
    assert measures.tallies[OVERDUE].failures == {NOT_SENT: 1000 - measures.succeeded}
    assert measures.succeeded + measures.failed == 1000
    assert milliseconds(measures, 99.9) > 8_000


def test_a_request_without_response_is_given_up_and_counted_with_its_wait() -> None:
    network = VirtualNetwork(lambda now: None if now < SECOND else MILLISECOND)
    requests = Counting()
    measures = drive(network, closed(), requests)
    assert measures.tallies["get"].failures == {TIMED_OUT: 4}
    assert [request.creates for request in requests.lost] == [f"name-{n}" for n in range(1, 5)]
    assert measures.latency.maximum >= 2 * SECOND


def test_reasons_are_counted_and_refusals_are_no_latencies() -> None:
    network = VirtualNetwork(lambda now: MILLISECOND)
    answers = {0: Failure("Item Not Found", "no key 7"), 1: Failure("Permission Denied")}
    requests = Counting(lambda number: answers.get(number % 4))
    measures = drive(network, closed(None, 400), requests, end=None)
    tally = measures.tallies["get"]
    assert tally.failures == {"Item Not Found": 100, "Permission Denied": 100}
    assert tally.examples == {"Item Not Found": "no key 7"}
    assert measures.latency.number == tally.succeeded == 200


def test_a_server_that_is_gone_is_not_asked_in_a_tight_loop() -> None:
    network = VirtualNetwork(lambda now: MILLISECOND)
    network.refuses = True
    measures = drive(network, closed(), connections=1)
    assert measures.tallies["get"].failures == {
        "cannot connect: Connection refused": measures.failed
    }
    assert 10 <= measures.failed <= 20


def test_a_run_is_bounded_by_its_number() -> None:
    network = VirtualNetwork(lambda now: MILLISECOND)
    for pace in (closed(None, 123), poisson(123)):
        assert drive(network, pace, end=None).succeeded == 123


def poisson(number: int) -> Open:
    return Open(0, None, number, schedule("poisson", 1000, 0, Random(1)))


def test_the_warm_up_is_not_counted() -> None:
    network = VirtualNetwork(lambda now: 10 * MILLISECOND)
    measures = drive(network, closed(10, warm_up=SECOND), begin=SECOND)
    assert len(network.arrivals) == pytest.approx(4400, abs=8)
    assert measures.succeeded == pytest.approx(4000, abs=8)


def test_the_rate_counts_responses_whose_requests_began_in_the_warm_up() -> None:
    """Else a server that needs as long as the measurement takes would seem to do nothing."""
    network = VirtualNetwork(lambda now: 1500 * MILLISECOND)
    measures = drive(network, closed(3, warm_up=SECOND), begin=SECOND, end=3)
    assert measures.in_time == 8  # four after 1.5 s, four after 3 s, of the time from 1 s to 4 s
    assert measures.succeeded == 8  # those that began after 1.5 s and 3 s


def test_a_stop_waits_for_open_responses() -> None:
    """Else a key that the server has just created would be forgotten, and left there."""
    network = VirtualNetwork(lambda now: 300 * MILLISECOND)
    requests = Counting()
    measures = drive(network, closed(), requests, tick=lambda now: now >= SECOND)
    assert requests.sent == requests.answers == measures.succeeded
    assert measures.last < 2 * SECOND


def test_an_interruption_does_not_hide_a_stall() -> None:
    """Who presses Ctrl-C because the server stands still must see for how long clients have waited."""
    network = VirtualNetwork(lambda now: MILLISECOND if now < SECOND else None)
    measures = drive(network, open_loop(100, 60), end=60, tick=lambda now: now >= 4 * SECOND)
    assert measures.succeeded == 100
    assert measures.succeeded + measures.failed == pytest.approx(400, abs=10)
    assert milliseconds(measures, 50) > SECOND / MILLISECOND
    assert network.now() < 12 * SECOND  # 4 s, and 5 s in which open requests may be answered


@pytest.mark.parametrize(
    ("rate", "number", "seconds"), [(1, None, 5), (0.1, None, 15), (10, 5, None), (2000, None, 1)]
)
def test_the_rate_of_an_open_loop_is_that_of_its_schedule(
    rate: float, number: int | None, seconds: float | None
) -> None:
    """Five requests in five seconds are one in a second, although the last one came after four."""
    network = VirtualNetwork(lambda now: MILLISECOND)
    times = schedule("even", rate, 0, Random(0))
    pace = Open(0, None if seconds is None else round(seconds * SECOND), number, times)
    measures = drive(network, pace, end=seconds)
    assert measures.rate == pytest.approx(rate if seconds != 15 else 2 / 15, rel=0.01)


def test_a_run_without_end_gives_up_a_server_that_is_gone() -> None:
    """A million requests, one in a second for each connection, would take days."""
    network = VirtualNetwork(lambda now: MILLISECOND if now < SECOND else None)
    driver = Driver(network, connections=4, timeout=2 * SECOND)
    measures = Measures(0, None, SECOND)
    work = Work(Counting(), closed(None, 1_000_000), measures, 5 * SECOND, patience=20 * SECOND)
    assert not driver.run(work)
    assert 20 * SECOND < network.now() < 30 * SECOND


def test_a_response_that_nobody_has_asked_for_ends_the_connection() -> None:
    """It would be counted as that to the next request, with a latency of nothing."""
    network = VirtualNetwork(lambda now: MILLISECOND)
    driver = Driver(network, connections=1, timeout=2 * SECOND)
    driver.connect()
    [slot] = driver._slots.values()
    measures = Measures(0, SECOND, SECOND)
    sent: list[int] = []

    def tick(now: int) -> bool:
        if slot.request is None and now and not sent:
            sent.append(now)
            network.arrive(slot.link, slot.link._turn)  # type: ignore[attr-defined]
        return False

    driver.run(Work(Counting(), open_loop(4, 1), measures, SECOND), tick)
    assert (measures.succeeded, measures.failed) == (4, 0)
    assert network.opened == 2


def test_a_request_without_connection_cannot_have_taken_effect() -> None:
    """Its object would else be looked for, and named as one that may be left on the server."""
    network = VirtualNetwork(lambda now: MILLISECOND)
    network.refuses = True
    requests = Counting()
    drive(network, closed(), requests)
    assert requests.sent > 0
    assert requests.lost == []


@pytest.mark.parametrize(("reuse", "opened"), [(Reuse.KEEP, 4), (Reuse.COLD, 400)])
def test_cold_connections_are_opened_for_each_request(reuse: Reuse, opened: int) -> None:
    network = VirtualNetwork(lambda now: MILLISECOND)
    drive(network, closed(None, 400), reuse=reuse, end=None)
    assert network.opened == opened


@given(rate=st.floats(0.5, 5000), arrivals=st.sampled_from(["even", "poisson"]))
def test_a_schedule_has_its_rate(rate: float, arrivals: str) -> None:
    times = schedule(arrivals, rate, 7, Random(3))
    first, *rest = (next(times) for _ in range(4001))
    assert first == 7
    assert sorted(rest) == rest
    assert (rest[-1] - first) / SECOND == pytest.approx(4000 / rate, rel=0.1)


def test_reasons_that_a_server_invents_do_not_fill_the_memory() -> None:
    tally = Tally()
    for number in range(1000):
        tally.fail(f"reason {number}", "")
    assert len(tally.failures) == MAX_REASONS + 1
    assert tally.failures[OTHER_REASON] == 1000 - MAX_REASONS
    assert tally.failed == 1000


def test_a_run_of_a_few_requests_counts_only_these() -> None:
    """What is under way when the warm-up ends would double the rate of one request."""
    network = VirtualNetwork(lambda now: 500 * MILLISECOND)
    measures = drive(network, closed(None, 1, warm_up=SECOND), begin=SECOND, end=None)
    assert (measures.succeeded, measures.in_time) == (1, 5)
    assert measures.rate == pytest.approx(2, rel=0.01)


@given(
    lowest=st.integers(-1000, 10**10),
    distance=st.just(0.0) | st.floats(1, 10**7),
    number=st.integers(1, 300),
)
def test_values_at_equal_distances_are_counted_as_one_by_one(
    lowest: int, distance: float, number: int
) -> None:
    together, singly = Histogram(), Histogram()
    together.record_even(lowest, distance, number)
    for place in range(number):
        singly.record(lowest + int(place * distance))
    assert together.counts == singly.counts
    assert (together.number, together.minimum, together.maximum) == (
        singly.number, singly.minimum, singly.maximum,
    )  # fmt: skip


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_a_rate_that_nobody_can_reach_ends_in_time(arrivals: str) -> None:
    """Ten million requests in a second for a minute are not counted one by one."""
    network = VirtualNetwork(lambda now: SECOND)
    pace = Open(0, 60 * SECOND, None, schedule(arrivals, 1e7, 0, Random(1)))
    measures = drive(network, pace, end=60)
    assert measures.succeeded + measures.failed == pytest.approx(600e6, rel=1e-3)
    assert milliseconds(measures, 50) > 30_000


def test_overdue_requests_of_the_warm_up_are_not_counted() -> None:
    network = VirtualNetwork(lambda now: None)
    pace = Open(SECOND, 3 * SECOND, None, schedule("even", 50_000, 0, Random(1)))
    measures = drive(network, pace, begin=SECOND, end=2)
    assert measures.failed == pytest.approx(100_000, abs=2)


def test_a_run_without_a_known_end_has_few_intervals() -> None:
    """A day is as many as a minute; those of other processes are added to them."""
    long, short = Measures(0, None, SECOND), Measures(0, None, SECOND)
    for second in range(24 * 3600):
        long.succeed("get", second * SECOND, second * SECOND + MILLISECOND)
    for second in range(10):
        short.succeed("get", second * SECOND, second * SECOND + MILLISECOND)
    assert len(long.intervals) <= MAX_INTERVALS
    for one, other in ((long, short), (short, long)):
        together = Measures(0, None, SECOND)
        together.add(one)
        together.add(other)
        assert sum(each.succeeded for each in together.intervals.values()) == 24 * 3600 + 10
        assert together.width == long.width
        assert together.intervals[0].succeeded == long.width // SECOND + 10
