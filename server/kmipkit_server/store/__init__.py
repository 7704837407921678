"""Where objects are kept: the interface in ``base``, the embedded store in ``sqlite``."""
