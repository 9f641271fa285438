"""The released code's checkpoints: import and export."""
