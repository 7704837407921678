"""Vaults for the root key: a module for each kind, and one table of them (:mod:`.kinds`)."""
