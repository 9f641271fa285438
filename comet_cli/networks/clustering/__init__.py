"""Objects found by clustering colours."""
