"""What one message may cost: each limit has its reason, and what is refused has no effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, opaque_object
from kmipkit_server.engine import dispatcher
from kmipkit_server.engine.budget import MessageLimits
from laboratory import Laboratory, reasons

from bench import costly
from kmipkit.model.attribute import Attribute, Attributes, VendorName
from kmipkit.spec.enums import BatchErrorContinuationOption, ResultReason

EVERYTHING = calls.locate(None, None, None, None, None, None)
LARGE = 200_000


@contextmanager
def laboratory(folder: Path, **limits: Any) -> Iterator[Laboratory]:
    made = Laboratory(folder, message_limits=MessageLimits(**limits))
    try:
        yield made
    finally:
        made.close()


def _large_object(made: Laboratory) -> str:
    identifier: str = made.ask(calls.register(opaque_object(bytes(LARGE)), None, None, None))
    return identifier


@pytest.mark.parametrize("size", [0, 1 << 30], ids=["decoded item by item", "decoded at once"])
def test_a_message_has_a_number_of_items(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of a megabyte may have 30,000 items, and take minutes."""
    monkeypatch.setattr(dispatcher, "SMALL_MESSAGE", size)
    with laboratory(tmp_path, items=3) as made:
        made.batch(*[costly.create] * 3)
        assert reasons(made.batch(*[costly.create] * 4))[0] == "SERVER_LIMIT_EXCEEDED"
        assert len(made.ask(EVERYTHING).ids) == 3


def test_a_response_has_a_size(tmp_path: Path) -> None:
    """600 Gets of one object made 1.8 GB of memory from a request of 56 KiB."""
    with laboratory(tmp_path, response=3 * LARGE) as made:
        get = calls.get(_large_object(made), None, None, None)
        results = made.batch(*[get] * 600)
        assert reasons(results)[:4] == ["", "", "RESPONSE_TOO_LARGE", ""], (
            "the rest is not carried out"
        )
        assert all(isinstance(result, OperationFailed) for result in results[2:])


def test_what_does_not_fit_into_the_response_has_no_effect(tmp_path: Path) -> None:
    """A client that reads "failed" must be able to rely on it: here, no object is left behind."""
    with laboratory(tmp_path, response=LARGE + 1000) as made:
        get = calls.get(_large_object(made), None, None, None)
        fill = [costly.create] * 20
        results = made.batch(get, *fill, on_error=BatchErrorContinuationOption.CONTINUE)
        refused = reasons(results).count("RESPONSE_TOO_LARGE")
        assert 0 < refused < 20
        assert len(made.ask(EVERYTHING).ids) == 1 + 20 - refused


def test_a_single_result_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """The limit holds for one object as well, and the next request is served."""
    with laboratory(tmp_path, response=LARGE) as made:
        identifier = _large_object(made)
        with pytest.raises(OperationFailed) as caught:
            made.ask(calls.get(identifier, None, None, None))
        assert caught.value.reason is ResultReason.RESPONSE_TOO_LARGE
        assert made.ask(calls.get_attribute_list(identifier))


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        (None, ["", "SERVER_LIMIT_EXCEEDED", "", ""]),
        (BatchErrorContinuationOption.CONTINUE, ["", *["SERVER_LIMIT_EXCEEDED"] * 3]),
    ],
)
def test_a_message_has_a_time(
    tmp_path: Path, on_error: BatchErrorContinuationOption | None, expected: list[str]
) -> None:
    """The writer works for one message at a time, so that one must not go on for minutes."""
    with laboratory(tmp_path, cpu_seconds=0) as made:
        assert reasons(made.batch(*[costly.create] * 4, on_error=on_error)) == expected
        assert len(made.ask(EVERYTHING).ids) == 1


def test_a_message_that_is_undone_for_its_time_has_no_effect(tmp_path: Path) -> None:
    """Undo holds for the limits, too."""
    with laboratory(tmp_path, cpu_seconds=0) as made:
        made.batch(*[costly.create] * 4, on_error=BatchErrorContinuationOption.UNDO)
        assert not made.ask(EVERYTHING).ids


def test_an_object_has_a_number_of_attributes(tmp_path: Path) -> None:
    """Each change of an attribute costs as much as the object has attributes."""
    made = Laboratory(tmp_path, max_attributes=30)
    try:
        identifier = made.ask(costly.create)
        key = VendorName("x", "note")
        adding = [calls.add_attribute(identifier, key, f"{number}") for number in range(40)]
        refused = reasons(made.batch(*adding)).index("SERVER_LIMIT_EXCEEDED")
        attributes = made.ask(calls.get_attributes(identifier, ()))
        assert len(attributes.all(key)) == refused < 30
        many = Attributes(tuple(Attribute(key, f"{number}") for number in range(40)))
        for request in (
            calls.create(costly.AES, 256, costly.ENCRYPT, None, many),
            calls.register(opaque_object(b"data"), None, None, many),
            calls.set_attribute(identifier, VendorName("x", "another"), "one"),
        ):
            with pytest.raises(OperationFailed) as caught:
                made.ask(request)
            assert caught.value.reason is ResultReason.SERVER_LIMIT_EXCEEDED
    finally:
        made.close()
