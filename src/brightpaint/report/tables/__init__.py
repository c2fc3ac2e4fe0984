"""One module and one command a table."""
