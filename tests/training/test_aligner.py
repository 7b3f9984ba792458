"""Learning a bundle's aligner from links."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.aligner import Aligner
from nmt.bundle import ALIGNER, ModelBundle, dequantise, quantise
from nmt.config import EOS, PAD
from nmt.tokenizer import SPACE, SPECIAL, CharacterTokenizer
from nmt.translator import Translator
from tests.nmt.test_aligner import side
from tests.training.test_align import ALIGNER as BY_PLACE
from tests.training.test_align import Install, aligner
from training.__main__ import main
from training.aligner import Learned, _divide, choose, learn
from training.aligner_model import AlignerModel, _last, link_loss
from training.mixture import Part
from training.stream import Examples, Position

__all__ = ["aligner"]

VOCABULARY = 40


class Shuffled:
    """Pairs whose target is the source's units, each plus twenty, in another order; links say which is which."""

    def __init__(self, seed: int, batches: int) -> None:
        self.seed, self.batches = seed, batches

    def __call__(self, position: Position) -> Iterator[tuple[Examples, Position]]:
        for number in count():
            random = np.random.default_rng((self.seed, number))
            sources = [random.permutation(np.arange(4, 20))[: random.integers(3, 9)].tolist() for _ in range(32)]
            orders = [random.permutation(len(source)) for source in sources]
            targets = [[source[i] + 20 for i in order] for source, order in zip(sources, orders, strict=True)]
            links = [[(int(i), int(i) + 1, t, t + 1) for t, i in enumerate(order)] for order in orders]
            yield Examples(sources, targets, [""] * 32, links), position

    def batches_in(self, epoch: int) -> int:
        return self.batches


@pytest.fixture(scope="module")
def learned() -> tuple[Learned, torch.Tensor]:
    torch.manual_seed(5)
    embedding = torch.randn(VOCABULARY, 24)
    weights, updates = learn((embedding, embedding), Shuffled(1, 100), most=150)  # type: ignore[arg-type]
    assert updates == 150
    return Learned({**weights, "threshold": torch.tensor([0.5])}, {}), embedding


def served(learned: tuple[Learned, torch.Tensor]) -> Aligner:
    found, embedding = learned
    arrays = {name: tensor.numpy() for name, tensor in dequantise(quantise(found.weights)).items()}
    return Aligner.from_arrays(arrays, embedding.numpy(), embedding.numpy())


def test_it_learns_which_units_stand_for_which_in_any_order(learned: tuple[Learned, torch.Tensor]) -> None:
    examples, _ = next(Shuffled(2, 1)(Position()))
    assert examples.links is not None
    right = 0
    for source, target, links in zip(examples.source, examples.target, examples.links, strict=True):
        view = served(learned).align([*source, EOS], [*target, EOS])
        found = {(int(s), int(t)) for t, s in np.argwhere(np.sqrt(view.forward * view.backward)[:-1, :-1] > 0.5)}
        right += found == {(a, c) for a, _, c, _ in links}
    assert right > 0.9 * len(examples.source)


def test_a_small_corpus_is_seen_twenty_times_and_no_more() -> None:
    embedding = torch.randn(VOCABULARY, 8)
    assert learn((embedding, embedding), Shuffled(1, 2))[1] == 40  # type: ignore[arg-type]


def test_the_threshold_is_the_one_that_agrees_best_with_links_held_out() -> None:
    tokenizer = CharacterTokenizer([*SPECIAL.values(), SPACE, *"abcd"])
    a, b, c, d = (tokenizer.encode(character)[0].id for character in "abcd")
    aligner = Aligner(side({a: 0, b: 1}), side({c: 0, d: 1}), distance=0.0, threshold=0.0)  # c is a, d is b
    report = choose(aligner, (tokenizer, tokenizer), [("a b", "d c", [(0, 1, 2, 3), (2, 3, 0, 1)])])
    assert report["f1"] == report["precision"] == report["recall"] == 1
    assert report["pairs"] == 1
    wrong = choose(aligner, (tokenizer, tokenizer), [("a b", "d c", [(0, 1, 0, 1)])])
    assert wrong["recall"] == 0


def test_in_numpy_it_is_the_same_as_while_it_learns(learned: tuple[Learned, torch.Tensor]) -> None:
    found, embedding = learned
    model = AlignerModel(embedding, embedding).eval()
    rounded = dequantise(quantise(found.weights))
    model.load_state_dict({name: tensor for name, tensor in rounded.items() if name != "threshold"})
    source, target = [4, 9, 11, EOS], [31, 24, EOS]
    padded = (
        torch.tensor([[*source, PAD, PAD], [5, 6, 7, 8, 9, EOS]]),
        torch.tensor([[*target, PAD], [25, 26, 27, EOS]]),
    )
    with torch.no_grad():
        forward, backward = model(*padded)
    view = served(learned).align(source, target)
    np.testing.assert_allclose(view.forward, forward[0, :3, :4].exp().numpy(), atol=1e-5)
    np.testing.assert_allclose(view.backward, backward[0, :3, :4].exp().numpy(), atol=1e-5)


