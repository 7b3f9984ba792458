"""Requests and answers of the native API, as /openapi.json describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from nmt.text import replace_surrogates


def _replace(value: Any) -> Any:
    return replace_surrogates(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_replace)]
"""Any text; a lone surrogate becomes U+FFFD, so that offsets stay what they were."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,35}$", description="Language code, as in /v1/languages.")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Part = Literal["tokens", "scores", "alignment", "attention"]
Granularity = Literal["word", "subword"]
Format = Literal["svg", "html", "csv", "json"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    source: Language
    target: Language
    model: ModelName | None = Field(default=None, description="Name of a model, where several serve the direction.")
    version: int | None = Field(default=None, ge=1, description="Fail unless exactly this version is served.")
    beam_size: int = Field(default=5, ge=1, description="Hypotheses that are followed at once; 1 is greedy.")


class TranslateRequest(_Request):
    """Texts to translate. Every text may hold many sentences and line breaks."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "texts": ["How are you today?"],
                    "source": "en",
                    "target": "fr",
                    "n_best": 1,
                    "beam_size": 5,
                    "return": ["tokens", "scores", "alignment", "attention"],
                    "granularity": "word",
                }
            ]
        }
    )

    texts: list[Text] = Field(min_length=1)
    n_best: int = Field(default=1, ge=1, description="Candidates for each sentence, at most `beam_size`.")
    parts: list[Part] = Field(
        default_factory=list,
        alias="return",
        description="What to send beside the text; `scores` adds a logprob to every target token.",
    )
    granularity: Granularity = "word"


class HeatmapRequest(_Request):
    """One sentence of a text and its translation, or a given pair."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "How are you today?", "source": "en", "target": "fr"}]}
    )

    text: Text
    translation: Text | None = Field(default=None, description="A given translation; `text` must then be one sentence.")
    sentence: int = Field(default=0, ge=0, description="Which sentence of `text` to draw.")
    granularity: Granularity = "word"


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
    score: float | None
    confidence: float | None
    source_tokens: list[Token] | None = None
    target_tokens: list[Token] | None = None
    alignment: list[tuple[int, int, float]] | None = Field(default=None, description="[source, target, weight]")
    attention: Attention | None = None


class SentenceAnswer(BaseModel):
    """One sentence and its candidates, best first."""

    source_span: Offsets
    target_span: Offsets
    flags: list[str]
    hypotheses: list[HypothesisAnswer]


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
    max_attention_cells: int
    queue_size: int
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
