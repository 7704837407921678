"""The command line of kmipkit bench: wrong usage is exit status 2, before anything is sent."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from kmipkit_load.cli import bench
from kmipkit_load.options import is_exceeded

TARGET = ("run", "--target", "127.0.0.1:1")


def run(*arguments: str, code: int) -> str:
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a run needs a bound: give --duration SECONDS, --requests N, or both"),
        (("--duration", "0"), "0"),
        (("--requests", "0"), "0"),
        (("--duration", "nan"), "'nan' is not a number"),
        (("--duration", "inf"), "inf is not in the range"),
        (("--duration", "1", "--rate", "nan"), "'nan' is not a number"),
        (("--duration", "1", "--rate", "1e-300"), "not in the range"),
        (("--duration", "1", "--rate", "inf"), "not in the range"),
        (("--duration", "1", "--timeout", "nan"), "'nan' is not a number"),
        (("--duration", "1", "--warm-up", "nan"), "'nan' is not a number"),
        (("--duration", "1", "--cold", "--resumed"), "exclude each other"),
        (("--duration", "1", "--processes", "9"), "needs as many connections"),
        (("--requests", "1", "--processes", "2"), "--requests must not be less"),
        (("--duration", "1", "--max-errors", "few"), "'few' is not a number or a percentage"),
        (("--duration", "1", "--https", "x/kmip"), "'x/kmip' is not PORT[/PATH]"),
        (("--duration", "1", "--https", "1/k mip"), "'1/k mip' is not PORT[/PATH]"),
        (("--duration", "1", "--https", "1/kmüp"), "'1/kmüp' is not PORT[/PATH]"),
        (("--duration", "1", "--report", "junit:x"), "where FORM is json, html"),
        (("--duration", "1", "--mix", "gett"), "did you mean get?"),
        (("--duration", "1", "--key-size", "AES-1"), "'AES-1' is not one of AES-128"),
        (("--duration", "1", "--kmip", "1.1", "--mix", "encrypt"), "which needs KMIP 1.2"),
    ],
)  # fmt: skip
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    assert message in run(*TARGET, *arguments, code=2)


@pytest.mark.parametrize("target", ["localhost", "localhost:0", ":5696", "localhost:99999"])
def test_a_target_is_host_and_port(target: str) -> None:
    assert "is not HOST:PORT" in run("run", "--target", target, "--duration", "1", code=2)


def test_a_dry_run_needs_no_server() -> None:
    output = run(
        *TARGET, "--kmip", "1.4", "--mix", "arrays", "--objects", "3", "--requests", "50",
        "--dry-run", code=0,
    )  # fmt: skip
    assert "creates 3 objects on 127.0.0.1:1" in output
    bound = "while it measures (life-cycle): 50 at most, and as many as the server can in 1 s of warm-up"
    assert bound in output
    assert "all of them are destroyed at the end" in output


@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        (("--rate", "0.1", "--duration", "5", "--warm-up", "0"), "1 in 5 s."),
        (("--rate", "10", "--arrivals", "poisson", "--duration", "5"), "about 60 in 6 s."),
        (
            ("--rate", "10", "--requests", "7", "--duration", "5"),
            "7 at most and 50 in 5 s, and 10 in",
        ),
        (("--requests", "7", "--warm-up", "0"), ": 7 at most."),
    ],
)
def test_a_run_says_how_much_it_creates_at_most(arguments: tuple[str, ...], bound: str) -> None:
    output = run(*TARGET, "--kmip", "1.4", "--mix", "create", "--dry-run", *arguments, code=0)
    assert bound in output


def test_a_dry_run_that_creates_nothing_says_so() -> None:
    output = run(*TARGET, "--kmip", "1.4", "--mix", "query", "--duration", "1", "--dry-run", code=0)
    assert output == "This run creates nothing on 127.0.0.1:1.\n"


def test_a_mix_can_be_shown_and_used(tmp_path: Path) -> None:
    listed = run("mixes", code=0)
    assert "start " in listed
    assert "life-cycle " in listed
    path = tmp_path / "mine.toml"
    path.write_text(run("mixes", "start", code=0))
    output = run(
        *TARGET, "--kmip", "1.4", "--mix", str(path), "--duration", "1", "--dry-run", code=0
    )
    assert "creates 500 objects" in output
    assert "is not one of" in run("mixes", "x", code=2)


def test_tolerated_errors_are_a_number_or_a_share() -> None:
    assert not is_exceeded((0, False), 0, 100)
    assert is_exceeded((0, False), 1, 100)
    assert not is_exceeded((5, False), 5, 100)
    assert not is_exceeded((1, True), 10, 1000)
    assert is_exceeded((1, True), 11, 1000)
