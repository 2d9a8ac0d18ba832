"""How well a training job uses its device: floating point operations, memory.

Model FLOPs utilisation (MFU) as in appendix B of Chowdhery et al. 2022 (PaLM): operations a piece are 6 * N for N
weights that are multiplied with, and 12 * L * H * Q * T for attention over T pieces with L layers of H heads of width
Q; times pieces a second, over what the device could do at its peak. Nothing is taken off for causal order or for what
a view forbids, and layers that are computed twice count once.
"""

import sys

import torch

from model.transformer import Decoder

PEAKS: dict[str, dict[str, float]] = {
    # Data sheets of the makers, dense (without structured sparsity), in operations a second.
    "H200": {"16": 989e12, "32": 67e12},
    "H100 PCIe": {"16": 756e12, "32": 51e12},
    "H100": {"16": 989e12, "32": 67e12},
    "A100": {"16": 312e12, "32": 19.5e12},
    "L40S": {"16": 362e12, "32": 91.6e12},
    "L4": {"16": 121e12, "32": 30.3e12},
    "V100": {"16": 125e12, "32": 15.7e12},
    "T4": {"16": 65e12, "32": 8.1e12},
}
"""By a part of the device's name, the longest that fits."""


def flops_a_piece(decoder: Decoder, length: int) -> float:
    """Operations that one piece costs in training, forward and backward, in rows of `length` pieces."""
    config = decoder.config
    looked_up = {"place_embedding.weight", "tag_embedding.weight"}  # `embedding` too, but it is the output's matrix
    weights = sum(weight.numel() for name, weight in decoder.named_parameters() if name not in looked_up)
    storeys = decoder.storeys()
    again = [layer for number, layer in enumerate(storeys) if layer in storeys[:number]]
    weights += sum(weight.numel() for layer in again for weight in layer.parameters())  # tied: used once more
    return 6.0 * weights + 12.0 * config.layers * config.dim * length


def peak_of(device: torch.device, precision: str) -> float | None:
    """What the device could do at its peak, in operations a second; None if that is not known here."""
    if device.type != "cuda" or precision == "64-true":
        return None
    name = torch.cuda.get_device_name(device)
    found = max((each for each in PEAKS if each in name), key=len, default=None)
    return PEAKS[found]["32" if precision == "32-true" else "16"] if found else None


def peak_memory(device: torch.device) -> float:
    """MiB that the job has held at most: of the device, or on a CPU of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if device.type == "mps":
        return torch.mps.driver_allocated_memory() / 2**20
    import resource  # late: Windows has none

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / 2**20 if sys.platform == "darwin" else held / 2**10
