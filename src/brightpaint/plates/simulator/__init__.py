"""The simulated microscope: cells, their stains and phenotypes, and the images taken of them."""
