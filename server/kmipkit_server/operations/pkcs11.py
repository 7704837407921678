"""PKCS_11: functions of PKCS #11 as messages (KMIP 2.1 §6.1.37, Profiles 2.1 §5.18).

The token behind it is the server itself: it tells who it is, keeps sessions and gives random bytes.
Keys are the affair of KMIP's own operations; functions that would need them answer
CKR_FUNCTION_NOT_SUPPORTED. Numbers are big-endian: CK_ULONG in 8 bytes, counts and lengths in 4.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmipkit import __version__
from kmipkit.errors import OperationError
from kmipkit.model.payloads.session import PKCS11Request, PKCS11Response
from kmipkit.spec.enums import Operation, PKCS11Function, PKCS11ReturnCode, ResultReason
from kmipkit.spec.versions import V3_0
from kmipkit_server.engine.call import Call

ENCODING = b"\x01"
"""The version of the encoding, which C_Initialize names."""

SLOT = 1
MOST_RANDOM = 65536
"""Bytes that C_GenerateRandom gives at most."""

_INITIALIZED = 0x400
"""CKF_TOKEN_INITIALIZED (PKCS #11 3.0 §3.2)."""
_RNG = 0x1
_TOKEN_PRESENT = 0x1
_SERIAL = 0x4
"""CKF_RNG, CKF_TOKEN_PRESENT, CKF_SERIAL_SESSION."""

Rc = PKCS11ReturnCode


class _Refused(Exception):
    def __init__(self, code: PKCS11ReturnCode) -> None:
        super().__init__(code.name)
        self.code = code


@dataclass(slots=True)
class Library:
    """What one C_Initialize has begun."""

    sessions: dict[int, int] = field(default_factory=dict)
    """Flags by handle."""
    last: int = 0


class _Input:
    """Input parameters, taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, form: str) -> int:
        """A number: ``B`` one byte, ``I`` a count, ``Q`` a CK_ULONG."""
        size = struct.calcsize(f">{form}")
        if len(self._data) < size:
            raise _Refused(Rc.ARGUMENTS_BAD)
        taken, self._data = self._data[:size], self._data[size:]
        return int(struct.unpack(f">{form}", taken)[0])


def _text(value: str, size: int) -> bytes:
    """Padded with blanks, as strings of PKCS #11 are."""
    return value.encode()[:size].ljust(size)


def _version() -> bytes:
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return bytes((major, minor))


def _initialize(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    if bytes((given.take("B"),)) != ENCODING:
        raise _Refused(Rc.ARGUMENTS_BAD)
    return b""


def _finalize(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    return b""


def _get_info(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    vendor, name = _text(call.settings.vendor, 32), _text(call.settings.server_name, 32)
    return bytes((3, 0)) + vendor + struct.pack(">Q", 0) + name + _version()


def _get_slot_list(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    given.take("B")  # whether only slots with a token are wanted: the one there is has one
    wanted = given.take("B")
    listed = struct.pack(">Q", SLOT) if wanted else b""
    return bytes((wanted,)) + struct.pack(">I", 1) + listed


def _slot(given: _Input) -> None:
    if given.take("Q") != SLOT:
        raise _Refused(Rc.SLOT_ID_INVALID)


def _get_slot_info(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    _slot(given)
    who = _text(call.settings.server_name, 64) + _text(call.settings.vendor, 32)
    return who + struct.pack(">Q", _TOKEN_PRESENT) + _version() * 2


def _get_token_info(call: Call, library: Library, given: _Input) -> bytes:
    _slot(given)
    who = (
        _text(call.settings.server_name, 32)
        + _text(call.settings.vendor, 32)
        + _text("KMIP", 16)
        + _text("1", 16)
    )
    unknown = (1 << 64) - 1
    counts = (0, len(library.sessions), 0, 0, 0, 0, unknown, unknown, unknown, unknown)
    return who + struct.pack(">11Q", _INITIALIZED | _RNG, *counts) + _version() * 2 + _text("", 16)


def _open_session(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    _slot(given)
    flags = given.take("Q")
    if not flags & _SERIAL:
        raise _Refused(Rc.ARGUMENTS_BAD)
    library.last += 1
    library.sessions[library.last] = flags
    return struct.pack(">Q", library.last)


def _session(library: Library, given: _Input) -> int:
    handle = given.take("Q")
    if handle not in library.sessions:
        raise _Refused(Rc.SESSION_HANDLE_INVALID)
    return handle


def _close_session(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    del library.sessions[_session(library, given)]
    return b""


def _close_all_sessions(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    _slot(given)
    library.sessions.clear()
    return b""


def _get_session_info(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    flags = library.sessions[_session(library, given)]
    return struct.pack(">4Q", SLOT, 0, flags, 0)


def _seed_random(call: Call, library: Library, given: _Input) -> bytes:  # noqa: ARG001
    _session(library, given)
    return b""  # the operating system's generator needs no seed, and takes none from clients


def _generate_random(call: Call, library: Library, given: _Input) -> bytes:
    _session(library, given)
    size = given.take("I")
    if size > MOST_RANDOM:
        raise _Refused(Rc.DATA_LEN_RANGE)
    return struct.pack(">I", size) + call.random(size)


Function = Callable[[Call, Library, _Input], bytes]

FUNCTIONS: Mapping[PKCS11Function, Function] = MappingProxyType(
    {
        PKCS11Function.C_INITIALIZE: _initialize,
        PKCS11Function.C_FINALIZE: _finalize,
        PKCS11Function.C_GETINFO: _get_info,
        PKCS11Function.C_GETSLOTLIST: _get_slot_list,
        PKCS11Function.C_GETSLOTINFO: _get_slot_info,
        PKCS11Function.C_GETTOKENINFO: _get_token_info,
        PKCS11Function.C_OPENSESSION: _open_session,
        PKCS11Function.C_CLOSESESSION: _close_session,
        PKCS11Function.C_CLOSEALLSESSIONS: _close_all_sessions,
        PKCS11Function.C_GETSESSIONINFO: _get_session_info,
        PKCS11Function.C_SEEDRANDOM: _seed_random,
        PKCS11Function.C_GENERATERANDOM: _generate_random,
    }
)
"""What the token can do."""


def pkcs_11(call: Call, request: PKCS11Request) -> PKCS11Response:
    """Call a function; the Correlation Value stands for what C_Initialize began."""
    if request.pkcs_11_interface not in (None, "PKCS 11"):
        raise OperationError(ResultReason.PKCS_11_INVALID_INTERFACE, "there is only 'PKCS 11'")
    function = request.pkcs_11_function
    begins = function == PKCS11Function.C_INITIALIZE
    value = call.random(16) if begins else request.correlation_value
    code, output = _called(call, function, value, request.pkcs_11_input_parameters or b"")
    return PKCS11Response(
        pkcs_11_interface=request.pkcs_11_interface,
        pkcs_11_function=function,
        # Profiles 2.1 §5.18.2 tells it once, the cases of 3.0 each time.
        correlation_value=value if begins or call.version >= V3_0 else None,
        pkcs_11_output_parameters=output or None,
        pkcs_11_return_code=code,
    )


def _called(
    call: Call, function: object, value: bytes | None, parameters: bytes
) -> tuple[PKCS11ReturnCode, bytes]:
    row = FUNCTIONS.get(function) if isinstance(function, PKCS11Function) else None
    if row is None:
        return Rc.FUNCTION_NOT_SUPPORTED, b""
    library = Library() if row is _initialize else _library(call, value)
    if library is None:
        return Rc.CRYPTOKI_NOT_INITIALIZED, b""
    try:
        output = row(call, library, _Input(parameters))
    except _Refused as refused:
        code, output = refused.code, b""
    else:
        code = Rc.OK
    if value is not None and row is not _finalize:
        call.suspend_as(value, library)
    elif value is not None:
        call.batch.computations.end(value)
    return code, output


def _library(call: Call, value: bytes | None) -> Library | None:
    """A copy of what C_Initialize has begun, since what this call changes may be rolled back."""
    found = call.batch.computations.peek(call.identity.name, Operation.PKCS_11, value, call.now)
    if found is None:
        return None
    library: Library = found.context
    return Library(dict(library.sessions), library.last)
