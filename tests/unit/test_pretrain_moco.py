# SPDX-License-Identifier: GPL-2.0-or-later
"""MoCo: the loss against a hand computation, the queue, the momentum encoder."""

from __future__ import annotations

import math

import pytest
import torch
from ssl4eo.encoders.architecture import build_network
from ssl4eo.errors import InputError
from ssl4eo.pretrain.augment import Augmentation
from ssl4eo.pretrain.methods import METHODS, build_method
from ssl4eo.pretrain.moco import MoCo, Queue, info_nce


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    # Batches are so small that threads would only wait for each other.
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def method():
    torch.manual_seed(0)
    return MoCo(build_network("resnet18w32", 13), 4, queue=8, momentum=0.9)


def regions(method, count=4):
    return torch.rand(count, 13, method.region, method.region, generator=torch.Generator().manual_seed(1))


def test_info_nce_against_a_hand_computation():
    query = torch.tensor([[1.0, 0.0]])
    key = torch.tensor([[0.6, 0.8]])
    negatives = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    # Cosines 0.6 (positive), 0 and -1, at temperature 0.5: 1.2, 0, -2.
    expected = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(0.0) + math.exp(-2.0)))
    assert info_nce(query, key, negatives, 0.5).item() == pytest.approx(expected, abs=1e-6)


def test_info_nce_falls_when_the_positive_is_closer():
    query, negatives = torch.eye(4)[:2], torch.eye(4)[:, 2:]
    near = info_nce(query, query, negatives, 0.1)
    assert near < info_nce(query, query.flip(0), negatives, 0.1)


def test_the_queue_forgets_the_oldest_and_counts_only_what_was_pushed():
    queue = Queue(4, 1)
    assert queue.negatives().shape == (1, 0)
    for value in (1.0, 2.0):
        queue.push(torch.full((2, 1), value))
    assert queue.negatives().tolist() == [[1, 1, 2, 2]]
    queue.push(torch.full((2, 1), 3.0))
    assert queue.negatives().tolist() == [[3, 3, 2, 2]]


def test_pushing_leaves_the_tensor_that_a_loss_holds_untouched():
    queue = Queue(2, 1)
    queue.push(torch.ones(2, 1))
    held = queue.negatives()
    queue.push(torch.zeros(2, 1))
    assert held.tolist() == [[1, 1]]


def test_the_key_encoder_moves_by_one_minus_the_momentum(method):
    before = method.key_backbone.conv1.weight.clone()
    with torch.no_grad():
        method.backbone.conv1.weight.add_(1.0)
    method.loss(regions(method), torch.Generator().manual_seed(0))
    moved = method.key_backbone.conv1.weight - before
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1))


def test_the_key_encoder_is_not_trained_and_every_query_parameter_is(method):
    # timm starts the last BatchNorm of every block at 0, which lets no gradient into the block at the first step.
    for name, parameter in method.backbone.named_parameters():
        if name.endswith("bn2.weight"):
            torch.nn.init.ones_(parameter)
    # Eight, because two samples per part would leave BatchNorm two values, +1 and -1, and no gradient below it.
    generator = torch.Generator().manual_seed(0)
    method.loss(regions(method, 8), generator)  # fills the queue: without negatives there is no gradient
    method.loss(regions(method, 8), generator).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())
    assert all(p.grad is None for p in method.key_backbone.parameters())


def test_a_step_pushes_unit_keys_into_the_queue_of_every_level(method):
    method.loss(regions(method), torch.Generator().manual_seed(0))
    assert len(method.queues) == 4
    for queue in method.queues:
        torch.testing.assert_close(queue.negatives().norm(dim=0), torch.ones(4))


def test_keys_come_back_in_the_order_of_their_queries(method, monkeypatch):
    # Each region embeds as its own unit vector; only keys in the order of their queries give the lowest loss.
    monkeypatch.setattr(method, "_view", lambda regions, generator: regions)
    monkeypatch.setattr(method, "_embed", lambda backbone, heads, view: [view.flatten(1) for _ in method.heads])
    units = torch.eye(128)
    for queue in method.queues:
        queue.push(units[4:8])
    losses = [method.loss(units[:4], torch.Generator().manual_seed(seed)) for seed in range(5)]
    expected = info_nce(units[:4], units[:4], units[:, 4:8], method.temperature)
    torch.testing.assert_close(losses[0], expected)
    # The pushed keys now are negatives of themselves, so the positive is no longer alone at the top.
    assert all(loss > expected for loss in losses[1:])


def test_the_loss_falls_in_training():
    torch.manual_seed(0)
    method = MoCo(build_network("resnet18w32", 13), 8, queue=32)
    crops = regions(method, 8) * torch.linspace(0.1, 1, 8).view(8, 1, 1, 1)
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-3)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(40):
        optimiser.zero_grad()
        loss = method.loss(crops, generator)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # From the fifth step on the queue is full; chance is ln 33.
    assert sum(losses[-5:]) / 5 < sum(losses[4:9]) / 5 - 0.2


def test_views_are_random_but_repeat_with_the_seed():
    views, region = Augmentation(), torch.rand(3, 13, 72, 72)
    first, again, other = (views(region, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, 13, 32, 32)
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


def test_a_view_without_strength_is_a_turned_or_mirrored_cut_of_the_region():
    plain = Augmentation(size=8, source=(8.0, 8.0), gain=0, band_gain=0, haze=0, contrast=0)
    region = torch.rand(1, 1, 8, 8).expand(1, 13, 8, 8)
    view = plain(region, torch.Generator().manual_seed(5))[0, 0]
    turned = [torch.rot90(part, turns) for part in (region[0, 0], region[0, 0].flip(0)) for turns in range(4)]
    assert any(torch.allclose(view, candidate, atol=1e-5) for candidate in turned)


def test_haze_falls_with_wavelength():
    hazy = Augmentation(size=8, source=(8.0, 8.0), gain=0, band_gain=0, haze=0.05, contrast=0)
    added = hazy(torch.full((64, 13, 8, 8), 0.5), torch.Generator().manual_seed(0)).mean((2, 3)) - 0.5
    assert (added[:, 0].abs() >= added[:, 3].abs()).all()
    assert added[:, 12].abs().max() < added[:, 0].abs().max() / 4


@pytest.mark.parametrize("batch", [1, 2, 7, 96])
def test_a_batch_that_cannot_be_split_or_does_not_divide_the_queue_is_refused(batch):
    with pytest.raises(InputError, match=f"A batch of {batch} does not fit; choose an even number"):
        build_method("moco", build_network("resnet18w32", 13), batch)


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="no pre-training method 'dino' here; choose one of: moco"):
        build_method("dino", build_network("resnet18w32", 13), 8)
    assert "moco" in METHODS
