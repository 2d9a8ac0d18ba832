"""The seeds' headline experiments again, each a program: what they claim, beside what we measure.

    valency reproduce asi --device cuda --json f        # a Longformer whose attention is linear
    valency reproduce asam --device cuda --json f       # a layer of sparse attention beside a dense one

asi.py       a whole model, swapped
asam.py      one layer, forward, training and memory
variants.py  devices, precisions, mechanisms, ratios; both are timed as benches are (flows/bench/turns.py)

Weights are random and nothing is fetched: what is measured is speed and memory, and whether calls are really routed.
Ratios are of equal precision on both sides; those of other pairs stand beside them under their own names.
"""
