"""Training: recipes, losses, the loop, checkpoints, and the way to a model folder."""
