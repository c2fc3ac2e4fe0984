"""Snakemake as its command line is, but with a look at the queue every two seconds.

The SLURM plugin looks ten seconds later each time that nothing has ended, so the tests of a study of half-minute jobs
would be spent in waiting. How often it looks is all that is changed: what it asks and does is the plugin's own.
"""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

SECONDS = 2


async def sleep(self) -> None:
    """Wait until the next look."""
    await asyncio.sleep(SECONDS)


if __name__ == "__main__":
    RemoteExecutor.sleep = sleep
    main()
