"""The program ``kmipkit``, which says what to install if the command line is not installed.

The protocol and the client need no more than ``cryptography``; what commands need is in extras.
"""

import sys


def main() -> None:
    """Run the command line; see :mod:`kmipkit.cli`."""
    try:
        import click  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        sys.exit("Error: the command line is not installed; run: pip install 'kmipkit[client]'")
    from kmipkit.cli import main

    main()
