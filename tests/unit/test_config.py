"""Settings: what files and --set may say, what mistakes are told, and that all of it needs no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from radflow.config import (
    COUNT_IF_SET,
    ENV_PATTERN,
    MADE_MODELS,
    READ_ONLY_WITH,
    RunConfig,
    Section,
    settings_of,
)
from radflow.config_file import load_config, show_config
from radflow.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path | None, *overrides: str) -> str:
    """What a wrong config is told."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides=overrides)
    return str(caught.value)


def all_fields(section: type[Section] = RunConfig, name: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for key, field in section.model_fields.items():
        yield f"{name}{key}", field
        if isinstance(field.default, Section):
            yield from all_fields(type(field.default), f"{name}{key}.")


FIELDS = dict(all_fields())


@pytest.fixture
def data_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment variables that shipped configs name."""
    for path in CONFIGS:
        for name in ENV_PATTERN.findall(path.read_text(encoding="utf-8")):
            monkeypatch.setenv(name, str(tmp_path))


def test_there_are_shipped_configs() -> None:
    assert "quickstart.yaml" in [path.name for path in CONFIGS]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.usefixtures("data_folders")
def test_shipped_config_loads_and_differs_from_the_defaults(path: Path) -> None:
    assert load_config(path) != RunConfig()


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.0e-5", "0.00001", "+1e-05"])
def test_scientific_notation_is_a_number_in_files_and_overrides(tmp_path: Path, text: str) -> None:
    in_file = load_config(write(tmp_path, f"rft:\n  learning_rate: {text}\n"))
    on_command_line = load_config(None, overrides=[f"rft.learning_rate={text}"])
    assert in_file.rft.learning_rate == on_command_line.rft.learning_rate == 1e-5


@pytest.mark.parametrize("text", ["a.b", "._", "e5", "1e", "chest x-ray"])
def test_text_that_only_resembles_a_number_stays_text(text: str) -> None:
    assert load_config(None, overrides=[f"model.prompt={text}"]).model.prompt == text


def test_override_wins_over_the_file_and_leaves_its_neighbours(tmp_path: Path) -> None:
    path = write(tmp_path, "sft:\n  epochs: 3\n  batch_size: 5\n")
    sft = load_config(path, overrides=["sft.epochs=4"]).sft
    assert (sft.epochs, sft.batch_size) == (4, 5)


def test_override_reaches_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "sft:\n"), overrides=["sft.epochs=4"]).sft.epochs == 4


def test_empty_file_means_all_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing\n")) == RunConfig()


def test_unknown_key_is_refused_with_line_and_nearest_name(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 1\nsft:\n  learning_rat: 1e-4\n")
    assert f"{path}:3: unknown setting sft.learning_rat; did you mean sft.learning_rate?" in message(path)


def test_unknown_section_is_refused_with_line(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 1\nmodle:\n  name: tiny\n")
    assert f"{path}:2: unknown setting modle; did you mean model?" in message(path)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: -1\nsft:\n  epochs: 0\n  batchsize: 4\n")
    assert all(f"{path}:{line}: " in message(path) for line in (1, 3, 4))


def test_mistake_in_an_override_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "sft:\n  epochs: 3\n")
    for override in ("sft.epochs=-3", "sft.epoch=3", "seed=-1"):
        told = message(path, override)
        assert "--set" in told
        assert str(path) not in told


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1", "sft.learning_rate=0", "sft.learning_rate=1", "sft.epochs=0", "rft.group_size=1",
        "rft.kappa=0.5", "data.split.test=1.5", "data.max_images=0", "evaluate.confidence=1",
        "data.split.test=0.95", "model.tiny.patch_size=7", "engine.workers=-1", "sft.epochs=many",
        "data.split.method=ids", "model.device=gpu", "evaluate.split=val", "model.prompt=''",
    ],
)  # fmt: skip
def test_value_out_of_bounds_is_refused_by_name(override: str) -> None:
    section = override.partition("=")[0].rsplit(".", 1)[0]
    assert section in message(None, override)


@pytest.mark.parametrize(
    ("text", "line"),
    [("sft:\n  epochs: 1\n  epochs: 2\n", 3), ("seed: 1\nsft: {}\nseed: 2\n", 3)],
    ids=["nested", "top"],
)
def test_key_that_stands_twice_is_refused_with_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path, text)
    assert "stands twice" in message(path)
    assert f"{path}:{line}" in message(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [("seed: 1\nsft: [1, 2\n", 3), ("seed: 1\n\tsft: 2\n", 2), ("seed: 1\nsft: *nowhere\n", 2)],
    ids=["open bracket", "tab", "alias"],
)
def test_bad_yaml_is_refused_with_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path, text)
    assert "not valid YAML" in message(path)
    assert f"({path}:{line})" in message(path)


@pytest.mark.parametrize("text", ["- seed\n", "seed\n", "1: 2\n", "seed: 1\n---\nseed: 2\n", "a: \x01\n"])
def test_file_that_holds_no_sections_is_a_config_error(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert str(path) in message(path)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    assert str(tmp_path / "no.yaml") in message(tmp_path / "no.yaml")
    assert str(tmp_path) in message(tmp_path)
    for path in (tmp_path, tmp_path / "no.yaml"):
        assert "radflow init" in message(path)
        assert "Errno" not in message(path)


def test_an_unknown_section_is_blamed_on_the_option_that_named_it(tmp_path: Path) -> None:
    assert "--set stf.epochs=2: unknown setting stf" in message(write(tmp_path, "seed: 1\n"), "stf.epochs=2")


def test_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("model:\n  prompt: Befund für\n".encode("latin-1"))
    assert str(path) in message(path)


@pytest.mark.parametrize("override", ["sft.epochs", "=3", "sft..epochs=3", "", "sft.=3"])
def test_malformed_override_is_told_the_form(override: str) -> None:
    assert "section.key=value" in message(None, override)


def test_override_below_a_value_is_refused() -> None:
    assert "seed is a value" in message(None, "seed=1", "seed.x=2")


def test_relative_path_starts_at_its_config_file_and_an_override_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write(tmp_path, "data:\n  root: ../sets/iu\nmodel:\n  name: ./base\n")
    config = load_config(path, overrides=["data.images=./png"])
    assert config.data.root == tmp_path.parent / "sets" / "iu"
    assert config.model.name == str(tmp_path / "base")
    assert config.data.images == elsewhere / "png"
    assert load_config(path, overrides=["model.name=./base"]).model.name == str(elsewhere / "base")


@pytest.mark.parametrize("name", ["tiny", "HuggingFaceTB/SmolVLM-256M-Instruct"])
def test_model_name_without_a_leading_dot_or_slash_is_no_path(name: str) -> None:
    assert load_config(None, overrides=[f"model.name={name}"]).model.name == name


def test_environment_variable_is_expanded_in_data_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RADFLOW_DATA", str(tmp_path / "sets"))
    path = write(tmp_path, "data:\n  root: ${RADFLOW_DATA}/iu\n  split:\n    file: ${RADFLOW_DATA}/s.csv\n")
    data = load_config(path).data
    assert (data.root, data.split.file) == (tmp_path / "sets/iu", tmp_path / "sets/s.csv")


def test_unset_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RADFLOW_NOWHERE", raising=False)
    assert "RADFLOW_NOWHERE is not set" in message(None, "data.root=${RADFLOW_NOWHERE}/iu")


@pytest.mark.parametrize("key", ["model.prompt", "model.name", "data.source", "data.table.image_columns"])
def test_environment_variable_elsewhere_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "token-1234")
    value = "['${SECRET}']" if key.endswith("s") else "${SECRET}"
    told = message(None, f"{key}={value}")
    assert f"{key} holds an environment variable" in told
    assert "token-1234" not in told


def test_inert_capo_is_refused_and_told_the_ways_out(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 1\nrft:\n  num_iterations: 1\n")
    told = message(path)
    assert f"{path}:2: " in told
    assert "num_iterations" in told
    assert "algorithm: grpo" in told


def test_inert_capo_hides_behind_equal_steps_and_accumulation() -> None:
    overrides = ("rft.num_iterations=1", "rft.steps_per_generation=4", "rft.gradient_accumulation=4")
    assert "num_iterations" in message(None, *overrides)


@pytest.mark.parametrize("way_out", ["rft.algorithm=grpo", "rft.steps_per_generation=2"])
def test_single_iteration_is_allowed_where_the_clip_is_not_wanted_or_can_act(way_out: str) -> None:
    assert load_config(None, overrides=["rft.num_iterations=1", way_out]).rft.num_iterations == 1


def test_settings_that_phantoms_would_ignore_are_refused_and_told_the_ways_out() -> None:
    assert "data.phantoms.train, data.phantoms.validation" in message(None, "data.limit=10")
    lateral = "data.phantoms.lateral=true"
    for more in ((), ("data.views=all",), ("data.max_images=2",)):
        assert "data.views: all and data.max_images: 2" in message(None, lateral, *more)
    both = load_config(None, overrides=[lateral, "data.views=all", "data.max_images=2"])
    assert both.data.phantoms.lateral
    table = load_config(None, overrides=["data.source=table", "data.limit=10", lateral])
    assert table.data.limit == 10


@pytest.mark.usefixtures("data_folders")
@pytest.mark.parametrize("path", [None, *CONFIGS], ids=lambda path: path.stem if path else "defaults")
def test_shown_config_parses_back_to_itself(path: Path | None, tmp_path: Path) -> None:
    config = load_config(path)
    assert load_config(write(tmp_path, show_config(config))) == config


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: not ENV_PATTERN.search(text)))
@example("1e-5")
@example("null")
@example("first line\nsecond: line\n...")
def test_shown_text_parses_back_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, prompt: str
) -> None:
    config = RunConfig.model_validate({"model": {"prompt": prompt}})
    path = write(tmp_path_factory.getbasetemp(), show_config(config, "model"))
    assert load_config(path).model.prompt == prompt


def test_shown_section_holds_only_itself(tmp_path: Path) -> None:
    config = load_config(None, overrides=["data.split.test=0.3", "seed=7"])
    again = load_config(write(tmp_path, show_config(config, "data.split")))
    assert (again.data.split.test, again.seed) == (0.3, 0)


def test_showing_an_unknown_section_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean evaluate"):
        show_config(RunConfig(), "evalute")


def test_every_section_is_walked() -> None:
    assert {"seed", "data.split.file", "model.lora.r", "evaluate.generation.top_p"} <= FIELDS.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_setting_has_a_sentence_and_a_default(name: str) -> None:
    field = FIELDS[name]
    assert field.description
    assert field.description.strip().endswith(".")
    assert field.get_default(call_default_factory=True, validated_data={}) is not PydanticUndefined


def test_config_is_frozen_at_every_depth() -> None:
    config = RunConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.data.split.test = 0.3  # type: ignore[misc]


@pytest.mark.parametrize(
    "code",
    [
        "import radflow, radflow.config, radflow.config_file",
        "from radflow.cli import app; app(['--help'], standalone_mode=False)",
        "from radflow.cli import app; app(['config', 'show'], standalone_mode=False)",
    ],
    ids=["import", "help", "config show"],
)
def test_settings_and_help_import_no_torch(code: str) -> None:
    check = (
        "print(sorted({'torch', 'transformers', 'trl', 'datasets'} & sys.modules.keys()), file=sys.stderr)"
    )
    command = [sys.executable, "-c", f"import sys; {code}; {check}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


CAROTID = ("data.phantoms.modality=carotid", "data.max_images=4")
ONTOLOGIES = tuple(
    f"{stage}.ontology=carotid-ultrasound" for stage in ("explore", "annotate", "reward", "evaluate")
)


def test_carotid_phantoms_need_their_ontology_in_every_stage() -> None:
    config = load_config(None, overrides=[*CAROTID, *ONTOLOGIES])
    assert config.data.phantoms.modality == "carotid"
    for left_out in ONTOLOGIES:
        told = message(None, *CAROTID, *(item for item in ONTOLOGIES if item != left_out))
        assert left_out.split("=")[0] in told


@pytest.mark.parametrize(
    "override", ["data.max_images=3", "data.phantoms.observations=[edema]", "data.phantoms.lateral=true"]
)
def test_settings_that_carotid_phantoms_would_ignore_are_refused(override: str) -> None:
    told = message(None, *CAROTID, *ONTOLOGIES, override)
    assert "modality: chest" in told or "data.max_images: 4" in told


def test_settings_of_another_source_or_model_do_not_count() -> None:
    def given(phantoms: dict[str, int]) -> RunConfig:
        data = {"source": "table", "root": "reports.csv", "phantoms": phantoms}
        return RunConfig.model_validate({"data": data, "model": {"name": "some/model"}})

    before, after = given({}), given({"train": 7})
    assert settings_of(before, "data", "model") == settings_of(after, "data", "model")
    assert "tiny" not in settings_of(before, "model")["model"]
    assert settings_of(before, "data")["data"]["table"]
    phantoms = RunConfig.model_validate({"data": {"phantoms": {"train": 7}}})
    assert settings_of(phantoms, "data") != settings_of(RunConfig(), "data")
    assert settings_of(phantoms, "model")["model"]["tiny"]


@pytest.mark.parametrize("name", READ_ONLY_WITH)
def test_setting_that_some_sources_or_models_read_counts_with_them_and_only_there(name: str) -> None:
    decider, values = READ_ONLY_WITH[name]
    section, key = name.split(".")
    sources, models = ("phantoms", "table", "mimic_cxr", "iu_xray"), (*MADE_MODELS, "some/model")
    for value in sources if decider == "data.source" else models:
        config = load_config(None, overrides=[f"{decider}={value}"])
        assert (key in settings_of(config, section)[section]) == (value in values)


def test_every_model_that_is_made_has_settings_of_its_own() -> None:
    named = [values for decider, values in READ_ONLY_WITH.values() if decider == "model.name"]
    assert sorted(named) == sorted((model,) for model in MADE_MODELS)


def test_settings_that_count_if_set_are_empty_by_default() -> None:
    assert [name for name in COUNT_IF_SET if FIELDS[name].default] == []


def test_settings_of_mimic_count_only_there() -> None:
    mimic = RunConfig.model_validate({"data": {"source": "mimic_cxr"}})
    assert settings_of(mimic, "data")["data"]["mimic"]
    assert settings_of(mimic, "model")["model"]["show_previous"] is False
    for key, section in (("mimic", "data"), ("show_previous", "model")):
        assert key not in settings_of(RunConfig(), section)[section]


def test_headers_count_where_there_are_some() -> None:
    """Runs of before there was this setting stay valid."""
    headers = {"source": "table", "sections": {"headers": {"Befund": "findings"}}}
    german = RunConfig.model_validate({"data": headers})
    assert settings_of(german, "data")["data"]["sections"]["headers"] == {"Befund": "findings"}
    plain = RunConfig.model_validate({"data": {"source": "table"}})
    assert "headers" not in settings_of(plain, "data")["data"]["sections"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.source=table", "data.sections.headers={Befund: finding}"],
            r"data\.sections\.headers\.Befund",
        ),
        (["data.sections.headers={Befund: findings}"], "does nothing with source phantoms"),
        (
            ["data.source=mimic_cxr", "data.sections.headers={Befund: findings}"],
            "set data.mimic.sections: radflow",
        ),
        (
            ["data.source=table", "model.show_previous=true"],
            "show_previous does nothing with data.source: table",
        ),
    ],
)
def test_settings_that_nobody_would_read_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, overrides=overrides)


def test_choices_are_shown_wherever_they_stand_in_a_type() -> None:
    shown = show_config(RunConfig())
    assert "[rules | judge | null]" in shown  # annotate.second_judge
    assert "[critical | urgent]" in shown  # annotate.levels, a tuple of them
    assert "typing" not in shown
