"""The name of an owner says to which tenant it belongs, and cannot be had by a chosen name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_certs.identity import NoName, require_not_reserved
from kmipkit_server.store.owners import account_in_tenant, owner_name, system_owner, tenant_of

TENANTS = st.just("") | st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True)


def _is_account_name(name: str) -> bool:
    try:
        require_not_reserved(name)
    except NoName:
        return name.startswith("user:")
    return bool(name)


ACCOUNTS = st.text(max_size=30).filter(_is_account_name) | st.text(max_size=9).map(
    lambda name: f"user:{name}"
)


@given(TENANTS, ACCOUNTS)
def test_an_owner_has_its_tenant_and_its_account(tenant: str, account: str) -> None:
    owner = owner_name(tenant, account)
    assert (tenant_of(owner), account_in_tenant(owner)) == (tenant, account)
    assert owner != system_owner(tenant)


@given(TENANTS, ACCOUNTS, TENANTS, ACCOUNTS)
def test_two_accounts_are_never_the_same_owner(
    tenant: str, account: str, other_tenant: str, other: str
) -> None:
    if (tenant, account) != (other_tenant, other):
        assert owner_name(tenant, account) != owner_name(other_tenant, other)


@pytest.mark.parametrize("name", ["tenant:acme:db01", "tenant:", "user:bob"])
def test_no_certificate_has_the_name_of_an_account_of_a_tenant(name: str) -> None:
    with pytest.raises(NoName, match="begins with"):
        require_not_reserved(name)
