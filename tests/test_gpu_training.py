"""What the GPU benchmark does, tiny, on the CPU."""

from benchmarks import gpu_training
from nmt.config import ModelConfig


def test_training_is_timed_for_every_batch_size() -> None:
    shape = ModelConfig(
        source_vocabulary=40, target_vocabulary=40, embedding_size=16, encoder_size=8, decoder_size=16, dropout=0.1
    )
    rows = gpu_training.measure(shape, device="cpu", peak=1e9, sentences=(2, 4), length=5, updates=5)
    assert [row["sentences"] for row in rows] == [2, 4]
    assert all(row["target_tokens_per_second"] > 0 for row in rows)
