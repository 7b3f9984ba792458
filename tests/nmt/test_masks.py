"""Shortlists: what a sentence may not use whoever shares its batch."""

import numpy as np
import pytest
import torch

from nmt.batch import pad
from nmt.config import BOS, EOS, UNK
from tests.nmt.searching import SENTENCES, alone, answers, ask, assert_same, random_model


@torch.inference_mode()
def test_softmax_runs_over_the_shortlist_alone() -> None:
    model, own = random_model(1, vocabulary=12), np.array([EOS, 4, 6, 9])
    found = alone(model, ask([4, 5, 6], beam_size=3, n_best=3, more={"shortlist": own}))
    state = model.start(model.encode(pad([[4, 5, 6, EOS]])))
    logits = model.step(torch.tensor([BOS]), state).logits[0, own]
    for hypothesis in found:
        assert set(hypothesis.tokens) <= set(own.tolist())
        first = own.tolist().index(hypothesis.tokens[0])
        assert hypothesis.token_scores[0] == pytest.approx(float(logits.log_softmax(dim=0)[first]), abs=1e-5)


def test_a_shortlist_of_everything_changes_nothing() -> None:
    model = random_model(1, vocabulary=12)
    everything = {"shortlist": np.arange(12)}
    for source in SENTENCES:
        assert_same(alone(model, ask(source, more=everything)), alone(model, ask(source)))


def test_own_shortlists_in_one_batch() -> None:
    model = random_model(1, vocabulary=40, sharpness=3.0)
    lists = [np.array([UNK, EOS, *range(low, low + 9)]) for low in (4, 10, 30)]
    for beam_size in (1, 4):
        together = [ask([4, 5, UNK, 7], beam_size=beam_size, more={"shortlist": own}) for own in lists]
        for own, hypotheses in zip(lists, answers(model, together), strict=True):
            assert set(hypotheses[0].tokens) <= set(own.tolist())
            twin = ask([4, 5, UNK, 7], beam_size=beam_size, more={"shortlist": own})
            assert_same(hypotheses, alone(model, twin))
