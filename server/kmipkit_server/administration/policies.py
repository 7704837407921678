"""Routes for policies: which is in force, its versions, and why something is permitted or not."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from kmipkit_server.administration.context import Context
from kmipkit_server.administration.objects import Text
from kmipkit_server.administration.problems import bad_request, conflict, forbidden, not_found
from kmipkit_server.administration.routes import Request, Route, Who
from kmipkit_server.config.effective import administrators
from kmipkit_server.policy import versions
from kmipkit_server.policy.active import ActivePolicies
from kmipkit_server.policy.description import (
    Answer,
    Client,
    DescribedObject,
    Description,
    answer_to,
    question_of,
)
from kmipkit_server.policy.document import MAX_BYTES
from kmipkit_server.policy.errors import InvalidValue, PolicyError
from kmipkit_server.policy.versions import UnknownVersion, UnreadableVersion
from kmipkit_server.store.base import Reader, Transaction
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.owners import account_in_tenant, tenant_of
from kmipkit_server.store.parts import part_of
from kmipkit_server.store.slices import Steps
from kmipkit_server.tenants.book import read_book

MAX_ATTRIBUTES = 64


class OfTenant(Request, frozen=True, kw_only=True):
    """Whose policy is meant."""

    tenant: Text | None = None
    """A tenant; the default is the policy of the server, or that of the administrator's tenant."""


class ShowVersion(OfTenant, frozen=True, kw_only=True):
    """Which version is meant."""

    number: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
    """Its number; 0 for the one in force."""


class ApplyPolicy(OfTenant, frozen=True, kw_only=True):
    """A new version."""

    text: Annotated[str, msgspec.Meta(max_length=MAX_BYTES)]
    """The document, TOML."""
    comment: Text = ""
    origin: Text = ""
    """Where the text is from, such as the name of a file."""
    previous: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The number of the version that must be in force; refused if another one is."""


class RevertPolicy(OfTenant, frozen=True, kw_only=True):
    """An earlier version."""

    number: Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)]


class ExplainDecision(OfTenant, frozen=True, kw_only=True):
    """A question: may this account do this with this object? An object is named or described."""

    account: Text
    operation: Text
    object: Text | None = None
    """The Unique Identifier of an object."""
    owner: Text | None = None
    """The owner of a described object; the default is the account itself."""
    type: Text | None = None
    state: Text | None = None
    name: tuple[Text, ...] = ()
    group: tuple[Text, ...] = ()
    attribute: tuple[Text, ...] = ()
    """Attributes of a described object, each as NAME=VALUE."""
    is_new: bool = False
    """Whether the operation makes the described object."""
    administrator: bool | None = None
    """Whether the account is an administrator; the default is what it is."""
    linked_group: tuple[Text, ...] = ()
    """Groups of KMIP 3.0 to which its user is linked."""
    address: Text = ""
    subject: Text = ""
    issuer: Text = ""
    san: tuple[Text, ...] = ()
    fingerprint: Text = ""
    time: datetime | None = None
    """The default is now."""


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version, without its text."""

    number: int
    """0 if there has never been a policy."""
    active: bool
    """Whether it is in force."""
    time: datetime | None = None
    author: str = ""
    """The account that has applied it; empty for the server, from the file of its configuration."""
    comment: str = ""
    origin: str = ""
    digest: str = ""
    """The SHA-256 hash of the text."""


