"""Many compositions of one call: lists, shards, batches, resuming."""
