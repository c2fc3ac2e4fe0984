"""Who may measure cells, `cellprofiler.engine`: the names in the config and for people. Standard library only."""

# What CellProfiler measured bears no record, as no table did before there was another engine.
UNRECORDED, FAST = "cellprofiler", "fast"
ENGINES = {UNRECORDED: "CellProfiler", FAST: "the fast engine"}
