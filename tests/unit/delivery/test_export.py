"""An exported model is the run's model, in plain transformers too; its card tells numbers only."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tests.unit.delivery.images import write_picture
from tests.unit.delivery.runs import SETTINGS, make_run
from transformers import AutoModelForImageTextToText, AutoProcessor

from radflow.config import MADE_MODELS
from radflow.config_file import load_config
from radflow.delivery.export import export_model
from radflow.delivery.finished_run import open_finished
from radflow.delivery.given import HowToRead, find_given
from radflow.delivery.model_card import MADE_OF, Card, base_model, model_card
from radflow.delivery.report_writer import Decoding, ReportWriter
from radflow.delivery.writing import open_author, read_settings, save_settings, settings_of_run
from radflow.delivery.written import WrittenReport
from radflow.errors import ConfigError, ModelError, RunError
from radflow.models.vlm import load_policy


@pytest.fixture(scope="module")
def exported(lora_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "my-model"
    export_model(lora_run, folder)
    return folder


def logits(model: Any, processor: Any, picture: Path) -> torch.Tensor:
    content = [{"type": "image"}, {"type": "text", "text": "Write about it."}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    with Image.open(picture) as image:
        inputs = processor(text=[prompt], images=[[image.convert("RGB")]], return_tensors="pt")
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(**inputs).logits
    return found


def test_plain_transformers_loads_the_same_model(exported: Path, lora_run: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    plain = AutoModelForImageTextToText.from_pretrained(exported)
    found = logits(plain, AutoProcessor.from_pretrained(exported), picture)
    of_run = {system: open_finished(lora_run, system).load() for system in ("rft", "sft")}
    expected = {system: logits(policy.model, policy.processor, picture) for system, policy in of_run.items()}
    torch.testing.assert_close(found, expected["rft"], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, expected["sft"], atol=1e-3)
    assert plain.generation_config.max_new_tokens == 12


def test_the_folder_is_whole_private_and_free_of_adapters(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert {
        "README.md",
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "radflow.json",
    } <= names
    assert {"chat_template.jinja", "processor_config.json", "tokenizer.json"} <= names
    assert not [name for name in names if "adapter" in name or name.endswith((".bin", ".pt", ".pkl"))]
    assert stat.S_IMODE(exported.stat().st_mode) == 0o700
    assert [path.name for path in exported.parent.iterdir()] == ["my-model"]


def test_radflow_takes_the_folder_as_a_model_to_train(exported: Path) -> None:
    config = load_config(None, overrides=[f"model.name={exported}"])
    policy = load_policy(config.model.name, config.model)
    assert policy.processor.tokenizer.padding_side == "left"


def test_an_exported_model_writes_what_the_runs_model_writes(
    exported: Path, lora_run: Path, tmp_path: Path
) -> None:
    given = find_given([write_picture(tmp_path / "a.png")], HowToRead(indication="cough"))
    written = []
    for author in (open_author(lora_run, None, device="cpu"), open_author(None, str(exported), device="cpu")):
        writer = ReportWriter(author, Decoding(), ontology="chest-xray")
        written += [row for row in writer.write(given.studies) if isinstance(row, WrittenReport)]
    first, second = written
    assert first.text == second.text
    assert first.made_with == second.made_with


def test_settings_travel_with_the_model(exported: Path, lora_run: Path) -> None:
    known = json.loads((exported / "radflow.json").read_text())
    assert known == settings_of_run(open_finished(lora_run)).model_dump()
    assert (known["prompt"], known["max_images"], known["image_long_side"]) == ("Write about it.", 2, 64)


@pytest.mark.parametrize(
    ("overrides", "views"),
    [
        (("data.views=frontal", "data.phantoms.lateral=false"), "frontal"),
        (("data.views=all",), "all"),
        (("data.source=mimic_cxr", "data.views=frontal"), "frontal"),
        (("data.source=table", "data.views=frontal"), "all"),  # a table knows no views and keeps all
    ],
)
def test_the_views_of_the_training_studies_travel_with_the_model(
    overrides: tuple[str, ...], views: str, lora_run: Path
) -> None:
    finished = open_finished(lora_run)
    config = load_config(None, overrides=[*SETTINGS, *overrides])
    assert settings_of_run(replace(finished, config=config)).views == views


@pytest.mark.parametrize(
    ("shown", "told", "untold"),
    [
        ({}, "It sees only the images and the indication: no earlier", "trained with"),
        ({"show_indication": False}, "It sees only the images: no earlier", "trained with"),
        ({"show_comparison": True}, "trained with the comparison in its prompt", "no earlier study"),
        (
            {"show_comparison": True, "show_previous": True},
            "trained with the comparison and the patient's previous report in its prompt",
            "no earlier study",
        ),
    ],
)
def test_the_card_says_what_the_model_is_shown(
    shown: dict[str, bool], told: str, untold: str, lora_run: Path
) -> None:
    finished = open_finished(lora_run)
    model = finished.config.model.model_copy(update=shown)
    run = replace(finished, config=finished.config.model_copy(update={"model": model}))
    limits = model_card(Card.of(run, settings_of_run(run), name="x", imports=[])).split("## Limits")[1]
    assert told in limits
    assert untold not in limits.replace(told, "")


def test_an_ontology_of_ones_own_goes_along(lora_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    settings = settings_of_run(open_finished(lora_run))
    (tmp_path / "out").mkdir()
    save_settings(settings.model_copy(update={"ontology": str(tmp_path / "mine.yaml")}), tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    assert read_settings(tmp_path / "moved").ontology == str(tmp_path / "moved/ontology.yaml")
    assert str(tmp_path) not in (tmp_path / "moved/radflow.json").read_text()


def test_a_models_settings_read_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "radflow.json").write_text('{"ontology": "/somewhere/else.yaml"}')
    with pytest.raises(ModelError, match="outside"):
        read_settings(tmp_path)


def test_the_card_has_front_matter_and_metrics_with_intervals(exported: Path) -> None:
    _, front, body = (exported / "README.md").read_text().split("---\n", 2)
    data = yaml.safe_load(front)
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "image-text-to-text"
    assert "research-only" in data["tags"]
    assert "base_model" not in data  # made on the spot
    values = {m["type"]: m["value"] for m in data["model-index"][0]["results"][0]["metrics"]}
    assert values["bleu-4"] == 0.25
    assert "| BLEU-4 | 0.250 [0.200, 0.300] | +0.125 [+0.200, +0.300] |" in body
    for told in ("not a medical device", "40 test studies", "160 train", "2 no_image", "CAPO", "Limits"):
        assert told in body
    assert "transformers 5" in body


def test_nothing_in_the_folder_tells_of_this_machine(exported: Path, lora_run: Path) -> None:
    for path in exported.iterdir():
        content = path.read_bytes()
        assert str(lora_run.parent).encode() not in content, path.name
        assert str(exported.parent).encode() not in content, path.name


def test_the_card_names_a_base_model_of_the_hub_and_no_folder(lora_run: Path) -> None:
    finished = open_finished(lora_run)

    def base(name: str) -> str | None:
        model = finished.config.model.model_copy(update={"name": name})
        run = type(finished)(
            finished.run, finished.config.model_copy(update={"model": model}), "rft", finished.manifests
        )
        return base_model(Card("x", run, settings_of_run(run), []))

    assert base("Org/some-vlm") == "Org/some-vlm"
    assert base("/home/me/secret-project") is None
    assert base("tiny") is None
    assert base("efficientnet-smollm2") is None


@pytest.fixture(scope="module")
def made_of_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of small parts that stand for EfficientNet-Lite0 and SmolLM2."""
    folder = tmp_path_factory.mktemp("parts")
    make_run(folder / "run", stages=("sft",), overrides=("model.name=efficientnet-smollm2",))
    export_model(folder / "run", folder / "out")
    return folder / "out"


