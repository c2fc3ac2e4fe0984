"""The plates wing against its peers and limits. Each subcommand prints one JSON line a measurement.

    python bench/plates.py fetch [--gb 2] [--aws PATH] [--nginx PATH] [--folder DIR]    # against aws s3 cp --recursive
    python bench/plates.py faults [--rows 16] [--columns 24] [--sites 6] [--seed 1]     # a failing server, three kills
    python bench/plates.py dry-run --plates datasets_plate.csv.gz                       # every TARGET2 plate
    python bench/plates.py corrections --folder DIR [--cellprofiler cellprofiler]       # against CellProfiler
    python bench/plates.py stacks --folder DIR                      # against the page cache's memory bandwidth
    python bench/plates.py growth --folder DIR                      # memory and CPU at 192 and at 2,304 fields
    python bench/plates.py unpack --folder DIR [--bits 8]           # tabulate --unpack against a plain copy

What each one measures stands in plates_network.py and plates_stages.py.
"""

from __future__ import annotations

import argparse

import plates_network
import plates_stages


def main(argv: list[str] | None = None) -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    plates_network.add_commands(commands)
    plates_stages.add_commands(commands)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
