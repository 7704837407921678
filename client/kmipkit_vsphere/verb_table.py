"""``kmipkit vcenter call …``: every subcommand, as data."""

import click

from kmipkit_vsphere.privileges import Privilege
from kmipkit_vsphere.verbs import (
    BINARY_FILE,
    KEY_ID,
    PAIR,
    PASSWORD_FILE,
    PORT,
    SIZE,
    TEXT_FILE,
    Argument,
    Many,
    Verb,
)

_PROVIDER = Argument("PROVIDER", "clusterId")
_SERVER = (
    _PROVIDER,
    Argument("NAME", "info.name"),
    Argument("ADDRESS", "info.address"),
    Argument("--port", "info.port", PORT, 5696),
    Argument("--timeout", "info.timeout", click.IntRange(0, 3600), help="Seconds for an answer."),
    Argument("--user", "info.userName", help="User name to send, if the server wants one."),
    Argument("--password-file", "password", PASSWORD_FILE, help="The password that goes with it."),
)
_NAME = Argument("NAME", "name")
_HOST = Argument("HOST", "host")
_KEY_PROVIDER = Argument("--provider", "keyProvider", help="Instead of the default one.")
_PART = Argument("--part", "parts", Many(str), help="home, disk, disk1…; all if not given.")
_SUBJECT = Argument("--subject", "request", Many(PAIR), help="Such as commonName=vc1.")
_CERTIFICATE = Argument("CERTIFICATE", "certificate", TEXT_FILE)
_EVENT_FILTERS = (
    Argument("--since", "since", help="Time in ISO 8601."),
    Argument("--until", "until", help="Time in ISO 8601."),
    Argument("--user", "user", help="Who did it."),
    Argument("--key", "keyId", help="Id of the key."),
    Argument("--type", "eventTypeId", help="Beginning of the event id, such as crypto."),
)

