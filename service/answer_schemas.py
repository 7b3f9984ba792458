"""Answers and events of the native API, as /openapi.json describes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Offsets = tuple[int, int]


class Token(BaseModel):
    """A word or a subword; `</s>` and its like have no span and say `special`."""

    text: str
    span: Offsets | None = Field(description="Half-open code-point offsets.")
    special: bool = False
    logprob: float | None = Field(default=None, description="Natural logarithm of the model's probability.")


class Attention(BaseModel):
    """Each row is a target token's attention over the source tokens; it sums to 1."""

    rows: Literal["target"] = "target"
    columns: Literal["source"] = "source"
    data: list[list[float]]


class HypothesisAnswer(BaseModel):
    """A candidate translation of one sentence."""

    text: str
    score: float | None = Field(description="Log-probability over the length penalty; for a given pair, its mean.")
    confidence: float | None = Field(description="How likely it is a good translation, 0 to 1.")
    perplexity: float | None = Field(description="exp of minus the mean log-probability of its units; 1 is certain.")
    source_tokens: list[Token] | None = None
    target_tokens: list[Token] | None = None
    alignment: list[tuple[int, int, float]] | None = Field(
        default=None, description="Which tokens stand for which: [source, target, weight]."
    )
    alignment_by: Literal["aligner", "attention"] | None = Field(
        default=None,
        description="The model's aligner, which reads both sentences whole (weight: how far its two directions agree), "
        "or, where it has none, its attention.",
    )
    attention: Attention | None = None


class FlagSpan(BaseModel):
    """Where a flag was raised: in the text as sent, or in the best candidate's text."""

    flag: str
    side: Literal["source", "target"]
    span: Offsets


class _Sentence(BaseModel):
    source_span: Offsets
    flags: list[str]
    flag_spans: list[FlagSpan]
    hypotheses: list[HypothesisAnswer]


class SentenceAnswer(_Sentence):
    """One sentence and its candidates, best first."""

    target_span: Offsets


class TextAnswer(BaseModel):
    """The translation of one text."""

    text: str
    sentences: list[SentenceAnswer]


class ModelReference(BaseModel):
    """The bundle that translated; `sha256` is its identity."""

    name: str
    version: int
    sha256: str


class Timing(BaseModel):
    """Milliseconds."""

    queue: float
    compute: float


class TranslateAnswer(BaseModel):
    """One result for each text, in order."""

    request_id: str
    model: ModelReference
    timing_ms: Timing
    results: list[TextAnswer]


class ScoreAnswer(BaseModel):
    """What the model thinks of a given translation."""

    request_id: str
    model: ModelReference
    timing_ms: Timing
    score: float | None = Field(description="Mean log-probability of the units, end of sentence included.")
    perplexity: float | None
    hypothesis: HypothesisAnswer


class AlternativeEntry(BaseModel):
    """A word that may come next."""

    text: str
    probability: float
    prefix: str = Field(description="The given prefix with this word, ready to be sent as a `target_prefix`.")


class AlternativesAnswer(BaseModel):
    """The words that may come next, likeliest first."""

    request_id: str
    model: ModelReference
    timing_ms: Timing
    alternatives: list[AlternativeEntry]


class StartedSentence(BaseModel):
    """A sentence that will be translated; `source_tokens` are the columns of its attention rows."""

    text: int = Field(description="Which of `texts`.")
    sentence: int = Field(description="Which sentence of it.")
    source_span: Offsets
    source_tokens: list[Token]


class StartEvent(BaseModel):
    """Data of `event: start`, the first."""

    request_id: str
    model: ModelReference
    sentences: list[StartedSentence]


class TokenEvent(BaseModel):
    """Data of `event: token`: a unit that will not change any more; sentences may take turns."""

    text: int
    sentence: int
    index: int = Field(description="Place in the hypothesis, counted from 0.")
    token: Token
    added: str = Field(description="What the unit adds to the text so far, spaces included.")
    attention: list[float] | None = Field(description="Weights over `source_tokens`; null without attention.")


class SentenceEvent(_Sentence):
    """Data of `event: sentence`: one sentence as `done` will have it; only its `target_span` is not known yet."""

    text: int
    sentence: int


class LanguageEntry(BaseModel):
    """A language that some model reads or writes."""

    code: str
    name: str


class Direction(BaseModel):
    """A direction, and the model that serves it unless a request names another."""

    source: str
    target: str
    model: str
    version: int


class LanguagesAnswer(BaseModel):
    """What can be translated into what."""

    languages: list[LanguageEntry]
    directions: list[Direction]


class VersionEntry(BaseModel):
    """One version on disk."""

    version: int
    folder: str
    status: Literal["ready", "loading", "failed", "available"]
    error: str | None = None


class ModelEntry(BaseModel):
    """A model by name, and the version that is served."""

    name: str
    status: Literal["ready", "loading", "failed"]
    error: str | None = None
    version: int | None = None
    source: str | None = None
    target: str | None = None
    sha256: str | None = None
    device: str | None = None
    versions: list[VersionEntry]


class ModelsAnswer(BaseModel):
    """All models of all folders, broken ones included."""

    models: list[ModelEntry]


class ModelAnswer(ModelEntry):
    """A model, with its card and its configuration."""

    card: dict[str, Any] | None = None
    config: dict[str, Any] | None = None


class LimitsAnswer(BaseModel):
    """The limits of this server; each is a setting."""

    max_body_bytes: int
    max_texts: int
    max_characters: int
    max_beam_size: int
    max_n_best: int
    max_prefix_characters: int
    max_alternatives: int
    max_attention_cells: int
    queue_size: int
    queue_units: int
    deadline_seconds: float


class StatusAnswer(BaseModel):
    """Whether the server lives or can take requests."""

    status: str


class ProblemAnswer(BaseModel):
    """RFC 9457. `code` is stable; `pointer` names the part of the body to change."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    pointer: str | None = None
    errors: list[dict[str, str]] | None = None
