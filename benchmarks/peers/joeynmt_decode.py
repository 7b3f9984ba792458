"""Time JoeyNMT's search: an LSTM with random weights, made to write exactly as many units as it read.

Runs in JoeyNMT's environment: python joeynmt_decode.py joeynmt-lstm.yaml VOCABULARY
"""

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

warnings.filterwarnings("ignore")

import torch  # noqa: E402
import yaml  # noqa: E402
from jobs import serve  # noqa: E402
from joeynmt import __version__ as version  # noqa: E402
from joeynmt.batch import Batch  # noqa: E402
from joeynmt.model import build_model  # noqa: E402
from joeynmt.search import search  # noqa: E402
from joeynmt.vocabulary import Vocabulary  # noqa: E402

config = yaml.safe_load(Path(sys.argv[1]).read_text())
units = [f"unit{i}" for i in range(int(sys.argv[2]) - 4)]
symbols = SimpleNamespace(**config["data"]["special_symbols"], sep_token=None, sep_id=None, lang_tags=[])
vocabulary = Vocabulary(units, symbols)
torch.manual_seed(0)
model = build_model(config["model"], vocabulary, vocabulary).eval()


def prepare(job):
    """One batch of random units."""
    size, length, beam = job["batch"], job["length"], job["beam"]
    source = torch.randint(4, len(vocabulary), (size, length))
    source[:, -1] = 3

    def call():
        batch = Batch(
            src=source,
            src_length=torch.full((size,), length),
            src_prompt_mask=None,
            trg=None,
            trg_prompt_mask=None,
            indices=torch.arange(size),
            device=torch.device("cpu"),
            pad_index=1,
            eos_index=3,
            is_train=False,
        )
        with torch.no_grad():
            return search(
                model,
                batch,
                max_output_length=length,
                min_output_length=length,
                beam_size=beam,
                beam_alpha=1.0 if beam > 1 else -1,
                n_best=1,
                generate_unk=True,
                repetition_penalty=-1,
                no_repeat_ngram_size=-1,
                return_prob="none",
                return_attention=False,
            )

    return call


parameters = sum(p.numel() for p in model.parameters())
serve({"joeynmt": version, "torch": torch.__version__, "parameters": parameters}, prepare)
