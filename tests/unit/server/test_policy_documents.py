"""Documents: what is wrong with one is said with its line, and what to do."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.policy.document import MAX_BYTES, read_policy
from kmipkit_server.policy.errors import PolicyError
from kmipkit_server.policy.expectations import read_expectations
from kmipkit_server.policy.patterns import Pattern, folded

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def faults(text: str, tenant: str = "") -> list[str]:
    with pytest.raises(PolicyError) as error:
        read_policy(text, tenant, "p.toml")
    return list(error.value.faults)


RULE = '[rules.x]\nwho = "a"\nallow = "Get"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[rule.x]", "p.toml:1: rule is an unknown section; the sections are groups, rules, "),
        (f"{RULE}objekts = 1", "p.toml:4: rules.x.objekts is an unknown key; the keys are allow,"),
        (f"{RULE}objekts = 1", "did you mean objects?"),
        (f"{RULE}deny = 'Get'", "p.toml:1: rules.x needs one of the keys allow, deny, require"),
        ("[rules.x]\nwho = 'a'", "p.toml:1: rules.x needs one of the keys allow, deny, require"),
        ("[rules.x]\nallow = 'Get'", 'rules.x needs the key who, since it allows; who = "*" means'),
        ("[rules.x]\ndeny = 'Gett'", "p.toml:2: rules.x.deny has 'Gett', which is no operation and no"),
        ("[rules.x]\ndeny = 'Gett'", "did you mean Get?; 'all' means all"),
        ("[rules.x]\ndeny = []", "p.toml:2: rules.x.deny must be a string or a list of strings"),
        ("[rules.x]\ndeny = 1", "p.toml:2: rules.x.deny must be a string or a list of strings"),
        ("[rules.x]\ndeny = 'Get'\nwho = 'a*'", "takes whole names; 'a*' has a wildcard"),
        ("[rules.x]\ndeny = 'Get'\nwho = {}", "p.toml:3: rules.x.who must have conditions"),
        ("[rules.x]\ndeny = 'Get'\nunless = {}", "p.toml:3: rules.x.unless must have conditions"),
        ("[rules.x]\ndeny = 'Get'\nunless.a = 1", "rules.x.unless.a is an unknown key; the keys are"),
        (f"{RULE}who.groups = 'x'", "not valid TOML"),
        ("[rules.x]\ndeny = 'Get'\nwho.groups = 'x'", "names 'x', which is not in [groups]"),
        ("[groups]\naxes = 'b'\n[rules.x]\ndeny = 'Get'\nwho.groups = 'axs'", "did you mean axes?"),
        ("groups = 1", "p.toml:1: groups must be a table"),
        ("[rules]\nx = 1", "p.toml:2: rules.x must be a table"),
        (f"{RULE}objects.state = 'x'", "p.toml:4: rules.x.objects.state is an unknown key"),
        (f"{RULE}objects.states = 'activ'", "has no value 'activ'; did you mean Active?"),
        (f"{RULE}objects.types = 'Key'", "p.toml:4: rules.x.objects.types has no value 'Key'"),
        (f"{RULE}objects.attributes.State = 'x'", "is objects.states in a rule"),
        (f"{RULE}objects.attributes.Digest = 'x'", "is a structure or bytes; rules compare single"),
        (f"{RULE}objects.attributes.Nonsense = 1", "a custom one is written as x-NAME"),
        (f"{RULE}objects.attributes.'Cryptographic Length' = '1'", "must be a number, or a list"),
        (f"{RULE}objects.attributes.'Cryptographic Algorithm' = 'AESS'", "did you mean Aes?"),
        (f"{RULE}objects.attributes.'Cryptographic Usage Mask' = 'Fly'", "has no bit 'Fly'; the bits"),
        (f"{RULE}when.hours = '9-5'", "must have times such as 08:00-18:00; '9-5' is none"),
        (f"{RULE}when.hours = '08:00-25:00'", "must have times such as 08:00-18:00"),
        (f"{RULE}when.days = 'Funday'", "must have days such as Monday or Mon-Fri; 'Funday' is none"),
        (f"{RULE}when.zone = '../etc/passwd'", "must be the name of a time zone"),
        (f"{RULE}when.from = 'today'", "must be a date, such as 2026-12-31"),
        ("[rules.x]\ndeny = 'Get'\nwho.networks = '10.0.0.1/8'", "networks such as 10.1.0.0/16"),
        ("[rules.x]\ndeny = 'Get'\nwho.subject = 'Payments'", "parts of a name such as OU=Payments"),
        ("[rules.x]\ndeny = 'Get'\nwho.fingerprints = 'abc'", "as kmipkit certs show prints them"),
        ("[rules.x]\ndeny = 'Get'\nwho.administrators = 1", "must be true or false"),
        ("a = [", "not valid TOML"),
        ("#" * (MAX_BYTES + 1), "a policy has 1048576 bytes at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(text: str, fault: str) -> None:
    found = faults(text)
    assert any(fault in each for each in found), found
    assert all(each.startswith("p.toml:") for each in found)
    assert not any("\n" in each for each in found)


def test_all_faults_are_said_at_once_in_their_order() -> None:
    found = faults("[rules.x]\ndeny = 'Gett'\nobjects.states = 'x'\n[rules.y]\n")
    assert [each.split(":")[1] for each in found] == ["2", "3", "4"]


def test_a_tenant_has_nothing_to_say_about_other_tenants() -> None:
    text = "[rules.x]\ndeny = 'all'\nwho.tenants = 'acme'\n"
    read_policy(text)
    assert "can only be in the document of the server" in faults(text, "acme")[0]


def test_names_of_the_standard_may_be_written_in_any_way() -> None:
    one = read_policy("[rules.x]\ndeny = ['get-attributes']\nobjects.types = 'symmetric_key'\n")
    two = read_policy("[rules.x]\ndeny = 'Get Attributes'\nobjects = { types = 'Symmetric Key' }\n")
    assert one == two


def test_except_takes_operations_out() -> None:
    [rule] = read_policy("[rules.x]\ndeny = 'all'\nexcept = ['use', 'find']\n").rules
    [other] = read_policy("[rules.x]\ndeny = 'all'\n").rules
    [excepted] = read_policy("[rules.x]\ndeny = ['use', 'find']\n").rules
    assert rule.actions == other.actions - excepted.actions


@given(st.text(max_size=300))
def test_any_text_is_a_policy_or_has_faults(text: str) -> None:
    with suppress(PolicyError):
        read_policy(text)


# --- patterns --------------------------------------------------------------------------------------


def matches_simply(pattern: str, text: str) -> bool:
    """The definition of wildcards, in the time that it takes."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return matches_simply(pattern[1:], text) or bool(text and matches_simply(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and matches_simply(pattern[1:], text[1:])


