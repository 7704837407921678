"""``functools.cache`` that keeps the type of the function.

The type of ``cache`` loses the parameters, and does not accept a class as hashable if its instances
have their own ``__hash__``, as structures do.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def memoized(function: _Function) -> _Function:
    """The function, which computes each result once in a process."""
    return cache(function)  # type: ignore[return-value]  # it can be called just like the function
