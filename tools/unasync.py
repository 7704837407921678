"""Makes the blocking client from the asynchronous one.

    python tools/unasync.py [--check]

The blocking form of each file in ``client/kmipkit_client/_async`` goes to ``_sync``. ``--check``
writes nothing and fails if a file would change.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "client" / "kmipkit_client"
SOURCE, TARGET = ROOT / "_async", ROOT / "_sync"

REPLACEMENTS = (
    (r"\basync def\b", "def"),
    (r"\basync with\b", "with"),
    (r"\basync for\b", "for"),
    (r"\bawait ", ""),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\baclose\b", "close"),
    (r"\bAsync(Client|Connection|Operations)\b", r"\1"),
    (r"\b_async\b", "_sync"),
    (r"\bimport asynchronous as network\b", "import blocking as network"),
    (r"\bTasks may share it\b", "Threads may share it"),
    (r"The client for trio and asyncio; [^\"]*", "The blocking client."),
)

NOTE = "# Made by tools/unasync.py from _async/{name}; do not edit.\n"


def blocking(text: str, name: str) -> str:
    """The blocking form of a source text."""
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    return formatted(NOTE.format(name=name) + text, TARGET / name)


def formatted(text: str, path: Path) -> str:
    """Sorted imports and our layout."""
    for command in (["check", "--fix", "--select", "I", "--quiet"], ["format"]):
        run = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(run, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    stale = []
    for source in sorted(SOURCE.glob("*.py")):
        target = TARGET / source.name
        text = blocking(source.read_text(encoding="utf-8"), source.name)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(source.name)
            if not check:
                target.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'not up to date' if check else 'written'} in _sync: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
