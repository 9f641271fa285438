"""The torch modules: encoders and energies."""
