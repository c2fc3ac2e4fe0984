# What is looked at once, before anything is planned: what models are given and told, as far as it is known here. No rules.


def refuse_given_images():
    """End with a sentence where images that were painted elsewhere are not there, or not what they are said to be."""
    refuse(given_images.problems(STUDY))


if GIVEN_ARMS:
    from brightpaint.plates import given_images  # loads pandas, which no job needs for its plan

    if workflow.is_main_process:
        refuse_given_images()


def refuse_translations():
    """End with a sentence where a translation can't be made, as far as the wells of its plates are known."""
    from brightpaint.plan import translating  # loads pandas, which no job needs for its plan

    refuse(translating.problems(STUDY))


if STUDY.translations and workflow.is_main_process:
    refuse_translations()


def refuse_generations():
    """End with a sentence where treatments can't be held out or generated, as far as the wells of the plates are known."""
    from brightpaint.plan import generating  # loads pandas, which no job needs for its plan

    refuse(generating.problems(STUDY))


if generations.split_folds(STUDY) and workflow.is_main_process:
    refuse_generations()


def refuse_conditions():
    """End with a sentence where fields can't be told what a model is told, as far as the wells of its plates are known."""
    from brightpaint.plan import conditioned  # loads pandas, which no job needs for its plan

    refuse(conditioned.problems(STUDY))


if any(model["conditions"] for model in CONFIG["models"]) and workflow.is_main_process:
    refuse_conditions()


def refuse_standing():
    """End with a sentence where given weights are none that the study's models can stand on."""
    from brightpaint.plan import standing_weights

    refuse(standing_weights.problems(STUDY))


if workflow.is_main_process and any(model["weights"] for model in CONFIG["models"]):
    refuse_standing()
