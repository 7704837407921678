"""The server as a service of the machine: its files, checks before a start, and reload."""
