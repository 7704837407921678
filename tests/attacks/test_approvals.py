"""Nobody gets around the approval of another person, or a count, by what one certificate can do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from approving import CREATE, RULE, Approving, certificate
from hypothesis import given, settings
from hypothesis import strategies as st
from kmipkit_client import OperationFailed, calls, crypto_calls, symmetric_key
from kmipkit_server.engine.request_digest import digest_of
from kmipkit_server.identity.blocks import Block
from kmipkit_server.identity.identity import Identity
from kmipkit_server.policy.approving import NotPermitted, UnknownRequest
from model_strategies import CLASSES, structures, versions_of
from policies import apply_policy

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import EncryptionKeyInformation, KeyWrappingSpecification
from kmipkit.model.messages import RequestBatchItem
from kmipkit.model.payloads.accounts import CreateCredentialRequest, PasswordCredential
from kmipkit.model.payloads.crypto import EncryptRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.limits import Right
from kmipkit.model.payloads.register import ImportRequest
from kmipkit.model.structure import Structure, field_names
from kmipkit.spec.enums import (
    BlockCipherMode,
    CredentialType,
    CryptographicAlgorithm,
    EncodingOption,
    HashingAlgorithm,
    KeyFormatType,
    KeyWrapType,
    ObjectType,
    Operation,
    PaddingMethod,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0

REQUESTS = [cls for cls in CLASSES if cls.__name__.endswith("Request")]


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Approving]:
    laboratory = Approving(tmp_path / "data")
    yield laboratory
    laboratory.close()


def get(key: str) -> Any:
    return calls.get(key, None, None, None)


# --- who approves --------------------------------------------------------------------------------


def test_an_account_does_not_approve_its_own_request(laboratory: Approving) -> None:
    """Neither with the same certificate nor with a second one; not even if the rule names it."""
    apply_policy(laboratory, (RULE % 1).replace("officer-1", "me"))
    number = laboratory.asked(calls.destroy(laboratory.key()))
    for identity in (laboratory.identity("me"), Identity("me", certificate=certificate())):
        with pytest.raises(NotPermitted, match="their own account"):
            laboratory.approve(number, identity)


def test_a_certificate_does_not_approve_its_own_request(laboratory: Approving) -> None:
    """A user who logs in over the connection of the requester is the same person, or sits there."""
    number = laboratory.asked(calls.destroy(laboratory.key()))
    same = Identity("officer-1", certificate=laboratory.identity("me").certificate)
    with pytest.raises(UnknownRequest):
        laboratory.approve(number, same)
    with pytest.raises(UnknownRequest):
        laboratory.approve(number, Identity("officer-1"))  # no certificate at all


def test_the_certificate_of_an_approver_does_not_repeat_the_request(laboratory: Approving) -> None:
    """Who can be both persons is one."""
    key = laboratory.key()
    laboratory.approve(laboratory.asked(calls.destroy(key)), "officer-1")
    both = Identity("me", certificate=laboratory.identity("officer-1").certificate)
    assert "with 0 of 1 approvals" in laboratory.refused(calls.destroy(key), both)
    laboratory.do(calls.destroy(key))


def test_one_approver_is_not_two(laboratory: Approving) -> None:
    apply_policy(laboratory, RULE % 2)
    key = laboratory.key()
    number = laboratory.asked(calls.destroy(key))
    laboratory.approve(number, "officer-1")
    again = (
        laboratory.identity("officer-1"),
        Identity("officer-1", certificate=certificate()),
        Identity("officer-2", certificate=laboratory.identity("officer-1").certificate),
    )
    for identity in again:
        with pytest.raises((NotPermitted, UnknownRequest)):
            laboratory.approve(number, identity)
    assert "with 1 of 2 approvals" in laboratory.refused(calls.destroy(key))


@pytest.mark.parametrize(
    "name", ["stranger", "officer-4", "tenant:acme:officer-1", "administrator"]
)
def test_others_do_not_even_learn_of_a_request(laboratory: Approving, name: str) -> None:
    number = laboratory.asked(calls.destroy(laboratory.key()))
    for sign in (laboratory.approve, laboratory.reject):
        with pytest.raises(UnknownRequest):
            sign(number, Identity(name, is_administrator=True, certificate=certificate()))


def test_a_ticket_does_not_approve(laboratory: Approving) -> None:
    """Whoever holds a ticket of an officer is not the officer."""
    number = laboratory.asked(calls.destroy(laboratory.key()))
    officer = laboratory.identity("officer-1")
    with pytest.raises(UnknownRequest):
        laboratory.approve(number, replace(officer, rights=(Right(),)))


def test_no_password_is_guessed_with_what_the_store_has_of_a_request(tmp_path: Path) -> None:
    """The thief of a database tries passwords: one hash for each, without a key."""
    request = CreateCredentialRequest(
        credential_type=CredentialType.PASSWORD,
        attributes=Attributes(),
        credential=PasswordCredential(password="hunter2"),
    )

    def digest(name: str, **settings: Any) -> str:
        laboratory = Approving(tmp_path / name, number=0, **settings)
        apply_policy(
            laboratory,
            '[rules.two]\nrequire = "Create Credential"\napprovals = { by = "officer-1" }\n',
        )
        administrator = replace(laboratory.identity("administrator"), is_administrator=True)
        call = calls.raw(Operation.CREATE_CREDENTIAL, request)
        laboratory.asked(call, administrator, version=V3_0)
        [waiting] = laboratory.waiting()
        laboratory.close()
        return waiting.digest

    assert digest("a") == digest("b"), "it depends on the request alone"
    assert digest("c", request_key=bytes(32)) != digest("d", request_key=bytes(31) + b"1")


# --- what becomes of an approver in between ------------------------------------------------------


def test_an_approver_who_is_no_officer_any_more_does_not_count(laboratory: Approving) -> None:
    key = laboratory.key()
    laboratory.approve(laboratory.asked(calls.destroy(key)), "officer-1")
    apply_policy(laboratory, (RULE % 1).replace('"officer-1", ', ""))
    assert "with 0 of 1 approvals" in laboratory.refused(calls.destroy(key))
    laboratory.approve(1, "officer-2")
    laboratory.do(calls.destroy(key))


def test_an_approver_whose_certificate_is_revoked_does_not_count(laboratory: Approving) -> None:
    key = laboratory.key()
    laboratory.approve(laboratory.asked(calls.destroy(key)), "officer-1")
    laboratory.revoked.add(laboratory.identity("officer-1").certificate_hash)
    assert "with 0 of 1 approvals" in laboratory.refused(calls.destroy(key))


def test_an_approver_who_is_blocked_does_not_count(laboratory: Approving) -> None:
    """A stolen laptop has approved something, and an administrator blocks its account."""
    key = laboratory.key()
    laboratory.approve(laboratory.asked(calls.destroy(key)), "officer-1")
    laboratory.state.blocked["officer-1"] = Block(laboratory.now, "administrator", "stolen")
    assert "with 0 of 1 approvals" in laboratory.refused(calls.destroy(key))
    del laboratory.state.blocked["officer-1"]
    laboratory.do(calls.destroy(key))


def test_more_approvals_may_be_needed_in_between(laboratory: Approving) -> None:
    key = laboratory.key()
    laboratory.approve(laboratory.asked(calls.destroy(key)), "officer-1")
    apply_policy(laboratory, RULE % 2)
    assert "with 1 of 2 approvals" in laboratory.refused(calls.destroy(key))


def test_a_rule_that_is_gone_leaves_no_approval_behind(laboratory: Approving) -> None:
    number = laboratory.asked(calls.destroy(laboratory.key()))
    apply_policy(laboratory, "")
    with pytest.raises((NotPermitted, UnknownRequest)):
        laboratory.approve(number, "officer-1")


# --- what was approved ---------------------------------------------------------------------------


def _import(key: str) -> Any:
    request = ImportRequest(
        unique_identifier=key,
        object_type=ObjectType.SYMMETRIC_KEY,
        replace_existing=True,
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, Mask.ENCRYPT | Mask.WRAP_KEY)),
        object=symmetric_key(bytes(range(32))),
    )
    return calls.raw(Operation.IMPORT, request)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: calls.add_attribute(key, "Object Group", "archive"),
        lambda key: calls.modify_attribute(key, "Name", "another", None, None),
        calls.activate,
        _import,
    ],
    ids=["group", "name", "state", "material"],
)
def test_an_object_that_has_changed_is_not_what_was_approved(
    laboratory: Approving, change: Callable[[str], Any]
) -> None:
    """A key that is renamed, or replaced by another one, after the approval."""
    apply_policy(laboratory, (RULE % 1).replace('"destroy objects", ', ""))
    call = calls.create(CryptographicAlgorithm.AES, 256, Mask.ENCRYPT, "spare key", None)
    key = laboratory.do(call)
    laboratory.approve(laboratory.asked(get(key)), "officer-1")
    laboratory.do(change(key))
    assert laboratory.asked(get(key)) == 2


OTHERS: list[Callable[[str, str], Any]] = [
    lambda _key, other: get(other),
    lambda key, _other: calls.get(key, KeyFormatType.TRANSPARENT_SYMMETRIC_KEY, None, None),
    lambda key, _other: calls.get(key, None, KeyWrapType.NOT_WRAPPED, None),
    lambda key, _other: calls.destroy(key),
]


@pytest.mark.parametrize("other", OTHERS)
def test_another_request_is_not_what_was_approved(
    laboratory: Approving, other: Callable[[str, str], Any]
) -> None:
    key, second = laboratory.key(), laboratory.key()
    laboratory.approve(laboratory.asked(get(key)), "officer-1")
    assert laboratory.asked(other(key, second)) == 2
    assert laboratory.do(get(key))


def test_a_field_of_a_later_version_is_part_of_the_request(laboratory: Approving) -> None:
    """The server obeys it, though the encoding of the version would not have it."""
    key = laboratory.key()
    plain = GetRequest(unique_identifier=key)
    wrapped = plain.replace(key_wrap_type=KeyWrapType.NOT_WRAPPED)
    assert digest_of(plain) != digest_of(wrapped)


@pytest.mark.parametrize("cls", REQUESTS, ids=lambda cls: cls.__name__)
@settings(max_examples=8)
@given(data=st.data())
def test_different_requests_have_different_digests(
    cls: type[Structure], data: st.DataObject
) -> None:
    """Of every operation, and whichever field is changed."""
    version = data.draw(st.sampled_from(versions_of(cls)))
    one, other = data.draw(structures(cls, version)), data.draw(structures(cls, version))
    assert digest_of(one) == digest_of(one.replace())
    assert digest_of(one) != digest_of(other) or one == other
    for name in field_names(cls):
        assert digest_of(one) != digest_of(one.replace(**{name: ("changed",)}))


def test_data_that_were_to_stay_on_the_server_stay_there(laboratory: Approving) -> None:
    """An Ephemeral item returns no data; without it, the same request would."""
    apply_policy(laboratory, (RULE % 1).replace('"get"', '"encrypt"'))
    key = laboratory.key()
    laboratory.do(calls.activate(key))
    parameters = CryptographicParameters(
        block_cipher_mode=BlockCipherMode.ECB, padding_method=PaddingMethod.PKCS5
    )
    payload = EncryptRequest(
        unique_identifier=key, cryptographic_parameters=parameters, data=b"data"
    )

    def of(*, ephemeral: bool) -> str:
        item = RequestBatchItem(
            operation=Operation.ENCRYPT, ephemeral=ephemeral, request_payload=payload
        )
        return laboratory.text_of(laboratory.identity("me"), item)

    assert "request 1" in of(ephemeral=True)
    laboratory.approve(1, "officer-1")
    assert "request 2" in of(ephemeral=False)
    assert of(ephemeral=True) == ""


def test_another_version_of_the_protocol_is_another_request(laboratory: Approving) -> None:
    """The same fields may have other defaults there."""
    key = laboratory.key()
    assert laboratory.asked(get(key), version=V2_1) == 1
    assert laboratory.asked(get(key), version=V1_4) == 2


def test_the_wrapping_key_is_the_one_that_was_seen(laboratory: Approving) -> None:
    """A key whose material others know takes the place of the wrapping key."""
    text = (RULE % 1).replace('"destroy objects", "export", "get"', '"get"')
    apply_policy(laboratory, text + 'objects = "treasure"')
    create = calls.create(CryptographicAlgorithm.AES, 256, Mask.ENCRYPT, "treasure", None)
    treasure, wrapper = (
        laboratory.do(create),
        laboratory.do(calls.create(CryptographicAlgorithm.AES, 256, Mask.WRAP_KEY, None, None)),
    )
    laboratory.do(calls.activate(wrapper))
    specification = KeyWrappingSpecification(
        wrapping_method=WrappingMethod.ENCRYPT,
        encryption_key_information=EncryptionKeyInformation(unique_identifier=wrapper),
        encoding_option=EncodingOption.NO_ENCODING,
    )
    wrapped = calls.get(treasure, None, None, specification)
    laboratory.approve(laboratory.asked(wrapped), "officer-1")
    known = _import(wrapper)
    laboratory.do(known)
    laboratory.do(calls.activate(wrapper))
    assert laboratory.asked(wrapped) == 2


def test_an_earlier_result_is_part_of_what_was_approved(laboratory: Approving) -> None:
    """Data that the request takes from another item of its batch cannot be exchanged."""
    apply_policy(laboratory, (RULE % 1).replace('"get"', '"encrypt"'))
    key = laboratory.key()
    laboratory.do(calls.activate(key))
    parameters = CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC, padding_method=PaddingMethod.PKCS5
    )
    encrypt = calls.raw(
        Operation.ENCRYPT,
        EncryptRequest(
            unique_identifier=key, cryptographic_parameters=parameters, data=0,
            iv_counter_nonce=bytes(16),
        ),
    )  # fmt: skip

    def of(data: bytes) -> Any:
        [_, result] = laboratory.message("me", _hash(data), encrypt)
        return result

    assert "request 1" in str(of(b"approved"))
    laboratory.approve(1, "officer-1")
    assert "request 2" in str(of(b"other"))
    assert not isinstance(of(b"approved"), OperationFailed)


def _hash(data: bytes) -> Any:
    return crypto_calls.digest(data, HashingAlgorithm.SHA_256)


# --- once ----------------------------------------------------------------------------------------


def test_an_answer_that_is_prepared_needs_its_approval(laboratory: Approving) -> None:
    """A Get that comes again and again is answered in a shorter way, but not around the policy."""
    apply_policy(laboratory, "")
    key = laboratory.key()
    for _ in range(4):
        laboratory.do(get(key))
    apply_policy(laboratory, RULE % 1)
    for _ in range(3):
        assert laboratory.asked(get(key)) == 1
    laboratory.approve(1, "officer-1")
    laboratory.do(get(key))
    assert laboratory.asked(get(key)) == 2


def race(laboratory: Approving, call: Any, number: int = 32) -> list[Any]:
    """The results of the same request, sent many times at once."""
    results: list[Any] = []
    me = laboratory.identity("me")

    async def one() -> None:
        results.extend(await laboratory.answer(me, call))

    async def all_at_once() -> None:
        async with laboratory.serving(), trio.open_nursery() as nursery:
            for _ in range(number):
                nursery.start_soon(one)

    trio.run(all_at_once)
    return results


def test_racing_requests_share_one_approval(laboratory: Approving) -> None:
    key = laboratory.key()
    assert all("request 1," in str(each) for each in race(laboratory, get(key)))
    laboratory.approve(1, "officer-1")
    results = race(laboratory, get(key))
    assert len(results) == 32
    assert sum(not isinstance(each, OperationFailed) for each in results) == 1


def test_racing_requests_share_one_count(laboratory: Approving) -> None:
    text = '[rules.r]\nrequire = ["get", "create"]\ncount = { times = 10, per = "hour" }'
    key = laboratory.key()
    apply_policy(laboratory, text)
    for call in (get(key), CREATE):
        apply_policy(laboratory, text.replace("rules.r", f"rules.{call.operation.name}"))
        results = race(laboratory, call)
        assert sum(not isinstance(each, OperationFailed) for each in results) == 10


def test_requests_do_not_fill_the_store(laboratory: Approving) -> None:
    """Neither many different ones nor the same one again and again."""
    key = laboratory.key()
    for _ in range(5):
        assert laboratory.asked(get(key)) == 1
    assert len(laboratory.waiting()) == 1


# --- tenants -------------------------------------------------------------------------------------

OF_ACME = """
[rules."two persons"]
require = "get"
approvals = { by = ["officer-1"] }
"""


@pytest.mark.parametrize("tenant", ["", "globex"])
def test_the_officer_of_another_tenant_is_another_one(laboratory: Approving, tenant: str) -> None:
    """The same name in another tenant, or in none, neither sees nor approves a request."""
    apply_policy(laboratory, "")
    apply_policy(laboratory, OF_ACME, "acme")
    me = laboratory.identity("tenant:acme:me")
    key = laboratory.do(CREATE, me)
    number = laboratory.asked(get(key), me)
    name = f"tenant:{tenant}:officer-1" if tenant else "officer-1"
    for sign in (laboratory.approve, laboratory.reject):
        with pytest.raises(UnknownRequest):
            sign(number, name)
    laboratory.approve(number, "tenant:acme:officer-1")
    assert laboratory.do(get(key), me)


def test_a_rule_of_the_server_holds_for_tenants(laboratory: Approving) -> None:
    """Its officers approve, and those of the tenant with the same names do not."""
    me = laboratory.identity("tenant:acme:me")
    key = laboratory.do(CREATE, me)
    number = laboratory.asked(get(key), me)
    with pytest.raises(UnknownRequest):
        laboratory.approve(number, "tenant:acme:officer-1")
    laboratory.approve(number, "officer-1")
    assert laboratory.do(get(key), me)


def test_tenants_count_for_themselves(laboratory: Approving) -> None:
    apply_policy(laboratory, '[rules.r]\nrequire = "create"\ncount = { times = 1, per = "day" }')
    for name in ("me", "tenant:acme:me", "tenant:globex:me"):
        laboratory.do(CREATE, name)
        assert "USAGE_LIMIT_EXCEEDED" in laboratory.refused(CREATE, name)
