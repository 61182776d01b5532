import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import counterpoint
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.fusion import Concat
from counterpoint.models import MultimodalModel, create_model, from_pretrained
from invariants import assert_trees_close


def inputs(batch=4):
    generator = torch.Generator().manual_seed(0)
    return {
        "audio": torch.randn(batch, 1, 24, 40, generator=generator),
        "visual": torch.randn(batch, 2, 9, 24, 20, generator=generator),
    }


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = create_model(
        "small_av",
        num_classes=3,
        fusion="sum",
        fusion_options={"attention": "simam2", "zeta": "learned"},
        head="linear",
        visual={"in_channels": 2},
    )
    model(inputs(8))  # moves statistics and var_max off their initial values
    return model


def test_out_and_back(model, tmp_path):
    extra = {"classes": ["ja", "nein", "weiß nicht"], "seconds": 3.0}
    model.save_pretrained(tmp_path / "new" / "folder", extra)
    back = from_pretrained(tmp_path / "new" / "folder")
    assert not back.training and back.config["extra"] == extra
    with torch.no_grad():
        assert_trees_close(back(inputs()), model.eval()(inputs()), rtol=0, atol=0)
    config = json.loads((tmp_path / "new" / "folder" / "config.json").read_text(encoding="utf-8"))
    assert config["counterpoint"] == counterpoint.__version__
    assert config["name"] == "small_av" and config["options"]["visual"] == {"in_channels": 2}

    back.save_pretrained(str(tmp_path / "again"))  # what came along goes along
    again = MultimodalModel.from_pretrained(str(tmp_path / "again"))
    assert again.config["extra"] == extra
    assert_trees_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_weights_in_any_memory_layout(model, tmp_path):
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    model.save_pretrained(tmp_path)
    assert_trees_close(from_pretrained(tmp_path).state_dict(), model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_both_files_may_be_read_by_whom_the_umask_allows(model, tmp_path, mask):
    former = os.umask(mask)
    try:
        model.save_pretrained(tmp_path)
    finally:
        os.umask(former)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~mask}


def test_one_modality_alone(tmp_path):
    model = create_model("small_av", num_classes=3, modalities=["audio"]).eval()
    model.save_pretrained(tmp_path)
    back = from_pretrained(tmp_path)
    assert back.modalities == ("audio",)
    audio = {"audio": inputs()["audio"]}
    with torch.no_grad():
        assert_trees_close(back(audio), model(audio), rtol=0, atol=0)


def test_a_model_made_by_hand_says_that_it_cannot_be_saved(tmp_path):
    model = MultimodalModel({"a": nn.Linear(3, 4)}, Concat({"a": 4}, 2))
    with pytest.raises(ConfigError, match="create_model"):
        model.save_pretrained(tmp_path)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(CounterpointError, match=r"config\.json and model\.safetensors"):
        from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"name": "small_av"}',
        '{"name": "small_av", "options": {}}',
        '{"options": {"num_classes": 3}}',
        '{"name": 3, "options": {"num_classes": 3}}',
        '{"name": ["small_av"], "options": {"num_classes": 3}}',
        '{"name": "small_av", "options": {"num_classes": "three"}}',
        '{"name": "small_av", "options": {"num_classes": 3, "fusion_options": 7}}',
    ],
)
def test_a_damaged_configuration(model, tmp_path, text):
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CounterpointError):
        from_pretrained(tmp_path)


def test_missing_and_damaged_weights(model, tmp_path):
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CounterpointError, match="model.safetensors"):
        from_pretrained(tmp_path)
    path.unlink()
    with pytest.raises(CounterpointError, match="model.safetensors"):
        from_pretrained(tmp_path)


def test_weights_of_another_model(model, tmp_path):
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    first = "encoders.audio.convs.0.0.weight"
    for changed in (
        {k: v for k, v in tensors.items() if k != first},
        {**tensors, "stranger": torch.zeros(1)},
        {**tensors, first: torch.zeros(2, 7)},
    ):
        save_file(changed, path)
        with pytest.raises(CounterpointError, match="another model"):
            from_pretrained(tmp_path)


def test_a_failed_save_leaves_the_old_model(model, tmp_path):
    model.save_pretrained(tmp_path)
    with pytest.raises(CounterpointError, match="JSON"):
        model.save_pretrained(tmp_path, extra={"tensor": torch.zeros(1)})
    assert_trees_close(from_pretrained(tmp_path).state_dict(), model.state_dict(), rtol=0, atol=0)
