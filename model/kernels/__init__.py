"""Kernels: attention through views computed without an N×N array, each held to the dense masks of `model.views`."""
