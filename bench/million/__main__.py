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
    *,
    keeps: bool = False,
) -> measuring.Result:
    """Fill two stores of a kind, and compare them.

    A large store that is in the folder already is used as it is. PostgreSQL gets a copy of a file
    that is there.
    """
    pki = folder / "pki"
    development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
    with ExitStack() as cleanup:
        make: Callable[[Path, Path], Place] = SQLitePlace
        if store == "postgresql":
            directory = folder / "postgresql" if keeps else None
            server = cleanup.enter_context(places.postgresql(directory=directory))
            make = partial(PostgreSQLPlace, server=server)
        filled = []
        for number in numbers:
            place = make(folder / f"{store}-{number}", pki)
            original = folder / f"sqlite-{number}"
            if number == numbers[0]:
                place.note.unlink(missing_ok=True)  # Creates have made it larger
            elif (
                isinstance(place, PostgreSQLPlace)
                and not place.is_filled
                and (original / places.NOTE).exists()
            ):
                filling.copied(place, original, progress)
            filled.append((place, filling.filled(place, number, progress)))
        (small, _), (large, _) = filled
        return measuring.measure(small, large, filled[0][1], progress, effort)


def document(results: list[measuring.Result], machine: dict[str, Any]) -> dict[str, Any]:
    """The results with what they depend on: the machine before the measurements."""
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "machine": machine,
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
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the stores in --folder; the next run uses the large ones that are there",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.small < SAMPLES:
        parser.error(f"--small must be {SAMPLES} or more")
    if arguments.keep and arguments.folder is None:
        parser.error("--keep needs --folder")
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
    machine = figures.machine()
    with ExitStack() as cleanup:
        folder: Path = arguments.folder
        if not arguments.keep:
            temporary = tempfile.TemporaryDirectory(prefix="kmipkit-bench-", dir=folder)
            folder = Path(cleanup.enter_context(temporary))
        numbers = (arguments.small, arguments.objects)
        results = [
            compare(store, folder, numbers, _progress, keeps=arguments.keep) for store in stores
        ]
    made = document(results, machine)
    for each in results:
        print(searches(made["stores"][each.store]), end="\n\n")
    print(goals(made))
    if arguments.json is not None:
        text = json.dumps(made, indent=2, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
