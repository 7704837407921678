"""The audit log: who has done what, to which object, from where, and with which result."""
