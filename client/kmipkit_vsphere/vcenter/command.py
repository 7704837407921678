"""How a call to vCenter is declared: one row with all that belongs to it.

A new command is two edits. In a file of :mod:`kmipkit_vsphere.vcenter.calls`: the request, whose
docstring is the help, and its row. A request that only reads is a :class:`VCenterQuery`. In the file
of the same name in :mod:`kmipkit_vsphere.vcenter.handlers`: the handler, a function under
``@TheRequest.handler``, held to the declared answer by the type checker. The files with rows import
no handlers, so that the command line starts fast.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, NamedTuple, Self, TypeVar

from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.privileges import TRUSTED_ADMINS, Privilege

A = TypeVar("A")
V = TypeVar("V")
"""The vCenter: declared above this, with the handlers."""

AnyHandler = Callable[[Any, Caller, Any], Awaitable[Any]]

HANDLERS: Final[dict[str, AnyHandler]] = {}
"""Method to handler: filled when the modules of handlers are imported."""


class VCenterRequest(Request[A]):
    """A request of a user to vCenter."""

    @classmethod
    def handler(
        cls, function: Callable[[V, Caller, Self], Awaitable[A]]
    ) -> Callable[[V, Caller, Self], Awaitable[A]]:
        """Decorator for the function that serves this method."""
        if cls.method() in HANDLERS:
            raise ValueError(f"{cls.method()} has two handlers")
        HANDLERS[cls.method()] = function
        return function


class VCenterQuery(VCenterRequest[A]):
    """A request that only reads; see :class:`kmipkit_vsphere.rpc.call.Query`."""

    is_query: ClassVar[bool] = True


class Argument(NamedTuple):
    """An argument or option of a subcommand; ``path`` is its place in the request.

    ``type`` is one of click's, or of those in :mod:`kmipkit_vsphere.vcenter.command_line`.
    """

    declaration: str
    path: str
    type: Any = str
    default: Any = None
    help: str = ""

    @property
    def is_option(self) -> bool:
        return self.declaration.startswith("--")

    @property
    def name(self) -> str:
        return self.declaration.lstrip("-").replace("-", "_").lower()


class Row(NamedTuple):
    """A call: what it needs, and how it is made from the command line.

    ``entity`` names the object on which the caller needs the privilege, with fields of the request
    in braces. A call without a ``command`` is for programs only.
    """

    request: type[VCenterRequest[Any]]
    privilege: Privilege
    entity: str = ROOT
    command: str = ""
    arguments: tuple[Argument, ...] = ()
    example: str = ""
    trusted_admins_only: bool = False
    records: bool = False
    """Whether vCenter writes an event for each call; for those whose handlers write none."""
    lines: Callable[[Any], list[str]] | None = None
    """The answer in short, for people; then the command has ``--verbose``, which prints all of it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The privilege and, for some calls, the group; see :mod:`kmipkit_vsphere.rpc.openapi`."""
        return (self.privilege, TRUSTED_ADMINS) if self.trusted_admins_only else (self.privilege,)

    @property
    def help(self) -> str:
        return inspect.getdoc(self.request) or ""

    def entity_of(self, request: VCenterRequest[Any]) -> str:
        """The entity of a request."""
        fields = {name: getattr(request, name) for name in request.__struct_fields__}
        return self.entity.format_map(fields)


HOST: Final = "host/{host}"
NAMED_HOST: Final = "host/{name}"
MACHINE: Final = "machine/{name}"
CLUSTER: Final = "cluster/{name}"
FOLDER: Final = "{folder}"
PARENT: Final = "{parent}"
ENTITY: Final = "{entity}"
"""Entities of rows."""
