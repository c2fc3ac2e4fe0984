"""One module and one command a figure."""
