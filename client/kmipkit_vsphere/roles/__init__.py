"""The roles as long-running processes, one file each."""
