"""When something may be done. Who may do it is `accounts.permissions`."""
