"""A store with a million objects, beside one with a thousand: see :mod:`bench.million.__main__`."""
