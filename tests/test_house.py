"""The house keeps its shape: imports run downwards, one word a rule, no name of a kind or space outside its registry."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path

import pytest

from conftest import ROOT

SRC = ROOT / "src" / "brightpaint"
WINGS = ["base", "study", "store", "plates", "models", "features", "profiles", "scores", "report", "plan"]
MODULES = {
    ".".join(("brightpaint", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SRC.rglob("*.py"))
}
RULES = sorted((ROOT / "workflow" / "rules").rglob("*.smk"))
MOST_LINES, MOST_RULE_LINES = 300, 350


def imports_of(name: str, source: str) -> set[str]:
    """Return the modules of brightpaint that a module imports, anywhere in it."""
    found, tree = set(), ast.parse(source)
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    unused = {id(node) for block in typing for node in ast.walk(block)}  # names for annotations: nothing is imported
    for node in ast.walk(tree):
        if id(node) in unused:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            others = len(submodules) < len(node.names)
            found |= submodules | ({node.module} if others else set())
    return found - {name, "brightpaint"}


def wing_of(name: str) -> str:
    return name.split(".")[1]


def upward(arrows: dict[str, set[str]]) -> list[str]:
    """Return the imports that run from a wing to one above it."""
    return [
        f"{name} imports {other}"
        for name, others in arrows.items()
        for other in sorted(others)
        if WINGS.index(wing_of(other)) > WINGS.index(wing_of(name))
    ]


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle of imports, in order; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if found := walk(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next(filter(None, (walk(name, []) for name in sorted(arrows))), [])


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    return {name: imports_of(name, path.read_text()) for name, path in MODULES.items() if name != "brightpaint"}


def test_every_module_lies_in_a_wing():
    assert {wing_of(name) for name in MODULES if name != "brightpaint"} == set(WINGS)


def test_imports_run_downwards(arrows):
    assert upward(arrows) == []


def test_imports_go_in_no_circle(arrows):
    # A package that only gathers its modules' names (store) imports them, and they one another.
    assert circle(arrows) == []


def test_the_checks_of_imports_can_fail():
    arrows = {"brightpaint.plates.a": {"brightpaint.report.b"}, "brightpaint.report.b": {"brightpaint.plates.a"}}
    assert upward(arrows) == ["brightpaint.plates.a imports brightpaint.report.b"]
    assert circle(arrows) == ["brightpaint.plates.a", "brightpaint.report.b"]
    assert imports_of("x", "def f():\n    from brightpaint.store import read_table, names\n") == {
        "brightpaint.store", "brightpaint.store.names",
    }  # fmt: skip


def test_no_module_and_no_rule_file_is_long():
    long = {path: MOST_LINES for path in MODULES.values()} | {path: MOST_RULE_LINES for path in RULES}
    found = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in long}
    assert {name: lines for name, lines in found.items() if lines > long[ROOT / name]} == {}


def test_no_two_modules_share_a_name():
    """Packages may: a folder of scores bears the name of the wing whose numbers it scores."""
    names = Counter(path.stem for path in MODULES.values() if not path.stem.startswith("__"))
    assert {name for name, count in names.items() if count > 1} == set()


def rules() -> dict[str, str]:
    """Return {rule: its text} of every rule that runs a command."""
    found = {}
    for path in RULES:
        for block in re.split(r"(?m)^(?=(?:rule|use rule) )", path.read_text())[1:]:
            name = re.match(r"rule (\w+)|use rule \w+ as (\w+)", block)
            found[name.group(1) or name.group(2)] = block
    return {name: block for name, block in found.items() if "shell:" in block or block.startswith("use rule")}


@pytest.mark.parametrize("rule", rules())
def test_a_rule_its_module_its_log_and_its_test_bear_one_word(rule):
    block = rules()[rule]
    commands = re.findall(r"(?:python -m|launch [^)]*\)) (brightpaint\.[a-z_.]+)", block)
    assert {command.rsplit(".", 1)[1] for command in commands} == {rule}
    assert all(command in MODULES for command in commands), commands
    named = re.findall(r'"<(logs|benchmarks)>/(\w+)[./]', block)
    assert ("logs", rule) in named and {word for _, word in named} == {rule}
    assert list((ROOT / "tests").rglob(f"test_{rule}.py")), f"no tests/**/test_{rule}.py"


# --- compiled code: a cached machine code must not outlive what it was made of, nor depend on who runs it ---

COMPILED = "numba.njit(cache=True, nogil=True)"
ALLOWED = {COMPILED, "numba.njit(cache=True, nogil=True, error_model='numpy')"}  # 0 / 0 is NaN, not an error


def compiled_faults(source: str) -> list[str]:
    """Return what is wrong with the compiled functions of a module.

    Numba keeps machine code until the function's own file changes: a name of another module would be stale in silence.
    `fastmath` and `parallel` make sums depend on the machine, and code that is not kept is compiled in every job.
    """
    tree = ast.parse(source)
    foreign = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).startswith("brightpaint")
    }
    for node in [
        node for node in tree.body if isinstance(node, ast.Assign)
    ]:  # other names for what is another module's
        if {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)} & foreign:
            foreign |= {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    found = []
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if not any(re.search(r"\b(numba|[a-z]*jit|vectorize|guvectorize|stencil)\b", text) for text in decorators):
            continue
        if len(decorators) > 1 or decorators[0] not in ALLOWED:
            found.append(f"{function.name} is @{decorators[0]}, expected @{COMPILED}")
        names = {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
        found += [f"{function.name} takes {name} from another module" for name in sorted(names & foreign)]
    return found


def test_compiled_functions_are_kept_whole_and_give_the_same_on_every_machine():
    engine = [path for path in sorted((SRC / "features" / "engine").glob("*.py"))]
    sources = {path.name: path.read_text() for path in engine}
    assert {name: faults for name, source in sources.items() if (faults := compiled_faults(source))} == {}
    assert sum(source.count("@numba.njit(cache=True") for source in sources.values()) > 20
    others = {path.name for path in MODULES.values() if path not in engine and "numba" in path.read_text()}
    assert others <= {"checks.py"}, "compiled code lies in features/engine, where this looks"


def test_the_check_of_compiled_functions_can_fail():
    module = """
