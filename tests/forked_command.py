"""What the fork server of :mod:`forked` runs in a new process: one command of kmipkit."""

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    output: Connection,
    errors: Path,
) -> None:
    """Run the command with these streams, as if a shell had started it."""
    with errors.open("ab") as log:
        for number, stream in ((1, output), (2, log)):
            os.dup2(stream.fileno(), number)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    searched = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [each for each in searched if each and each not in sys.path]
    sys.argv = ["kmipkit", *arguments]
    from kmipkit.command import main

    main()