PROVIDER_VERBS = (
    Verb(
        "add-key-server",
        "RegisterKmipServer",
        "Add a key server to the key provider PROVIDER, which is made if it is new.",
        (*_SERVER, Argument("--any-vendor", "anyVendor", bool, help="Not only the same vendor.")),
        "add-key-server KMS kms1 192.0.2.7",
    ),
    Verb(
        "update-key-server",
        "UpdateKmipServer",
        "Change a key server.",
        _SERVER,
        "update-key-server KMS kms1 192.0.2.8",
    ),
    Verb(
        "remove-key-server",
        "RemoveKmipServer",
        "Take a key server out of a key provider.",
        (_PROVIDER, Argument("NAME", "serverName")),
        "remove-key-server KMS kms1",
    ),
    Verb(
        "register-provider",
        "RegisterKmsCluster",
        "Make a trusted key provider known.",
        (_PROVIDER,),
        "register-provider TKP",
    ),
    Verb(
        "remove-provider",
        "UnregisterKmsCluster",
        "Forget a standard or trusted key provider.",
        (_PROVIDER,),
        "remove-provider KMS",
    ),
    Verb(
        "use-wrapping-key",
        "ConfigureWrappingKey",
        "Keep only a wrapping key on the key server (wrapped keys of vSphere 9).",
        (
            _PROVIDER,
            Argument("--key", "keyId", help="Id of a wrapping key that is there."),
            Argument("--days", "rotationInterval", int, help="Have one made every so many days."),
        ),
        "use-wrapping-key KMS --days 90",
    ),
    Verb("key-providers", "ListKmsClusters", "List the key providers and their servers."),
    Verb(
        "status",
        "RetrieveKmipServersStatus",
        "Ask every key server whether it answers; colours and reasons.",
    ),
    Verb(
        "mark-default",
        "SetDefaultKmsCluster",
        "Take new keys from the key provider PROVIDER.",
        (_PROVIDER, Argument("--entity", "entity", help="Only there: cluster/NAME, folder/NAME.")),
        "mark-default KMS --entity cluster/production",
    ),
    Verb(
        "default-provider",
        "GetDefaultKmsCluster",
        "Show where new keys come from.",
        (
            Argument("--entity", "entity", help="Of a cluster or folder."),
            Argument("--or-parent", "defaultsToParent", bool, help="Climb to what holds it."),
        ),
    ),
    Verb(
        "server-certificate",
        "RetrieveKmipServerCert",
        "Show the certificate of a key server, trusted or not.",
        (_PROVIDER, Argument("NAME", "serverName")),
        "server-certificate KMS kms1",
    ),
    Verb(
        "trust-server",
        "UploadKmipServerCert",
        "Trust key servers that show this certificate, and no others.",
        (_PROVIDER, _CERTIFICATE),
        "trust-server KMS kms1.pem",
    ),
    Verb(
        "root-certificate",
        "RetrieveRootCert",
        "Trust by root: print the authority of vCenter, for the key server to trust.",
    ),
    Verb(
        "issue-client-certificate",
        "IssueClientCert",
        "Trust by root: use a client certificate of vCenter's authority.",
        (_PROVIDER, _SUBJECT),
        "issue-client-certificate KMS",
    ),
    Verb(
        "new-client-certificate",
        "GenerateSelfSignedClientCert",
        "Trust by certificate: make a self-signed one and print it.",
        (_PROVIDER, _SUBJECT),
        "new-client-certificate KMS --subject commonName=vc1",
    ),
    Verb(
        "new-client-request",
        "GenerateClientCsr",
        "Trust by signing request: make one and print it.",
        (_PROVIDER, _SUBJECT),
        "new-client-request KMS --subject commonName=vc1",
    ),
    Verb(
        "use-client-certificate",
        "UpdateSelfSignedClientCert",
        "Use the certificate that was made, or the one that was signed for the request.",
        (_PROVIDER, Argument("--signed", "certificate", TEXT_FILE, help="The signed one.")),
        "use-client-certificate KMS --signed vc1.pem",
    ),
    Verb(
        "upload-client-certificate",
        "UploadClientCert",
        "Trust by a pair that the key server made: upload certificate and key.",
        (_PROVIDER, _CERTIFICATE, Argument("KEY", "privateKey", TEXT_FILE)),
        "upload-client-certificate KMS client.pem client.key",
    ),
    Verb(
        "client-certificate",
        "RetrieveClientCert",
        "Print what vCenter shows to the key servers of a provider.",
        (_PROVIDER,),
        "client-certificate KMS",
    ),
    Verb(
        "create-native-provider",
        "CreateNativeProvider",
        "Make a native key provider; export it before it can be used.",
        (
            Argument("PROVIDER", "provider"),
            Argument("--any-host", "anyHost", bool, help="Also for hosts without a TPM."),
        ),
        "create-native-provider NKP --any-host",
    ),
    Verb(
        "restore-provider",
        "ImportProvider",
        "Bring a native key provider back from its backup.",
        (
            Argument("FILE", "backup", BINARY_FILE),
            Argument("--password-file", "password", PASSWORD_FILE),
            Argument("--dry-run", "dryRun", bool, help="Only say what would be done."),
        ),
        "restore-provider NKP.p12 --password-file secret --dry-run",
    ),
    Verb(
        "delete-native-provider",
        "DeleteNativeProvider",
        "Forget a native key provider, here and on the hosts.",
        (Argument("PROVIDER", "provider"), Argument("--force", "force", bool)),
        "delete-native-provider NKP",
    ),
    Verb(
        "generate-key",
        "GenerateKey",
        "Have a key made; prints its id.",
        (
            _KEY_PROVIDER,
            Argument("--attribute", "customAttributes", Many(PAIR), help="Custom attribute."),
        ),
        "generate-key --attribute Department=finance",
    ),
    Verb("keys", "ListKeys", "List the ids of all keys made or used here."),
    Verb(
        "key-status",
        "QueryCryptoKeyStatus",
        "Show whether keys are available, and what uses them.",
        (Argument("KEYS", "keyIds", Many(KEY_ID)),),
        "key-status KMS/1b2c",
    ),
    Verb(
        "remove-keys",
        "RemoveKeys",
        "Forget keys in vCenter and on hosts; key servers keep them.",
        (Argument("KEYS", "keyIds", Many(KEY_ID)), Argument("--force", "force", bool)),
        "remove-keys KMS/1b2c --force",
    ),
)

