"""For each requirement R1 to R47 a mutant: a change that breaks what the requirement says.

The tests of the requirement, and they alone, must fail with it (tests/unit/vsphere/test_mutants.py).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

VSPHERE = "kmipkit_vsphere."


class Mutant(NamedTuple):
    """The requirement, and a text in a module (which has it once) with what replaces it."""

    requirement: int
    module: str
    old: str
    new: str

    @property
    def name(self) -> str:
        return f"R{self.requirement:02} {self.module.rpartition('.')[2]}: {self.old.split()[0]}"


MUTANTS = (
    Mutant(
        1,
        "vcenter.key_providers",
        "participants=sorted(self._make(record).participants)",
        "participants=[]",
    ),
    Mutant(
        2,
        "vcenter.key_providers",
        "if record.type is ManagementType.STANDARD:\n            return self.make_standard",
        "if record.type is not ManagementType.TRUSTED:\n            return self.make_standard",
    ),
    Mutant(
        3,
        "vcenter.key_providers",
        "server in self._store.providers.servers(record.id)\n        ]\n        if",
        "server in self._store.providers.servers(self._store.providers.all()[0].id)\n        ]\n"
        "        if",
    ),
    Mutant(
        4,
        "vcenter.key_providers",
        "if isinstance(provider, StandardKeyProvider) and not provider.servers:",
        "if False:",
    ),
    Mutant(
        5,
        "vcenter.key_providers",
        "add(ProviderRecord(provider_id))\n"
        "        record = self._store.providers.get(provider_id)\n"
        "        if record.type is not ManagementType.STANDARD:",
        "add(ProviderRecord(provider_id))\n"
        "        record = self._store.providers.get(provider_id)\n"
        "        if False:",
    ),
    Mutant(
        6,
        "providers.key_server",
        "tcp, self.context, server_hostname",
        "tcp, ssl._create_unverified_context(), server_hostname",
    ),
    Mutant(
        7,
        "providers.kmip_session",
        "return str((await self._ask(Operation.CREATE, request)).unique_identifier)",
        "return 'made-here'",
    ),
    Mutant(
        8,
        "providers.standard",
        "secret = await kmip.get(key_id.key_id)",
        "secret = type(await kmip.get(key_id.key_id))(bytes(32))",
    ),
    Mutant(
        9,
        "trust_authority.key_provider_service",
        'raise NotAttested("there is no token; attest first")',
        "return token.HostClaims.__new__(token.HostClaims)",
    ),
    Mutant(
        10,
        "vcenter.native_providers",
        "for host in self._hosts():\n                if only is None",
        "for host in self._hosts()[:1]:\n                if only is None",
    ),
    Mutant(
        11,
        "host.host",
        "if not self.keys.can_restore() or not self.keys.restore():",
        "if True:",
    ),
    Mutant(
        12,
        "vcenter.key_providers",
        "return [self._info(record) for record in self._store.providers.all()]",
        "return []",
    ),
    Mutant(13, "vcenter.key_providers", "elif known != vendor and not any_vendor:", "elif False:"),
    Mutant(14, "vcenter.health", "if isinstance(state, str):", "if False:"),
    Mutant(
        14,
        "providers.standard",
        "            except KeyServerRefused as refusal:\n                missing = refusal\n"
        "            except KeyServerUnreachable:\n                continue\n        if missing:\n"
        "            raise KeyNotUsable",
        "            except KeyServerRefused as refusal:\n                missing = refusal\n"
        "                break\n"
        "            except KeyServerUnreachable:\n                continue\n        if missing:\n"
        "            raise KeyNotUsable",
    ),
    Mutant(
        15,
        "vcenter.key_providers",
        "provider_id = explicit or self.default(entity)",
        "provider_id = explicit or self._store.providers.all()[0].id",
    ),
    Mutant(16, "vcenter.store.providers", "is_first = not self.all()", "is_first = False"),
    Mutant(
        17,
        "vcenter.key_providers",
        "self._store.providers.set_default(provider_id, entity)",
        "pass",
    ),
    Mutant(
        17,
        "vcenter.key_providers",
        "places = self._store.inventory.place(entity) if with_parents else (entity,)",
        'places = ("/",)',
    ),
    Mutant(
        18,
        "providers.standard",
        "return  # tagging is best effort",
        "raise  # tagging is best effort",
    ),
    Mutant(
        19,
        "providers.key_server",
        'reason.reason or "") if isinstance(reason, ssl.SSLError) else ""',
        '"") if True else ""',
    ),
    Mutant(20, "host.key_persistence", 'if self._config.protection_mode != "tpm":', "if False:"),
    Mutant(
        21,
        "vcenter.encryption",
        "failures = await self._hosts.push_for(caller, host, keys)",
        "failures = {}",
    ),
    Mutant(
        22,
        "vcenter.host_encryption",
        "key = await self._crypto.provider(key_id.provider_id).fetch(key_id)\n",
        "key = await self._crypto.provider(key_id.provider_id).fetch(key_id)\n"
        "        self._crypto._store.providers.set_setting(\n"
        '            "x", key.key_data.reveal().hex() if key else None\n'
        "        )\n",
    ),
    Mutant(
        23,
        "vcenter.crypto_manager",
        "self._store.providers.add_key(key_id, int(self._clock().timestamp()))",
        "pass",
    ),
    Mutant(24, "vcenter.service", "caller.require(row.privilege, row.entity_of(request))", "pass"),
    Mutant(
        24,
        "vcenter.handlers.policies",
        "if encrypts:\n        caller.require",
        "if False:\n        caller.require",
    ),
    Mutant(
        24,
        "vcenter.provider_replacement",
        'caller.require(Privilege.RECRYPT, f"machine/{machine.name}")',
        "pass",
    ),
    Mutant(25, "providers.base", "if isinstance(provider, HostKeyProvider):", "if False:"),
    Mutant(
        26,
        "trust_authority.attestation",
        "image = accept(request.events, self._images)",
        "image = self._images[0]",
    ),
    Mutant(
        27,
        "vcenter.trusted_clusters",
        "if services.vcenter_id == self._instance.id or self._is_trust_authority():",
        "if False:",
    ),
    Mutant(
        28,
        "vcenter.calls.machines",
        "EncryptVM,\n        Privilege.ENCRYPT,",
        "EncryptVM,\n        Privilege.VIEW,",
    ),
    Mutant(
        29,
        "vcenter.service",
        "if row.trusted_admins_only and TRUSTED_ADMINS not in groups:",
        "if False:",
    ),
    Mutant(29, "vcenter.trusted_admins", "if user not in members:", "if False:"),
    Mutant(30, "providers.native", "KDK_SIZE: Final = 32", "KDK_SIZE: Final = 16"),
    Mutant(
        30,
        "providers.native",
        "Secret.random(KDK_SIZE)",
        "Secret(bytes(KDK_SIZE))",
    ),
    Mutant(
        31,
        "vcenter.authorization",
        "if privilege not in self.allowed(user, place):",
        "if False:",
    ),
    Mutant(
        32,
        "vcenter.authorization",
        "roles = own or [p.role for p in here if p.is_group and p.principal in groups]",
        "roles = own",
    ),
    Mutant(
        32,
        "vcenter.privileges",
        "NO_CRYPTO_ADMIN: frozenset(Privilege) - _NOT_WITHOUT_CRYPTO",
        "NO_CRYPTO_ADMIN: frozenset(Privilege)",
    ),
    Mutant(
        33,
        "vcenter.crypto_manager",
        'text = f"{operation} by {user}" + (f", key {key_id}" if key_id else "")',
        'return\n        text = ""',
    ),
    Mutant(
        34,
        "vcenter.events",
        "(self.user is None or event.user_name == self.user)",
        "True",
    ),
    Mutant(34, "vcenter.events", "writer.writeheader()", "pass"),
    Mutant(
        35,
        "vcenter.events",
        'key_id=(key_id.key_id if key_id else "") or (NO_KEY if operation else ""),',
        'key_id="",',
    ),
    Mutant(
        36,
        "host.volume",
        "dek = Secret.random(DEK_SIZE)",
        'dek = Secret(new.kek.reveal() + bytes(31) + b"x")',
    ),
    Mutant(
        37,
        "vcenter.encryption",
        "partial(self._hosts.configure_crypto_key, caller, machine.host),\n",
        "",
    ),
    Mutant(
        38,
        "vcenter.host_encryption",
        "await self.call(host, AddKey(key))",
        "pass",
    ),
    Mutant(
        39,
        "host.crypto",
        '(CryptoState.SAFE, "AddKey"): CryptoState.SAFE,',
        '(CryptoState.SAFE, "AddKey"): CryptoState.SAFE,\n'
        '        (CryptoState.INCAPABLE, "AddKey"): CryptoState.INCAPABLE,',
    ),
    Mutant(
        40,
        "vcenter.host_encryption",
        "host=host.name,\n            )\n        caller",
        "host=host.name,\n            )\n        return\n        caller",
    ),
    Mutant(
        40,
        "vcenter.host_encryption",
        "if other.name != host.name] if everywhere else []",
        "if other.name != host.name]",
    ),
    Mutant(
        41,
        "host.disk",
        "ciphertext = self._cipher.encrypt(first, head + data + tail)",
        "ciphertext = head + data + tail",
    ),
    Mutant(
        41,
        "host.disk",
        "_write_fully(fd, new.encrypt(offset // new.sector_size, plain), offset)",
        "_write_fully(fd, plain, offset)",
    ),
    Mutant(
        41,
        "host.volume",
        "if not self.is_encrypted():\n                overwrite(self._old_data)",
        "if False:\n                overwrite(self._old_data)",
    ),
    Mutant(
        41,
        "host.layers",
        "volume.create(Descriptor.parse(text), size, new, chunks)",
        "volume.create(Descriptor.parse(text), size, None, chunks)",
    ),
    Mutant(
        42,
        "vcenter.machines",
        "mode = EncryptionMode.REQUIRED if info.key_ids else",
        "mode = EncryptionMode.DISABLED if info.key_ids else",
    ),
    Mutant(
        42,
        "vmotion.migrations",
        "return staging.has_arrived(self._host.folder, name, migration_id)",
        "return True",
    ),
    Mutant(
        42,
        "vcenter.migrations",
        "if has_left:\n            self._moved",
        "if not has_left:\n            self._moved",
    ),
    Mutant(42, "vmotion.packets", "if spec.key is not None:", "if False:"),
    Mutant(42, "nbd.export", "and not _is_loopback(self.listen)", "and False"),
    Mutant(43, "host.host", "if (folder / ROLE_FILE).exists():", "if False:"),
    Mutant(
        44,
        "vcenter.key_providers",
        "ProviderRecord(provider_id, ManagementType.TRUSTED)",
        "ProviderRecord(provider_id, ManagementType.NATIVE)",
    ),
    Mutant(
        45,
        "providers.base",
        'return CryptoKeyId(self.provider_id, "")',
        'return CryptoKeyId(self.provider_id, "made-by-vcenter")',
    ),
    Mutant(
        46,
        "host.service",
        '"internal" if self._keys.sources.has(key_id.provider_id) else "external"',
        '"external"',
    ),
    Mutant(47, "host.volume", "dek = Secret.random(DEK_SIZE)", "dek = Secret(bytes(range(64)))"),
    Mutant(
        47,
        "host.volume",
        "dek = None if new is None else Secret.random(DEK_SIZE)",
        "dek = None if new is None else Secret(bytes(range(64)))",
    ),
)
"""Ordered by requirement; some have several."""

# The short form ----------------------------------------------------------------------------------

_FAST_TESTS: Mapping[str, Mapping[int, str]] = {
    "unit/vsphere/test_providers.py": {
        1: "test_r01_each_provider_tells_who_takes_part",
        3: "test_r03_requests_go_to_the_servers_of_the_provider",
        4: "test_r04_a_standard_provider_without_a_server_is_red_and_refused",
        7: "test_r07_the_key_server_makes_the_key_and_keeps_it_over_a_restart",
        12: "test_r12_a_provider_is_added_and_shown",
        13: "test_r13_a_server_of_another_vendor_is_refused",
        14: "test_r14_a_server_that_lacks_a_key_is_reported",
        15: "test_r15_r16_r17_defaults",
        16: "test_r15_r16_r17_defaults",
        17: "test_r15_r16_r17_defaults",
        22: "test_r22_r23_vcenter_lists_key_ids_after_a_restart_and_holds_no_keys",
        23: "test_r22_r23_vcenter_lists_key_ids_after_a_restart_and_holds_no_keys",
    },
    "unit/vsphere/test_native.py": {
        2: "test_r02_r05_no_key_server_takes_part",
        5: "test_r02_r05_no_key_server_takes_part",
        10: "test_r10_every_host_of_the_cluster_gets_the_same_primary_key",
        11: "test_r11_r45_r46_hosts_make_and_find_keys_without_vcenter",
        30: "test_r30_the_primary_key_is_random_and_has_256_bits",
        45: "test_r45_vcenter_pushes_no_key_for_a_machine",
        46: "test_r11_r45_r46_hosts_make_and_find_keys_without_vcenter",
    },
    "integration/test_vsphere_key_servers.py": {
        6: "test_r06_r19_r37_only_vcenters_certificate_reaches_the_key_server",
        18: "test_r18_a_foreign_key_server_does_as_well",
        19: "test_r06_r19_r37_only_vcenters_certificate_reaches_the_key_server",
        37: "test_r06_r19_r37_only_vcenters_certificate_reaches_the_key_server",
    },
    "unit/vsphere/test_hosts.py": {
        8: "test_r08_r21_r38_the_key_goes_from_the_key_server_by_vcenter_to_the_host",
        20: "test_r20_persistence_needs_a_tpm_and_unlocks_without_vcenter",
        21: "test_r08_r21_r38_the_key_goes_from_the_key_server_by_vcenter_to_the_host",
        36: "test_r36_r47_keys_of_the_key_server_only_lock_data_keys_which_the_host_makes",
        38: "test_r08_r21_r38_the_key_goes_from_the_key_server_by_vcenter_to_the_host",
        41: "test_r41_what_a_guest_wrote_is_not_on_the_datastore",
        47: "test_r36_r47_keys_of_the_key_server_only_lock_data_keys_which_the_host_makes",
    },
    "unit/vsphere/test_trusted.py": {
        9: "test_r09_an_unattested_host_gets_no_key",
        25: "test_r25_the_workload_vcenter_cannot_ask_keys_of_a_trusted_provider",
        26: "test_r26_access_depends_on_the_state_of_the_host",
        27: "test_r27_both_roles_on_one_vcenter_are_refused",
        29: "test_r29_only_trusted_admins_administer",
        43: "test_r43_a_host_has_one_of_both_roles",
        44: "test_r09_r44_a_key_reaches_an_attested_host_without_vcenter",
    },
    "unit/vsphere/test_privileges.py": {
        24: "test_r24_without_the_privilege_nothing_is_asked_and_nothing_changes[EncryptVM]",
        28: "test_r28_r31_privileges_are_the_same_for_trusted_and_native_providers[trusted]",
        31: "test_r28_r31_privileges_are_the_same_for_trusted_and_native_providers[trusted]",
        32: "test_r32_roles_are_given_to_groups",
        33: "test_r33_r35_each_operation_is_an_event_with_user_time_key_and_operation",
        34: "test_r34_events_are_exported_and_filtered",
        35: "test_r33_r35_each_operation_is_an_event_with_user_time_key_and_operation",
    },
    "unit/vsphere/test_host.py": {
        39: "test_r39_a_host_that_is_not_safe_takes_no_keys[incapable]",
    },
    "unit/vsphere/test_clusters.py": {
        40: "test_r40_without_the_right_nothing_is_made[EncryptVM]",
    },
    "unit/vsphere/test_vmotion.py": {
        42: "test_r42_an_encrypted_machine_moves_encrypted_whatever_its_setting",
    },
}
"""File to requirement to the fastest test that notices the first mutant of the requirement."""


def _short_form() -> Iterator[tuple[Mutant, str]]:
    tests = {
        requirement: f"tests/{file}::{name}"
        for file, names in _FAST_TESTS.items()
        for requirement, name in names.items()
    }
    for requirement, test in sorted(tests.items()):
        first = next(mutant for mutant in MUTANTS if mutant.requirement == requirement)
        yield first, test


FASTEST = tuple(_short_form())
"""One mutant of each requirement, and the test that notices it."""
