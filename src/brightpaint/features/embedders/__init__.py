"""Networks that turn images into numbers: one module an embedder."""
