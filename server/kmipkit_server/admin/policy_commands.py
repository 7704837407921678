"""``kmipkit admin policy``: rules about who may do what."""

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kmipkit.terminal import echo, write_escaped
from kmipkit_server.admin.approval_commands import approvals
from kmipkit_server.admin.online import changing_options, opening_options, reading_options
from kmipkit_server.admin.options import FILE, json_option
from kmipkit_server.admin.warning_commands import warnings

if TYPE_CHECKING:
    from kmipkit_server.admin.online import Opener, Source, Target

_Function = TypeVar("_Function", bound=Callable[..., Any])

tenant_option = click.option(
    "--tenant",
    metavar="NAME",
    help="Policy of a tenant.  [default: of the server, or of your tenant]",
)
policy_option = click.option(
    "--policy", "policy_file", type=FILE, help="Use this file, instead of the policy in force."
)


@click.group()
def policy() -> None:
    """Show, test and change the rules about who may do what.

    \b
    Examples:
      kmipkit admin policy check policy.toml
      kmipkit admin policy apply policy.toml --comment "auditors may read"
      kmipkit admin policy explain --account auditor --operation Get --object IDENTIFIER
      kmipkit admin policy revert 3
    """


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8") from None


def _exit_with(faults: Iterable[str]) -> None:
    for fault in faults:
        echo(f"Error: {fault}", err=True)
    raise click.exceptions.Exit(1)


@policy.command()
@click.argument("file", type=FILE)
@tenant_option
def check(file: Path, tenant: str | None) -> None:
    """Check a file with a policy, without applying it.

    \b
    Examples:
      kmipkit admin policy check policy.toml
    """
    from kmipkit_server.policy.document import read_policy
    from kmipkit_server.policy.errors import PolicyError

    try:
        found = read_policy(_read(file), tenant or "", str(file))
    except PolicyError as error:
        _exit_with(error.faults)
    else:
        count = len(found.rules) + sum(map(len, found.sections.values()))
        echo(f"{file}: {count} {'rule' if count == 1 else 'rules'}, no faults")


# --- versions --------------------------------------------------------------------------------------


def _version_path(number: int, *more: str) -> str:
    from kmipkit_server.admin.connection import path

    return path("policy", "versions", str(number), *more)


@policy.command()
@click.argument("number", type=click.IntRange(min=1), required=False)
@reading_options
@tenant_option
@json_option
def show(source: "Source", number: int | None, tenant: str | None, as_json: bool) -> None:
    """Print the policy in force, or another version.

    \b
    Examples:
      kmipkit admin policy show
      kmipkit admin policy show 3 > policy.toml
    """
    from kmipkit.terminal import printable_lines
    from kmipkit_server.admin.tables import print_json

    answer = source.get(_version_path(number or 0), tenant=tenant)
    if as_json:
        print_json([answer])
        return
    version = answer["version"]
    if not version["number"]:
        echo("there is no policy: each account may use its own objects, and nothing else", err=True)
        return
    echo(_title(version), err=True)
    write_escaped(printable_lines(answer["text"]))


def _title(version: dict[str, Any]) -> str:
    from kmipkit_server.admin.tables import moment

    state = " (in force)" if version["active"] else ""
    comment = f": {version['comment']}" if version["comment"] else ""
    author = version["author"] or "the server"
    return f"version {version['number']}{state}, {moment(version['time'])} UTC by {author}{comment}"


@policy.command()
@reading_options
@tenant_option
@json_option
def history(source: "Source", tenant: str | None, as_json: bool) -> None:
    """List all versions, newest first; * is the one in force.

    \b
    Examples:
      kmipkit admin policy history
    """
    from kmipkit_server.admin.tables import moment, print_json, print_table

    found = source.get("/policy/versions", tenant=tenant)["versions"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{each['number']}{'*' if each['active'] else ''}",
            moment(each["time"]),
            each["author"] or "(server)",
            each["origin"],
            each["comment"],
        )
        for each in found
    ]
    print_table(("VERSION", "TIME (UTC)", "AUTHOR", "FROM", "COMMENT"), rows)