INVENTORY_VERBS = (
    Verb(
        "create-folder",
        "CreateFolder",
        "Make a folder.",
        (_NAME, Argument("--parent", "parent", help="Such as folder/site1.")),
        "create-folder finance",
    ),
    Verb(
        "create-cluster",
        "CreateCluster",
        "Make a cluster of hosts.",
        (_NAME, Argument("--parent", "parent", help="Such as folder/site1.")),
        "create-cluster production",
    ),
    Verb(
        "set-crypto-mode",
        "SetCryptoMode",
        "Make all hosts of a cluster safe (forceEnable), or only those that need it (onDemand).",
        (_NAME, Argument("MODE", "cryptoMode", click.Choice(["onDemand", "forceEnable"]))),
        "set-crypto-mode production forceEnable",
    ),
    Verb(
        "encrypt-vsan",
        "EncryptVsan",
        "Encrypt the disk groups of a cluster; its hosts fetch the key themselves.",
        (
            _NAME,
            _KEY_PROVIDER,
            Argument("--rekey", "rekey", bool, help="A new key."),
            Argument("--deep", "deep", bool, help="Write all data anew."),
        ),
        "encrypt-vsan production",
    ),
    Verb("inventory", "ListInventory", "List folders, clusters, hosts and machines."),
    Verb(
        "add-host",
        "AddHost",
        "Take a host into the inventory.",
        (
            _NAME,
            Argument("ADDRESS", "address"),
            Argument("PORT", "port", PORT),
            Argument("--parent", "parent", help="Such as cluster/production."),
        ),
        "add-host esx01 192.0.2.11 5989",
    ),
    Verb("remove-host", "RemoveHost", "Forget a host.", (_NAME,), "remove-host esx01"),
    Verb(
        "reconnect-host",
        "ReconnectHost",
        "Connect to a host again, and give it its keys.",
        (_NAME, Argument("--address", "address"), Argument("--port", "port", PORT)),
        "reconnect-host esx01",
    ),
    Verb(
        "enable-encryption",
        "ConfigureCryptoKey",
        "Put a host into encryption mode with a host key.",
        (_HOST,),
        "enable-encryption esx01",
    ),
    Verb(
        "change-host-key",
        "ChangeHostKey",
        "Give a host a new host key.",
        (_HOST,),
        "change-host-key esx01",
    ),
    Verb(
        "disable-encryption",
        "DisableCrypto",
        "Take a host out of encryption mode, at its next start.",
        (_HOST,),
        "disable-encryption esx01",
    ),
    Verb(
        "key-persistence",
        "SetKeyPersistence",
        "Have a host with a TPM keep its keys over a reboot, or no longer.",
        (
            _HOST,
            Argument("--enable", "enable", bool),
            Argument("--remove-all-stored-keys", "removeAllStoredKeys", bool),
        ),
        "key-persistence esx01 --enable",
    ),
    Verb(
        "dump-core",
        "DumpCore",
        "Have a host write a core dump of itself (hostd) or of a machine.",
        (_HOST, Argument("WORLD", "world")),
        "dump-core esx01 hostd",
    ),
    Verb("core-dumps", "ListCoreDumps", "List a host's core dumps.", (_HOST,), "core-dumps esx01"),
    Verb(
        "create-vm",
        "CreateVM",
        "Make a machine with an empty disk of SIZE bytes.",
        (
            _HOST,
            _NAME,
            Argument("SIZE", "diskSize", SIZE),
            Argument("--folder", "folder", help="Such as folder/finance."),
            Argument("--encrypt", "encrypt", bool, help="From the beginning."),
            _KEY_PROVIDER,
        ),
        "create-vm esx01 db1 10485760 --encrypt",
    ),
    Verb(
        "encrypt-vm",
        "EncryptVM",
        "Encrypt a machine with a new key.",
        (_NAME, _KEY_PROVIDER, _PART),
        "encrypt-vm db1",
    ),
    Verb(
        "decrypt-vm",
        "DecryptVM",
        "Write a machine's plain text back.",
        (_NAME, _PART),
        "decrypt-vm db1",
    ),
    Verb(
        "recrypt-vm",
        "RecryptVM",
        "Give a machine a new key; with --deep write all data anew.",
        (_NAME, Argument("--deep", "deep", bool), _KEY_PROVIDER, _PART),
        "recrypt-vm db1 --deep",
    ),
    Verb(
        "clone-vm",
        "CloneVM",
        "Clone a machine, with the same keys.",
        (_NAME, Argument("NEW_NAME", "newName")),
        "clone-vm db1 db2",
    ),
    Verb(
        "add-disk",
        "AddDisk",
        "Add an empty disk; encrypted in an encrypted machine.",
        (_NAME, Argument("SIZE", "diskSize", SIZE), _KEY_PROVIDER),
        "add-disk db1 10485760",
    ),
    Verb(
        "remove-disk",
        "RemoveDisk",
        "Take a disk out of a machine; its files stay.",
        (_NAME, Argument("DISK", "disk", click.IntRange(0, 14))),
        "remove-disk db1 1",
    ),
    Verb(
        "migrate-encryption",
        "SetMigrateEncryption",
        "Set how a machine moves to another host.",
        (
            _NAME,
            Argument(
                "MODE",
                "migrateEncryption",
                click.Choice(["disabled", "opportunistic", "required"]),
            ),
        ),
        "migrate-encryption web1 required",
    ),
    Verb(
        "migrate-vm",
        "MigrateVM",
        "Move a machine to another host, with its files and memory.",
        (_NAME, Argument("TARGET", "target")),
        "migrate-vm db1 esx02",
    ),
    Verb(
        "register-vm",
        "RegisterVM",
        "Take a machine into the inventory whose files lie on a host's datastore.",
        (_HOST, _NAME, Argument("--folder", "folder", help="Such as folder/finance.")),
        "register-vm esx02 db1",
    ),
    Verb(
        "unregister-vm",
        "UnregisterVM",
        "Forget a machine; its files stay.",
        (_NAME,),
        "unregister-vm db1",
    ),
    Verb(
        "unlock-vm",
        "CryptoUnlock",
        "Give a locked machine's keys to its host, and unlock it.",
        (_NAME,),
        "unlock-vm db1",
    ),
    Verb("power-on", "PowerOnVM", "Power a machine on.", (_NAME,), "power-on db1"),
    Verb("power-off", "PowerOffVM", "Power a machine off.", (_NAME,), "power-off db1"),
    Verb("vms", "ListVMs", "List the machines, with their state and keys."),
)

