"""`assay init`: a policy that fits an archive and its data, as far as both show it, to be finished by a person."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.policy import Gate, read_policy
from assay.power import power_in_words
from assay_aws.policy_file import parse_yaml
from assay_local.console import Console
from assay_local.guessed import Asked, Guess
from assay_local.problem import Problem
from assay_local.run import archive_of
from assay_local.side_job import side_job
from assay_local.steps import Task
from assay_local.validate import model_line

GATES: Mapping[str, tuple[dict[str, Any], ...]] = {
    "image_classification": ({"metric": "accuracy", "min": 0.9}, {"metric": "recall", "class": "each", "min": 0.7}),
    "tabular_classification": ({"metric": "accuracy", "min": 0.9}, {"metric": "recall", "class": "each", "min": 0.7}),
    "text_classification": ({"metric": "accuracy", "min": 0.9}, {"metric": "recall", "class": "each", "min": 0.7}),
    "tabular_regression": ({"metric": "r2", "min": 0.8},),
    "object_detection": ({"metric": "map50", "min": 0.8},),
}
"""Examples, which a policy is written with as comments: the numbers are for a person to say."""


@dataclass(frozen=True)
class Options:
    model: Path
    data: Path
    output: Path = Path("assay.yaml")
    annotations: Path | None = None
    force: bool = False


def init(options: Options, console: Console) -> int:
    """Guess, write, and say what rests on what; 0 when a policy is written.

    Raises:
        Problem, AssayError: there is nothing to guess from, or the file is there.
    """
    if options.output.exists() and not options.force:
        raise Problem(f"{options.output} is there already, and stays as it is; --force replaces it")
    for place in (options.data, options.annotations):
        if place is not None and not place.exists():
            raise Problem(f"{place} does not exist; expected a folder of pictures, or CSV, JSON Lines or Parquet files")
    guess = guessed(options, console)
    text = policy_text(guess, options)
    read_policy(parse_yaml(text.encode(), str(options.output)), str(options.output))
    write(text, options.output)
    tell(guess, options, console)
    return 0


def guessed(options: Options, console: Console) -> Guess:
    with ExitStack() as stack:
        job = stack.enter_context(side_job())
        job.put_archive(archive_of(options.model, Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        annotations = None if options.annotations is None else str(options.annotations.resolve())
        asked = Asked(data=str(options.data.resolve()), annotations=annotations)
        (job.root / "question.json").write_text(asked.to_json(), encoding="utf-8")
        task = Task("guess")
        with console.following(task.steps), task:
            job.run("assay_local.trials", task)
            task.detail = ""
        return Guess.model_validate_json((job.root / "guess.json").read_bytes())


def write(text: str, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"{file}: {error.strerror}") from error


def policy_text(guess: Guess, options: Options) -> str:
    """The policy as YAML, with what it rests on beside each line."""
    return "\n".join(lines_of(guess, options)) + "\n"


def lines_of(guess: Guess, options: Options) -> Iterator[str]:
    assert guess.facts is not None  # the program that guesses has seen to it
    yield f"# Written by `assay init` for {options.model.name} and {guess.samples:,} samples"
    yield f"# The model: {model_line(guess.facts)}"
    # in quotes, or an editor would miss a file that is not there yet
    yield "# For an editor's help: `assay schema > assay.schema.json`, and as the first line here"
    yield "# `# yaml-language-server: $schema=assay.schema.json`"
    yield f"task: {guess.task}"
    sections = {**sections_of(guess), "data": located(guess.data, options)}
    for section, values in sections.items():
        open_keys = [key for key in guess.unsure if key.startswith(f"{section}.") and key.split(".")[1] not in values]
        if not values and not open_keys:
            continue
        yield f"{section}:" if values else f"# {section}:"
        for key, value in values.items():
            place = f"{section}.{key}"
            if place in guess.unsure:
                yield f"  # NOT SURE: {guess.unsure[place]}"
            if key in ("source", "annotations") and str(value).startswith(".."):
                yield "  # outside of this folder: on AWS it has to lie below, or say s3://…"
            if place in guess.notes:
                yield f"  # {guess.notes[place]}"
            yield f"  {key}: {flow(value)}"
        for place in open_keys:
            yield f"  # {place.split('.')[1]}:  # NOT GUESSED: {guess.unsure[place]}"
    yield ""
    yield "# What decides. Without gates a run is `not judged`; the numbers are yours to say."
    yield "# gates:"
    for gate in GATES[guess.task]:
        said = power_of(gate, guess)
        yield f"#   - {flow(gate)}" + (f"  # {said}" if said else "")


def sections_of(guess: Guess) -> dict[str, dict[str, Any]]:
    return {
        "data": guess.data,
        "model": guess.model,
        "preprocessing": guess.preprocessing,
        "evaluate": guess.evaluate,
    }


def power_of(gate: Mapping[str, Any], guess: Guess) -> str:
    """What the data can decide of an example."""
    asked = Gate.model_validate(gate)
    if not guess.supports:
        return ""
    if asked.class_ is None:
        return power_in_words(asked, sum(guess.supports.values())) or ""
    name, least = min(guess.supports.items(), key=lambda pair: pair[1])
    said = power_in_words(asked, least)
    return "" if said is None else f"the smallest, {name}, {said}"


def located(data: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """The data's addresses as they are meant from the policy's folder."""
    folder = options.output.resolve().parent
    result = dict(data)
    for key in ("source", "annotations"):
        if key in result:
            end = "/" if result[key].endswith("/") else ""
            result[key] = Path(os.path.relpath(result[key], folder)).as_posix() + end
    return result


def flow(value: Any) -> str:
    """A value on one line, as YAML reads it back: JSON's words, quoted only where they need to be."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def is_plain(text: str) -> bool:
    """Whether YAML takes a text for itself without quotes, within brackets too."""
    if not text or text != text.strip() or any(character in text for character in ",[]{}:#&*!|>'\"%@`?\\"):
        return False
    try:
        return bool(parse_yaml(text.encode(), "") == text)
    except Exception:  # noqa: BLE001 - whatever YAML makes of it, it is quoted then
        return False


def tell(guess: Guess, options: Options, console: Console) -> None:
    console.say()
    console.say(f"  {'wrote':<10} {options.output}: {guess.task}, {guess.samples:,} samples")
    for key, note in guess.notes.items():
        section, _, name = key.partition(".")
        said = sections_of(guess)[section].get(name)
        console.say(f"  {name:<10} {'' if said is None else flow(said) + ': '}{note}")
    for key, reason in guess.unsure.items():
        console.say(f"  {'not sure':<10} {key}: {reason}", "yellow")
    console.say()
    console.say(f"Now say in {options.output} what decides (gates), and check it:")
    console.say(f"  assay validate --policy {options.output} --model {options.model}", "bold")
