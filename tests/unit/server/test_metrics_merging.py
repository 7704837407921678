"""The metrics of all processes of a server as those of one."""

from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.metrics import merging
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def _counter(value: float) -> Metric:
    family = CounterMetricFamily("kmipkit_operations", "Operations.", labels=("operation",))
    family.add_metric(("Get",), value)
    return family


def _samples(data: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in merging.unpack(data)
        for sample in metric.samples
    }


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.integers(0, 4))
def test_counters_are_added_up_and_stay_when_a_process_ends(values: list[int], dead: int) -> None:
    processes = [merging.pack([_counter(each)]) for each in values]
    total = {("kmipkit_operations_total", "Get"): float(sum(values))}
    assert _samples(merging.merge(processes)) == total
    index = dead % len(processes)
    processes[index] = merging.counted(processes[index])
    assert _samples(merging.merge(processes)) == total


def test_what_all_processes_see_is_not_added_up() -> None:
    def state(objects: float, writable: float, connections: float) -> bytes:
        return merging.pack(
            [
                GaugeMetricFamily("kmipkit_store_objects", "Objects.", objects),
                GaugeMetricFamily("kmipkit_store_writable", "Whether.", writable),
                GaugeMetricFamily("kmipkit_connections_open", "Open.", connections),
            ]
        )

    merged = _samples(merging.merge([state(7, 1, 3), state(7, 0, 4)]))
    assert merged == {
        ("kmipkit_store_objects",): 7,
        ("kmipkit_store_writable",): 0,
        ("kmipkit_connections_open",): 7,
    }
    assert not _samples(merging.counted(state(1, 1, 1)))
