"""Train JoeyNMT as its own command does, timing every update; then the plain validation loss.

Runs in JoeyNMT's environment: python joeynmt_train.py CONFIG.yaml
Prints a JSON line for each update, {"seconds", "tokens"} (target tokens; seconds since the update before,
reading data included), and at the end {"valid_loss": nats a target token, without smoothing}.
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import torch  # noqa: E402
from joeynmt.config import load_config  # noqa: E402
from joeynmt.helpers import make_model_dir  # noqa: E402
from joeynmt.training import TrainManager, train  # noqa: E402

step, whole = TrainManager._train_step, TrainManager.train_and_validate
seen = {}


def timed_step(self, batch):
    """An update's tokens, and the seconds since the one before began."""
    now = time.perf_counter()
    if "began" in seen:
        print(json.dumps({"seconds": now - seen["began"], "tokens": seen["tokens"]}), flush=True)
    seen["began"], seen["tokens"] = now, int(batch.ntokens)
    return step(self, batch)


def kept(self, train_data, valid_data):
    """Train; remember what the validation needs."""
    whole(self, train_data, valid_data)
    print(json.dumps({"seconds": time.perf_counter() - seen["began"], "tokens": seen["tokens"]}), flush=True)
    seen["model"], seen["valid"], seen["args"] = self.model, valid_data, self


TrainManager._train_step, TrainManager.train_and_validate = timed_step, kept
config = load_config(Path(sys.argv[1]))
make_model_dir(Path(config["model_dir"]), overwrite=True)
train(0, 1, config, skip_test=True)

model, manager = seen["model"].eval(), seen["args"]
model.loss_function = ("crossentropy", 0.0)
batches = seen["valid"].make_iter(
    batch_size=64,
    batch_type="sentence",
    seed=1,
    shuffle=False,
    num_workers=0,
    device=manager.device,
    eos_index=model.eos_index,
    pad_index=model.pad_index,
)
total = tokens = 0.0
with torch.no_grad():
    for batch in batches:
        batch.sort_by_src_length()
        total += float(model(return_type="loss", **vars(batch))[0])
        tokens += float(batch.ntokens)
parameters = sum(p.numel() for p in model.parameters())
print(json.dumps({"valid_loss": total / tokens, "valid_tokens": tokens, "parameters": parameters}), flush=True)
