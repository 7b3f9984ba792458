"""Requests of the native API, as /openapi.json describes them; `answer_schemas.py` has the answers."""

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
Show = Literal["links", "attention"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Request(_Strict):
    source: Language
    target: Language
    model: ModelName | None = Field(default=None, description="Name of a model, where several serve the direction.")
    version: int | None = Field(default=None, ge=1, description="Fail unless exactly this version is served.")


class _Search(_Request):
    beam_size: int = Field(default=5, ge=1, description="Hypotheses that are followed at once; 1 is greedy.")
    target_prefix: Text | None = Field(
        default=None, description="The translation begins so; the text must then be one sentence."
    )


class SamplingOptions(_Strict):
    """Draw units at random instead of searching; the same seed draws the same."""

    temperature: float = Field(default=1.0, ge=0.05, le=5.0, description="Below 1 sharper, above 1 flatter.")
    top_k: int = Field(default=0, ge=0, le=100_000, description="Draw among the k likeliest units; 0 is off.")
    top_p: float = Field(
        default=1.0, gt=0.0, le=1.0, description="Draw among the likeliest units that hold this much probability."
    )
    seed: int = Field(default=0, ge=0, lt=2**63)


class TranslateRequest(_Search):
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
    n_best: int = Field(
        default=1, ge=1, description="Candidates for each sentence, at most `beam_size`; with `sampling`, draws."
    )
    length_penalty: float = Field(
        default=1.0, ge=0.0, le=10.0, description="Exponent α of the length penalty (Wu et al. 2016, eq. 14)."
    )
    coverage_penalty: float = Field(default=0.0, ge=0.0, le=10.0, description="Weight β of coverage, same equation.")
    no_repeat_ngram_size: int = Field(
        default=0, ge=0, le=20, description="No run of so many units comes twice in a translation; 0 is off."
    )
    sampling: SamplingOptions | None = Field(default=None, description="Draw at random; `beam_size` is then ignored.")
    parts: list[Part] = Field(
        default_factory=list,
        alias="return",
        description="What to send beside the text; `scores` adds a logprob to every target token.",
    )
    granularity: Granularity = "word"


class HeatmapRequest(_Search):
    """One sentence of a text and its translation, or a given pair."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "How are you today?", "source": "en", "target": "fr"}]}
    )

    text: Text
    translation: Text | None = Field(default=None, description="A given translation; `text` must then be one sentence.")
    sentence: int = Field(default=0, ge=0, description="Which sentence of `text` to draw.")
    granularity: Granularity = "word"
    show: Show = Field(
        default="attention",
        description="`attention`: where the model looked; `links`: which tokens stand for which, as `alignment` says.",
    )


class ScoreRequest(_Request):
    """A given translation of one sentence."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "How are you today?", "translation": "Comment vas-tu ?", "source": "en", "target": "fr"}
            ]
        }
    )

    text: Text
    translation: Text
    granularity: Granularity = "word"


class AlternativesRequest(_Request):
    """A sentence, and its translation up to the word that is asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "She has a car.", "source": "en", "target": "fr", "target_prefix": "Elle a une "}]
        }
    )

    text: Text
    target_prefix: Text = Field(description="What stands before the word; may be empty.")
    count: int = Field(default=5, ge=1, description="Most words to give.")
