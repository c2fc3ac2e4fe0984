"""CellProfiler pipelines that estimate illumination functions, and that divide by them and resize, for bench/plates.py."""

from __future__ import annotations


def module(name: str, number: int, revision: int, *values: str) -> str:
    """Return a module of a .cppipe: CellProfiler reads the values by their order."""
    head = f"{name}:[module_num:{number}|svn_version:'Unknown'|variable_revision_number:{revision}|show_window:False"
    head += "|notes:[]|batch_state:array([], dtype=uint8)|enabled:True|wants_pause:False]"
    return "\n".join([head, *(f"    setting {place}:{value}" for place, value in enumerate(values))])


def pipeline(body: list[tuple]) -> str:
    """Return the text of a pipeline that loads the images of a data file and then runs the modules of `body`."""
    load = ("LoadData", 6, "Elsewhere...|", "None", "Yes", "Default Input Folder|", "No", "1,100000", "No", "", "Yes")
    modules = [module(name, n, *rest) for n, (name, *rest) in enumerate([load, *body], start=1)]
    head = f"CellProfiler Pipeline: http://www.cellprofiler.org\nVersion:5\nDateRevision:4281\nGitHash:\nModuleCount:{len(modules)}"
    return "\n\n".join([head + "\nHasImagePlaneDetails:False", *modules]) + "\n"


def save(image: str, by: str, name: str, suffix: str, when: str) -> tuple:
    """Return a SaveImages module that writes .npy."""
    return ("SaveImages", 16, "Image", image, by, f"Orig{name}", image, "4", "Yes" if suffix else "No", suffix, "npy",
            "Default Output Folder|", "8-bit integer", "Yes", when, "No", "No", "Elsewhere...|", "T (Time)", "Yes")  # fmt: skip


def estimating(channels: list[str], size_px: int) -> str:
    """Return the pipeline that estimates illumination functions by the median."""
    body = []
    for name in channels:
        body.append(("CorrectIlluminationCalculate", 2, f"Orig{name}", f"Illum{name}", "Regular", "No", "1", "60", "Yes",
                     "All: Across cycles", "Median Filter", "Manually", "10", str(size_px), "No", f"Avg{name}", "No",
                     f"Dilated{name}", "Yes", "auto", "5", "2.0", "2.0", "40", "0.001"))  # fmt: skip
        body.append(save(f"Illum{name}", "Single name", name, "", "Last cycle"))
    return pipeline(body)


def applying(channels: list[str], size_px: int) -> str:
    """Return the pipeline that divides by the functions, resizes and saves."""
    apply = [word for name in channels for word in (f"Orig{name}", f"Corr{name}", f"Illum{name}", "Divide")]
    body: list[tuple] = [("CorrectIlluminationApply", 5, *apply, "No", "No")]
    for name in channels:
        body.append(("Resize", 5, f"Corr{name}", f"Small{name}", "Resize by specifying desired final dimensions", "1",
                     "1", "1", str(size_px), str(size_px), "10", "Bicubic", "Manual", "None", "0"))  # fmt: skip
        body.append(save(f"Small{name}", "From image filename", name, "_small", "Every cycle"))
    return pipeline(body)