@given(st.text("ab*?\n.", max_size=7), st.text("ab\n.*", max_size=8))
def test_wildcards_mean_what_they_say(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) is matches_simply(pattern, text)


@given(st.text(max_size=20))
def test_a_name_is_folded_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_a_hostile_pattern_takes_linear_time() -> None:
    """The names are those of clients: a pattern must not be a way to make the server compute."""
    pattern = Pattern("*a" * 50 + "b", is_broad=True)
    assert not pattern.matches("a" * 20_000)


# --- expectations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "e.toml: there is no [[expect]]"),
        ("[[expect]]\naccount = 'a'", "e.toml:1: the key operation is missing"),
        ("[[expect]]\n[[expect]]\nacount = 'a'", "e.toml:2: unknown key 'acount'; the keys are"),
        ("[[expect]]\nacount = 'a'", "did you mean account?"),
        ("[[expect]]\naccount='a'\noperation='Get'\nis = 'yes'", "is must be allowed or denied"),
        ("[[expect]]\nobject = 1", "object must be an identifier or a table"),
        ("[[expect]]\nobject.colour = 1", "object unknown key 'colour'"),
        ("expect = 1", "expect must be tables [[expect]]"),
        ("[[expects]]", "'expects' is unknown"),
        ("[[expect]]\ntime = 1", "time must be a date with a time"),
        ("a = [", "not valid TOML"),
    ],
)
def test_faulty_expectations(text: str, fault: str) -> None:
    with pytest.raises(PolicyError) as error:
        read_expectations(text, "e.toml", NOW)
    assert fault in str(error.value)
