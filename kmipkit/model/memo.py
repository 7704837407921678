"""``functools.cache`` that keeps the type of the function.

The type of ``cache`` forgets the parameters, and does not take a class for hashable whose instances
define how they are hashed, as structures do.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def memoized(function: _Function) -> _Function:
    """The function, which computes each result once per process."""
    return cache(function)  # type: ignore[return-value]  # it can be called just like the function