def test_the_loss_by_hand_sends_what_has_no_link_to_the_end() -> None:
    # two source units and the end, one target unit and the end; the target unit is linked to the first
    source, target = torch.tensor([[5, 6, EOS]]), torch.tensor([[7, EOS]])
    links = torch.tensor([[[True, False, False], [False, False, True]]])
    forward = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]]).log()
    backward = torch.tensor([[[0.5, 0.25, 0.1], [0.5, 0.75, 0.9]]]).log()
    wanted = -np.log(0.5 * 0.8) / 2 - np.log(0.5 * 0.75 * 0.9) / 3  # the second source unit became nothing
    assert float(link_loss(forward, backward, links, source, target)) == pytest.approx(wanted, abs=1e-6)


@torch.no_grad()
def test_padding_changes_no_loss() -> None:
    torch.manual_seed(2)
    model = AlignerModel(torch.randn(10, 8), torch.randn(10, 8)).eval()
    links = torch.tensor([[[True, False], [False, True]]])
    source, target = torch.tensor([[5, EOS]]), torch.tensor([[6, EOS]])
    alone = link_loss(*model(source, target), links, source, target)
    source, target = torch.tensor([[5, EOS, PAD]]), torch.tensor([[6, EOS, PAD, PAD]])
    wide = torch.zeros(1, 4, 3, dtype=torch.bool)
    wide[:, :2, :2] = links
    padded = link_loss(*model(source, target), wide, source, target)
    assert float(padded) == pytest.approx(float(alone), abs=1e-6)


def test_the_last_real_place_is_the_end() -> None:
    real = torch.tensor([[[True, True, False], [True, True, True]]]).transpose(0, 1)
    assert _last(real, 2).tolist() == [[[False, True, False]], [[False, False, True]]]


def test_the_end_of_every_corpus_is_held_out_and_no_pair_is_learned_and_held_out() -> None:
    learned, held = _divide([Part(0, 1000, 2.0), Part(1000, 1010), Part(1010, 1011)])
    assert learned == [Part(0, 980, 2.0), Part(1000, 1009), Part(1010, 1011)]
    assert held == [Part(980, 1000), Part(1009, 1010), Part(1011, 1011)]


@pytest.mark.parametrize("shared", ["true", "false"])
def test_a_guided_run_leaves_a_bundle_with_an_aligner(
    recipe_file: Callable[..., Path], aligner: Install, shared: str
) -> None:
    aligner(BY_PLACE)
    small = "\n[model]\nembedding_size = 16\nencoder_size = 8\nencoder_layers = 1\ndecoder_size = 16\n"
    path = recipe_file(small + "\n[training]\nguidance = 0.5\nmax_updates = 2\nvalidate_every = 2\nshortlist = false\n")
    assert main(["run", str(path), "--set", f"units.shared={shared}"]) == 0
    bundle = ModelBundle.load("var/models/tiny")
    assert bundle.card["aligner"]["updates"] > 0
    assert "## Aligner" in (bundle.path / "README.md").read_text("utf-8")
    [translation] = Translator.load(bundle.path, device="cpu").translate(["word number 7"])
    assert translation.sentences[0].hypotheses[0].aligned is not None


def test_a_bundle_that_is_there_is_given_an_aligner_and_its_weights_stay(
    tmp_path: Path, corpus: Path, aligner: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.nmt.conftest import save_bundle

    aligner(BY_PLACE)
    path = save_bundle(tmp_path / "xx-yy" / "1")
    weights = (path / "model.safetensors").read_bytes()
    again = ["add-aligner", str(path), "--train", str(corpus), str(corpus), "--updates", "5"]
    assert main(again) == 0
    assert (path / ALIGNER).exists()
    assert (path / "model.safetensors").read_bytes() == weights
    assert main(again) == 0
    readme = (path / "README.md").read_text("utf-8")
    assert readme.count("## Aligner") == 1
    empty = tmp_path / "empty.tsv"
    empty.write_text("same\tsame\n", "utf-8")
    assert main(["add-aligner", str(path), "--train", str(empty)]) == 2
    assert "no pair is left after cleaning" in capsys.readouterr().err
    assert main(["add-aligner", str(path), "--train", str(corpus), "--updates", "0"]) == 2
    assert "--updates = 0" in capsys.readouterr().err