import numba
from numba import njit
from brightpaint.features.engine.objects import _boxes, SIZE
from brightpaint.features.engine import holes as others

@numba.njit(cache=True, nogil=True)
def calls(x):
    return _boxes(x) + others.filled(x)

@numba.njit(cache=True, nogil=True)
def reads(x):
    return x * SIZE

TWICE = 2 * SIZE

@numba.njit(cache=True, nogil=True, error_model="numpy")
def renames(x):
    return x / TWICE

@numba.njit(nogil=True)
def forgets(x):
    return x

@njit(cache=True, nogil=True, parallel=True)
def races(x):
    return x

@numba.njit(cache=True, nogil=True)
def good(x):
    return calls(x)

def plain(x):
    return others.filled(x)
"""
    assert compiled_faults(module) == [
        "calls takes _boxes from another module",
        "calls takes others from another module",
        "reads takes SIZE from another module",
        "renames takes TWICE from another module",
        f"forgets is @numba.njit(nogil=True), expected @{COMPILED}",
        f"races is @njit(cache=True, nogil=True, parallel=True), expected @{COMPILED}",
    ]


# --- names of kinds and spaces: only their registries and their own modules know them ---


def constants_of(node: ast.AST) -> set[str]:
    """Return the strings that one side of a comparison is, or is one of."""
    parts = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


@functools.cache
def comparisons(source: str) -> list[tuple[str, set[str]]]:
    """Return (text, strings) of every comparison, match and look-up in a dictionary written out in a piece of Python."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            sides = [key for key in node.value.keys if key]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        else:
            continue
        text = ast.unparse(node.value if isinstance(node, ast.MatchValue) else node)
        found.append((text, set().union(*map(constants_of, sides))))
    return found


