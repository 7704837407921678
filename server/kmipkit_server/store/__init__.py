"""Stores for objects: the interface in ``base``, the embedded store in ``sqlite``."""
