"""The cases of tools/gen_suite.py, by subject."""
