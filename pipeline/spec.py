"""specs/<name>.yaml as one frozen tree; a wrong key, type or combination is an error that names its path."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from audit.report.answers import Waiver
from pipeline.complaints import combination_mistakes, metric_mistakes, model_mistakes, sentence, twice_mistakes
from pipeline.errors import Mistake
from tabular.rules import Rule
from tabular.schema import Category, Kind

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


def _of_a_rule(text: str) -> str:
    return Rule.parse(text).text


class _All:
    """Contains everything."""

    def __contains__(self, item: object) -> bool:
        return True


ALL: Container[str] = _All()
Further = Callable[[Mapping[str, JsonValue]], Sequence[str]]


def _nothing(tree: Mapping[str, JsonValue]) -> Sequence[str]:
    return ()


class SpecError(Mistake):
    """A specification that cannot run; its text holds one line per mistake, each with its path in the file."""


class Part(BaseModel):
    """A frozen part of the tree; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Part):
    """Where the real rows are.

    Attributes:
        path: A file, an fsspec URL (s3://...), `package://module/file` for a file that an installed package ships, or
            a SQLAlchemy URL. `${NAME}` is replaced from the environment, so that no secret stands in the file.
        query: SQL to run where `path` is a database.
        format: Found from the name where not given.
        delimiter: CSV only; found where not given.
        encoding: CSV and JSON Lines only; found where not given.
        decimal: CSV only; the decimal mark; found where not given.
        nulls: Texts that mean missing, beside the empty text.
        sha256: Of the source's bytes; refused if it differs.
        options: fsspec storage options (endpoint_url, anon, ...).
    """

    path: str
    query: str | None = None
    format: Literal["csv", "parquet", "arrow", "jsonl", "sql"] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    nulls: tuple[str, ...] = ()
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    options: dict[str, JsonValue] = {}


