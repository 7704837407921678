"""Network access with one interface: connections by :mod:`anyio` and by blocking sockets."""
