"""The page about backups is played: a server is backed up, lost and restored as it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from documents import PROJECT, blocks, free_port

PAGE = "docs/backup.md"
TIMEOUT = 300.0


def test_a_server_is_lost_and_restored_as_the_page_says(tmp_path: Path) -> None:
    port = free_port()
    first, *rest = blocks(PAGE, "sh")
    [config] = blocks(PAGE, "toml")
    command = f'kmipkit() {{ "{sys.executable}" -m kmipkit "$@"; }}\n'
    write = 'printf "%s" "$CONFIG" | sed "s/RECIPIENT/$RECIPIENT/" > kms.toml\n'
    script = "\n".join((command, first, write, *rest))
    environment = os.environ | {
        "CONFIG": f"{config}\n[listen]\nport = {port}\n",
        "KMIPKIT_SERVER": f"127.0.0.1:{port}",
    }
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    log = tmp_path / "kms" / "server.log"
    assert done.returncode == 0, (
        done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    )
    assert "intact: backup" in done.stdout
    assert "backup of disks" in done.stdout
    assert re.search(r"restored: kms, \d+ objects?, backup", done.stdout)


def test_the_page_names_the_files_that_there_are() -> None:
    from kmipkit_server.backup.directory import DATA, MANIFEST, STATE

    text = (PROJECT / PAGE).read_text(encoding="utf-8")
    assert all(f"{suffix}`" in text for suffix in (DATA, MANIFEST, STATE))
