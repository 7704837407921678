"""``python -m kmipkit`` is ``kmipkit``."""

from kmipkit.cli import main

main()
