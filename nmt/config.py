"""ModelConfig: what a model is made of. Every part checks itself when built."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nmt.errors import ConfigError

T = TypeVar("T")

Cell = Literal["rnn_tanh", "rnn_relu", "gru", "lstm"]
Context = Literal["first_state", "every_step", "attention"]
Bridge = Literal["last", "transform", "mean"]
Score = Literal["additive", "dot", "scaled_dot", "general"]
Wiring = Literal["conditional", "input_feeding", "parallel"]
Tying = Literal["none", "two_way", "three_way"]

PAD, UNK, BOS, EOS = 0, 1, 2, 3
"""Token ids shared by every vocabulary: padding, unknown, start and end of sentence."""


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raise `ConfigError` unless `value` is one of the literals of `choices`."""
    if value not in get_args(choices):
        raise ConfigError(f"{name} = {value!r} is not known; choose one of {', '.join(get_args(choices))}")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise `ConfigError` unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"{name} = {value} is out of range; it must lie between {low:g} and {high:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The architecture. Field by field, what a recipe's `[model]` table may say.

    Attributes:
        cell: Recurrent cell of encoder and decoder.
        embedding_size: E, width of source and target embeddings.
        encoder_size: Width of one direction of the encoder; memory width M is twice this when
            `bidirectional`.
        encoder_layers: Stacked encoder layers.
        bidirectional: Whether every encoder layer reads both ways.
        decoder_size: H, width of the decoder.
        decoder_layers: Stacked decoder layers; `parallel` needs two or more.
        context: How the source reaches the decoder: as its first state only, as an input of
            every step, or by attention.
        bridge: Where c and the first state come from: the last encoder state itself, a transform
            of it, or a transform of the mean of all states.
        score: Attention score; `dot` and `scaled_dot` need M equal to H.
        wiring: `conditional` (Bahdanau et al. 2015), `input_feeding` (Luong et al. 2015) or
            `parallel` (Wu et al. 2016, GNMT). Attention only; empty otherwise.
        residual: Add each layer's input to its output where the widths agree (layers above the first).
        layer_norm: Layer norm between layers, never inside the cell (Ba et al. 2016).
        dropout: Share dropped between layers, one mask for all steps (Gal & Ghahramani 2016).
        source_word_dropout, target_word_dropout: Share of source units, and of the target units read,
            whose whole embedding is dropped in training (Sennrich et al. 2016, WMT, section 2.3).
        tying: `two_way` shares target embedding and output; `three_way` the source's too.
    """

    source_vocabulary: int
    target_vocabulary: int
    cell: Cell = "lstm"
    embedding_size: int = 384
    encoder_size: int = 256
    encoder_layers: int = 2
    bidirectional: bool = True
    decoder_size: int = 384
    decoder_layers: int = 2
    context: Context = "attention"
    bridge: Bridge = "mean"
    score: Score | Literal[""] = "general"
    wiring: Wiring | Literal[""] = "parallel"
    residual: bool = True
    layer_norm: bool = False
    dropout: float = 0.2
    source_word_dropout: float = 0.0
    target_word_dropout: float = 0.0
    tying: Tying = "three_way"

    @property
    def memory_size(self) -> int:
        """M, the width of the encoder's memory."""
        return self.encoder_size * (2 if self.bidirectional else 1)

    def __post_init__(self) -> None:
        for name, choices in (("cell", Cell), ("context", Context), ("bridge", Bridge), ("tying", Tying)):
            check_choice(f"model.{name}", getattr(self, name), choices)
        for name in ("source_vocabulary", "target_vocabulary"):
            check_range(f"model.{name}", getattr(self, name), EOS + 2, 1_000_000)
        for name in ("embedding_size", "encoder_size", "decoder_size"):
            check_range(f"model.{name}", getattr(self, name), 1, 16_384)
        for name in ("encoder_layers", "decoder_layers"):
            check_range(f"model.{name}", getattr(self, name), 1, 64)
        for name in ("dropout", "source_word_dropout", "target_word_dropout"):
            check_range(f"model.{name}", getattr(self, name), 0.0, 0.95)
        self._check_attention()
        self._check_bridge()
        if self.tying == "three_way" and self.source_vocabulary != self.target_vocabulary:
            raise ConfigError(
                "model.tying = 'three_way' needs one shared vocabulary, but the sides have "
                f"{self.source_vocabulary} and {self.target_vocabulary} entries; set units.shared = true or "
                "tying = 'two_way'"
            )

    def _check_attention(self) -> None:
        if self.context != "attention":
            for name in ("wiring", "score"):
                if getattr(self, name):
                    raise ConfigError(
                        f"model.{name} = {getattr(self, name)!r} belongs to context = 'attention' only; "
                        f"with context = {self.context!r} set {name} = ''"
                    )
            return
        check_choice("model.score", self.score, Score)
        check_choice("model.wiring", self.wiring, Wiring)
        if self.wiring == "parallel" and self.decoder_layers < 2:
            raise ConfigError(
                "model.wiring = 'parallel' needs decoder_layers of 2 or more: the bottom layer asks, the upper "
                "ones read the answer; set decoder_layers = 2 or wiring = 'input_feeding'"
            )
        if self.score in ("dot", "scaled_dot") and self.memory_size != self.decoder_size:
            raise ConfigError(
                f"model.score = {self.score!r} compares memory and decoder state directly, but their widths differ "
                f"({self.memory_size} and {self.decoder_size}); make them equal or set score = 'general'"
            )

    def _check_bridge(self) -> None:
        if self.bridge == "last" and self.memory_size != self.decoder_size:
            raise ConfigError(
                f"model.bridge = 'last' copies the last encoder state, {self.memory_size} wide, into a decoder "
                f"{self.decoder_size} wide; make them equal or set bridge = 'transform'"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`; an unknown or missing key is a `ConfigError`."""
        return build(cls, values, "model")


def build(kind: type[T], values: dict[str, Any], place: str) -> T:
    """Build dataclass `kind` from plain `values`, as read from TOML or JSON.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type; `place` and the
            key are named.
    """
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f"{place}.{key} is not a known key; {hint}")
    hints = get_type_hints(kind)
    for key, value in values.items():
        if not _fits(value, hints[key]):
            raise ConfigError(f"{place}.{key} = {value!r} has the wrong type; it must be {_describe(hints[key])}")
    try:
        return kind(**values)
    except TypeError:
        required = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
        missing = [n for n in required if n not in values]
        raise ConfigError(f"{place} lacks the key {missing[0]!r}; add it") from None


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return isinstance(value, str)  # which string is checked by the dataclass itself
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(dict.fromkeys(_describe(option) for option in get_args(hint)))
    if get_origin(hint) in (list, tuple):
        return f"a list of {_describe(get_args(hint)[0])}"
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", NoneType: "left out"}
    return names.get(hint, str(hint))
