"""PKCS#11: functions of PKCS #11 as messages (KMIP 2.1 §6.1.37, Profiles 2.1 §5.18).

The token is the server itself: it has information, sessions and random bytes. Keys are reached by
KMIP's own operations only; functions that need them return CKR_FUNCTION_NOT_SUPPORTED. Numbers are
big-endian: CK_ULONG in 8 bytes, counts and lengths in 4.
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
from kmipkit_server.engine.part_places import NONCE_SIZE

ENCODING = b"\x01"
"""The version of the encoding, which C_Initialize names."""

SLOT = 1
MAX_RANDOM_LENGTH = 65536
"""Bytes that C_GenerateRandom returns at most."""

_INITIALIZED = 0x400
"""CKF_TOKEN_INITIALIZED (PKCS #11 3.0 §3.2)."""
_RNG = 0x1
_TOKEN_PRESENT = 0x1
_SERIAL = 0x4
"""CKF_RNG, CKF_TOKEN_PRESENT, CKF_SERIAL_SESSION."""

Rc = PKCS11ReturnCode


class _FunctionFailed(Exception):
    """Ends a function with a return code."""

    def __init__(self, code: PKCS11ReturnCode) -> None:
        super().__init__(code.name)
        self.code = code


@dataclass(slots=True)
class Library:
    """The state between C_Initialize and C_Finalize."""

    sessions: dict[int, int] = field(default_factory=dict)
    """Flags by handle."""
    last_handle: int = 0


class _Input:
    """Input parameters, read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, form: str) -> int:
        """A number: ``B`` one byte, ``I`` a count, ``Q`` a CK_ULONG."""
        size = struct.calcsize(f">{form}")
        if len(self._data) < size:
            raise _FunctionFailed(Rc.ARGUMENTS_BAD)
        number, self._data = self._data[:size], self._data[size:]
        return int(struct.unpack(f">{form}", number)[0])


def _text(value: str, size: int) -> bytes:
    """A string of PKCS #11: of fixed size, padded with blanks."""
    return value.encode()[:size].ljust(size)


def _version() -> bytes:
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return bytes((major, minor))


def _initialize(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    if bytes((parameters.read("B"),)) != ENCODING:
        raise _FunctionFailed(Rc.ARGUMENTS_BAD)
    return b""


def _finalize(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    return b""


def _get_info(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    vendor, name = _text(call.settings.vendor, 32), _text(call.settings.server_name, 32)
    return bytes((3, 0)) + vendor + struct.pack(">Q", 0) + name + _version()


def _get_slot_list(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    parameters.read("B")  # "only slots with a token": the only slot has one
    is_list_requested = parameters.read("B")
    slots = struct.pack(">Q", SLOT) if is_list_requested else b""
    return bytes((is_list_requested,)) + struct.pack(">I", 1) + slots


def _check_slot(parameters: _Input) -> None:
    if parameters.read("Q") != SLOT:
        raise _FunctionFailed(Rc.SLOT_ID_INVALID)


def _get_slot_info(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    _check_slot(parameters)
    names = _text(call.settings.server_name, 64) + _text(call.settings.vendor, 32)
    return names + struct.pack(">Q", _TOKEN_PRESENT) + _version() * 2


def _get_token_info(call: Call, library: Library, parameters: _Input) -> bytes:
    _check_slot(parameters)
    names = (
        _text(call.settings.server_name, 32)
        + _text(call.settings.vendor, 32)
        + _text("KMIP", 16)
        + _text("1", 16)
    )
    unknown = (1 << 64) - 1
    counts = (0, len(library.sessions), 0, 0, 0, 0, unknown, unknown, unknown, unknown)
    flags = struct.pack(">11Q", _INITIALIZED | _RNG, *counts)
    return names + flags + _version() * 2 + _text("", 16)


def _open_session(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    _check_slot(parameters)
    flags = parameters.read("Q")
    if not flags & _SERIAL:
        raise _FunctionFailed(Rc.ARGUMENTS_BAD)
    library.last_handle += 1
    library.sessions[library.last_handle] = flags
    return struct.pack(">Q", library.last_handle)


def _session(library: Library, parameters: _Input) -> int:
    """The handle of an open session."""
    handle = parameters.read("Q")
    if handle not in library.sessions:
        raise _FunctionFailed(Rc.SESSION_HANDLE_INVALID)
    return handle


def _close_session(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    del library.sessions[_session(library, parameters)]
    return b""


def _close_all_sessions(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    _check_slot(parameters)
    library.sessions.clear()
    return b""


def _get_session_info(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    flags = library.sessions[_session(library, parameters)]
    return struct.pack(">4Q", SLOT, 0, flags, 0)


def _seed_random(call: Call, library: Library, parameters: _Input) -> bytes:  # noqa: ARG001
    _session(library, parameters)
    return b""  # the operating system's generator needs no seed from clients


def _generate_random(call: Call, library: Library, parameters: _Input) -> bytes:
    _session(library, parameters)
    size = parameters.read("I")
    if size > MAX_RANDOM_LENGTH:
        raise _FunctionFailed(Rc.DATA_LEN_RANGE)
    return struct.pack(">I", size) + call.draw(size)


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
"""The functions that the token supports."""


def pkcs_11(call: Call, request: PKCS11Request) -> PKCS11Response:
    """Call a function. The Correlation Value identifies the library that C_Initialize opened."""
    if request.pkcs_11_interface not in (None, "PKCS 11"):
        raise OperationError(
            ResultReason.PKCS_11_INVALID_INTERFACE,
            f"the PKCS#11 Interface must be 'PKCS 11', not {request.pkcs_11_interface!r}",
        )
    function = request.pkcs_11_function
    is_first = function == PKCS11Function.C_INITIALIZE
    value = call.part_value(call.draw(NONCE_SIZE)) if is_first else request.correlation_value
    code, output = _call_function(call, function, value, request.pkcs_11_input_parameters or b"")
    return PKCS11Response(
        pkcs_11_interface=request.pkcs_11_interface,
        pkcs_11_function=function,
        # Profiles 2.1 §5.18.2 return it once, the test cases of 3.0 each time.
        correlation_value=value if is_first or call.version >= V3_0 else None,
        pkcs_11_output_parameters=output or None,
        pkcs_11_return_code=code,
    )


def _call_function(
    call: Call, code: object, value: bytes | None, parameters: bytes
) -> tuple[PKCS11ReturnCode, bytes]:
    function = FUNCTIONS.get(code) if isinstance(code, PKCS11Function) else None
    if function is None:
        return Rc.FUNCTION_NOT_SUPPORTED, b""
    library = Library() if function is _initialize else _library(call, value)
    if library is None:
        return Rc.CRYPTOKI_NOT_INITIALIZED, b""
    try:
        output = function(call, library, _Input(parameters))
    except _FunctionFailed as failure:
        return_code, output = failure.code, b""
    else:
        return_code = Rc.OK
    if value is not None and function is not _finalize:
        call.suspend_as(value, library)
    elif value is not None:
        call.batch.computations.end(value)
    return return_code, output


def _library(call: Call, value: bytes | None) -> Library | None:
    """A copy of an open library: what this call changes in it may be rolled back."""
    computation = call.batch.computations.peek(
        call.identity.holder, Operation.PKCS_11, value, call.now
    )
    if computation is None:
        return None
    library: Library = computation.context
    return Library(dict(library.sessions), library.last_handle)
