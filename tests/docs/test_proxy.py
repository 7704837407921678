"""The tutorial about the exchange of a key server is played, and names every option."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from documents import PROJECT, blocks
from kmipkit_proxy.cli import proxy
from kmipkit_proxy.compare_cli import diff, replay

from kmipkit.testing import key_server

PAGE = "docs/proxy.md"
TIMEOUT = 300.0

# The commands are added by hand, for a checkout that was not installed since.
COMMAND = f"""#!{sys.executable}
from kmipkit.cli import main
from kmipkit_proxy.cli import proxy
from kmipkit_proxy.compare_cli import diff, replay
for command in (proxy, replay, diff):
    main.add_command(command)
main()
"""


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_a_key_server_is_exchanged_as_the_page_says(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "kmipkit"
    command.parent.mkdir()
    command.write_text(COMMAND)
    command.chmod(0o700)
    script = "\n".join(blocks(PAGE, "sh")).replace(":5697", f":{free_port()}")
    with key_server() as old, key_server() as new:
        files = old.settings
        environment = os.environ | {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "KMIPKIT_CA": str(files.ca),
            "KMIPKIT_CERT": str(files.cert),
            "KMIPKIT_KEY": str(files.key),
            "OLD": f"127.0.0.1:{old.port}",
            "NEW": f"127.0.0.1:{new.port}",
        }
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(new.requests) == len(old.requests)
    counts = re.findall(r"(\d+) requests compared, 0 differences in meaning", done.stdout)
    assert len(counts) == 2
    assert counts[0] == counts[1]
    assert (tmp_path / "backup.key").read_bytes().hex() not in (tmp_path / "day.jsonl").read_text()
    assert "4 connections, " in done.stdout


def test_the_page_names_the_options_of_the_three_commands() -> None:
    named = set(re.findall(r"--[a-z][a-z-]*", (PROJECT / PAGE).read_text(encoding="utf-8")))
    for command in (proxy, replay, diff):
        names = [[name for name in each.opts if name.startswith("--")] for each in command.params]
        assert {same[0] for same in names if same} <= named  # the others mean the same
