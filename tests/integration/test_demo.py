"""The demonstration, as a newcomer runs it, and what its processes leave behind."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from servers import ANSWER_TIMEOUT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kmipkit", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT)


def test_the_demonstration_ends_with_what_was_verified(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = run("--keep", str(kept))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2].startswith(
        "verified: 2 keys came from the key server and are stored nowhere else"
    )
    assert "salaries 2026" in done.stdout
    dumps = re.findall(r"^   00001000  .*\|(.{16})\|$", done.stdout, re.MULTILINE)
    assert dumps[0] == "salaries 2026: A", "plain text before"
    assert dumps[1] != dumps[0], "ciphertext after"
    assert "EncryptionKeyRequired" in done.stdout or "lacks key" in done.stdout
    disk = kept / "esx01/datastore/db1/db1-flat.vmdk"
    assert b"salaries" not in disk.read_bytes()
    pids = map(int, re.findall(r"process (\d+),", done.stdout))
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    again = run("--keep", str(kept))
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_ctrl_c_leaves_no_process_behind() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "kmipkit", "demo"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "host esx01" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    pids = map(int, re.findall(r"process (\d+),", "".join(seen)))
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
