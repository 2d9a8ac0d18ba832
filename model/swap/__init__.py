"""Our mixing in other people's models: transformers' Longformer, BERT, RoBERTa, GPT-2, T5 and Llama.

    from model.swap import restore, swap_attention
    report = swap_attention(model, "views", views=("dense", "window(64)"))      # any name in MECHANISMS
    model(**inputs)
    report.calls, report.coverage                                                # what was really routed, by layer
    restore(model)                                                               # or: with swap_attention(…) as report

The model's own projections make queries, keys and values, and its own one takes the result: what is swapped is how
they are mixed. A mechanism's own parameters, if it has some, become parameters of the model.

layers.py   where models mix pieces     mixer.py       a mechanism at such a place
route.py    transformers' interface     longformer.py  the model that does not use it
masks.py    what a forward pass knows   words.py       what views are told of words
report.py   what was routed             swap.py        there and back

transformers is imported when a model is swapped and no sooner: it takes seconds.
"""

from model.swap.report import Report
from model.swap.swap import restore, swap_attention
from model.swap.words import Told, context_for, reader_for, told

__all__ = ["Report", "Told", "context_for", "reader_for", "restore", "swap_attention", "told"]
