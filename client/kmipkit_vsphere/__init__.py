"""Virtual-machine encryption without vSphere: the vCenter role, the ESXi-host role and their disks.

The vCenter role alone talks KMIP to the key server and keeps key ids only; the host role holds keys
in memory only and uses them to open the data keys that lie, wrapped, beside each machine's files.
"""
