"""Pages of sign-in, of one's own account and of everybody's roles."""