class PolicyText(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its text."""

    version: PolicyVersion
    text: str


class PolicyHistory(msgspec.Struct, frozen=True):
    """All versions, the newest first."""

    versions: tuple[PolicyVersion, ...]


class PolicyOutcome(msgspec.Struct, frozen=True):
    """What became of a rule."""

    name: str
    effect: str
    unmet: str
    """The key of the condition that is not met; empty if the rule applies."""


class PolicyDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, and why."""

    allowed: bool
    by: str
    """The name of the rule that decided, or what is built in."""
    rule: bool
    """Whether it was a rule."""
    message: str
    """What a client would be told; empty if it is allowed."""
    requires: tuple[str, ...]
    """What must be fulfilled besides."""
    rules: tuple[PolicyOutcome, ...]


def _tenant(context: Context, request: OfTenant) -> str:
    """The tenant whose policy is meant; empty for the server."""
    own = context.scope.tenant
    if own is None:
        return request.tenant or ""
    if request.tenant not in (None, own):
        raise forbidden("this is the policy of others")
    return own


def _summary(version: versions.Version, active: int) -> PolicyVersion:
    return PolicyVersion(
        number=version.number,
        active=version.number == active,
        time=version.time,
        author=version.author,
        comment=version.comment,
        origin=version.origin,
        digest=version.digest,
    )


_UNREADABLE = "the stored policy cannot be read; apply it again"


async def show_version(context: Context, request: ShowVersion) -> PolicyText:
    """A version, or the one in force."""
    tenant = _tenant(context, request)
    context.request.subject = f"{tenant} {request.number}".strip()

    def work(reader: Reader) -> Steps[PolicyText]:
        yield from ()
        _require_tenant(reader, tenant)
        try:
            active = versions.active_number(reader, tenant)
            number = request.number or active
            if not number:
                return PolicyText(version=PolicyVersion(number=0, active=True), text="")
            version = versions.read_version(reader, tenant, number)
        except UnknownVersion as error:
            raise not_found(str(error)) from None
        except (UnreadableVersion, Damaged):
            raise conflict(_UNREADABLE) from None
        return PolicyText(version=_summary(version, active), text=version.text)

    return await context.read(work)


async def show_history(context: Context, request: OfTenant) -> PolicyHistory:
    """All versions."""
    tenant = _tenant(context, request)

    def work(reader: Reader) -> Steps[PolicyHistory]:
        yield from ()
        _require_tenant(reader, tenant)
        try:
            active = versions.active_number(reader, tenant)
            found = versions.history(reader, tenant)
        except (UnreadableVersion, Damaged):
            raise conflict(_UNREADABLE) from None
        return PolicyHistory(tuple(_summary(each, active) for each in reversed(found)))

    return await context.read(work)


async def apply_policy(context: Context, request: ApplyPolicy) -> PolicyVersion:
    """Apply a document as a new version."""
    tenant = _tenant(context, request)

    def work(transaction: Transaction) -> PolicyVersion:
        _require_tenant(transaction, tenant)
        if request.previous is not None:
            _require_active(transaction, tenant, request.previous)
        change = versions.apply(
            transaction,
            request.text,
            tenant=tenant,
            author=context.identity.name,
            now=context.now,
            comment=request.comment,
            origin=request.origin,
        )
        context.request.subject = change.subject
        return _summary(change.version, change.version.number)

    try:
        return await context.change(work)
    except PolicyError as error:
        raise bad_request("; ".join(error.faults)) from None


def _require_tenant(reader: Reader, tenant: str) -> None:
    if tenant and read_book(reader).find(tenant) is None:
        raise not_found(f"there is no tenant {tenant!r}")


def _require_active(reader: Reader, tenant: str, expected: int) -> None:
    try:
        active = versions.active_number(reader, tenant)
    except (UnreadableVersion, Damaged):
        return
    if active != expected:
        raise conflict(
            f"version {active} is in force, not {expected}: somebody else has changed it"
        )


async def revert_policy(context: Context, request: RevertPolicy) -> PolicyVersion:
    """Put an earlier version in force again."""
    tenant = _tenant(context, request)

    def work(transaction: Transaction) -> PolicyVersion:
        change = versions.revert(
            transaction,
            request.number,
            tenant=tenant,
            author=context.identity.name,
            now=context.now,
        )
        context.request.subject = change.subject
        return _summary(change.version, change.version.number)

    try:
        return await context.change(work)
    except UnknownVersion as error:
        raise not_found(str(error)) from None
    except (UnreadableVersion, Damaged):
        raise conflict(f"version {request.number} cannot be read") from None
    except PolicyError as error:
        raise conflict("; ".join(error.faults)) from None


async def explain_decision(context: Context, request: ExplainDecision) -> PolicyDecision:
    """Which rule decides, and why."""
    request = _inside_tenant(request)
    tenant = _tenant(context, request)
    context.request.subject = request.account

    def work(reader: Reader) -> Steps[PolicyDecision]:
        yield from ()
        _require_tenant(reader, tenant)
        is_administrator = request.administrator
        if is_administrator is None:
            is_administrator = request.account in _administrators(context, tenant, reader)
        description = description_of(request, tenant, context.now, administrator=is_administrator)
        try:
            question = question_of(description, part_of(reader, tenant).get)
        except InvalidValue as error:
            raise bad_request(str(error)) from None
        documents = ActivePolicies().now(reader, tenant)
        for_tenant = not context.scope.is_server
        return _decision(answer_to(question, documents, for_tenant=for_tenant))

    decision = await context.read(work)
    if request.object is not None:
        context.request.objects.append(request.object)
    return decision


def _inside_tenant(request: ExplainDecision) -> ExplainDecision:
    """A question with the names that hold inside the tenant, if its account has its whole name."""
    tenant = tenant_of(request.account) or request.tenant
    if request.tenant not in (None, tenant):
        raise bad_request(f"the account {request.account!r} is not one of {request.tenant!r}")
    names = {
        key: account_in_tenant(name)
        for key in ("account", "object", "owner")
        if (name := getattr(request, key)) and tenant_of(name) == (tenant or "")
    }
    return msgspec.structs.replace(request, tenant=tenant, **names)


def description_of(
    request: ExplainDecision, tenant: str, now: datetime, *, administrator: bool
) -> Description:
    """The question of a request. Refused if it contradicts itself."""
    return Description(
        client=Client(
            account=request.account,
            tenant=tenant,
            administrator=administrator,
            linked_groups=request.linked_group,
            address=request.address,
            subject=request.subject,
            issuer=request.issuer,
            san=request.san,
            fingerprint=request.fingerprint,
        ),
        operation=request.operation,
        time=request.time or now,
        object=_object(request),
        is_new=request.is_new,
    )


def _administrators(context: Context, tenant: str, reader: Reader) -> tuple[str, ...]:
    if not tenant:
        return administrators(context.parts.config())
    found = read_book(reader).find(tenant)
    return () if found is None else found.administrators


def _object(request: ExplainDecision) -> str | DescribedObject | None:
    described: dict[str, Any] = {
        "owner": request.owner,
        "type": request.type,
        "state": request.state,
        "names": request.name,
        "groups": request.group,
        "attributes": _attributes(request.attribute),
    }
    described = {name: value for name, value in described.items() if value}
    if request.object is not None:
        if described:
            raise bad_request("name an object, or describe one, but not both")
        return request.object
    return DescribedObject(**described) if described or request.is_new else None


def _attributes(texts: tuple[str, ...]) -> dict[str, list[str]]:
    if len(texts) > MAX_ATTRIBUTES:
        raise bad_request(f"an object is described by {MAX_ATTRIBUTES} attributes at most")
    found: dict[str, list[str]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise bad_request("attribute must be NAME=VALUE, such as x-Environment=production")
        found.setdefault(name, []).append(value)
    return found


def _decision(answer: Answer) -> PolicyDecision:
    return PolicyDecision(
        allowed=answer.allowed,
        by=answer.by,
        rule=answer.is_rule,
        message=answer.message,
        requires=answer.requires,
        rules=tuple(PolicyOutcome(each.name, each.effect, each.unmet) for each in answer.rules),
    )


ROUTES = (
    Route(
        method="GET",
        path="/policy/versions",
        name="policy history",
        summary="List the versions of a policy.",
        who=Who.TENANT,
        request=OfTenant,
        answer=PolicyHistory,
        handler=show_history,
    ),
    Route(
        method="GET",
        path="/policy/versions/{number}",
        name="policy show",
        summary="Show a version of a policy; 0 is the one in force.",
        who=Who.TENANT,
        request=ShowVersion,
        answer=PolicyText,
        handler=show_version,
    ),
    Route(
        method="POST",
        path="/policy/versions",
        name="policy apply",
        summary="Apply a policy as a new version, from the next request on.",
        who=Who.TENANT,
        request=ApplyPolicy,
        answer=PolicyVersion,
        handler=apply_policy,
    ),
    Route(
        method="POST",
        path="/policy/versions/{number}/revert",
        name="policy revert",
        summary="Put an earlier version of a policy in force again.",
        who=Who.TENANT,
        request=RevertPolicy,
        answer=PolicyVersion,
        handler=revert_policy,
    ),
    Route(
        method="GET",
        path="/policy/explain",
        name="policy explain",
        summary="Say whether something is permitted, which rule decides, and why others do not apply.",
        who=Who.TENANT,
        request=ExplainDecision,
        answer=PolicyDecision,
        handler=explain_decision,
    ),
)
