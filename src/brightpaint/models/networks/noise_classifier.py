"""A classifier of noised stains, whose gradient guides sampling towards a label (paper 000, section 2.2.2).

It is the U-Net's encoder with attention pooling (Dhariwal & Nichol 2021), told the noise level by the same
schedule as the denoiser. It sees clean brightfield and noisy stains; the gradient is taken with respect to
the stains alone. Class k of its output is label number k + 1: the null label is no class.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from brightpaint.models.compute import unreduced
from brightpaint.models.conditions.condition import Condition
from brightpaint.models.networks.unet import Encoder, group_norm
from brightpaint.study.presets import Spec


class AttentionPool(nn.Module):
    """Pool all positions into one vector: the mean activation asks, every position answers (CLIP's pooling)."""

    def __init__(self, channels: int, head_channels: int, outputs: int):
        super().__init__()
        self.heads = max(1, channels // head_channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, outputs)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        tokens = h.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H * W, C)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        batch, count, channels = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, count, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, tokens, channels of a head)
        pooled = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        with unreduced(pooled):
            return self.out(pooled.reshape(batch, channels).float())


class Classifier(nn.Module):
    """Classify noisy stains beside their clean brightfield.

    Parameters
    ----------
    inputs, targets : numbers of brightfield planes and of stains
    classes : K
    """

    def __init__(self, spec: Spec, inputs: int, targets: int, classes: int):
        super().__init__()
        self.encoder = Encoder(spec, inputs + targets, 0)
        self.norm = group_norm(self.encoder.channels, spec)
        self.pool = AttentionPool(self.encoder.channels, spec.head_channels, classes)

    def forward(self, x: torch.Tensor, y: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        """Return (B, K) log-probabilities.

        Parameters
        ----------
        x : (B, C_input, H, W) clean brightfield, z-scores
        y : (B, C_target, H, W) noisy stains
        gamma : (B,) float64
        """
        null = Condition.of_labels(torch.zeros(len(y), dtype=torch.int64, device=y.device))
        h, _, _ = self.encoder(torch.cat([x, y], dim=1), gamma, null)
        return F.log_softmax(self.pool(F.silu(self.norm(h))), dim=1)
