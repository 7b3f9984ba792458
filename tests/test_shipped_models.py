"""What must hold of every model in the repository."""

from pathlib import Path

import numpy as np
import pytest

from nmt.bundle import ModelBundle, versions
from nmt.search import SearchOptions
from nmt.translator import Translator

MODELS = Path(__file__).parent.parent / "models"
BUNDLES = [MODELS / folder.name / str(number) for folder in sorted(MODELS.iterdir()) for number in versions(folder)]
SENTENCES = {
    "en": [
        "How are you today?", "I don't know.", "She bought a new car last week, but it is already broken.",
        "Where is the station?", "The children are playing in the garden.", "Stop!", "My brother works at a bank.",
        "If I had known that you were coming, I would have baked a cake for you and your friends.", "It rains.",
        "What would you like to drink?", "He left without saying a word.", "Tom and Mary got married in 2013.",
    ],
    "fr": [
        "Comment allez-vous aujourd'hui ?", "Je ne sais pas.", "Elle a acheté une nouvelle voiture hier.",
        "Où est la gare ?", "Les enfants jouent dans le jardin.", "Arrête !", "Mon frère travaille dans une banque.",
        "Si j'avais su que tu venais, j'aurais préparé un gâteau pour toi et tes amis.", "Il pleut encore.",
        "Que voudriez-vous boire ?", "Il est parti sans dire un mot.", "Tom et Marie se sont mariés en 2013.",
    ],
    "zh": [
        "你今天好吗？", "我不知道。", "她昨天买了一辆新车。", "车站在哪里？", "孩子们在花园里玩。", "住手！",
        "我哥哥在银行工作。", "如果我早知道你要来，我就会给你和你的朋友们烤一个蛋糕。", "下雨了。", "你想喝什么？",
        "他一句话也没说就走了。", "汤姆和玛丽在2013年结婚了。",
    ],
}  # fmt: skip
CAR = {
    "en": "She bought a new car last week, but it is already broken.",
    "fr": "Elle a acheté une nouvelle voiture hier, mais elle est déjà cassée.",
    "zh": "她上周买了一辆新车，但是车已经坏了。",
}
ONLY_CAR = {"en": "She bought a new car.", "fr": "Elle a acheté une nouvelle voiture.", "zh": "她买了一辆新车。"}
GARDEN = {
    "en": "The children are playing in the garden.",
    "fr": "Les enfants jouent dans le jardin.",
    "zh": "孩子们在花园里玩。",
}
TWICE = {
    "en": "The children are playing in the garden in the garden.",
    "fr": "Les enfants jouent dans le jardin dans le jardin.",
    "zh": "孩子们在花园里在花园里玩。",
}
RED_CAR = {
    "en": ("She bought a red car yesterday.", [["red"], ["car"], ["bought"], ["yesterday"]]),
    "fr": ("Elle a acheté une voiture rouge hier.", [["rouge"], ["voiture"], ["acheté"], ["hier"]]),
    "zh": ("她昨天买了一辆红色的车。", [["红"], ["车"], ["买"], ["昨"]]),
}
"""A sentence, and the words that stand for the same in every language."""
LEFT = {"en": "He left without saying a word.", "fr": "Il est parti sans dire un mot.", "zh": "他一句话也没说就走了。"}
STATION = {"en": "Where is the station?", "fr": "Où est la gare ?", "zh": "车站在哪里？"}
DAMAGED = {
    "source_skipped": (CAR, ONLY_CAR),
    "repetition": (GARDEN, TWICE),
    "copied": (LEFT, None),
    "low_confidence": (STATION, ONLY_CAR),
}
MARKED = {
    "source_skipped": {"en": "already broken", "fr": "cassée", "zh": "坏"},
    "repetition": {"en": "in the garden", "fr": "dans le jardin", "zh": "在花园里"},
}
# least precision and recall on damaged translations; the models of Chinese are unsure of much that is right
WORTH = {
    "source_skipped": (0.95, 0.4),
    "repetition": (0.95, 0.8),
    "copied": (0.95, 0.95),
    "low_confidence": (0.65, 0.95),
}


