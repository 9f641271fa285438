"""The models that the paper compares itself with: β-VAE, InfoGAN, MONet."""