@policy.command()
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.argument("other", type=click.IntRange(min=1), required=False)
@reading_options
@policy_option
@tenant_option
def diff(
    source: "Source",
    number: int | None,
    other: int | None,
    policy_file: Path | None,
    tenant: str | None,
) -> None:
    """Show what has changed: from a version to another one, or to the one in force.

    Without numbers, show what a file would change in the policy in force.

    \b
    Examples:
      kmipkit admin policy diff 3
      kmipkit admin policy diff 3 4
      kmipkit admin policy diff --policy policy.toml
    """
    from difflib import unified_diff

    if policy_file is not None and other is not None:
        raise click.UsageError("name two versions, or one and a file")
    if policy_file is None and number is None:
        raise click.UsageError("name a version, or a file with --policy")
    before = source.get(_version_path(number or 0), tenant=tenant)
    old_name = f"version {before['version']['number']}"
    if policy_file is not None:
        new_name, new = str(policy_file), _read(policy_file)
    else:
        after = source.get(_version_path(other or 0), tenant=tenant)
        new_name, new = f"version {after['version']['number']}", after["text"]
    lines = unified_diff(
        before["text"].splitlines(), new.splitlines(), old_name, new_name, lineterm=""
    )
    for line in lines:
        echo(line)


@policy.command()
@click.argument("file", type=FILE)
@changing_options
@click.option("--comment", default="", help="Why, for the history.")
@tenant_option
@json_option
def apply(target: "Target", file: Path, comment: str, tenant: str | None, as_json: bool) -> None:
    """Apply a file as a new version: it is in force from the next request on.

    \b
    Examples:
      kmipkit admin policy apply policy.toml --comment "payments only from its network"
      kmipkit admin policy apply policy.toml --tenant acme
      kmipkit admin policy apply policy.toml --data-dir kms
    """
    answer = target.send(
        "POST",
        "/policy/versions",
        text=_read(file),
        comment=comment,
        origin=file.name,
        tenant=tenant,
    )
    _print_change(answer, "is in force", as_json)


@policy.command()
@click.argument("number", type=click.IntRange(min=1))
@changing_options
@tenant_option
@json_option
def revert(target: "Target", number: int, tenant: str | None, as_json: bool) -> None:
    """Put an earlier version in force again.

    \b
    Examples:
      kmipkit admin policy revert 3
      kmipkit admin policy revert 3 --data-dir kms
    """
    answer = target.send("POST", _version_path(number, "revert"), tenant=tenant)
    _print_change(answer, "is in force again", as_json)


def _print_change(version: dict[str, Any], verb: str, as_json: bool) -> None:
    from kmipkit_server.admin.tables import print_json

    if as_json:
        print_json([version])
    else:
        echo(f"version {version['number']} {verb}")


# --- questions -------------------------------------------------------------------------------------

_BUILT_IN = {
    "owner": "the object belongs to the account",
    "no object": "the operation is on no object, or makes one",
    "administrator": "the account is an administrator",
    "default": "the object belongs to another account, and no rule allows it",
    "unreadable policy": "the stored policy cannot be read",
}


_EFFECTS = ("allow", "deny", "require")
"""The keys with the operations of a rule."""


def question_options(function: _Function) -> _Function:
    """The options of a question; the function gets them as ``question``."""
    options = (
        click.option("--account", required=True, help="Account that asks."),
        click.option("--operation", required=True, metavar="NAME", help='Such as "Get".'),
        click.option("--object", metavar="ID", help="Unique Identifier of an object."),
        click.option("--owner", help="Owner of a described object.  [default: the account]"),
        click.option("--type", help="Type of a described object, such as symmetric-key."),
        click.option("--state", help="State of a described object, such as active."),
        click.option("--name", multiple=True, help="Name of a described object; may be repeated."),
        click.option("--group", multiple=True, help="Object Group; may be repeated."),
        click.option(
            "--attribute", multiple=True, metavar="NAME=VALUE", help="Attribute; may be repeated."
        ),
        click.option("--is-new", is_flag=True, help="The operation makes the described object."),
        click.option("--address", default="", help="Address of the client."),
        click.option("--subject", default="", help="Subject of its certificate (RFC 4514)."),
        click.option("--issuer", default="", help="Issuer of its certificate."),
        click.option("--san", multiple=True, help="Subject Alternative Name; may be repeated."),
        click.option("--fingerprint", default="", help="Fingerprint of its certificate."),
        click.option("--linked-group", multiple=True, help="Group of its user; may be repeated."),
        click.option("--administrator", is_flag=True, default=None, help="It is an administrator."),
        click.option("--time", metavar="TIME", help="Time of the request.  [default: now]"),
    )

    @wraps(function)
    def run(*arguments: Any, **values: Any) -> Any:
        question = {name: values.pop(name) for name in _QUESTION}
        return function(*arguments, question=question, **values)

    for option in reversed(options):
        run = option(run)
    return run  # type: ignore[return-value]  # click calls it with the options as keywords


