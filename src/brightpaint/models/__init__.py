"""The class-guided image-to-image diffusion model: train it, sample from it."""
