# What the plates wing asks of the study: input functions and settings. No rules.
from brightpaint.study.planes import plane_groups


def mirror():
    """Folder of the simulated plates, laid out as the gallery's bucket."""
    return f"{RESOURCES}/simulated"


def truth_of(wildcards):
    """Truth table of a simulated plate: its presence says that the plate has been made."""
    return f"<resources>/truth/{wildcards.plate}.tsv" if simulated() else []


def listed_fields_of(wildcards):
    """The list of the fields that a plate's row of the plate table uses, where it has one."""
    return STUDY.plates[wildcards.plate].get("fields", [])


def published_of(wildcards):
    """The gallery's own illumination functions of a plate, where they are used."""
    return "<resources>/illum/{plate}" if CONFIG["illumination"]["method"] == "published" else []


def of_used_plates(*patterns):
    """Function: these files of every plate that the study uses."""
    return lambda: expand(patterns, plate=STUDY.used_plates())


def source_keys(*keys):
    """{key: value} of the section `source`; simulated plates lie in a mirror of the gallery."""
    source = CONFIG["source"] | ({"layout": "gallery", "url": mirror()} if simulated() else {})
    return {key: source[key] for key in keys}


def refuse_labels_that_are_not_there():
    """End with a sentence where the user's own CSV lacks what a model is to be told."""
    from brightpaint.plates.own_labels import label_problems  # loads pandas, which no job needs for its plan

    try:
        problems = list(label_problems(STUDY))
    except ValueError as error:
        raise WorkflowError(f"config: source.table: {error}") from None
    refuse(problems)


if CONFIG["source"]["layout"] == "table" and workflow.is_main_process:
    refuse_labels_that_are_not_there()


def row_of_plate(plate, *but):
    """A plate's row of the plate table, but for these and its pixels' size: what needs that says so itself."""
    return {key: value for key, value in STUDY.plates[plate].items() if key not in ("pixel_size_um", *but)}


def cells_of_plate(plate):
    """What the plate table says of a plate's cells: `flag` writes it, so that a change of it fetches no image again."""
    return {key: STUDY.plates[plate][key] for key in ("cell_line", "time_h") if key in STUDY.plates[plate]}


def simulated_plate(wildcards):
    """JSON of how plates are simulated, and of this one."""
    channels = CONFIG["channels"]["input"] + CONFIG["channels"]["target"]
    plate = {**row_of_plate(wildcards.plate), "channels": channels}
    for key in ("time_h", "platemap", "fields"):  # say nothing to the simulator
        plate.pop(key, None)
    size_um = STUDY.pixel_size_um(wildcards.plate)
    return as_json({**simulation.asked(CONFIG["simulate"]), "pixel_size_um": size_um, "plate": plate})


def listed_plate(wildcards):
    """JSON of where a plate's files lie, which of them are taken, and what its wells hold."""
    where = source_keys("layout", "url", "endpoint_url", "region", "profile")
    what = source_keys("table", "compounds", "exclude", "missing")
    optional = ("metadata", "wells", "molecules", "dose_unit")
    what |= {key: CONFIG["source"][key] for key in optional if CONFIG["source"][key]}
    channels, plate = STUDY.channels(wildcards.plate), row_of_plate(wildcards.plate, "cell_line", "time_h")
    without = CONFIG["source"]["layout"] == "gallery" and not CONFIG["perturbations"]  # no platemap is then needed
    known = {"perturbations": False} if without else {}
    return as_json({"source": where | what, "plate": plate, "channels": channels} | known)


def excluded_file():
    """The file of what to leave out, where there is one: the rule itself says what is wrong where it can't be read."""
    path = CONFIG["source"]["exclude"]
    return [path] if path and Path(path).is_file() else []


def excluded_lines():
    """JSON of what names perturbations and plates, against which the lines of source.exclude are held."""
    where = source_keys("layout", "url", "endpoint_url", "region", "profile", "table", "compounds", "exclude")
    where |= {key: CONFIG["source"][key] for key in ("molecules", "dose_unit") if CONFIG["source"][key]}
    plates = [row_of_plate(plate, "cell_line", "time_h") for plate in STUDY.used_plates()]
    return as_json({"source": where, "plates": plates})


def published_plate(wildcards):
    """JSON of where the gallery keeps a plate's illumination functions."""
    own = ("plate", "project", "source", "batch", "barcode")
    plate = {key: value for key, value in STUDY.plates[wildcards.plate].items() if key in own}
    source = source_keys("url", "endpoint_url", "region", "profile")
    return as_json({"source": source, "plate": plate, "channels": STUDY.channels(wildcards.plate)})


def prepared_plate(wildcards):
    """JSON of how a plate's fields are cut, resized and normalised."""
    own = {"region": STUDY.plates[wildcards.plate].get("region"), "channels": STUDY.channels(wildcards.plate)}
    if CONFIG["prepare"]["pixel_size_um"]:
        own["raw_pixel_um"] = STUDY.pixel_size_um(wildcards.plate)
    if groups := plane_groups(CONFIG["channels"], own["channels"]):
        own["planes"] = groups
    return as_json(CONFIG["prepare"] | own)


def flaws(wildcards):
    """JSON of what counts as a flaw, in the channels that a plate has, and what the plate table says of its cells."""
    channels, cells = {**CONFIG["channels"], "here": STUDY.channels(wildcards.plate)}, cells_of_plate(wildcards.plate)
    return as_json({**CONFIG["quality"], "channels": channels} | ({"cells": cells} if cells else {}))
