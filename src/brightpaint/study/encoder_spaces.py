"""The spaces of a critic learnt without labels and of its baselines (`study.critics`), of fields or of cells. Torch-free."""

from __future__ import annotations

from brightpaint.study import critics
from brightpaint.study.space import Space, median_activations
from brightpaint.study.study import Study

CELLS = "_cells"  # how the names of their spaces of cells end; a baseline's own word follows


def space_name(examples: str, encoder: str) -> str:
    """Return the name of an encoder's space: critic_untrained, pixels; of cells critic_cells_untrained, pixels_cells."""
    own = critics.ENCODERS[encoder].space
    if examples == critics.FIELDS:
        return own
    first = critics.ENCODERS[critics.TRAINED].space
    return f"{first}{CELLS}{own.removeprefix(first)}" if own.startswith(first) else own + CELLS


def encoder_space(examples: str, encoder: str) -> Space:
    """Return the space of a critic, trained or not, or of a baseline, of fields or of cells."""
    name, made = space_name(examples, encoder), critics.ENCODERS[encoder]
    of_cells = {"rule": "critic_cells", "plates": Study.profile_plates, **median_activations(name)}
    table = f"<results>/critic/{encoder}/{{arm}}/{{plate}}.parquet"
    of_fields = {"rule": "critic", "table": table, "plates": Study.seen_plates, "seed": f"/{name}"}
    return Space(
        name=name,
        short=f"{made.short} (cells)" if examples == critics.CROPS else made.short,
        title=made.title,
        prefixes=(made.prefix,),
        arms=lambda study: critics.embedded_arms(study, examples, encoder),
        settings=lambda config: {"normalise": config["gan"]["normalise"]},
        by_plate=lambda config: config["gan"]["normalise"] == "plate",
        looked_up=critics.sees_stains,
        seen=lambda study: critics.training_images(study, encoder),
        encoder=encoder,
        apart=made.apart,
        **(of_cells if examples == critics.CROPS else of_fields),
    )