def strings(source: str) -> list[str]:
    """Return the strings of a piece of Python, docstrings left out; what an f-string fills in is {}."""
    tree = ast.parse(source)
    kinds = (ast.Module, ast.FunctionDef, ast.ClassDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, kinds) and node.body]
    documented = {id(body[0].value) for body in bodies if isinstance(body[0], ast.Expr)}
    filled = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    found = ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values) for node in filled]
    pieces = {id(part) for node in filled for part in node.values} | documented
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return found + [node.value for node in whole if id(node) not in pieces]


def python_of(path: Path) -> str:
    """Return the Python of a file; of a rule file its functions and statements, without the rules."""
    if path.suffix == ".py":
        return path.read_text()
    blocks = re.split(r"(?m)^(?=\S)", path.read_text())
    keywords = (
        r"(rule|use rule|include|wildcard_constraints|configfile|report|ruleorder|localrules|checkpoint|on\w+(?=:))\b"
    )
    return "".join(block for block in blocks if not re.match(keywords, block))


def kinds_compared(source: str, kinds: set[str]) -> list[str]:
    """Return comparisons with a kind's name. `mean` and `pixel` are words of other trades too: only beside a kind."""
    shared = {"mean", "pixel"}
    return [
        text
        for text, constants in comparisons(source)
        if constants & (kinds - shared) or (constants & kinds and "kind" in text)
    ]


def spaces_named(source: str, spaces: set[str]) -> list[str]:
    """Return comparisons with a space's name and paths built from one. The program `cellprofiler` has a folder of its own."""
    compared = [text for text, constants in comparisons(source) if constants & spaces]
    inside = re.compile(rf"(profiles|medians|embeddings|selection)/([^/]*/)?({'|'.join(spaces)})\b")
    return compared + [text for text in strings(source) if inside.search(text)]


def known_kinds() -> set[str]:
    from brightpaint.study.kinds import KINDS

    return set(KINDS)


def known_spaces() -> set[str]:
    from brightpaint.study.spaces import SPACES

    return set(SPACES)


# The paper's tables and the purposes speak of kinds and spaces by name: they are about these and no others.
NAMED = {"report/tables/paper_table.py", "report/tables/purposes.py"}


def looked_at(exempt: set[str]) -> dict[str, str]:
    """Return {path: Python} of every module and rule file but those exempt."""
    files = [*MODULES.values(), *RULES, ROOT / "Snakefile"]
    named = {path.relative_to(SRC if SRC in path.parents else ROOT).as_posix(): path for path in files}
    return {name: python_of(path) for name, path in named.items() if name not in exempt | NAMED}


def test_no_comparison_with_a_kinds_name_outside_the_registry():
    found = {name: kinds_compared(source, known_kinds()) for name, source in looked_at({"study/kinds.py"}).items()}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_no_comparison_with_a_spaces_name_and_no_path_from_one_outside_the_registry():
    found = {name: spaces_named(source, known_spaces()) for name, source in looked_at({"study/spaces.py"}).items()}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_the_checks_of_names_can_fail():
    kinds, spaces = {"diffusion", "mean"}, {"dino"}
    assert kinds_compared('if model["kind"] in ("diffusion", "other"): pass', kinds)
    assert kinds_compared('found = {"diffusion": 1, "mean": 2}[kind]', kinds)
    assert kinds_compared('model["kind"] != "mean"', kinds) and not kinds_compared('how == "mean"', kinds)
    assert spaces_named('space == "dino"', spaces) and spaces_named(
        'f"<results>/profiles/{arm}/dino/wells.parquet"', spaces
    )
    assert not spaces_named('"""profiles/real/dino/wells.parquet"""\nsection = CONFIG["dino"]', spaces)
