"""Time CTranslate2: an int8 Transformer base (6+6, 512) with random weights, made to write as many units as it read.

Runs in CTranslate2's environment: python ctranslate2_decode.py THREADS [VOCABULARY]
"""

import sys
import tempfile

import ctranslate2
import numpy as np
from ctranslate2.specs import transformer_spec
from jobs import serve

WIDTH, INNER, HEADS, LAYERS = 512, 2048, 8, 6
VOCABULARY = int(sys.argv[2]) if len(sys.argv) > 2 else 32000
random = np.random.default_rng(0)


def weights(*shape):
    """Random values."""
    return (random.standard_normal(shape) * 0.05).astype(np.float32)


def norm(layer):
    """Fill a layer norm."""
    layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def linear(layer, rows, columns):
    """Fill a linear layer."""
    layer.weight, layer.bias = weights(rows, columns), np.zeros(rows, np.float32)


def attention(layer, *, own):
    """Fill self-attention (`own`) or attention to the source."""
    norm(layer.layer_norm)
    sizes = (3 * WIDTH, WIDTH) if own else (WIDTH, 2 * WIDTH, WIDTH)
    for part, rows in zip(layer.linear, sizes, strict=True):
        linear(part, rows, WIDTH)


def inner(layer):
    """Fill a feed-forward layer."""
    norm(layer.layer_norm)
    linear(layer.linear_0, INNER, WIDTH)
    linear(layer.linear_1, WIDTH, INNER)


spec = transformer_spec.TransformerSpec.from_config(LAYERS, HEADS, pre_norm=True)
embeddings = spec.encoder.embeddings
(embeddings[0] if isinstance(embeddings, list) else embeddings).weight = weights(VOCABULARY, WIDTH)
spec.decoder.embeddings.weight = weights(VOCABULARY, WIDTH)
for side in (spec.encoder, spec.decoder):
    side.position_encodings.encodings = weights(512, WIDTH)
    norm(side.layer_norm)
    for layer in side.layer:
        attention(layer.self_attention, own=True)
        if side is spec.decoder:
            attention(layer.attention, own=False)
        inner(layer.ffn)
linear(spec.decoder.projection, VOCABULARY, WIDTH)
tokens = ["<blank>", "<unk>", "<s>", "</s>", *(f"t{i}" for i in range(VOCABULARY - 4))]
spec.register_source_vocabulary(tokens)
spec.register_target_vocabulary(tokens)
spec.validate()
spec.optimize(quantization="int8")


def prepare(job):
    """One batch of random units."""
    size, length = job["batch"], job["length"]
    source = [[f"t{random.integers(VOCABULARY - 4)}" for _ in range(length - 1)] + ["</s>"] for _ in range(size)]
    options = {
        "beam_size": job["beam"],
        "min_decoding_length": length,
        "max_decoding_length": length,
        "max_batch_size": size,
    }
    return lambda: translator.translate_batch(source, **options)


with tempfile.TemporaryDirectory() as folder:
    spec.save(folder)
    translator = ctranslate2.Translator(
        folder, device="cpu", compute_type="int8", inter_threads=1, intra_threads=int(sys.argv[1])
    )
serve({"ctranslate2": ctranslate2.__version__, "layers": LAYERS, "width": WIDTH, "vocabulary": VOCABULARY}, prepare)
