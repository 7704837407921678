"""``make drill``: key servers and databases fail in turn while clients work; a report follows."""

import argparse
import json
import os
import random
import sys
from pathlib import Path

from drill import network, programs, report
from drill.drilling import Drill, Plan
from drill.faults import ALL_FAULTS, FAULTS, SHORT

_EXAMPLES = """examples:
  python -m drill                          each fault once
  python -m drill --minutes 60             for an hour
  python -m drill --faults node-kill,database-kill --seed 7 --json

faults:
"""


def _arguments(arguments: list[str]) -> argparse.Namespace:
    width = max(map(len, ALL_FAULTS))
    faults = "\n".join(f"  {name:{width}}  {fault.what}" for name, fault in ALL_FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m drill",
        description="Has key servers and databases fail while clients work, and checks what they saw.",
        epilog=_EXAMPLES + faults,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, help="how long; the default is each fault once")
    parser.add_argument("--seed", type=int, help="decides about order and victims")
    parser.add_argument("--faults", type=_faults, default=tuple(FAULTS), help="names, or: short")
    parser.add_argument("--clients", type=int, default=8, help="default: 8")
    parser.add_argument("--workers", type=int, default=1, help="of each key server; default: 1")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--history", type=Path, help="write all operations to this file")
    parser.add_argument("--logs", type=Path, help="keep the logs of all servers in this directory")
    return parser.parse_args(arguments)


def _faults(text: str) -> tuple[str, ...]:
    names = SHORT if text == "short" else tuple(text.split(","))
    unknown = [name for name in names if name not in ALL_FAULTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no fault {unknown[0]!r}")
    return names


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run a drill; the exit code."""
    options = _arguments(arguments)
    if network.INSIDE not in os.environ:
        reason = (
            "the programs of PostgreSQL are not installed"
            if programs.postgresql() is None
            else network.why_impossible()
        )
        if reason is not None:
            _say(f"there can be no drill: {reason}")
            return 3
        network.enter(arguments)
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    seconds = None if options.minutes is None else options.minutes * 60
    plan = Plan(seed, options.faults, seconds, options.clients, options.workers)
    drill = Drill(plan, _say)
    try:
        result = drill.run()
    finally:
        if options.logs is not None:
            drill.keep_logs(options.logs)
    if options.history is not None:
        options.history.write_text("".join(f"{each.name}: {each}\n" for each in result.history))
    print(json.dumps(report.document(result), indent=2) if options.json else report.text(result))
    return 0 if report.is_good(result) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
