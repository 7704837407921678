"""Vaults for the root key: currently a file."""
