"""A store with a million objects, beside one with a thousand: ``python -m bench.million``.

Both are filled, through the layer with which a server writes them, with objects as production has
them. Then two servers run at the same time and are asked in turn, over TLS: each attribute that Locate
takes, ranges and combinations, all pages, and Creates. So the ratios mean something on a busy machine
as well.

Times of searches are processor time of the store itself where it is embedded (SQLite), and otherwise
what a client sees. A search whose answers do not have equal size in both stores is shown, but has no
goal.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock

from bench import figures
from bench.million import filling, measuring, places
from bench.million.places import Place, PostgreSQLPlace, SQLitePlace
from bench.million.queries import SAMPLES
from bench.million.tables import goals, searches

SMALL, LARGE = 1_000, 1_000_000
STORES = ("sqlite", "postgresql")


def compare(
    store: str,
    folder: Path,
    numbers: tuple[int, int],
    progress: filling.Progress,
    effort: measuring.Effort = measuring.USUAL,
) -> measuring.Result:
    """Fill two stores of a kind, and compare them."""
    pki = folder / "pki"
    development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
    with ExitStack() as cleanup:
        make: Callable[[Path, Path], Place] = SQLitePlace
        if store == "postgresql":
            server = cleanup.enter_context(places.postgresql())
            make = partial(PostgreSQLPlace, server=server)
        filled = []
        for number in numbers:
            place = make(folder / f"{store}-{number}", pki)
            with place.serving() as running:
                kinds = filling.prototypes(running, place)
            begun = time.monotonic()
            filling.fill(place, kinds, number, progress)
            place.settled()
            progress(f"{place.name}: {number:,} objects in {time.monotonic() - begun:,.0f} s")
            filled.append((place, number, kinds))
        (small, few, kinds), (large, many, _) = filled
        return measuring.measure((small, few), (large, many), kinds, progress, effort)


def document(results: list[measuring.Result]) -> dict[str, Any]:
    """The results with what they depend on."""
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "machine": figures.machine(),
        "stores": {result.store: result.document() for result in results},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.million",
        description=__doc__,
        epilog="example: python -m bench.million --objects 20000 --store sqlite",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--objects", type=int, default=LARGE, help="of the large store")
    parser.add_argument("--small", type=int, default=SMALL, help="objects of the small store")
    parser.add_argument(
        "--store", choices=STORES, action="append", help="one kind of store; default: both"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the stores are made, and removed; default: temporary"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.small < SAMPLES:
        parser.error(f"--small must be {SAMPLES} or more")
    return arguments


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Fill, measure and print."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    stores = arguments.store or [
        each for each in STORES if each == "sqlite" or places.has_postgresql()
    ]
    results = []
    for store in stores:
        with tempfile.TemporaryDirectory(prefix="kmipkit-bench-", dir=arguments.folder) as folder:
            numbers = (arguments.small, arguments.objects)
            results.append(compare(store, Path(folder), numbers, _progress))
    made = document(results)
    for each in results:
        print(searches(made["stores"][each.store]), end="\n\n")
    print(goals(made))
    if arguments.json is not None:
        text = json.dumps(made, indent=2, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
