"""One denoiser that walks stains up to a latent under one class and down to stains under any other, unclipped both ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from brightpaint.models.codecs.codec import Codec
from brightpaint.models.compute import Compute
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.paint import walk
from brightpaint.models.paint.field_noise import field_noise
from brightpaint.models.paint.invert import invert, latent_moments


@dataclass(frozen=True)
class Translator:
    """What `translate` asks of a model.

    Attributes
    ----------
    told : the denoiser, not guided: what inverts
    guided : the same with an arm's guidance: what paints
    path : gammas from the noisiest level that is reached to 1
    settings : of the arm: sampler, inner, tolerance, from_noise, walked (steps), steps, seed
    numbers : {class: its number}
    others : (rows, own) -> what fields are told beside the class: their own, or as the arm sets it
    cutoff : largest |z-score| of stains; only what is painted at the end is cut off there
    outlined : whether the denoiser is told of the source's own stains, which it blurs, in the place of brightfield
    """

    told: walk.Denoise
    guided: walk.Denoise
    path: Sequence[float]
    settings: Mapping
    numbers: Mapping[str, int]
    others: Callable[[pd.DataFrame, bool], dict[str, np.ndarray]]
    codec: Codec
    cutoff: float
    how: Compute
    outlined: bool = False

    def shown(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return what the denoiser is told of fields on both ways: their brightfield x, or their stains y."""
        return y if self.outlined else x

    def up(self, x: np.ndarray, y: np.ndarray, name: str, rows: pd.DataFrame) -> tuple[torch.Tensor, dict]:
        """Return the latents of stains of class `name`, and how well they were found, {word: (B,)}.

        Parameters
        ----------
        x, y : of `shown`, (B, C, H, W), and stains, (B, C_target, H, W), float32 z-scores
        rows : field keys of the B images, which name their noise where the walk starts from it
        """
        seen, code = (self.how.coded(change, self._sent(images)) for change, images in self._coders(x, y))
        chosen = self.settings
        if chosen["from_noise"]:
            latents = self._noised(code, rows)
            nothing = torch.zeros(len(rows), dtype=torch.int64)
            found = {"iterations": nothing, "unsettled_steps": nothing, "largest_update": nothing * float("nan")}
        else:
            condition, upwards = self._condition(name, rows, own=True), list(self.path)[::-1]
            how = {key: chosen[key] for key in ("sampler", "inner", "tolerance")}
            inverted = invert(self.told, code, seen, condition, upwards, **how)
            latents = inverted.latents
            found = {"iterations": inverted.iterations, "unsettled_steps": inverted.unsettled,
                     "largest_update": inverted.largest_update}  # fmt: skip
        moments = dict(zip(("latent_mean", "latent_sd", "latent_neighbour_r"), latent_moments(latents)))
        steps = {"steps": torch.full((len(rows),), len(self.path) - 1)}
        return latents, {word: values.cpu().numpy() for word, values in {**steps, **found, **moments}.items()}

    def down(self, x: np.ndarray, latents: torch.Tensor, name: str, rows: pd.DataFrame) -> np.ndarray:
        """Return stains (B, C_target, H, W) float32 that the latents show as class `name`, beside what the arm sets of `rows`."""
        seen = self.how.coded(self._seeing, self._sent(x))
        condition = self._condition(name, rows, own=False)
        painted = walk.walk(self.guided, latents, seen, condition, self.path, sampler=self.settings["sampler"])
        return self.how.coded(self.codec.decode, painted).clamp(-self.cutoff, self.cutoff).cpu().numpy()

    def _coders(self, x: np.ndarray, y: np.ndarray):
        return (self._seeing, x), (self.codec.encode, y)

    @property
    def _seeing(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return self.codec.encode if self.outlined else self.codec.see

    def _sent(self, images: np.ndarray) -> torch.Tensor:
        return self.how.send(torch.from_numpy(np.ascontiguousarray(images)))

    def _condition(self, name: str, rows: pd.DataFrame, *, own: bool) -> Condition:
        shown = np.full(len(rows), self.numbers[name], dtype=np.int64)
        return Condition.of(shown, self.others(rows, own)).to(self.how.device)

    def _noised(self, code: torch.Tensor, rows: pd.DataFrame) -> torch.Tensor:
        """Return the source with fresh noise at the path's first level; nothing of the source where all steps are walked."""
        sources = [field_noise(row, self.settings["seed"]) for _, row in rows.iterrows()]
        noise = self.how.send(torch.stack([torch.randn(code.shape[1:], generator=source) for source in sources]))
        if self.settings["walked"] == self.settings["steps"]:
            return noise
        gamma = self.path[0]
        return math.sqrt(gamma) * code + math.sqrt(1 - gamma) * noise
