"""What learned terms ask of the pairs of tiles: the kinds of bond that join a pair, and its score, in one number.

Evaluated once a batch for all heads of a view and all layers; what a head makes of it (model.attention.terms) the
kernel looks up. Letters: E tiles, S pieces of a block, T of a tile.
"""

import torch
from torch import Tensor

from model.facts import pair_scores
from model.kernels.bits import AT_ONCE, Tiles, grid_of, plane_of
from model.kernels.pairs import flat
from pipeline.records import KINDS

LOWEST = -4
"""Of scores (pipeline.compatibility)."""


def codes_of(tiles: Tiles, scored: bool, joined: bool) -> Tensor:
    """int16 [E,S,T]: bit k says whether a bond of kind k joins the pair; score - LOWEST stands above the kinds.

    scored, joined: what is asked for; the rest is as if there were none. Errors: ValueError if the context has no facts
    or no bonds.
    """
    (E, T), size = tiles.place.shape, tiles.size
    codes = torch.full((E, size, T), -LOWEST << len(KINDS), dtype=torch.int16, device=tiles.place.device)
    if scored:
        grid, _ = grid_of(tiles.line, size)
        context = flat(tiles.line)
        for part in torch.split(torch.arange(E, device=codes.device), max(1, AT_ONCE // (size * T))):
            own, other = grid[tiles.block[part]][:, :, None], tiles.place[part][:, None, :]
            query, key = (other, own) if tiles.by_key else (own, other)
            codes[part] += pair_scores(context, query, key)[0].to(torch.int16) << len(KINDS)
    if joined:
        bit = torch.arange(T, device=codes.device)
        for number, kind in enumerate(KINDS):
            held = (plane_of(tiles, kind)[:, :, None] >> bit) & 1
            codes += held.to(torch.int16) << number
    return codes
