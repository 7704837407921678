"""``make bench``: runs all measurements and prints a table; ``--json FILE`` also writes the figures."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock

from bench import codec, comparison, figures, idle, neighbours, stores, workers
from bench.rows import Row, at_least, table


def report_progress(text: str) -> None:
    """Print progress, separate from the table."""
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One run in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pki = folder / "pki"
        development.ensure(self._pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)

    def document(self) -> dict[str, Any]:
        """All measurements."""
        machine = figures.machine()
        rows = self._codec()
        rates = comparison.compare(self._folder, self._pki, report_progress)
        rows += comparison.rows(rates)
        pykmip = stores.pykmip_locate(self._folder / "many-pykmip", self._pki, report_progress)
        sizes = stores.measure(self._folder / "many", self._pki, report_progress)
        rows += self._stores(pykmip, sizes)
        rows.append(self._help())
        rows += self._neighbours()
        rows += workers.rows(workers.measure(self._folder / "workers", self._pki, report_progress))
        resting = idle.measure(self._folder / "idle", self._pki, idle.SHORT, report_progress)
        rows.append(self._idle(resting))
        return {
            "made": datetime.now(UTC).date().isoformat(),
            "machine": machine,
            "rates": rates,
            "stores": {str(number): asdict(size) for number, size in sizes.items()},
            "locates": stores.LOCATES,
            "idle_kilobytes": resting.kilobytes,
            "rows": [asdict(row) for row in rows],
        }

    def _codec(self) -> list[Row]:
        report_progress("codec ...")
        return [
            Row(
                name,
                f"{reference:.1f} µs",
                f"{measured:.1f} µs",
                reference / measured,
                "≥ 15",
                reference >= 15 * measured,
            )
            for name, (reference, measured) in codec.figures().items()
        ]

    def _stores(self, pykmip: float, sizes: dict[int, stores.Size]) -> list[Row]:
        small, large = (1e6 / sizes[number].locates for number in (min(sizes), max(sizes)))
        memory = sizes[max(sizes)].memory
        return [
            at_least(
                f"Locate by name among {stores.NAMES:,}", pykmip, sizes[stores.NAMES].locates, 500
            ),
            Row(
                f"Locate by name, {max(sizes):,} to {min(sizes):,} objects",
                f"{small:,.0f} µs",
                f"{large:,.0f} µs",
                large / small,
                "≤ 2",
                large <= 2 * small,
            ),
            Row(
                f"Memory at {max(sizes):,} objects",
                "",
                f"{memory:,.0f} MB",
                memory / 150,
                "≤ 1",
                memory < 150,
            ),
        ]

    def _neighbours(self) -> list[Row]:
        """Another client's Gets while one client sends expensive requests."""
        latencies = neighbours.measure(self._folder / "neighbours", self._pki, report_progress)
        alone = latencies.pop("")
        return [
            Row(
                f"Get beside {name}: median, 99 %",
                f"{alone.median:.2f} ms",
                f"{latency.median:.2f} ms, {latency.percentile_99:.0f} ms",
                latency.median / alone.median,
                "≤ 3, 100 ms",
                latency.median <= 3 * alone.median and latency.percentile_99 <= 100,
            )
            for name, latency in latencies.items()
        ]

    def _idle(self, result: idle.Result) -> Row:
        """Memory of idle connections, in the short form."""
        is_served = result.median <= 3 * result.alone and result.percentile_99 <= 100
        return Row(
            f"Memory of each of {result.connections:,} idle connections",
            "",
            f"{result.kilobytes:.0f} kB",
            result.kilobytes / idle.MAX_KILOBYTES,
            "≤ 1",
            result.kilobytes <= idle.MAX_KILOBYTES and is_served,
        )

    def _help(self) -> Row:
        def seconds() -> float:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "kmipkit", "--help"], capture_output=True)
            return time.perf_counter() - started

        best = min(seconds() for _ in range(5))
        return Row("kmipkit --help", "", f"{best:.2f} s", best / 0.3, "≤ 1", best < 0.3)


def main() -> None:
    """Measure, print, and write the figures if a file is named."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    file = parser.parse_args().json
    # So that the servers end with the benchmark.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        document = Bench(Path(directory)).document()
    report_progress(f"done in {time.perf_counter() - started:.0f} s")
    print(table(Row(**row) for row in document["rows"]))
    print()
    print(figures.peers_table(document))
    if file is not None:
        figures.write(file, document)


if __name__ == "__main__":
    main()
