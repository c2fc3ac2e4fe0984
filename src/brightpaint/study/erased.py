"""How far a space's numbers move without the cell and without all else (section `erased`): which spaces, whose. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from brightpaint.study.spaces import SPACES, Space, measured_arms
from brightpaint.study.study import Study

# Rules whose modules in features/embedders have a `seer`: a network that can be shown another image.
SEEING_RULES = ("dino", "cellnet", "critic", "critic_cells")


def seeing_module(space: Space) -> str:
    """Return the module whose `seer` shows images to a space's network."""
    return f"brightpaint.features.embedders.{space.rule}"


def erased_arms(study: Study, space: Space) -> list[str]:
    """Return the arms of whose images a space is asked what it does without the cell."""
    chosen = study.config["erased"]
    return [arm for arm in chosen["arms"] if arm in space.arms(study)] if space.name in chosen["spaces"] else []


def erased_problems(study: Study) -> Iterator[str]:
    """Say what is wrong with the section `erased`."""
    chosen = study.config["erased"]
    known = [space.name for space in SPACES.values() if space.rule in SEEING_RULES]
    for name in chosen["spaces"]:
        if name not in SPACES:
            yield f"erased.spaces: no space is called {name}; those of networks are: {', '.join(known)}"
            continue
        space = SPACES[name]
        if space.rule not in SEEING_RULES:
            yield f"erased.spaces: {name} is not what a network makes of an image; those that are: {', '.join(known)}"
        elif not space.arms(study):
            yield f"erased.spaces: the study does not plan {space.rule}, which makes the space {name}; ask for it, or leave it out"
        else:
            yield from _arm_problems(study, space)


def _arm_problems(study: Study, space: Space) -> Iterator[str]:
    for arm in study.config["erased"]["arms"]:
        if arm not in space.arms(study):
            yield f"erased.arms: {arm} has no place in the space {space.name}; there are: {', '.join(space.arms(study))}"
        elif space.holds == "fields" and arm not in measured_arms(study):
            yield f"erased.arms: no cells of {arm} are measured, so that nothing says where they lie in its fields; leave it out"
        elif arm in study.translations:
            yield f"erased.arms: {arm} translates, and its images are compared with their source alone; leave it out"
