"""PKCS #11 functions as messages: what the token can do, and a clear code for the rest."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls
from laboratory import Laboratory

from kmipkit.model.payloads.session import PKCS11Request
from kmipkit.spec.enums import Operation, PKCS11Function, PKCS11ReturnCode, ResultReason

C, RC = PKCS11Function, PKCS11ReturnCode
SLOT = struct.pack(">Q", 1)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def call(
    laboratory: Laboratory, function: Any, value: bytes | None, given: bytes = b"", **who: Any
) -> Any:
    request = PKCS11Request(
        pkcs_11_function=function,
        correlation_value=value,
        pkcs_11_input_parameters=given or None,
    )
    return laboratory.ask(calls.raw(Operation.PKCS_11, request), **who)


def begin(laboratory: Laboratory) -> bytes:
    answer = call(laboratory, C.C_INITIALIZE, None, b"\x01")
    assert answer.pkcs_11_return_code is RC.OK
    return bytes(answer.correlation_value)


def test_a_session_gives_random_bytes_until_it_is_closed(laboratory: Laboratory) -> None:
    value = begin(laboratory)
    flags = struct.pack(">Q", 4)
    opened = call(laboratory, C.C_OPENSESSION, value, SLOT + flags)
    session = opened.pkcs_11_output_parameters
    wanted = session + struct.pack(">I", 32)
    output = call(laboratory, C.C_GENERATERANDOM, value, wanted).pkcs_11_output_parameters
    assert output[:4] == struct.pack(">I", 32)
    assert len(output) == 36
    assert output != call(laboratory, C.C_GENERATERANDOM, value, wanted).pkcs_11_output_parameters
    assert call(laboratory, C.C_CLOSESESSION, value, session).pkcs_11_return_code is RC.OK
    again = call(laboratory, C.C_GENERATERANDOM, value, wanted)
    assert again.pkcs_11_return_code is RC.SESSION_HANDLE_INVALID


def test_information_has_the_sizes_that_c_structures_have(laboratory: Laboratory) -> None:
    value = begin(laboratory)
    for function, given, size in (
        (C.C_GETINFO, b"", 2 + 32 + 8 + 32 + 2),
        (C.C_GETSLOTINFO, SLOT, 64 + 32 + 8 + 2 + 2),
        (C.C_GETTOKENINFO, SLOT, 32 + 32 + 16 + 16 + 11 * 8 + 2 + 2 + 16),
    ):
        answer = call(laboratory, function, value, given)
        assert (answer.pkcs_11_return_code, len(answer.pkcs_11_output_parameters)) == (RC.OK, size)
    listed = call(laboratory, C.C_GETSLOTLIST, value, b"\x01\x01").pkcs_11_output_parameters
    assert listed == b"\x01" + struct.pack(">I", 1) + SLOT


def test_what_cannot_be_done_has_a_code_and_does_no_harm(laboratory: Laboratory) -> None:
    value = begin(laboratory)
    for function, given, code in (
        (C.C_ENCRYPTINIT, b"", RC.FUNCTION_NOT_SUPPORTED),
        (C.C_OPENSESSION, b"\x00", RC.ARGUMENTS_BAD),
        (C.C_GETSLOTINFO, bytes(8), RC.SLOT_ID_INVALID),
        (C.C_GETSESSIONINFO, bytes(8), RC.SESSION_HANDLE_INVALID),
    ):
        assert call(laboratory, function, value, given).pkcs_11_return_code is code
    assert call(laboratory, C.C_GETINFO, value).pkcs_11_return_code is RC.OK


def test_a_library_is_its_client_s_and_ends_with_finalize(laboratory: Laboratory) -> None:
    value = begin(laboratory)
    other = call(laboratory, C.C_GETINFO, value, identity="other")
    assert other.pkcs_11_return_code is RC.CRYPTOKI_NOT_INITIALIZED
    assert call(laboratory, C.C_FINALIZE, value).pkcs_11_return_code is RC.OK
    gone = call(laboratory, C.C_GETINFO, value)
    assert gone.pkcs_11_return_code is RC.CRYPTOKI_NOT_INITIALIZED


def test_another_interface_is_refused(laboratory: Laboratory) -> None:
    request = PKCS11Request(pkcs_11_interface="vendor", pkcs_11_function=C.C_GETINFO)
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(calls.raw(Operation.PKCS_11, request))
    assert error.value.reason is ResultReason.PKCS_11_INVALID_INTERFACE
