"""What lies between a stack's pixels and what a network sees: nothing, or a codec that makes latents of them."""
