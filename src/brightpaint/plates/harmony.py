"""What Harmony (Opera Phenix, Operetta) writes of an export beside its images: `Index.xml`, or `Index.idx.xml`.

It tells what the files' names do not: the size of a pixel, the height of each plane, what the channels are called, and
which images there should be. It is read image by image: that of a plate has tens of thousands.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

NAMES = ("index.xml", "index.idx.xml")
UNITS = {"m": 1e6, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3}  # in micrometres


@dataclass
class Index:
    """What one index says.

    Attributes
    ----------
    files : names of the images, without a folder
    pixel_um : the sizes of a pixel that occur, in micrometres
    channels : {number: name}
    heights_um : {channel: {plane: height of each image, above the lowest or the focus, in micrometres}}
    """

    files: set[str] = field(default_factory=set)
    pixel_um: set[float] = field(default_factory=set)
    channels: dict[int, str] = field(default_factory=dict)
    heights_um: dict[int, dict[int, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def planes(self, channel: int) -> list[tuple[int, float]]:
        """Return (plane, mean height in um) of a channel, from the lowest."""
        means = {plane: sum(heights) / len(heights) for plane, heights in self.heights_um[channel].items()}
        return sorted(means.items(), key=lambda pair: (pair[1], pair[0]))

    def describe(self) -> list[str]:
        """Return sentences for the user."""
        sizes = " and ".join(f"{size:.4g}" for size in sorted(self.pixel_um))
        said = [f"a pixel is {sizes} um: set pixel_size_um to it, in the config or the plate table"] if sizes else []
        for channel in sorted({*self.channels, *self.heights_um}):
            planes = self.planes(channel) if channel in self.heights_um else []
            name = f"channel {channel} ({self.channels.get(channel) or 'no name'})"
            if len(planes) > 1:
                said.append(f"{name}: planes from the lowest: " + ", ".join(f"{n} ({z:+.3g} um)" for n, z in planes))
            else:
                said.append(name)
        return said


def read_index(path: str | Path) -> Index:
    """Read an index.

    Raises
    ------
    ValueError
        naming the file, for XML that is cut short or none, and a number or unit that can't be read
    """
    index = Index()
    try:
        for _, element in ElementTree.iterparse(path):
            kind = _local(element)
            if kind == "Image" and (told := _texts(element)).get("URL"):
                _add_image(index, told)
            elif kind == "Entry" and element.get("ChannelID"):
                _add_channel(index, int(element.get("ChannelID")), _texts(element))
            if kind in ("Image", "Entry", "Well"):
                element.clear()
    except (ElementTree.ParseError, ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{path}: expected the index of a Harmony export, found one that cannot be read ({error}); copy it again, or take "
            "it out of the folder"
        ) from error
    return index


def _local(element: ElementTree.Element) -> str:
    """Return an element's name without its namespace, which differs between Harmony's versions."""
    return element.tag.rpartition("}")[2]


def _texts(element: ElementTree.Element) -> dict[str, str]:
    """Return {name: text} of an element's children, lengths in micrometres."""
    return {_local(child): _length(child) if child.get("Unit") else (child.text or "").strip() for child in element}


def _length(child: ElementTree.Element) -> str:
    factor = UNITS.get(child.get("Unit", ""))
    return "" if factor is None or not (child.text or "").strip() else repr(float(child.text) * factor)


def _add_image(index: Index, told: dict[str, str]) -> None:
    index.files.add(told["URL"].replace("\\", "/").rpartition("/")[2])
    channel = int(told["ChannelID"])
    _add_channel(index, channel, told)
    if told.get("PositionZ"):
        index.heights_um[channel][int(told["PlaneID"])].append(float(told["PositionZ"]))


def _add_channel(index: Index, channel: int, told: dict[str, str]) -> None:
    """Take a channel's name and pixel size, which older versions write with each image and newer ones once."""
    if told.get("ChannelName"):
        index.channels[channel] = told["ChannelName"]
    if told.get("ImageResolutionX"):
        index.pixel_um.add(float(f"{float(told['ImageResolutionX']):.6g}"))
