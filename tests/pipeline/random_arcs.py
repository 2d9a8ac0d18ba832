"""A left-to-right network of random weights: it says something else of almost every word, so that leaks show."""

import json

import numpy as np
import torch

from lexicons.upos import UPOS
from pipeline.fit.arc_network import ArcNetwork, arrays_of
from pipeline.fit.arcs import with_scores_chosen
from pipeline.fit.examples import Examples
from pipeline.prefix.arcs import ArcReader
from pipeline.prefix.features import word_keys
from pipeline.prefix.lemmas import Lemmas
from pipeline.prefix.network import Sizes
from pipeline.prefix.text import Alphabet
from pipeline.records import Strings

KNOWN = ("the", "she", "went", "home", ".", "of")
SIZES = Sizes(row=8, word=24, near=20, state=16, view=24, pair=6)
SOME = "She went home . The U.S. of 1,000 things which I , too , had seen before they were gone ?"


def random_network(seed: int = 0) -> ArcNetwork:
    torch.manual_seed(seed)
    vectors = torch.randint(-127, 128, (1 + len(KNOWN), 4)) / 128
    network = ArcNetwork(SIZES, vectors, labels=2 * len(UPOS), dropout=0.0)
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, std=2.0 if name == "distance" else 0.3)
    network.on_grid = True
    return network.eval()


def random_reader(alphabet: Alphabet, network: ArcNetwork | None = None) -> ArcReader:
    arrays = arrays_of(network or random_network()) | {
        "known": np.sort(word_keys(alphabet, KNOWN)),
        "label_tag": np.repeat(np.arange(len(UPOS), dtype=np.uint8), 2),
        "feats": np.frombuffer(json.dumps(["", "Number=Plur"] * len(UPOS)).encode(), np.uint8),
        "lemmas": np.frombuffer(Lemmas([{}] * 2 * len(UPOS), [False] * 2 * len(UPOS)).to_json(), np.uint8),
    }
    form = Strings.of(SOME.split())
    count = len(form)
    some = Examples(
        form=form,
        tag=np.zeros(count, np.uint8),
        feats=Strings.of([""] * count),
        head=np.full(count, -1, np.int64),
        first=np.array([0, count]),
    )
    return with_scores_chosen(arrays, alphabet, some)
