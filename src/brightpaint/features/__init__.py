"""From images to profiles: CellProfiler, pycytominer, embeddings."""
