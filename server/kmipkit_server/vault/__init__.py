"""Where the root key lives: a file for now."""
