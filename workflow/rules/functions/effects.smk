# What the rules of effects ask of the study. No rules.
from brightpaint.study import effect_arms


def refuse_effects():
    """End with a sentence where the study asks for an effect that it can't measure."""
    refuse(effect_arms.problems(STUDY))


if CONFIG["effects"]:
    refuse_effects()


def arms_of_effect(wildcards):
    """The arms that an entry compares."""
    return STUDY.entry("effects", wildcards.effect)["arms"]


def effect_plates(wildcards):
    """The real plates of a space, and those among them that the arms paint."""
    painted = STUDY.test_plates(arms_of_effect(wildcards)[0])
    real = SPACES[wildcards.space].plates(STUDY, "real")
    return {"real": list(dict.fromkeys([*real, *painted])), "painted": painted}


def effect_tables(wildcards):
    """Tables of a space of every arm of an entry, plate by plate."""
    space, plates = SPACES[wildcards.space], effect_plates(wildcards)["painted"]
    return [table for arm in arms_of_effect(wildcards) for table in space.tables(arm, plates)]


def effect_settings(wildcards):
    """JSON of what is changed between which arms, and what is read."""
    entry = STUDY.entry("effects", wildcards.effect)
    values = [
        (name, *arms, *(STUDY.entry("arms", arm)["conditions"][name] for arm in arms))
        for name, *arms in effect_arms.changes_of(STUDY, entry)
    ]
    chosen = {"arms": entry["arms"], "changes": values, "factors": effect_arms.factors_of(STUDY, entry)}
    return as_json({**chosen, "held_out": effect_plates(wildcards)["painted"]})


def effect_files(pattern):
    """A file for each entry of `effects` and space."""
    return [pattern.format(name=name, space=space) for name, space in effect_arms.asked(STUDY)]
