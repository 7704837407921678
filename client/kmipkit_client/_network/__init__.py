"""Bytes to and from a server: the same three things for :mod:`anyio` and for blocking sockets."""
