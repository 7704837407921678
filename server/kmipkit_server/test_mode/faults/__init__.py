"""Faults on demand: a server that is slow, breaks off, or answers what is not true.

``kinds`` is the table: each kind is a function of ``answers`` or ``connections``, and its parameters are
the keyword arguments. ``fault`` says to which requests a fault applies, ``file`` reads faults from TOML,
and ``hooks`` brings them into the parts of a server.
"""
