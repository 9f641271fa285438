"""What pictures are rendered of."""
