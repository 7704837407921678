# Made by tools/unasync.py from _async/__init__.py; do not edit.
"""The blocking client."""
