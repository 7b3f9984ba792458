import pytest

from nmt.config import ModelConfig
from nmt.errors import ConfigError

INVALID = {
    "unknown cell": ({"cell": "transformer"}, "model.cell = 'transformer' is not known; choose one of rnn_tanh"),
    "wiring without attention": (
        {"context": "first_state", "score": "", "wiring": "parallel"},
        "model.wiring = 'parallel' belongs to context = 'attention' only",
    ),
    "score without attention": ({"context": "every_step", "wiring": ""}, "model.score = 'general' belongs to"),
    "attention without wiring": ({"wiring": ""}, "model.wiring = '' is not known"),
    "attention without score": ({"score": ""}, "model.score = '' is not known"),
    "parallel with one layer": ({"decoder_layers": 1}, "set decoder_layers = 2 or wiring = 'input_feeding'"),
    "dot of two widths": ({"score": "dot", "decoder_size": 300}, "make them equal or set score = 'general'"),
    "last of two widths": ({"bridge": "last", "decoder_size": 300}, "make them equal or set bridge = 'transform'"),
    "dropout of all": ({"dropout": 1.0}, "model.dropout = 1.0 is out of range"),
    "no layer": ({"encoder_layers": 0}, "model.encoder_layers = 0 is out of range; it must lie between 1 and 64"),
    "two vocabularies tied": ({"target_vocabulary": 30}, "set units.shared = true or tying = 'two_way'"),
}


@pytest.mark.parametrize(("values", "message"), INVALID.values(), ids=INVALID.keys())
def test_invalid_pair_is_a_clear_error(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ModelConfig.from_dict({"source_vocabulary": 20, "target_vocabulary": 20, **values})
    assert message in str(error.value)


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"model\.dropuot is not a known key; did you mean 'dropout'\?"):
        ModelConfig.from_dict({"source_vocabulary": 20, "target_vocabulary": 20, "dropuot": 0.1})


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="model lacks the key 'target_vocabulary'"):
        ModelConfig.from_dict({"source_vocabulary": 20})


def test_wrong_type_says_the_right_one() -> None:
    with pytest.raises(ConfigError, match=r"model\.dropout = 'much' has the wrong type; it must be a number"):
        ModelConfig.from_dict({"source_vocabulary": 20, "target_vocabulary": 20, "dropout": "much"})


def test_config_survives_its_dictionary() -> None:
    config = ModelConfig(source_vocabulary=20, target_vocabulary=20, cell="gru", dropout=0)
    assert ModelConfig.from_dict(config.to_dict()) == config
