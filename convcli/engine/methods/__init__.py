"""Ways to compute a convolution, one module each."""