class ColumnSpec(Part):
    """What the spec says of one source column; all that is not said is found.

    Attributes:
        kind: Statistical kind.
        drop: Leave the column out.
        rename: Its name from here on.
        values: Words for values: `{0: white, 1: black}`; makes the column categorical.
        otherwise: Word for every value that `values` does not name; an unnamed value is refused where this is not set.
        sensitive: Whether the bias audit looks at it.
        categories: Allowed values, in order.
        minimum: Smallest allowed number.
        maximum: Largest allowed number.
        nullable: Whether a value may be missing.
        decimals: Decimal places to write.
    """

    kind: Kind | None = None
    drop: bool = False
    rename: str | None = None
    values: dict[Category, str] | None = None
    otherwise: str | None = None
    sensitive: bool = False
    categories: tuple[Category, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool | None = None
    decimals: int | None = Field(default=None, ge=0, le=15)


class Demand(Part):
    """What one metric must show; exactly one of the first four.

    Attributes:
        at_most: value <= this.
        at_least: value >= this.
        times_reference: value <= this x what fresh real rows score (metrics where lower is better).
        from_reference: Worse than fresh real rows by at most this.
        fails_beyond: The same figure beyond which the whole interval must lie to fail; the demand's own where not
            given.
    """

    at_most: float | None = None
    at_least: float | None = None
    times_reference: float | None = Field(default=None, gt=0)
    from_reference: float | None = Field(default=None, ge=0)
    fails_beyond: float | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        wanted = [name for name in type(self).model_fields if name != "fails_beyond"]
        given = [name for name in wanted if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"got {' and '.join(given) or 'nothing'}, wanted exactly one of {', '.join(wanted)}")
        return self


class Choose(Part):
    """Which of several accepted models is released: the best by one metric."""

    metric: str = "fidelity.detection"


class ReleaseSpec(Part):
    """How an accepted table is published.

    Attributes:
        enabled: Whether an accepted table is published at all.
        remote: DVC remote for the bytes: a folder (relative to the project) or a URL that DVC knows (s3://...).
        options: Options of that remote (endpointurl, region, ...); never secrets, they come from the environment.
    """

    enabled: bool = True
    remote: str = "data/remote"
    options: dict[str, str] = {}


class Spec(Part):
    """One data set's whole specification.

    Attributes:
        name: Lower-case name; names the run folders, the DAG and the releases.
        source: Where the real rows are.
        columns: What is said of single columns, by their name in the source.
        other_columns: Whether columns that `columns` does not list are kept.
        target: Column that downstream models predict, by its name after renaming.
        task: `classification` or `regression`; found from the target where not given.
        unit: Privacy unit (a person): rows that share its value stay on one side of the split.
        holdout: Share of rows, by unit, that no model ever sees.
        rules: What every row must keep, in the words of `tabular.rules`, over columns by their name after renaming.
        models: Families to train and their settings; a family is a name in the registry.
        rows: Synthetic rows to generate; as many as training rows where not given.
        shard_rows: Rows generated at a time; shards run side by side.
        policy: Name of the gates that count, `policies/<name>.yaml`.
        demands: Gates beyond the policy's: what a metric (`question.name`) must show.
        waivers: Gates that somebody takes upon himself, with a reason and a day of expiry.
        secrets: Columns that an attacker would like to know; the sensitive ones and the target where none is named.
        analyses: Regressions that will be run on the rows, `y ~ a + b`.
        deep: Whether the audit attacks the models themselves too, by training each many times more.
        choose: Which accepted model is released.
        release: How.
        schedule: Cron expression or Airflow preset; None runs by hand only.
        seed: The one seed; the same seed gives the same bytes on the same kind of machine.
    """

    name: Name
    source: Source
    columns: dict[str, ColumnSpec] = {}
    other_columns: Literal["keep", "drop"] = "keep"
    target: str | None = None
    task: Literal["classification", "regression"] | None = None
    unit: str | None = None
    holdout: float = Field(default=0.3, gt=0, lt=1)
    rules: tuple[Annotated[str, AfterValidator(_of_a_rule)], ...] = ()
    models: dict[str, dict[str, JsonValue]] = Field(min_length=1)
    rows: int | None = Field(default=None, ge=1)
    shard_rows: int = Field(default=100_000, ge=1)
    policy: Name = "analytics"
    demands: dict[str, Demand] = {}
    waivers: dict[str, Waiver] = {}
    secrets: tuple[str, ...] = ()
    analyses: tuple[str, ...] = ()
    deep: bool = False
    choose: Choose = Choose()
    release: ReleaseSpec = ReleaseSpec()
    schedule: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)

    @classmethod
    def load(
        cls,
        path: Path,
        changes: Mapping[str, JsonValue] | None = None,
        only: Container[str] = ALL,
        further: Further = _nothing,
    ) -> Self:
        """Read a specification.

        Args:
            path: The YAML file.
            changes: Values to put in place of the file's, by dotted path (`seed`, `models.gmm.components`); `models`
                may be a list of some of the file's families.
            only: Families whose settings are checked against the family itself, and `demands` for the demands: to
                check one means to import it.
            further: Says what else is wrong with the tree, each mistake with its path.

        Raises:
            SpecError: With every mistake in it, one a line.
        """
        try:
            text = path.read_text(encoding="utf-8")
            tree = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"{path}: cannot be read: {error}") from error
        except (yaml.YAMLError, ValueError) as error:  # a date such as 2020-13-45 is a plain ValueError
            raise SpecError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(tree, dict):
            raise SpecError(f"{path}: got {type(tree).__name__}, wanted a mapping of settings")
        for dotted, value in (changes or {}).items():
            _put(tree, dotted, value)
        return cls.of(tree, str(path), only, lambda tree: (*twice_mistakes(text), *further(tree)))

    @classmethod
    def of(
        cls, tree: Mapping[str, JsonValue], where: str, only: Container[str] = ALL, further: Further = _nothing
    ) -> Self:
        """Check a tree of plain values.

        Raises:
            SpecError: With every mistake in it, one a line, each starting with `where` and its path.
        """
        mistakes: list[str] = []
        spec = None
        try:
            spec = cls.model_validate(tree)
        except ValidationError as error:
            mistakes += [sentence(line["loc"], line["msg"], line.get("input")) for line in error.errors()]
        mistakes += combination_mistakes(tree)
        mistakes += model_mistakes(tree.get("models"), only)
        if "demands" in only:
            mistakes += metric_mistakes(tree)
        mistakes += further(tree)
        if spec is None or mistakes:
            raise SpecError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
        return spec

    def dump(self) -> str:
        """Return the whole tree, defaults included, as YAML that `load` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _put(tree: dict[str, JsonValue], dotted: str, value: JsonValue) -> None:
    if dotted == "models" and isinstance(value, list):
        given = tree.get("models")
        settings = given if isinstance(given, dict) else {}
        value = {str(name): settings.get(str(name), {}) for name in value}
    *parents, last = dotted.split(".")
    node: dict[str, JsonValue] = tree
    for parent in parents:
        below = node.setdefault(parent, {})
        if not isinstance(below, dict):
            raise SpecError(f"{dotted}: {parent} holds a plain value, not settings")
        node = below
    node[last] = value
