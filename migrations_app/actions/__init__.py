"""What people do with a migration, one function a verb. Each changes state by compare-and-set and leaves an audit
event in the same transaction; side effects happen on commit."""
