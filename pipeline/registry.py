"""The folder is the registry: a family is models/<name>.py, a metric audit/<question>/<name>.py."""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import TypeVar

import audit
import models
from audit.core import QUESTIONS, Metric, Question
from models.core.base import GenerativeModel

T = TypeVar("T")


def families() -> tuple[str, ...]:
    """Return the names of all generative families, sorted, without importing any."""
    return _names(models)


def family(name: str) -> type[GenerativeModel]:
    """Return the class of a family.

    Raises:
        ValueError: If there is no such family.
    """
    if name not in families():
        raise ValueError(f"model {name!r}: there is no such family; there are {', '.join(families())}")
    return _only_class(importlib.import_module(f"models.{name}"), GenerativeModel)  # type: ignore[type-abstract]


def metrics(question: Question | None = None) -> tuple[str, ...]:
    """Return the names of all metrics, or of one question's, as `question.name`, without importing any."""
    asked = QUESTIONS if question is None else (question,)
    return tuple(f"{each}.{name}" for each in asked for name in _names(importlib.import_module(f"audit.{each}")))


def metric(name: str) -> type[Metric]:
    """Return the class of a metric named `question.name`.

    Raises:
        ValueError: If there is no such metric.
    """
    if name not in metrics():
        raise ValueError(f"metric {name!r}: there is no such metric; there are {', '.join(metrics())}")
    return _only_class(importlib.import_module(f"{audit.__name__}.{name}"), Metric)  # type: ignore[type-abstract]


def _names(package: ModuleType) -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg))


def _only_class(module: ModuleType, base: type[T]) -> type[T]:
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    concrete = [value for value in found if not inspect.isabstract(value)]
    if len(concrete) != 1:
        raise ValueError(f"{module.__name__}: got {len(concrete)} {base.__name__} classes in the file, wanted one")
    return concrete[0]