_QUESTION = (
    "account", "operation", "object", "owner", "type", "state", "name", "group", "attribute", "is_new",
    "address", "subject", "issuer", "san", "fingerprint", "linked_group", "administrator", "time",
)  # fmt: skip


@policy.command()
@opening_options
@question_options
@policy_option
@tenant_option
@json_option
def explain(
    opener: "Opener",
    question: dict[str, Any],
    policy_file: Path | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Say whether something is permitted, which rule decides, and why others do not apply.

    The object is one of the server, or you describe it with --owner, --type, --state, --name, --group
    and --attribute.

    \b
    Examples:
      kmipkit admin policy explain --account auditor --operation Get --object IDENTIFIER
      kmipkit admin policy explain --account app --operation Destroy --name prod-1 --policy new.toml
    """
    from kmipkit_server.admin.tables import print_json
    from kmipkit_server.admin.times import parse_time

    time = parse_time(question.pop("time"), "--time")
    question["time"] = None if time is None else time.isoformat()
    if policy_file is not None:
        from kmipkit_server.admin.policy_files import PolicyInFile

        answer = PolicyInFile.read(policy_file, _read(policy_file), tenant or "").explain(question)
    else:
        with opener() as source:
            answer = source.get("/policy/explain", tenant=tenant, **question)
    if as_json:
        print_json([answer])
    else:
        _print_explanation(answer)


def _print_explanation(answer: dict[str, Any]) -> None:
    from kmipkit_server.admin.tables import print_table

    verdict = "allowed" if answer["allowed"] else "denied"
    if answer["rule"]:
        echo(f"{verdict} by the rule {answer['by']!r}")
    else:
        echo(f"{verdict}: {_BUILT_IN.get(answer['by'], answer['by'])}")
    for each in answer["requires"]:
        echo(f"requires: {each}")
    if answer["rules"]:
        rows = [(each["name"], each["effect"], _applies(each["unmet"])) for each in answer["rules"]]
        echo("")
        print_table(("RULE", "EFFECT", "APPLIES"), rows)


def _applies(unmet: str) -> str:
    """Whether a rule applies, by the key of it that is not met."""
    if unmet in _EFFECTS:
        return "no: another operation"
    return f"no: {unmet}" if unmet else "yes"


@policy.command()
@click.argument("file", type=FILE)
@opening_options
@policy_option
@tenant_option
@json_option
def test(
    opener: "Opener", file: Path, policy_file: Path | None, tenant: str | None, as_json: bool
) -> None:
    """Test a policy with a file of expectations.

    The exit status is 1 if one of them is not met.

    \b
    Examples:
      kmipkit admin policy test expectations.toml --policy policy.toml
      kmipkit admin policy test expectations.toml
    """
    from kmipkit_server.admin import policy_files
    from kmipkit_server.policy.errors import PolicyError

    try:
        expectations = policy_files.expectations(file, _read(file))
    except PolicyError as error:
        _exit_with(error.faults)
    if policy_file is not None:
        source = policy_files.PolicyInFile.read(policy_file, _read(policy_file), tenant or "")
        results = list(policy_files.results(expectations, source.explain, tenant))
    else:
        with opener() as opened:
            results = list(
                policy_files.results(
                    expectations, lambda query: opened.get("/policy/explain", **query), tenant
                )
            )
    _print_results(results, as_json)


def _print_results(results: list[tuple[Any, str]], as_json: bool) -> None:
    from kmipkit_server.admin.tables import print_json

    failures = [(expectation, failure) for expectation, failure in results if failure]
    if as_json:
        print_json(_json_results(results))
    else:
        for expectation, failure in failures:
            echo(f"{expectation}: {failure}", err=True)
    if failures:
        raise click.ClickException(f"{len(failures)} of {len(results)} expectations are not met")
    if not as_json:
        echo(f"{len(results)} expectations are met")


def _json_results(results: list[tuple[Any, str]]) -> Iterator[dict[str, Any]]:
    for expectation, failure in results:
        yield {
            "line": expectation.line,
            "expectation": str(expectation),
            "met": not failure,
            "failure": failure,
        }


policy.add_command(approvals)
policy.add_command(warnings)
