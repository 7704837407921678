"""The page about moving from another server is played, with what it says the commands print."""

import os
import subprocess
import sys
from pathlib import Path

from documents import blocks

from kmipkit.testing import key_server

PAGE = "docs/migration.md"
TIMEOUT = 300.0


def test_a_server_is_left_as_the_page_says(tmp_path: Path) -> None:
    with key_server() as old, key_server() as new:
        with old.client("db01") as client:
            for name in ("disk", "tape"):
                client.activate(client.create(name=name))
            client.create(name="next")
            client.destroy(client.create(name="old"))
        files, theirs = new.settings_of("db01"), old.settings_of("db01")
        (tmp_path / "old").mkdir()
        for path, name in (
            (theirs.ca, "ca.crt"),
            (theirs.cert, "db01.crt"),
            (theirs.key, "db01.key"),
        ):
            (tmp_path / "old" / name).symlink_to(path)
        environment = os.environ | {
            "OLD": f"127.0.0.1:{old.port}",
            "KMIPKIT_SERVER": f"127.0.0.1:{new.port}",
            "KMIPKIT_CA": str(files.ca),
            "KMIPKIT_CERT": str(files.cert),
            "KMIPKIT_KEY": str(files.key),
        }
        command = f'kmipkit() {{ "{sys.executable}" -m kmipkit "$@"; }}\n'
        for script, shown in zip(blocks(PAGE, "sh"), blocks(PAGE, "text"), strict=True):
            done = subprocess.run(
                ["sh", "-e", "-c", command + script],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout == shown
    assert (tmp_path / "migration.html").stat().st_size
    assert (tmp_path / "migration.json").stat().st_size
