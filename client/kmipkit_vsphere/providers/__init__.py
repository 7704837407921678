"""Key providers: where the keys that encrypt machines come from."""
