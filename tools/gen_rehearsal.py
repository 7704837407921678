"""The outputs in the rehearsal of docs/operations.md, from playing it: ``gen_rehearsal.py [--check]``.

The section is the script: a block of TOML or INI is the file that its first line names, and a console block
is what one types into a shell and what it prints. Only what differs for another reason than time and place is
written again, so that a change of the page shows a change of the program.
"""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "operations.md"
TITLE = "## A rehearsal\n"
RELOAD_TIMEOUT = 300.0
"""Seconds until a server counts as one that does not reload. The machine may be busy."""

_SECTION = re.compile(rf"^{TITLE}.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PARTS = re.compile(r"(?=^### )", re.MULTILINE)
_BLOCK = re.compile(r"^```(toml|ini|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_READY = re.compile(r"listening on ([\w.]+:\d+),.* metrics http://([\w.]+:\d+)/")
_PROCESS = re.compile(r"^process (\d+), log (\S+)$", re.MULTILINE)

_SERVER, _METRICS, _PROCESS_ID = "127.0.0.1:5696", "127.0.0.1:9696", "4711"
"""What the page has for the ports and the process of the server, which each run chooses anew."""
_FOLDER = "/srv/rehearsal"
"""What it has for the directory of the run."""
_SOURCES = "/usr/src/kmipkit"
"""What it has for this directory."""
_OTHER_PORT = "5697"
"""What it has for the port of another vendor's server, which does not choose one by itself."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VARYING = (
    (re.compile(r"(?<=WARNING 127\.0\.0\.1:)\d+"), "PORT"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "TIME"),
    # A certificate that is seen in the second in which it was made has a day more than one a moment later.
    (re.compile(r"TIME +\d+ +client"), "TIME  DAYS  client"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "ROOT KEY"),
    (re.compile(r"\b[0-9a-f]{34,40}\b"), "SERIAL"),
    # How many there are depends on when the load begins.
    (re.compile(r"\d+ data keys?"), "DATA KEYS"),
    # The server signs the audit log once a minute, which is a record of its own.
    (re.compile(r"(?<=\.jsonl:)\d+:(?: record \d+)?"), "RECORD"),
    (re.compile(r"ends with record \d+, but has had \d+"), "RECORD"),
    (re.compile(r"^note: the last .* no signature yet\n", re.MULTILINE), ""),
    (re.compile(r"\d+ records in 1 file, \d+ to \d+, with \d+ valid"), "RECORDS"),
    # Of a backup: when it was made, and how much it is.
    (re.compile(r"\b\d{8}T\d{6}Z"), "TIME"),
    (re.compile(r"\b\d+ bytes, (?=\d+ objects)"), "BYTES, "),
    (re.compile(r"\b\d+ audit records"), "RECORDS"),
    (re.compile(r" {2,}"), "  "),
)


def section(text: str) -> str:
    """The part of the page that is played."""
    [found] = _SECTION.findall(text)
    return str(found)


def commands(console: str) -> Iterator[tuple[str, str]]:
    """The commands of a block, each with what it prints."""
    for match in _COMMAND.finditer(console):
        yield match[1], match[2]


def comparable(text: str) -> list[str]:
    """The lines of a section without what differs from one run to the next."""
    known: dict[str, str] = {}
    text = _UUID.sub(lambda match: known.setdefault(match[0], f"ID{len(known) + 1}"), text)
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.splitlines()]


class Shell:
    """A shell in an empty directory, where ``kmipkit`` is this one and servers take any free port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {
            _FOLDER: str(folder),
            _SOURCES: str(PROJECT),
            _OTHER_PORT: str(_free_port()),
        }
        """From what the page has to what it is in this run."""
        self._server = 0
        self._log = folder
        self._shell = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError, RuntimeError):  # a shell that has ended has left nothing to do
            self._output("kill $(jobs -p) 2> /dev/null")
        self._shell.communicate()
        if self._server:
            with suppress(ProcessLookupError):
                os.kill(self._server, signal.SIGKILL)

    def write(self, name: str, content: str) -> None:
        """Write a file of the page."""
        (self._folder / name).write_text(self._real(content), encoding="utf-8")

    def run(self, command: str) -> str:
        """What a command prints, with the names of the page."""
        before = self._reloads()
        command = self._real(command)
        output = self._output(command)
        self._note_server(output)
        if command.startswith("kill -HUP "):
            self._wait_for_reload(before)
        for name, real in self._names.items():
            output = output.replace(real, name)
        return output

    def _real(self, text: str) -> str:
        """A text of the page with what its names are in this run."""
        for name, real in self._names.items():
            text = text.replace(name, real)
        return text

    def _output(self, command: str) -> str:
        end = "-- end of the output --"
        self._pipe(self._shell.stdin).write(f"{{ {command}\n}} < /dev/null\necho; echo '{end}'\n")
        self._pipe(self._shell.stdin).flush()
        lines = []
        for line in self._pipe(self._shell.stdout):
            if line == f"{end}\n":
                break
            lines.append(line)
        else:
            raise RuntimeError(f"the shell has ended: {command}: {''.join(lines)}")
        text = "".join(lines)[:-1]  # the line feed before the mark
        return text if not text or text.endswith("\n") else f"{text}\n"

    def _note_server(self, output: str) -> None:
        """Remember what a server that starts says of itself, and forget one that stops."""
        if ready := _READY.search(output):
            self._names |= {_SERVER: ready[1], _METRICS: ready[2]}
            self._output(f"export KMIPKIT_SERVER={ready[1]}")
        if process := _PROCESS.search(output):
            self._names[_PROCESS_ID] = process[1]
            self._server, self._log = int(process[1]), self._folder / process[2]
        if output == f"stopped: process {self._server}\n":
            self._server = 0

    def _reloads(self) -> int:
        return self._log.read_text().count("reloaded") if self._server else 0

    def _wait_for_reload(self, before: int) -> None:
        deadline = time.monotonic() + RELOAD_TIMEOUT
        while self._reloads() == before:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no reload in {self._log}")
            time.sleep(0.01)

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream


def _free_port() -> int:
    """A free port, for a server that does not accept port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_COMMANDS = {
    "kmipkit": "-m kmipkit",
    "python3": "",
    "pykmip-server": "-m kmip.services.server.server",
}
"""What the page calls, and the same with the Python that plays it."""


def _environment(folder: Path) -> Mapping[str, str]:
    bin_folder = folder / ".bin"
    bin_folder.mkdir()
    for name, arguments in _COMMANDS.items():
        command = bin_folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        command.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KMIPKIT_")}
    return kept | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "KMIPKIT_LISTEN_PORT": "0",
        "KMIPKIT_METRICS_LISTEN": "127.0.0.1:0",
        "LC_ALL": "C.UTF-8",
    }


def needs_missing_programs(part: str) -> bool:
    """Whether a part of the section cannot be played here: it needs SoftHSM, or PyKMIP's server."""
    has_token = shutil.which("softhsm2-util") and importlib.util.find_spec("pkcs11")
    return ("pkcs11:" in part and not has_token) or (
        "pykmip-server" in part and not importlib.util.find_spec("kmip")
    )


def played(text: str, folder: Path) -> str:
    """The section with the outputs of a run in an empty directory."""
    with Shell(folder) as shell:

        def play(block: "re.Match[str]") -> str:
            language, content = block.groups()
            if language != "console":
                name, _, _ = content.removeprefix("# ").partition("\n")
                shell.write(name, content)
                return block[0]
            parts = [f"$ {command}\n{shell.run(command)}" for command, _ in commands(content)]
            return f"```console\n{''.join(parts)}```"

        return "".join(
            part if needs_missing_programs(part) else _BLOCK.sub(play, part)
            for part in _PARTS.split(section(text))
        )


def page(text: str, folder: Path) -> str:
    """The page as it should be; the same one if a run prints what it has."""
    old = section(text)
    new = played(text, folder)
    return text if comparable(old) == comparable(new) else text.replace(old, new)


def main() -> int:
    """Write the page, or with ``--check`` say whether it is as it should be."""
    old = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        new = page(old, Path(folder))
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    if old != new:
        print("docs/operations.md is not up to date; run: tools/gen_rehearsal.py", file=sys.stderr)
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
