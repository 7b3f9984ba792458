"""Rows that do not compete: the best first units, each continued by itself."""

import math

import pytest
import torch

from nmt.batch import pad
from nmt.config import BOS, EOS, PAD, UNK
from nmt.model import Seq2Seq
from nmt.search import Rule
from tests.nmt.searching import Given, alone, ask, random_model


def plainly(model: Seq2Seq, source: list[int], first: list[int], limit: int) -> list[int]:
    """Greedy from given units on."""
    given_first = ask(source, beam_size=1, limit=limit, more={"rules": [Given(tuple(first))]})
    return alone(model, given_first)[0].tokens


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("given_units", [(), (6, 4)])
def test_independent_rows_are_the_best_first_units_each_continued_greedily(
    count: int, given_units: tuple[int, ...]
) -> None:
    for seed in range(5):
        model = random_model(seed, vocabulary=12)
        rules = [Given(given_units)] if given_units else []
        sentence = ask([4, 5, 6], beam_size=count, limit=8, more={"independent": True, "rules": rules})
        found = alone(model, sentence)
        assert len(found) == count
        place = len(given_units)
        with torch.inference_mode():
            state = model.start(model.encode(pad([[4, 5, 6, EOS]])))
            for read in (BOS, *given_units):
                step = model.step(torch.tensor([read]), state)
                state = step.state
            logits = step.logits[0]
            logits[[PAD, BOS, UNK]] = -math.inf
        best = logits.topk(count).indices.tolist()
        assert {h.tokens[place] for h in found} == set(best)
        for h in found:
            assert h.tokens == plainly(model, [4, 5, 6], h.tokens[: place + 1], 8)


def test_stop_ends_a_row_before_the_unit_but_never_before_the_first() -> None:
    ends = {4, 6, 8, 10}
    stopped = 0
    for seed in range(8):
        model = random_model(seed, vocabulary=12)
        free = alone(model, ask([4, 5, 6], beam_size=4, limit=10, more={"independent": True}))
        stop = {"independent": True, "stop": lambda token: token in ends}
        held = alone(model, ask([4, 5, 6], beam_size=4, limit=10, more=stop))
        for whole in free:
            cut = next((i for i, token in enumerate(whole.tokens) if i and token in ends), len(whole.tokens))
            (mine,) = [h for h in held if h.tokens[0] == whole.tokens[0]]
            assert mine.tokens == whole.tokens[:cut]
            assert mine.token_scores == pytest.approx(whole.token_scores[:cut], abs=1e-5)
            assert mine.truncated == (whole.truncated and cut == len(whole.tokens))
            stopped += cut < len(whole.tokens)
    assert stopped > 0


class Spelled(Rule):
    """One of two units, then a given one: what a prefix that ends inside a word may ask for."""

    def __init__(self, place: int = 0) -> None:
        self.place = place

    def only(self, row: int) -> list[int] | None:
        return ([6, 4], [5], None)[min(self.place, 2)]

    def advance(self, parents: object, tokens: object) -> Rule:
        return Spelled(self.place + 1)


def test_stop_is_not_asked_where_units_are_prescribed() -> None:
    everything = {"independent": True, "stop": lambda token: True, "rules": [Spelled()]}
    model = random_model(2)
    with torch.no_grad():
        model.decoder.output.bias[EOS] = -50.0
    found = alone(model, ask([4, 5], beam_size=3, more=everything))
    assert sorted(h.tokens for h in found) == [[4, 5], [6, 5]]