ACCESS_VERBS = (
    Verb(
        "events",
        "QueryEvents",
        "Show what was done with keys, and by whom.",
        (*_EVENT_FILTERS, Argument("--limit", "limit", click.IntRange(1, 1000), 100)),
        "events --user administrator --type crypto.Operation",
    ),
    Verb(
        "export-events",
        "ExportEvents",
        "Print the events as CSV or as JSON lines.",
        (
            *_EVENT_FILTERS,
            Argument("--format", "format", click.Choice(["csv", "jsonl"]), "csv"),
        ),
        "export-events --format jsonl > events.jsonl",
    ),
    Verb("roles", "ListRoles", "List the roles with their privileges."),
    Verb(
        "set-role",
        "SetRole",
        "Make or change a role.",
        (
            _NAME,
            Argument("--based-on", "basedOn", help="Begin with what this role allows."),
            Argument(
                "--privilege",
                "privileges",
                Many(click.Choice([one.value for one in Privilege])),
            ),
        ),
        "set-role Encrypter --based-on NoCryptoAdmin --privilege Cryptographer.Encrypt",
    ),
    Verb("remove-role", "RemoveRole", "Forget a role.", (_NAME,), "remove-role Encrypter"),
    Verb("groups", "ListGroups", "List the groups with their members."),
    Verb(
        "set-member",
        "SetMember",
        "Take a user into a group, or out of it.",
        (
            Argument("GROUP", "group"),
            Argument("MEMBER", "member"),
            Argument("--remove", "remove", bool),
        ),
        "set-member crypto-team ada",
    ),
    Verb("permissions", "ListPermissions", "List who has which role on what."),
    Verb(
        "set-permission",
        "SetPermission",
        "Give a user or a group a role, on everything or on one entity.",
        (
            Argument("PRINCIPAL", "principal"),
            Argument("ROLE", "role"),
            Argument("--group", "group", bool, help="PRINCIPAL is a group."),
            Argument("--entity", "entity", help="Such as folder/finance or machine/db1."),
        ),
        "set-permission crypto-team NoCryptoAdmin --group --entity folder/finance",
    ),
    Verb(
        "remove-permission",
        "RemovePermission",
        "Take back what was given on an entity.",
        (
            Argument("PRINCIPAL", "principal"),
            Argument("--group", "group", bool, help="PRINCIPAL is a group."),
            Argument("--entity", "entity", help="Such as folder/finance or machine/db1."),
        ),
        "remove-permission ada",
    ),
)

VCENTER_VERBS = PROVIDER_VERBS + INVENTORY_VERBS + ACCESS_VERBS
