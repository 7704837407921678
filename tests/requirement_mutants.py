"""For each requirement R1 to R47 a mutant: a change that breaks what the requirement says.

The tests of the requirement, and they alone, must fail with it (tests/unit/vsphere/test_mutants.py).
"""

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
)
"""Ordered by requirement; some have several."""
