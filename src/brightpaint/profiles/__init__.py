"""From numbers of cells and fields to what a compound does."""