@pytest.mark.parametrize("kind", ["exported", "made_of_parts"])
def test_the_lines_of_the_card_write_a_report(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """As they stand there, in a process that knows nothing of radflow but what they import."""
    folder: Path = request.getfixturevalue(kind)
    card = (folder / "README.md").read_text()
    plain = card.split("With plain transformers:\n")[1].split("\nIt was trained")[0]
    (tmp_path / "lines.py").write_text(
        f"FOLDER = {str(folder)!r}\n" + textwrap.dedent(plain) + "assert len(report)\n"
    )
    write_picture(tmp_path / "image.png")
    done = subprocess.run(
        [sys.executable, "lines.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_model_of_parts_is_no_model_of_the_hub_by_its_name(made_of_parts: Path) -> None:
    _, front, body = (made_of_parts / "README.md").read_text().split("---\n", 2)
    assert "base_model" not in yaml.safe_load(front)
    assert "Base model: a LLaVA-architecture model that radflow has made of EfficientNet-Lite0" in body


def test_every_model_that_radflow_makes_is_described() -> None:
    assert MADE_OF.keys() == set(MADE_MODELS)


def test_the_supervised_model_is_exported_when_asked_for_or_alone(
    lora_run: Path, whole_run: Path, tmp_path: Path
) -> None:
    assert export_model(lora_run, tmp_path / "a", wanted="sft").system == "sft"
    assert export_model(whole_run, tmp_path / "b").system == "sft"
    card = (tmp_path / "b/README.md").read_text()
    assert "Reinforcement" not in card
    assert "minus SFT" not in card


def test_adapters_over_four_bits_are_merged_into_whole_weights(exported: Path, tmp_path: Path) -> None:
    """Those of SFT and, on them, those of RFT: the same weights as of a run that never used 4 bits."""
    base = tmp_path / "run/model-base"
    make_run(
        tmp_path / "run", lora=True, overrides=(f"model.name={base}", "model.quantization=4bit")
    )  # fmt: skip
    export_model(tmp_path / "run", tmp_path / "out")
    found, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "out", exported))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert "quantization_config" not in json.loads((tmp_path / "out/config.json").read_text())
    assert "trained over 4-bit weights" in (tmp_path / "out/README.md").read_text()
    assert "4-bit" not in (exported / "README.md").read_text()


def test_a_model_without_an_evaluation_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "run", stages=("sft",))
    (tmp_path / "run/manifests/evaluate.json").unlink()
    export_model(tmp_path / "run", tmp_path / "out")
    assert "not evaluated" in (tmp_path / "out/README.md").read_text()


