"""``python -m kmipkit`` is ``kmipkit``."""

from kmipkit.command import main

main()
