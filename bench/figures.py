"""The figures of a run as a file, from which ``tools/gen_figures.py`` makes tables of the documents."""

import json
import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.comparison import ECHO, GO, KMIPKIT, MEASUREMENTS, PYKMIP
from bench.servers import GO_SOURCE

COLUMNS = (ECHO, PYKMIP, GO, KMIPKIT)


def machine() -> dict[str, Any]:
    """What the figures depend on, before the measurements begin."""
    module = re.search(r"kmip-go v(\S+)", (GO_SOURCE / "go.mod").read_text(encoding="utf-8"))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        PYKMIP: version("PyKMIP"),
        GO: module[1] if module else "",
    }


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write the figures."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def peers_table(document: Mapping[str, Any]) -> str:
    """Requests per second of all servers, as Markdown."""
    lines = [
        f"| per second | {' | '.join(COLUMNS)} |",
        f"| --- |{' ---: |' * len(COLUMNS)}",
    ]
    for entry in MEASUREMENTS:
        rates = document["rates"][entry.name]
        cells = [f"{rates[name]:,.0f}" if name in rates else "" for name in COLUMNS]
        lines.append(f"| {entry.title} | {' | '.join(cells)} |")
    return "\n".join(lines)
