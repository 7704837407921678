"""One small function per operation; importing this package registers them all."""

from kmipkit_server.handlers import (
    attributes,
    check,
    create,
    crypto,
    get,
    lifecycle,
    locate,
    query,
    register,
)

__all__ = [
    "attributes",
    "check",
    "create",
    "crypto",
    "get",
    "lifecycle",
    "locate",
    "query",
    "register",
]
