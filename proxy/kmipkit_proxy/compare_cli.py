"""``kmipkit replay`` and ``kmipkit diff``: what another server would have answered."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.cli import EXIT_FAILURE
from kmipkit.terminal import echo, echo_json
from kmipkit_proxy.options import FILE, target_options
from kmipkit_proxy.target_option import target_of
from kmipkit_proxy.wording import counted

if TYPE_CHECKING:
    from kmipkit.captures import Entry
    from kmipkit_proxy.endpoint import Target
    from kmipkit_proxy.exchanges import Capture
    from kmipkit_proxy.findings import Finding, Findings
    from kmipkit_proxy.recorder import CaptureFile
    from kmipkit_proxy.replaying import Replay

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(short_help="Play the requests of a capture against another server.")
@click.argument("capture", type=FILE)
@target_options()  # no variable: it may name the server that the requests must not reach again
@click.option("--record", type=FILE, help="Write the replay to this new file, as a capture.")
@click.option("--keep-secrets", is_flag=True, help="With --record: keys and passwords as they are.")
@json_option
def replay(
    capture: Path,
    target: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    key_password_file: Path | None,
    timeout: float,
    record: Path | None,
    keep_secrets: bool,
    as_json: bool,
) -> None:
    """Play the requests of CAPTURE against another key server, and say what differs in meaning.

    The requests do there what they did: they create, change and destroy objects. Identifiers, times,
    correlation values and keys that the first server has given out are replaced by those of the
    target. Where the capture has no keys, random bytes of the same length are sent; so an object whose
    bytes must have a form, such as an RSA key, needs a capture with --keep-secrets.

    The exit status is 0 if all answers mean the same, else 1.

    \b
    Examples:
      kmipkit replay day.jsonl --server new-kms:5696 --ca ca.crt --cert me.crt --key me.key
      kmipkit replay day.jsonl --server new-kms:5696 --record new.jsonl --json
    """
    import trio

    from kmipkit_proxy.exchanges import load

    if keep_secrets and record is None:
        raise click.UsageError("--keep-secrets needs --record FILE")
    recorded = load(capture)
    towards = target_of(target, ca, cert, key, key_password_file, timeout)
    file = _file(record, towards, keep_secrets)
    with nullcontext() if file is None else file:
        played = trio.run(_replay, recorded, towards, file, keep_secrets, as_json)
    _report_replay(played, recorded.skipped, as_json)
    if file is not None and file.problem:
        raise click.ClickException(f"not everything is recorded: {file.problem}")
    _exit(played.findings)


def _file(record: Path | None, target: "Target", keep_secrets: bool) -> "CaptureFile | None":
    from kmipkit.captures import Heading
    from kmipkit_proxy.exchanges import MAX_CAPTURE
    from kmipkit_proxy.recorder import CaptureFile, timestamp

    if record is None:
        return None
    return CaptureFile(
        record, Heading(timestamp(), str(target.endpoint), keep_secrets), MAX_CAPTURE
    )


async def _replay(
    recorded: "Capture",
    target: "Target",
    file: "CaptureFile | None",
    keep_secrets: bool,
    is_quiet: bool,
) -> "Replay":
    from kmipkit_proxy.exchanges import MESSAGE_LIMITS
    from kmipkit_proxy.observer import Observer
    from kmipkit_proxy.pseudonyms import Pseudonyms
    from kmipkit_proxy.recorder import timestamp
    from kmipkit_proxy.replaying import Replay

    pseudonyms = None if keep_secrets else Pseudonyms()

    def take(entry: "Entry", _message: object) -> None:
        if file is not None:
            file.add(entry)

    def say(finding: "Finding") -> None:
        if not is_quiet:
            echo(finding.line())

    def watch(number: int) -> Observer:
        return Observer(number, take, timestamp, MESSAGE_LIMITS, pseudonyms)

    played = Replay(target, watch, say)
    await played.run(recorded)
    return played


def _report_replay(played: "Replay", skipped: int, as_json: bool) -> None:
    replaced = played.findings.comparison.bindings.replaced
    if as_json:
        more = {"replaced": replaced, "skipped": skipped, "problems": played.problems}
        echo_json(_data(played.findings) | more)
    else:
        for problem in played.problems:
            echo(problem)
        if replaced:
            secrets = counted(replaced, "secret")
            echo(f"not in the capture: {secrets}; random bytes were sent instead")
        if skipped:
            left_out = counted(skipped, "message")
            echo(f"left out: {left_out}, malformed or asked by the server")
        _summary(played.findings)


@click.command("diff", short_help="Show what differs in meaning between two captures.")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@json_option
def diff(before: Path, after: Path, as_json: bool) -> None:
    """Show what differs in meaning between the captures BEFORE and AFTER.

    They are two captures of the same clients, or a capture and its replay. Compared are operations,
    results and their reasons, fields, attributes, and the order of what Locate finds. Identifiers,
    times, and keys may be others, as long as they are used in the same way: the key that comes back
    must be the key that was registered.

    The exit status is 0 if nothing differs, else 1.

    \b
    Examples:
      kmipkit diff day.jsonl new.jsonl
      kmipkit diff day.jsonl new.jsonl --json
    """
    from kmipkit_proxy.exchanges import load
    from kmipkit_proxy.findings import compare

    findings = compare(load(before), load(after))
    if as_json:
        echo_json(_data(findings))
    else:
        for finding in findings.found:
            echo(finding.line())
        _summary(findings)
    _exit(findings)


def _data(findings: "Findings") -> dict[str, Any]:
    return {
        "compared": findings.compared,
        "differences": [finding.data() for finding in findings.found],
    }


def _summary(findings: "Findings") -> None:
    compared = counted(findings.compared, "request")
    echo(f"{compared} compared, {counted(len(findings.found), 'difference')} in meaning")


def _exit(findings: "Findings") -> None:
    raise click.exceptions.Exit(EXIT_FAILURE if findings.found else 0)
