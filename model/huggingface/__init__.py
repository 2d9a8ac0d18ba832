"""Hugging Face on both sides: models of Valency as transformers models, and a run as a folder that transformers loads.

    import model.huggingface                                     # registers: from here on Auto classes know "valency"
    from model.huggingface import export_run
    export_run(Path("runs/tiny-views"), Path("folder"))          # or: valency export runs/tiny-views folder
    AutoModelForCausalLM.from_pretrained("folder").generate(...)

config.py       settings              base.py, heads.py     the models
tokenizer.py    the tokenizer         streaming.py, rows.py generation piece by piece
export.py       run to folder         scoring.py, harness.py  log-likelihoods, and lm-eval's interface

transformers is imported here and nowhere else in Valency: it takes seconds.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from model.huggingface.base import ValencyModel, ValencyPreTrainedModel
from model.huggingface.config import ValencyConfig
from model.huggingface.export import export_run
from model.huggingface.heads import ValencyForCausalLM, ValencyForMaskedLM, ValencyForSequenceClassification
from model.huggingface.tokenizer import fast_tokenizer

__all__ = [
    "ValencyConfig",
    "ValencyForCausalLM",
    "ValencyForMaskedLM",
    "ValencyForSequenceClassification",
    "ValencyModel",
    "ValencyPreTrainedModel",
    "export_run",
    "fast_tokenizer",
]

AutoConfig.register("valency", ValencyConfig, exist_ok=True)
AutoModel.register(ValencyConfig, ValencyModel, exist_ok=True)
AutoModelForCausalLM.register(ValencyConfig, ValencyForCausalLM, exist_ok=True)
AutoModelForMaskedLM.register(ValencyConfig, ValencyForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(ValencyConfig, ValencyForSequenceClassification, exist_ok=True)
