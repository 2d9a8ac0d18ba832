"""Masked language modelling (Devlin et al. 2019) over raw text, whole words hidden, to give the encoder its start.

Windows follow each other through the text without regard to documents, whose beginnings a special piece shows (Liu et
al. 2019, "full sentences"): no padding, and attention without a mask. They lie elsewhere in every epoch.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.fit.teacher.clock import Clock, warm_stable_cool
from pipeline.fit.teacher.config import TeacherConfig
from pipeline.fit.teacher.encoder import Encoder, MaskedModel
from pipeline.fit.teacher.muon import Muon
from pipeline.fit.teacher.stream import Stream
from pipeline.fit.teacher.subwords import MASK, SPECIALS

Report = Callable[[str], None]
Loss = Callable[[MaskedModel, Tensor, Tensor, float], Tensor]
TELL_EVERY = 100
"""Steps between two lines of report."""


def pretrain(streams: list[Stream], pieces: int, config: TeacherConfig, report: Report = print) -> Encoder:
    """An encoder trained on the streams' text, each of which counts as often as it is given. pieces: their number."""
    torch.manual_seed(config.seed)
    text, word = joined(streams)
    model = MaskedModel(pieces, config).to(text.device)
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    muon = Muon(matrices, config.matrix_rate, config.pretrain_decay)
    adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=config.pretrain_decay, fused=text.is_cuda)
    batches = _batches(text, word, config)
    loss_of = _started(model, next(batches), config, report)
    clock = Clock(config.pretrain_steps, config.pretrain_seconds)
    told = torch.zeros((), device=text.device)
    while (part := clock.part()) < 1:
        scale = warm_stable_cool(part, config.cool_share)
        muon.rate, adam.param_groups[0]["lr"] = scale * config.matrix_rate, scale * config.other_rate
        model.zero_grad(set_to_none=True)
        window, number = next(batches)
        with autocast(text.device):
            loss = loss_of(model, window, number, config.mask_share)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        told += loss.detach()
        clock.step += 1
        if clock.step % TELL_EVERY == 0:
            speed = clock.step * config.pretrain_windows * config.context / clock.elapsed()
            report(f"pretrain {part:4.0%}  step {clock.step:5d}  loss {told.item() / TELL_EVERY:.3f}"
                   f"  {clock.elapsed():4.0f} s  {speed:,.0f} pieces/s")  # fmt: skip
            told.zero_()
    return model.encoder


def _started(model: MaskedModel, batch: tuple[Tensor, Tensor], config: TeacherConfig, report: Report) -> Loss:
    """The loss, after a first pass both ways, so that no clock counts the start; compiled, if asked and able."""

    def tried(loss_of: Loss) -> Loss:
        with autocast(batch[0].device):
            loss = loss_of(model, *batch, config.mask_share)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()  # waits for the device
        return loss_of

    if config.compile:
        try:
            return tried(torch.compile(masked_loss))
        except Exception as error:  # whatever breaks in a compiler costs speed, never the run
            report(f"goes on uncompiled, for compiling failed: {str(error)[:300]}")
    return tried(masked_loss)


def masked_loss(model: MaskedModel, pieces: Tensor, word: Tensor, share: float) -> Tensor:
    """Mean loss, in nats a piece, of about that share of the pieces, taken by words. pieces, word: [B, P]."""
    hidden, place = hide_words(pieces, word, share, int(model.bias.shape[0]))
    scores = model(hidden, place)
    return functional.cross_entropy(scores.float().flatten(0, 1), pieces.gather(1, place).flatten())


def hide_words(pieces: Tensor, word: Tensor, share: float, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Pieces with the words of `share` of the places hidden, and these places [B, K]; K is the same for every window.

    Of the hidden words 8 in 10 become MASK, 1 in 10 other pieces, 1 in 10 stay (Devlin et al. 2019).
    """
    windows, places = pieces.shape
    # Every piece of a word draws its word's lot; the least K lots are hidden, so that at most one word is cut.
    relative = (word - word.amax(1, keepdim=True)).clamp(min=-places) + places
    lot = torch.rand(windows, places + 1, device=pieces.device).gather(1, relative)
    lot = lot.masked_fill(pieces < len(SPECIALS), 2.0)
    place = lot.topk(max(1, int(share * places)), dim=1, largest=False, sorted=False).indices
    fate = torch.rand(windows, places + 1, device=pieces.device).gather(1, relative.gather(1, place))
    true = pieces.gather(1, place)
    other = torch.randint(len(SPECIALS), vocabulary, place.shape, device=pieces.device)
    shown = torch.where(fate < 0.8, MASK, torch.where(fate < 0.9, other, true))
    return pieces.scatter(1, place, shown), place


def joined(streams: list[Stream]) -> tuple[Tensor, Tensor]:
    """Pieces of all streams, and their words numbered on."""
    words, before = [], 0
    for stream in streams:
        words.append(torch.where(stream.word >= 0, stream.word + before, -1))
        before += stream.words
    return torch.cat([stream.pieces for stream in streams]), torch.cat(words)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 for matrix products on a GPU; nothing on the CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _batches(text: Tensor, word: Tensor, config: TeacherConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces and words [B, P] without end, every window of the text once an epoch but for those that are left over."""
    size, windows = config.context, config.pretrain_windows
    if len(text) < 2 * size:
        raise ValueError(f"{len(text)} pieces of raw text; give {2 * size} or more")
    place = torch.arange(size, device=text.device)
    chance = torch.Generator().manual_seed(config.seed)
    while True:
        shift = int(torch.randint(size, (), generator=chance))
        begins = torch.randperm((len(text) - shift) // size, generator=chance).mul_(size).add_(shift)
        if len(begins) < windows:
            begins = begins.repeat(-(-windows // len(begins)))
        for batch in torch.split(begins.to(text.device), windows):
            if len(batch) == windows:
                at = batch[:, None] + place
                yield text[at], word[at]
