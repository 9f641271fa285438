"""The paper's figures, made from installed models and example inputs."""
