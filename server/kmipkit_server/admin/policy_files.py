"""Questions to a policy in a file, and files of expectations, without a server."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import click
import msgspec

from kmipkit_server.administration.policies import ExplainDecision, description_of
from kmipkit_server.administration.problems import Refused
from kmipkit_server.policy.decision import Documents
from kmipkit_server.policy.description import (
    Answer,
    Description,
    RuleOutcome,
    answer_to,
    question_of,
)
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.errors import InvalidValue, PolicyError
from kmipkit_server.policy.expectations import Expectation, read_expectations

Ask = Callable[[dict[str, Any]], Any]
"""From the parameters of a question, as the API has them, to its answer."""


class PolicyInFile(NamedTuple):
    """A policy that is not in force, or not yet."""

    documents: Documents
    tenant: str

    @classmethod
    def read(cls, file: Path, text: str, tenant: str) -> Self:
        """The policy in a file. Exits with all faults if it has any."""
        try:
            policy = read_policy(text, tenant, str(file))
        except PolicyError as error:
            raise click.ClickException("\n".join(error.faults)) from None
        return cls(Documents(tenant=policy) if tenant else Documents(policy), tenant)

    def explain(self, query: Mapping[str, Any]) -> Any:
        """The answer of the API to a question, for an object that is described."""
        if query.get("object") is not None:
            raise click.UsageError(
                "a file has no objects: describe the object, for example with --owner and --name"
            )
        given = {name: value for name, value in query.items() if value not in (None, (), "")}
        try:
            request = msgspec.convert(given, ExplainDecision, strict=False)
            is_administrator = bool(request.administrator)
            description = description_of(
                request, self.tenant, datetime.now(UTC), administrator=is_administrator
            )
            question = question_of(description, lambda _: None)
        except (InvalidValue, Refused, msgspec.ValidationError) as error:
            raise click.ClickException(str(error)) from None
        answer = answer_to(question, self.documents)
        return {**asdict(answer), "rule": answer.is_rule}


def expectations(file: Path, text: str) -> list[Expectation]:
    """The expectations in a file. PolicyError with all faults."""
    return read_expectations(text, str(file), datetime.now(UTC))


def results(
    expected: Iterable[Expectation], ask: Ask, tenant: str | None
) -> Iterator[tuple[Expectation, str]]:
    """Each expectation, and in what the answer is another one."""
    for each in expected:
        query = _query(each.description, tenant)
        yield each, each.failure(_answer(ask(query)))


def _answer(answer: Mapping[str, Any]) -> Answer:
    return Answer(
        allowed=answer["allowed"],
        by=answer["by"],
        is_rule=answer["rule"],
        message=answer["message"],
        requires=tuple(answer["requires"]),
        rules=tuple(
            RuleOutcome(name=each["name"], effect=each["effect"], unmet=each["unmet"])
            for each in answer["rules"]
        ),
    )


def _query(description: Description, tenant: str | None) -> dict[str, Any]:
    """The parameters of a question, as the API has them."""
    client, value = description.client, description.object
    query: dict[str, Any] = {
        "tenant": client.tenant or tenant,
        "account": client.account,
        "operation": description.operation,
        "administrator": True if client.administrator else None,
        "linked_group": client.linked_groups,
        "address": client.address or None,
        "subject": client.subject or None,
        "issuer": client.issuer or None,
        "san": client.san,
        "fingerprint": client.fingerprint or None,
        "time": description.time.isoformat(),
        "is_new": description.is_new,
    }
    if isinstance(value, str):
        query["object"] = value
    elif value is not None:
        query |= {
            "owner": value.owner or None,
            "type": value.type,
            "state": value.state,
            "name": value.names,
            "group": value.groups,
            "attribute": tuple(
                f"{name}={_text(each)}"
                for name, values in value.attributes.items()
                for each in (values if isinstance(values, list) else [values])
            ),
        }
    return query


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
