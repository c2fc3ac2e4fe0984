# What the critic learnt without labels asks of the study: input functions, settings, limits. No rules.
from brightpaint.study import critics


def gan_inputs(ending):
    """Files of what a critic is trained on, of one ending: crops of one's own, the plates' crops, or stacks and tables of fields."""
    own = CONFIG["gan"]["own_crops"]
    if own:
        return [f"<results>/own_crops/{name}{ending}" for name in own]
    plates = critics.trained_plates(STUDY)
    if CONFIG["gan"]["examples"] == critics.CROPS:
        return [f"<results>/crops/real/{plate}{ending}" for plate in plates]
    folder = {".tif": "images/real", ".parquet": "fields"}.get(ending)
    return [f"<results>/{folder}/{plate}{ending}" for plate in plates] if folder else []


def gan_stacks(wildcards):
    """Real stacks that a critic is trained on, or crops."""
    return gan_inputs(".tif")


def gan_fields(wildcards):
    """The tables of what it is trained on, in the same order."""
    return gan_inputs(".parquet")


def gan_masks(wildcards):
    """The masks beside crops, which are opened with them."""
    return gan_inputs(".masks.tif")


def own_numbers():
    """Numbers of crops of one's own by the critic and its baselines."""
    names, made = CONFIG["gan"]["own_crops"], critics.encoders(STUDY)
    return [f"<results>/own_crops/{own}/{encoder}.parquet" for own in names for encoder in made]


def gan_settings():
    """JSON of how and on what a generator and its critic are trained."""
    return as_json(json.loads(encoder_settings(*critics.TRAINING)) | critics.augmentation(STUDY))


def gan_files(*names):
    """These files of the training, where the study asks for one."""
    return [f"<results>/gan/{name}" for name in names] if critics.is_trained(STUDY) else []


def encoder_settings(*keys):
    """JSON of how a baseline is made of the critic's images."""
    channels = {"input": [], "target": critics.seen_channels(STUDY)}
    chosen = pick("gan", *keys) | {"channels": channels, "windows": critics.windows(STUDY)}
    return as_json(chosen | cutoff_unless_default())


def baseline_files():
    """Weights of the critic's baselines, and the autoencoder's history."""
    made = [critics.ENCODERS[name].weights for name in critics.encoders(STUDY)]
    history = ["autoencoder.jsonl"] if CONFIG["gan"]["autoencoder"] else []
    return gan_files(*dict.fromkeys(f"{name}.safetensors" for name in made), *history)


def critic_settings():
    """What a critic's numbers of fields depend on beside its weights."""
    return {**scale_of_stains(), "channels": CONFIG["channels"]}


def encoder_weights(encoder):
    """Weights of the critic, as it was trained or as it began, or of a baseline of it."""
    return f"<results>/gan/{critics.ENCODERS[encoder].weights}.safetensors"


def critic_cell_spaces():
    """Names of the spaces of cells that a critic or a baseline of it makes."""
    return [space.name for space in SPACES.values() if space.encoder and space.holds == "cells"]
