"""What a swap has done: which layers it took, and which calls of attention were really routed, counted at run time."""

from typing import Any

from torch import nn

from model.context import Context

NO_WEIGHTS = "a swapped layer has no weights to show; give output_attentions=False"
MINE = "_valency_swap"
"""Where a swapped model keeps its report."""


class Report:
    """Of one swapped model. As a context manager it gives the model back at the end."""

    def __init__(self, model: nn.Module, mechanism: str, layers: tuple[str, ...], left: tuple[str, ...]) -> None:
        self.model, self.mechanism = model, mechanism
        self.layers, self.left = layers, left
        """Names of the self-attention that is swapped, and of that which is not."""
        self.calls = dict.fromkeys(layers, 0)
        """By layer: calls of attention that went through the mechanism."""
        self.made = dict.fromkeys((*layers, *left), 0)
        """By layer: calls of self-attention that the model made, swapped or not."""
        self.dropout, self.global_tokens = "keys", "refuse"
        self.keeps_bias = self.reads_words = False
        self.reader: Any = None
        self.told = dict[bool, Context]()
        """What is known of words in the next pass, by time order: an encoder and a decoder read other pieces."""
        self.before: list[tuple[Any, Any]] = []
        """Configurations that name an attention, and the name that each had before."""
        self.classes: dict[str, type] = {}
        """Classes of modules that were given another one, by name."""

    @property
    def coverage(self) -> float:
        """Routed calls as a part of all calls of self-attention; 0 before the first."""
        return sum(self.calls.values()) / max(sum(self.made.values()), 1)

    def check(self) -> None:
        """Errors: RuntimeError if nothing was routed yet, or if a swapped layer mixed in any other way."""
        if not any(self.calls.values()):
            raise RuntimeError(
                f"no call of attention was routed through {self.mechanism!r}: "
                + ("the model has made none yet; call it first" if not any(self.made.values()) else self._passed())
            )
        if any(self.calls[name] != self.made[name] for name in self.layers):
            raise RuntimeError(self._passed())

    def _passed(self) -> str:
        name = next(name for name in self.layers if self.calls[name] != self.made[name])
        return (
            f"{name} was called {self.made[name]} times and routed {self.calls[name]} times; was the model's attention "
            "set anew after the swap? Restore it, set what is to be set, and swap again"
        )

    def __str__(self) -> str:
        whole = f"{self.mechanism}: {len(self.layers)} of {len(self.made)} layers, coverage {100 * self.coverage:.1f}%"
        return "\n".join(
            [whole, *(f"{name:<60}{self.calls.get(name, 0)} of {made}" for name, made in self.made.items())]
        )

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_error: object) -> None:
        from model.swap.swap import restore

        restore(self.model)


class Made:
    """A hook before a module's forward: counts its calls. An object and not a closure: copies of a model copy it."""

    def __init__(self, report: Report, name: str) -> None:
        self.report, self.name = report, name

    def __call__(self, _module: nn.Module, _args: Any) -> None:
        self.report.made[self.name] += 1


class Checked:
    """A hook after the model's forward: nothing routed is an error at the first pass, not a result."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def __call__(self, _module: nn.Module, _args: Any, out: Any) -> None:
        self.report.check()
        # Some models ask their layers for weights and do not tell them so.
        shown = (getattr(out, name, None) for name in ("attentions", "encoder_attentions", "decoder_attentions"))
        if any(not each or any(weights is None for weights in each) for each in shown if each is not None):
            raise ValueError(NO_WEIGHTS)


class Reads:
    """A hook before a stack of layers: what is known of words follows from the ids that it is given."""

    def __init__(self, report: Report, causal: bool) -> None:
        self.report, self.causal = report, causal

    def __call__(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise ValueError("these views read words off the pieces; give the model input_ids and no embeddings")
        past = kwargs.get("past_key_values")
        if past is not None and past.get_seq_length():
            raise ValueError("views that read words keep no cache: past pieces must be read again; use_cache=False")
        mask = kwargs.get("attention_mask")
        valid = mask if mask is not None and mask.ndim == 2 else None
        self.report.told[self.causal] = self.report.reader.read(ids, valid, causal=self.causal)


HOOKS = (Made, Checked, Reads)
