"""A Python that has its libraries loaded: what is run in it is a fork of one process, `python -m` without the imports.

Two thirds of a plan's CPU, and most of a tiny study's, went into importing Snakemake, pandas and torch anew for each
process. A fork has its own memory, working directory, environment, output and exit code, and loads brightpaint's modules
itself; forks of one server share the seed of Python's hashes. A server listens on a socket; its `program` is a `python`
for the PATH that hands its arguments, environment and files over. One that plans has parsed this workflow's files, too.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What a fork of each server finds loaded: libraries alone.
PLANNING = ["snakemake.cli", "snakemake.api", "snakemake.dag", "smart_open", "pandas", "jsonschema"]
WORKING = ["pandas", "pyarrow.parquet", "scipy.ndimage", "scipy.stats", "tifffile", "tqdm", "torch", "safetensors.torch",
           "sklearn.manifold", "sklearn.covariance", "matplotlib.pyplot", "boto3", "jsonschema", "pycytominer",
           "transformers.models.vit.modeling_vit", "numba", "skimage.measure", "skimage.metrics"]  # fmt: skip
# The `python` of the PATH: as little as Python allows, for it is started once a job.
PROGRAM = """#!{python} -ISE
import array, json, os, signal, socket, sys
there = socket.socket(socket.AF_UNIX)
there.connect({address!r})
text = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = array.array("i", [0, 1, 2]).tobytes()
there.sendmsg([len(text).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
there.sendall(text)
answer = there.makefile()
worker = int(answer.readline())
for name in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(name, lambda number, frame: os.kill(worker, number))
sys.exit(int(answer.readline()))
"""


def start(folder: Path, modules: Sequence[str], process: int) -> None:
    """Start a server in `folder`, which ends with `process`; what it has forked goes on."""
    program, server = folder / "bin" / "python", Warm(folder)
    command = [sys.executable, __file__, server.address, str(process), *modules]
    serving = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while not os.path.exists(server.address):
        if serving.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended with {serving.returncode}")
        time.sleep(0.02)
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, address=server.address))
    program.chmod(0o755)


class Warm:
    """The server in a folder, and what asks it."""

    def __init__(self, folder: Path):
        self.address = str(folder / "socket")
        self.program = folder / "bin" / "python"

    def run(self, arguments: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
        """Run `python ARGUMENTS`; all output is in `.stdout`."""
        with socket.socket(socket.AF_UNIX) as there, tempfile.TemporaryFile() as said, open(os.devnull) as nothing:
            there.connect(self.address)
            text = json.dumps([arguments, os.getcwd(), environment]).encode()
            files = [nothing.fileno(), said.fileno(), said.fileno()]
            socket.send_fds(there, [len(text).to_bytes(8, "big")], files)
            there.sendall(text)
            code = int(there.makefile().read().split()[1])
            said.seek(0)
            return subprocess.CompletedProcess(arguments, code, said.read().decode(errors="replace"))


def keep_parsed() -> None:
    """Parse this workflow's files once, for all plans: a third of the CPU of one. Files of other text are parsed anew."""
    workflow = importlib.import_module("snakemake.workflow")
    parse, kept, codes = workflow.parse, {}, {}
    source = types.SimpleNamespace(open=lambda path: open(path.get_path_or_uri(secret_free=True)))

    def kept_parse(path, flow, linemap, overwrite_shellcmd=None, rulecount=0):
        name = path.get_path_or_uri(secret_free=True)
        if overwrite_shellcmd or name not in kept or Path(name).read_text() != kept[name][0]:
            return parse(path, flow, linemap, overwrite_shellcmd, rulecount)
        linemap.update(kept[name][2])
        return kept[name][1], rulecount + kept[name][3]

    for path in (ROOT / "Snakefile", *sorted((ROOT / "workflow").rglob("*.smk"))):
        lines = {}
        found = workflow.infer_source_file(path)
        text, rules = parse(found, types.SimpleNamespace(sourcecache=source), lines)
        name = found.get_path_or_uri(secret_free=True)
        kept[name] = (path.read_text(), text, lines, rules)
        codes[text, name] = compile(text, name, "exec")
    workflow.parse = kept_parse
    workflow.compile = lambda text, name, mode: codes.get((text, name)) or compile(text, name, mode)


def serve(address: str, process: int, modules: Sequence[str]) -> None:
    """Load `modules`, then answer until `process` ends."""
    for name in modules:
        importlib.import_module(name)
    if "snakemake.cli" in modules:
        sys.modules["snakemake.cli"].get_argument_parser()  # finds and loads its plugins
        keep_parsed()
    here = socket.socket(socket.AF_UNIX)
    here.bind(f"{address}.new")
    here.listen(64)
    os.rename(f"{address}.new", address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's, which then ends
    ended = os.pidfd_open(process)
    while ended not in select.select([here, ended], [], [])[0]:
        there, _ = here.accept()
        if not os.fork():
            here.close()
            attend(there)
        there.close()


def attend(there: socket.socket) -> None:
    """Run what is asked for in a fork of its own, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    size, files, _, _ = socket.recv_fds(there, 8, 3)
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += there.recv(1 << 20)
    worker = os.fork()
    if not worker:
        there.close()
        work(files, *json.loads(text))
    there.sendall(f"{worker}\n".encode())
    ended = os.pidfd_open(worker)
    if ended not in select.select([there, ended], [], [])[0]:
        os.kill(worker, signal.SIGTERM)  # who asked is gone
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        there.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
    os._exit(0)


def work(files: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be `python -m MODULE ...`."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:1] = [folder, *path]
    code = 0
    try:
        flag, module, *rest = arguments
        if flag != "-m":
            raise ValueError(f"only `python -m MODULE` is known here, not {arguments}")
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
    os._exit(0)  # nothing to tidy up; to take torch down takes seconds
