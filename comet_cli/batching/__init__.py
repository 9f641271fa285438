"""Many compositions of one list: read, checked, rendered together, resumed, and shared out."""
