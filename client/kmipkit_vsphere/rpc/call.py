"""A call is its request: a message whose class names the method and knows the answer's type.

.. code-block:: python

    class PowerOn(Request[MachineInfo]):
        name: Text

    machine = await client.call(PowerOn("db1"))  # the calling side
    PowerOn.row(MANAGEMENT, self.power_on)       # the called side

The name of the class is the name of the method, and its path is ``/api/`` with this name. The
handler takes the request and returns the answer; the type checker holds both to the declaration.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeVar, get_args

from kmipkit_vsphere.model.message import Message

A = TypeVar("A")

API: Final = "/api/"
"""What the path of each method begins with."""
NOTHING_AT: Final = "there is nothing at"
"""How the error about a path that a role does not serve begins."""


class Request(Message, Generic[A], forbid_unknown_fields=True):
    """The request of one method, whose answer is an ``A``."""

    is_query: ClassVar[bool] = False
    """Whether it only reads; then it is also served with GET."""

    @classmethod
    def method(cls) -> str:
        """The name of the method, as it is sent."""
        return cls.__name__

    @classmethod
    def path(cls) -> str:
        """The path of the method."""
        return API + cls.method()

    @classmethod
    def answer(cls) -> Any:
        """The type of the answer."""
        [kind] = get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]  # kept by Generic
        return kind

    @classmethod
    def row(cls, role: str, handler: Callable[[Self], Awaitable[A]]) -> "Row":
        """What serves this method, for callers with a role."""

        async def handle(request: Self, _caller: str) -> A:
            return await handler(request)

        return Row(cls, role, handle, needs=(role,))


class Query(Request[A]):
    """A request that only reads, and whose fields are plain enough for the query of a URL."""

    is_query: ClassVar[bool] = True


class Channel(Protocol):
    """What calls can be made on; see :class:`kmipkit_vsphere.rpc.client.Client`."""

    async def call(self, request: Request[A]) -> A:
        """Make a call and return its answer, or raise its fault."""


@dataclass(frozen=True, slots=True)
class Row:
    """How a method is served: its request, the role that a caller must have, and the handler.

    The handler is also passed the name in the caller's certificate.
    """

    request: type[Request[Any]]
    role: str
    handler: Callable[[Any, str], Awaitable[Any]]
    needs: tuple[str, ...] = ()
    """What the caller must have, for the description: the role, or privileges."""
    entity: str = ""
    """The object on which the privileges are needed, with fields of the request in braces."""


Rows = Mapping[str, Row]
"""Name of a method to how it is served."""


def table(*rows: Row) -> Rows:
    """The rows by the names of their methods; ValueError where one is served twice."""
    result: dict[str, Row] = {}
    for row in rows:
        if row.request.method() in result:
            raise ValueError(f"{row.request.method()} is served twice")
        result[row.request.method()] = row
    return MappingProxyType(result)