def test_there_are_models() -> None:
    assert {bundle.parent.name for bundle in BUNDLES} == {"en-fr", "fr-en", "en-zh", "zh-en"}
    assert sum(file.stat().st_size for bundle in BUNDLES for file in bundle.iterdir()) <= 40_000_000


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def translator(request: pytest.FixtureRequest) -> Translator:
    return Translator.load(request.param, device="cpu")


def test_bundle_is_whole_small_and_says_where_it_comes_from(translator: Translator) -> None:
    bundle: ModelBundle = translator.bundle
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= 10_000_000
    data, scores = bundle.card["data"], bundle.card["evaluation"]
    assert all(data[key] for key in ("description", "licence", "attribution", "pairs"))
    assert all(scores[key]["signature"] for key in ("bleu", "chrf", "ter"))
    assert abs(scores["bleu"]["score"] - scores["fp32_bleu"]) <= 0.1
    assert bundle.card["recipe"]["name"] == bundle.name


def test_confidence_and_flags_are_measured_and_worth_something(translator: Translator) -> None:
    report = translator.bundle.card["quality"]
    assert translator.bundle.quality().calibration is not None
    assert report["ece"] <= 0.04 < report["geometric_mean_ece"]
    for name, flag in report["flags"].items():
        precision, recall = WORTH[name]
        assert flag["own"]["precision"] >= precision, name
        assert flag["own"]["recall"] >= recall, name


@pytest.mark.parametrize("name", DAMAGED)
def test_flag_finds_its_damage_and_its_place(translator: Translator, name: str) -> None:
    sources, targets = DAMAGED[name]
    bundle = translator.bundle
    source = sources[bundle.source]
    target = targets[bundle.target] if targets else source
    flags = {flag.name: flag for flag in translator.score([(source, target)])[0].judgement.flags}
    assert name in flags
    if name in MARKED:
        flag = flags[name]
        assert flag.span is not None
        text, language = (source, bundle.source) if flag.side == "source" else (target, bundle.target)
        assert MARKED[name][language] in text[slice(*flag.span)]


def test_clean_sentences_are_hardly_ever_flagged_for_skipping_repeating_or_copying(translator: Translator) -> None:
    translations = translator.translate(SENTENCES[translator.bundle.source])
    flagged = [t.text for t in translations if set(t.sentences[0].flags) - {"low_confidence"}]
    assert len(flagged) <= 1, flagged  # of twelve; the cards state two or three in a hundred


@pytest.mark.parametrize("beam_size", [1, 5])
def test_sentence_alone_is_the_same_as_in_a_batch(translator: Translator, beam_size: int) -> None:
    texts = SENTENCES[translator.bundle.source]
    together = [
        t.sentences[0].hypotheses[0] for t in translator.translate(texts, options=SearchOptions(beam_size=beam_size))
    ]
    for text, expected in zip(texts, together, strict=True):
        alone = translator.translate([text], options=SearchOptions(beam_size=beam_size))[0].sentences[0].hypotheses[0]
        assert alone.text == expected.text
        assert alone.score == pytest.approx(expected.score, abs=1e-4)
        assert np.abs(alone.subwords.weights - expected.subwords.weights).max() < 1e-4


def test_words_are_linked_to_what_they_stand_for(translator: Translator) -> None:
    bundle = translator.bundle
    source, target = RED_CAR[bundle.source][0], RED_CAR[bundle.target][0]
    [scored] = translator.score([(source, target)])
    sources, targets = scored.tokens()
    found = {(sources[s].text, targets[t].text) for s, t, _ in scored.links()}
    wanted = zip(RED_CAR[bundle.source][1], RED_CAR[bundle.target][1], strict=True)
    assert {(a, b) for one, other in wanted for a in one for b in other} <= found
    measured = bundle.card["alignment"].values()
    assert all(gold["aligner, alone"]["aer"] < gold["attention, alone"]["aer"] for gold in measured)


def test_figure_names_and_emoji_come_through(translator: Translator) -> None:
    text = {"en": "Tom is in Boston 😀", "fr": "Tom est à Boston 😀", "zh": "汤姆在波士顿 😀"}[translator.bundle.source]
    translation = translator.translate([text])[0].text
    tom, boston = ("汤姆", "波士顿") if translator.bundle.target == "zh" else ("Tom", "Boston")
    assert tom in translation
    assert boston in translation
