"""What a user names on the command line, opened: selections, files, models."""
