"""What a managed object is, and the rules for creating, changing and using one."""
