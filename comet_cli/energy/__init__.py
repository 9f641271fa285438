"""The mathematics of the paper: sums of energies, and descent on them."""
