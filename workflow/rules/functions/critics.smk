# What the critic learnt without labels asks of the study: input functions, settings, limits. No rules.
from brightpaint.study import critics

CRITIC_WEIGHTS = {critics.TRAINED: "weights", critics.UNTRAINED: "untrained"}


def gan_stacks(wildcards):
    """Real stacks that a critic is trained on, or their crops."""
    folder = "crops/real" if CONFIG["gan"]["examples"] == critics.CROPS else "images/real"
    return expand("<results>/{folder}/{plate}.tif", folder=folder, plate=critics.trained_plates(STUDY))


def gan_fields(wildcards):
    """The tables of what it is trained on, in the same order."""
    folder = "crops/real" if CONFIG["gan"]["examples"] == critics.CROPS else "fields"
    return expand("<results>/{folder}/{plate}.parquet", folder=folder, plate=critics.trained_plates(STUDY))


def gan_masks(wildcards):
    """The masks beside crops, which are opened with them."""
    crops = critics.trained_plates(STUDY) if CONFIG["gan"]["examples"] == critics.CROPS else []
    return expand("<results>/crops/real/{plate}.masks.tif", plate=crops)


def gan_settings():
    """JSON of how and on what a generator and its critic are trained."""
    channels = {"input": [], "target": critics.seen_channels(STUDY)}
    chosen = pick("gan", *critics.TRAINING) | {"channels": channels, "windows": critics.windows(STUDY)}
    return as_json(chosen | cutoff_unless_default())


def gan_files(*names):
    """These files of the training, where the study asks for one."""
    return [f"<results>/gan/{name}" for name in names] if critics.is_trained(STUDY) else []


def critic_settings():
    """What a critic's numbers of fields depend on beside its weights."""
    return {**scale_of_stains(), "channels": CONFIG["channels"]}


def critic_weights(wildcards):
    """Weights of the critic, as it was trained or as it began."""
    return f"<results>/gan/{CRITIC_WEIGHTS[wildcards.critic]}.safetensors"


def critic_cell_spaces():
    """Names of the spaces of cells that a critic makes."""
    return [space.name for space in SPACES.values() if space.critic and space.holds == "cells"]


def critic_cell_weights(space):
    """Weights of the critic that makes a space of cells."""
    return f"<results>/gan/{CRITIC_WEIGHTS[SPACES[space].critic]}.safetensors"
