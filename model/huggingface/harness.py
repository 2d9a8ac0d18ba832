"""A model behind the interface of EleutherAI's evaluation harness (lm-eval, `lm_eval.api.model.LM`).

    from lm_eval import simple_evaluate
    from model.huggingface.harness import ValencyLM
    simple_evaluate(model=ValencyLM("folder"), tasks=["blimp"])

It answers requests that have `args`, as lm-eval's instances do, and works where lm-eval is not installed.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from model.context import Context
from model.huggingface.heads import ValencyForCausalLM
from model.huggingface.scoring import Likelihood, loglikelihood, loglikelihood_rolling
from model.reading import rows_of
from pipeline.pieces import Tokenizer

if TYPE_CHECKING:
    LM = object
else:
    try:
        from lm_eval.api.model import LM
    except ImportError:
        LM = object

GENERATED = 256
"""Pieces that a request gets at most if it does not say."""

OF_SAMPLING = ("temperature", "top_p", "top_k")
"""Settings that greedy decoding has no use for; transformers warns of them."""


class Request(Protocol):
    """What the harness asks: (context, continuation), (text,) or (context, settings)."""

    @property
    def args(self) -> tuple[Any, ...]: ...


class ValencyLM(LM):  # type: ignore[misc,unused-ignore]
    """A causal model that scores and continues texts."""

    def __init__(
        self,
        pretrained: str | Path | ValencyForCausalLM,
        batch_size: int | str = 4,
        max_length: int | None = None,
        device: str = "cpu",
        **_: Any,
    ) -> None:
        """pretrained: a model, or a folder that one was saved to. max_length: pieces read at most; None: 1,024, or the
        learned positions that there are."""
        super().__init__()
        model = pretrained
        if not isinstance(model, ValencyForCausalLM):
            model = cast(ValencyForCausalLM, ValencyForCausalLM.from_pretrained(str(pretrained)))
        self.model: Any = model.eval()
        self.model.to(device)
        self.reader, self.rows = self.model.reader, int(batch_size) if str(batch_size).isdigit() else 4
        network = self.model.config.model_config()
        known = network.context if network.positions == "learned" else None
        self.length = max_length or known or 1024
        if known and self.length > known:
            raise ValueError(f"max_length is {self.length}; the model knows {known} positions: give at most so many")

    def loglikelihood(self, requests: Iterable[Request], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Of (context, continuation): log-probability of the continuation, and whether greedy decoding would say it."""
        pairs = [(str(request.args[0]), str(request.args[1])) for request in requests]
        found: list[Likelihood] = loglikelihood(self._logits, self.reader, pairs, length=self.length, rows=self.rows)
        return [(each.log, each.greedy) for each in found]

    def loglikelihood_rolling(self, requests: Iterable[Request], disable_tqdm: bool = False) -> list[float]:
        """Of (text,): log-probability of the whole text."""
        texts = [str(request.args[0]) for request in requests]
        return loglikelihood_rolling(self._logits, self.reader, texts, length=self.length, rows=self.rows)

    def generate_until(self, requests: Iterable[Request], disable_tqdm: bool = False) -> list[str]:
        """Of (context, settings): what the model says after the context, up to the first of the texts `until`.

        settings: `until` (a text or several), `max_gen_toks`, and what `generate` takes (`do_sample`, `temperature` …);
        greedy if they do not say otherwise.
        """
        return [self._continue(str(request.args[0]), dict(request.args[1])) for request in requests]

    def _continue(self, text: str, settings: dict[str, Any]) -> str:
        until = settings.pop("until", None) or []
        stops = [until] if isinstance(until, str) else [stop for stop in until if stop]
        room = int(settings.pop("max_gen_toks", GENERATED))
        settings = {"do_sample": False, **settings}
        if not settings["do_sample"]:
            settings = {name: value for name, value in settings.items() if name not in OF_SAMPLING}
        tokenizer = self.reader.tokenizer
        pieces = tokenizer.document(text)[:-1]
        most = max(1, self.length - room)  # of a longer context its end is kept, and begin
        kept = pieces if len(pieces) <= most else pieces[[0, *range(len(pieces) - most + 1, len(pieces))]]
        ids_BN, valid_BN = rows_of([kept])
        with torch.no_grad():
            made = self.model.generate(
                ids_BN.to(self.model.device),
                attention_mask=valid_BN.long().to(self.model.device),
                max_new_tokens=room,
                stopping_criteria=StoppingCriteriaList([Said(tokenizer, stops, len(kept))]),
                **settings,
            )
        said = self._decode(made[0, len(kept) :].tolist())
        return min((said.split(stop, 1)[0] for stop in stops), key=len, default=said)

    def _decode(self, ids: Sequence[int]) -> str:
        end = self.reader.tokenizer.end
        return _text(self.reader.tokenizer, ids[: ids.index(end)] if end in ids else ids)

    def _logits(self, ids_BN: Tensor, context: Context) -> Tensor:
        device = self.model.device
        logits_BNV: Tensor = self.model(ids_BN.to(device), context=context.to(device)).logits
        return logits_BNV


class Said(StoppingCriteria):
    """Stops a row whose new pieces spell one of some texts."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], prompt: int) -> None:
        """prompt: pieces before the first new one."""
        self.tokenizer, self.stops, self.prompt = tokenizer, stops, prompt

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        said = [_text(self.tokenizer, row[self.prompt :].tolist()) for row in input_ids]
        found = [any(stop in text for stop in self.stops) for text in said]
        return torch.tensor(found, device=input_ids.device)


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    known = [each for each in ids if each < tokenizer.size]
    return b"".join(tokenizer.piece_bytes[each] for each in known).decode("utf-8", errors="replace")
