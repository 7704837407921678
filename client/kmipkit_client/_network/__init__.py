"""Network access: TLS connections by :mod:`anyio` and by blocking sockets, with one interface."""
