# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose weights a file holds: by its checksum, its tensors and its name; and imports that rest on it."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from ssl4eo.encoders.architecture import build_network
from ssl4eo.encoders.cards import DEFAULT_ENCODER, get_card, load_cards
from ssl4eo.encoders.weights import describe, require
from ssl4eo.encoders.weights.importing import import_file
from ssl4eo.encoders.weights.recognise import Match, recognise, require_fit
from ssl4eo.encoders.weights.records import lock_of
from ssl4eo.encoders.weights.upkeep import remove, verify
from ssl4eo.errors import Cancelled, InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def tensors(backbone: str, in_chans: int, prefix: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a network, each one value seen through its shape, so that the file is small."""
    with torch.device("meta"):
        network = build_network(backbone, in_chans)
    shapes = {f"{prefix}{name}": value.shape for name, value in network.state_dict().items()}
    return {name: torch.full((), 0.01).expand(shape) for name, shape in shapes.items()}


def save(path: Path, backbone: str, in_chans: int, container: str | None = None, prefix: str = "") -> Path:
    held = tensors(backbone, in_chans, prefix)
    torch.save({container: held, "epoch": 99} if container else held, path)
    return path


def found(matches: list[Match], confidence: str) -> list[str]:
    return [match.encoder for match in matches if match.confidence == confidence]


def test_a_published_checksum_is_certain(repository: Path, tmp_path: Path) -> None:
    real = repository / "resources" / "encoders" / f"{DEFAULT_ENCODER}.pth"
    copy = shutil.copy(real, tmp_path / "renamed.bin")
    (match,) = recognise(copy)
    assert (match.encoder, match.confidence) == (DEFAULT_ENCODER, "certain")
    assert match.because.startswith("its sha256 is the published e24b8780")


def test_the_first_digits_of_a_checksum_do_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(b"published")
    digest = hashlib.sha256(b"published").hexdigest()
    card = get_card("mae-vits16-s2")
    known = msgspec.structs.replace(card, files=(msgspec.structs.replace(card.files[0], sha256=digest[:8]),))
    monkeypatch.setattr("ssl4eo.encoders.weights.recognise.load_cards", lambda: {card.id: known})
    assert recognise(file) == [Match(card.id, "certain", f"its sha256 is the published {digest[:8]}")]


@pytest.mark.parametrize(
    ("name", "backbone", "in_chans", "container", "prefix", "likely"),
    [
        ("B13_rn50_moco_0099_ckpt.pth", "resnet50", 13, "state_dict", "module.encoder_q.", ["moco-resnet50-s2"]),
        ("anything.pth", "resnet50", 2, "state_dict", "module.encoder_q.", ["moco-resnet50-s1"]),
        ("anything.pth", "resnet50", 13, "teacher", "module.backbone.", ["dino-resnet50-s2"]),
        ("my_softcon_copy.pth", "resnet50", 13, None, "", ["softcon-resnet50-s2"]),
        ("B2_rn50_softcon.pth", "resnet50", 2, None, "", ["softcon-resnet50-s1"]),
        ("x.pth", "resnet18", 3, None, "", ["moco-resnet18-rgb"]),
        ("x.pth", "beits16", 13, "model", "", ["data2vec-vits16-s2"]),
        ("x.pth", "vits14", 2, None, "", ["softcon-vits14-s1"]),
        ("B13_vits16_fgmae_ep99_enc.pth", "vits16", 13, None, "", ["fgmae-vits16-s2"]),
        ("vits16_dino_teacher.pth", "vits16", 13, "teacher", "backbone.", ["dino-vits16-s2"]),
        ("x.pth", "resnet50", 13, None, "", []),
    ],
)  # fmt: skip
def test_tensors_and_name_say_the_rest(
    tmp_path: Path, name: str, backbone: str, in_chans: int, container: str | None, prefix: str, likely: list[str]
) -> None:
    matches = recognise(save(tmp_path / name, backbone, in_chans, container, prefix))
    assert found(matches, "likely") == likely
    assert found(matches, "certain") == []
    ids = [match.encoder for match in matches]
    assert ids[: len(likely)] == likely
    for encoder in ids:
        card = get_card(encoder)
        assert (card.backbone, len(card.bands)) == (backbone, in_chans)
        assert f"it holds {backbone} for {in_chans} bands" in matches[ids.index(encoder)].because


def test_a_flat_resnet_may_be_anyones(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", "resnet50", 13)
    assert found(recognise(path), "possible") == [
        "moco-resnet50-s2", "dino-resnet50-s2", "decur-resnet50-s2", "softcon-resnet50-s2",
    ]  # fmt: skip
    with pytest.raises(InputError) as caught:
        import_file(path)
    assert str(caught.value) == (
        f"{path} fits 4 encoders alike (moco-resnet50-s2, dino-resnet50-s2, decur-resnet50-s2, softcon-resnet50-s2); "
        "say which with `--as ID`, as its authors name it."
    )
    result = import_file(path, "dino-resnet50-s2")
    assert (result["encoder"], result["confidence"]) == ("dino-resnet50-s2", "possible")
    assert len(result["candidates"]) == 4


def test_decurs_joint_file_holds_two_encoders(tmp_path: Path) -> None:
    both = tensors("resnet50", 2, "module.backbone_1.") | tensors("resnet50", 13, "module.backbone_2.")
    path = tmp_path / "rn50_ssl4eo-s12_joint_decur_ep100.pth"
    torch.save({"model": both}, path)
    assert found(recognise(path), "likely") == ["decur-resnet50-s2", "decur-resnet50-s1"]
    assert import_file(path, "decur-resnet50-s1")["encoder"] == "decur-resnet50-s1"
    del both["module.backbone_1.layer4.2.conv3.weight"]
    torch.save({"model": both}, path)
    require_fit(get_card("decur-resnet50-s2"), path)
    with pytest.raises(InputError, match=r"layer4\.2\.conv3\.weight"):
        require_fit(get_card("decur-resnet50-s1"), path)


def test_an_import_copies_and_keeps_the_file(tmp_path: Path, folder: Path) -> None:
    path = save(tmp_path / "B13_vits14_softcon_enc.pth", "vits14", 13)
    before = path.read_bytes()
    fractions: list[float] = []
    result = import_file(path, progress=lambda fraction, message="": fractions.append(fraction))
    assert path.read_bytes() == before
    target = folder / "softcon-vits14-s2" / path.name
    assert result == {
        "encoder": "softcon-vits14-s2",
        "path": str(target),
        "confidence": "likely",
        "because": "it holds vits14 for 13 bands and is called as the published file is",
        "sha256": hashlib.sha256(before).hexdigest(),
        "replaces": None,
        "candidates": result["candidates"],
    }
    card = get_card("softcon-vits14-s2")
    assert require(card).sha256 == result["sha256"]
    described = describe(card)
    assert (described["state"], described["verified"], described["source"]) == ("present", "tensors", str(path))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert {entry.name for entry in target.parent.iterdir()} == {".lock", "record.json", path.name}
    again = import_file(path)
    assert again["because"].endswith("; it was here already")
    assert again["path"] == str(target)


def test_an_import_says_what_it_replaces_and_forgets_a_download_that_was_cut_off(tmp_path: Path, folder: Path) -> None:
    first = save(tmp_path / "B13_vits14_softcon_enc.pth", "vits14", 13)
    second = tmp_path / "softcon_again.pth"
    torch.save({name: value + 1 for name, value in tensors("vits14", 13).items()}, second)
    here = folder / "softcon-vits14-s2"
    before = import_file(first)["sha256"]
    for name in ("w.pth.part", "w.pth.part.json"):
        (here / name).write_text("{}")
    assert import_file(second)["replaces"] == f"{first.name} (sha256 {before[:8]}, from {first})"
    assert {entry.name for entry in here.iterdir()} == {".lock", "record.json", second.name}
    (here / "w.pth.part").touch()
    again = import_file(second)
    assert (again["replaces"], (here / "w.pth.part").exists()) == (None, False)


def test_safetensors_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    save_file({name: value.contiguous() for name, value in tensors("vits14", 2).items()}, path)
    assert import_file(path)["encoder"] == "softcon-vits14-s1"


def test_real_layouts_are_recognised(shared_parity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.path.insert(0, str(shared_parity))
    try:
        from build_checkpoint import build_file
    finally:
        sys.path.remove(str(shared_parity))
    for vector, encoder in (
        ("moco_v2_resnet50_B13_full", "moco-resnet50-s2"),
        ("dino_vits16_B13_full", "dino-vits16-s2"),
        ("data2vec_vits16_B13_full", "data2vec-vits16-s2"),
    ):
        source = shared_parity / f"vectors/{vector}.json"
        if source.exists():
            build_file(source, tmp_path / "w.pth")
            assert found(recognise(tmp_path / "w.pth"), "likely") == [encoder], vector


def test_a_name_that_the_tensors_contradict_is_refused(tmp_path: Path, folder: Path) -> None:
    path = save(tmp_path / "x.pth", "resnet50", 13, "teacher", "module.backbone.")
    for encoder, words in (
        ("moco-vits16-s2", "holds resnet50 for 13 bands, but moco-vits16-s2 is vits16 for 13 bands"),
        ("moco-resnet50-s1", "holds resnet50 for 13 bands, but moco-resnet50-s1 is resnet50 for 2 bands"),
        ("moco-resnet50-s2", r"is a file of dino \(it holds a teacher\), but moco-resnet50-s2 is moco"),
        ("x", "There is no encoder 'x'"),
    ):
        with pytest.raises(InputError, match=words):
            import_file(path, encoder)
    assert not folder.exists()


def test_a_certain_file_is_imported_as_nothing_else(repository: Path, tmp_path: Path) -> None:
    real = repository / "resources" / "encoders" / f"{DEFAULT_ENCODER}.pth"
    with pytest.raises(InputError, match=f"belongs to {DEFAULT_ENCODER} .*, not to moco-resnet18-s2; import it as"):
        import_file(real, "moco-resnet18-s2")
    assert import_file(real)["because"].endswith("; it was here already")


def test_the_bundled_encoder_is_not_replaced_but_restored(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = repository / "resources" / "encoders" / f"{DEFAULT_ENCODER}.pth"
    own = save(tmp_path / "own.pth", "resnet18w32", 13)
    with pytest.raises(InputError, match=f"The weights of {DEFAULT_ENCODER} come with the software"):
        import_file(own, DEFAULT_ENCODER)
    monkeypatch.setenv("SSL4EO_RESOURCES", str(tmp_path / "gone"))
    assert import_file(real)["confidence"] == "certain"
    assert describe(get_card(DEFAULT_ENCODER))["state"] == "present"


def test_a_damaged_bundled_file_is_mended_by_an_import(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = get_card(DEFAULT_ENCODER)
    real = repository / "resources" / "encoders" / f"{DEFAULT_ENCODER}.pth"
    monkeypatch.setenv("SSL4EO_RESOURCES", str(tmp_path / "resources"))
    bundled = tmp_path / "resources" / card.files[0].name
    bundled.parent.mkdir(parents=True)
    bundled.write_bytes(b"rotten" + real.read_bytes()[6:])
    with pytest.raises(InputError, match=f"is damaged.*or import its file with .* --as {DEFAULT_ENCODER}"):
        require(card)
    mended = import_file(real, DEFAULT_ENCODER)["path"]
    assert require(card).path == Path(mended) != bundled
    assert (describe(card)["state"], describe(card)["source"]) == ("present", str(real))
    assert [row["state"] for row in verify(card.id)["rows"]] == ["ok"]
    remove(card.id)
    assert describe(card)["state"] == "damaged"
    with pytest.raises(InputError, match="come with the software and cannot be removed"):
        remove(card.id)


def test_what_pretrain_made_is_no_published_encoder(tmp_path: Path) -> None:
    path = tmp_path / "moco-mine.pth"
    torch.save({"state_dict": tensors("resnet18", 13), "card": {"method": "moco"}}, path)
    assert recognise(path) == []
    with pytest.raises(InputError, match="was made by `ssl4eo pretrain` and is none of the published encoders"):
        import_file(path)


def test_a_network_of_no_card_is_said(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", "vits16", 3)
    assert recognise(path) == []
    with pytest.raises(InputError, match="holds vits16 for 3 bands, as no known encoder"):
        import_file(path)


def test_what_is_no_whole_checkpoint_is_refused(tmp_path: Path, folder: Path) -> None:
    short = tensors("vits14", 13)
    del short["blocks.3.attn.qkv.weight"]
    torch.save(short, tmp_path / "short.pth")
    (tmp_path / "page.pth").write_text("<html>sign in</html>")
    whole = save(tmp_path / "whole.pth", "vits14", 13).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    for name, words in (
        ("gone.pth", r"gone\.pth is no file; check the path"),
        ("short.pth", r"blocks\.3\.attn\.qkv\.weight"),
        ("page.pth", r"page\.pth is a web page"),
        ("cut.pth", r"cut\.pth is not a whole checkpoint file"),
    ):
        for action in (recognise, import_file):
            with pytest.raises(InputError, match=words):
                action(tmp_path / name)
    assert not folder.exists()


def test_a_cancelled_import_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    path = save(tmp_path / "x.pth", "vits14", 13)

    def cancel(fraction: float, message: str = "") -> None:
        if message.startswith("Copying"):
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        import_file(path, progress=cancel)
    assert [entry.name for entry in (folder / "softcon-vits14-s2").iterdir()] == [".lock"]


def test_an_import_that_waits_says_so_and_hears_cancel(tmp_path: Path, folder: Path) -> None:
    path = save(tmp_path / "x.pth", "vits14", 13)
    told: list[str] = []

    def cancel(_: float, message: str = "") -> None:
        told.append(message)
        if message.startswith("Waiting"):
            raise Cancelled("Cancelled.")

    with lock_of(get_card("softcon-vits14-s2")), pytest.raises(Cancelled):
        import_file(path, progress=cancel)
    assert told[-1] == "Waiting: the weights of softcon-vits14-s2 are being downloaded or imported already"


def test_recognition_tells_how_far_it_is_and_hears_cancel(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", "vits14", 13)
    told: list[tuple[float, str]] = []
    recognise(path, lambda fraction, message="": told.append((fraction, message)))
    assert told == [*sorted(told[:-1]), (0.9, "Reading x.pth")]
    assert told[0][1] == "Checking x.pth"

    for step in ("Checking", "Reading"):

        def cancel(_: float, message: str = "", step: str = step) -> None:
            if message.startswith(step):
                raise Cancelled("Cancelled.")

        with pytest.raises(Cancelled):
            recognise(path, cancel)


def test_what_a_killed_import_left_goes_with_the_next(tmp_path: Path, folder: Path) -> None:
    left = folder / "softcon-vits14-s2" / ".0123abcd.importing"
    left.parent.mkdir(parents=True)
    left.touch()
    import_file(save(tmp_path / "x.pth", "vits14", 13))
    assert not left.exists()


def test_a_file_that_changes_meanwhile_is_not_taken(tmp_path: Path, folder: Path) -> None:
    path = save(tmp_path / "x.pth", "vits14", 13)

    def change(_: float, message: str = "") -> None:
        if message.startswith("Importing"):
            with path.open("ab") as stream:
                stream.write(b"more")

    with pytest.raises(InputError, match=r"x\.pth changed while it was imported"):
        import_file(path, progress=change)
    assert [entry.name for entry in (folder / "softcon-vits14-s2").iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["record.json", "w.pth.part", "plain"])
def test_a_name_that_would_disturb_the_cache_gets_another_ending(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, "vits14", 13)
    assert Path(import_file(path)["path"]).name == f"{name}.pth"


def test_every_published_name_fits_its_card() -> None:
    """A name must not mislead: no two encoders publish files of one name and one network."""
    owners: dict[tuple[str, str, int], list[str]] = {}
    for card in load_cards().values():
        for file in card.files:
            owners.setdefault((file.name, card.backbone, len(card.bands)), []).append(card.id)
    assert [ids for ids in owners.values() if len(ids) > 1] == []