def test_a_folder_with_files_is_never_written_over(lora_run: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        export_model(lora_run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_the_folder_that_one_stands_in_is_filled_if_it_is_empty(
    whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here").chmod(0o755)
    monkeypatch.chdir(tmp_path / "here")
    export_model(whole_run, Path())
    assert Path("config.json").is_file()  # in the folder of before, not in a new one at its place
    assert stat.S_IMODE(Path().stat().st_mode) == 0o700
    assert Path("README.md").read_text().split("---\n", 2)[2].startswith("\n# here\n")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    with pytest.raises(RunError, match="not empty"):
        export_model(whole_run, Path())


def test_what_is_no_run_or_no_model_of_one_is_told(whole_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished model"):
        export_model(tmp_path, tmp_path / "out")
    with pytest.raises(RunError, match="model-rft"):
        export_model(whole_run, tmp_path / "out", wanted="rft")
    with pytest.raises(ConfigError, match="Did you mean rft"):
        export_model(whole_run, tmp_path / "out", wanted="rtf")
    assert not (tmp_path / "out").exists()


def test_weights_are_written_as_precisely_as_asked(whole_run: Path, tmp_path: Path) -> None:
    export_model(whole_run, tmp_path / "out", dtype="bfloat16")
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "bfloat16"
