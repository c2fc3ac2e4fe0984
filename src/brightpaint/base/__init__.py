"""What every other package may use: how a command runs, seeds, whole files, threads, intensity scales."""
