"""Plain counters for what the server does; :mod:`kmipkit_server.metrics` shows them."""
